import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.assignment.buckets import N_BUCKETS, threshold
from experiments.assignment.errors import RampError
from experiments.assignment.ramps import Ramp, RampStep

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
DOCUMENT = [
    {"at": "2026-01-05T08:00:00Z", "share": 0.01},
    {"at": "2026-01-06T08:00:00Z", "share": 0.1},
    {"at": "2026-01-09T08:00:00Z", "share": 1.0},
]


class TestRamp:
    @pytest.mark.parametrize(
        ("hours", "share"), [(-1, 0.0), (0, 0.01), (23, 0.01), (24, 0.1), (96, 1.0), (9_999, 1.0)]
    )
    def test_has_the_share_of_the_moment(self, hours, share):
        ramp = Ramp.from_document(DOCUMENT)

        assert ramp.share_at(START + timedelta(hours=hours)) == share
        assert ramp.threshold_at(START + timedelta(hours=hours)) == threshold(share)

    def test_without_steps_is_open(self):
        assert Ramp().share_at(START) == 1.0
        assert Ramp().threshold_at(START) == N_BUCKETS

    def test_survives_json(self):
        ramp = Ramp.from_document(DOCUMENT)

        assert Ramp.from_document(json.loads(json.dumps(ramp.document()))) == ramp
        assert ramp.document() == DOCUMENT

    def test_reads_other_zones(self):
        east = timezone(timedelta(hours=9))
        ramp = Ramp((RampStep(datetime(2026, 1, 5, 17, tzinfo=east), 0.5),))

        assert ramp.share_at(START) == 0.5
        assert ramp.document() == [{"at": "2026-01-05T08:00:00Z", "share": 0.5}]

    @given(st.lists(st.floats(0, 1), max_size=50), st.data())
    def test_never_descends(self, shares, data):
        ramp = Ramp(
            tuple(RampStep(START + timedelta(days=k), s) for k, s in enumerate(sorted(shares)))
        )
        first, second = sorted(data.draw(st.tuples(st.integers(-5, 60), st.integers(-5, 60))))

        early = ramp.threshold_at(START + timedelta(days=first))

        assert early <= ramp.threshold_at(START + timedelta(days=second))

    @pytest.mark.parametrize(
        ("document", "told"),
        [
            ("soon", "list of steps"),
            ([3], r"ramp\[0\]"),
            ([{"at": "2026-01-05T08:00:00Z", "shar": 1}], "did you mean 'share'"),
            ([{"share": 1}], "at is missing"),
            ([{"at": "2026-01-05T08:00:00", "share": 1}], "zone"),
            ([{"at": "tomorrow", "share": 1}], "no time"),
            ([{"at": 5, "share": 1}], "zone"),
            ([{"at": "2026-01-05T08:00:00Z", "share": 1.1}], "from 0 to 1"),
            ([{"at": "2026-01-05T08:00:00Z", "share": float("nan")}], "from 0 to 1"),
            ([{"at": "2026-01-05T08:00:00Z", "share": True}], "from 0 to 1"),
            (DOCUMENT[::-1], "times must ascend"),
            ([DOCUMENT[0], DOCUMENT[0]], "times must ascend"),
            ([DOCUMENT[0], {"at": "2027-01-05T08:00:00Z", "share": 0.001}], "must not descend"),
        ],
    )
    def test_refuses_what_is_none(self, document, told):
        with pytest.raises(RampError, match=told):
            Ramp.from_document(document)

    def test_refuses_many_steps(self):
        steps = tuple(RampStep(START + timedelta(days=k), 1.0) for k in range(51))

        with pytest.raises(RampError, match="at most 50"):
            Ramp(steps)
