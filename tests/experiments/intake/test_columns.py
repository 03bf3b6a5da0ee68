"""Rows of JSON as columns: right ones whole, wrong ones marked in their place."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.intake import IntakeError, TooManyOutcomes, of_rows
from experiments.intake.columns import MOST_ROWS, NO_TIME, numbers_of, times_of, words_of

ROW = {"metric": "return", "value": 1.5, "at": "2026-01-05T08:00:00Z", "arm": "champion"}
anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())


class TestOfRows:
    def test_reads_a_row_written_by_hand(self):
        sent = of_rows([ROW | {"key": "k-1", "x": 2}])

        assert (sent.metric, sent.arm, sent.unit, sent.key) == (
            ["return"],
            ["champion"],
            [None],
            ["k-1"],
        )
        assert (sent.value[0], sent.x[0], sent.at[0]) == (1.5, 2.0, 1_767_600_000_000_000_000)
        assert sent.bad_keys is None

    def test_leaves_a_wrong_row_in_its_place(self):
        sent = of_rows([ROW, {"metric": 7, "value": "1.5", "at": "today", "key": ""}, ROW])

        assert sent.metric == ["return", None, "return"]
        assert np.isnan(sent.value).tolist() == [False, True, False]
        assert (sent.at == NO_TIME).tolist() == [False, True, False]
        assert sent.bad_keys.tolist() == [False, True, False]

    @pytest.mark.parametrize("rows", [[], [1], [None, [ROW]], [ROW | {"vlaue": 1}]])
    def test_refuses_what_is_no_batch(self, rows):
        with pytest.raises(IntakeError):
            of_rows(rows)

    @pytest.mark.parametrize("row", [None, 1, 1.5, True, "return", [], [ROW]])
    def test_marks_a_row_that_is_no_object(self, row):
        sent = of_rows([ROW, row, ROW | {"valu": 1}])

        assert sent.no_objects.tolist() == [False, True, False]
        assert list(sent.unknown) == [2]
        assert sent.metric == ["return", None, "return"]

    def test_marks_no_row_where_all_are_objects(self):
        assert of_rows([ROW, {}]).no_objects is None

    def test_marks_a_row_with_a_field_that_no_outcome_has(self):
        sent = of_rows([ROW, ROW, ROW | {"valu": 1}])

        assert sent.unknown == {2: "outcomes.2.valu: unknown key; did you mean 'value'?"}

    def test_says_where_a_field_is_that_every_row_has_wrong(self):
        with pytest.raises(IntakeError) as refusal:
            of_rows([ROW | {"\ud800": 1}, ROW | {"valu": 1}])

        assert refusal.value.faults[0][0] == "outcomes.0.?"
        assert "known are metric, value" in refusal.value.faults[0][1]

    def test_refuses_more_rows_than_a_batch_has(self):
        with pytest.raises(TooManyOutcomes, match="10001"):
            of_rows([ROW] * (MOST_ROWS + 1))

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(["metric", "value", "at", "unit", "key", "x"]), anything
            ),
            min_size=1, max_size=5,
        )
    )  # fmt: skip
    def test_takes_any_values_without_an_error(self, rows):
        assert of_rows(rows).n_rows == len(rows)

    @given(st.lists(anything))
    def test_takes_any_rows_beside_one_that_is_right(self, rows):
        sent = of_rows([*rows, ROW])

        assert sent.n_rows == len(rows) + 1
        assert sent.metric[-1] == "return"


class TestTimesOf:
    @given(st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 1900 < moment.year < 2200))
    def test_reads_what_isoformat_writes(self, moment):
        expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000

        assert times_of([moment.isoformat()])[0] == expected

    @pytest.mark.parametrize(
        ("text", "ns"),
        [
            ("1970-01-01T00:00:01Z", 10**9),
            ("1970-01-01T01:00:01+01:00", 10**9),
            ("1970-01-01T00:00:00.123456789Z", 123_456_789),
            ("1970-01-01T00:00:00.1234567Z", 123_456_700),
            (123_456_789, 123_456_789),
        ],
    )
    def test_keeps_nanoseconds(self, text, ns):
        assert times_of([text])[0] == ns

    @pytest.mark.parametrize(
        "value",
        [
            "2026-01-05T08:00:00",
            "2026-01-05",
            "",
            None,
            1.5,
            True,
            2**63,
            [],
            "9999-99-99T00:00:00Z",
        ],
    )
    def test_knows_no_other_moment(self, value):
        assert times_of([value])[0] == NO_TIME


class TestNumbersOf:
    def test_takes_no_text_for_a_number(self):
        found = numbers_of([1, 2.5, True, "3", None, 10**400])

        np.testing.assert_array_equal(found, [1.0, 2.5, 1.0, np.nan, np.nan, np.inf])


class TestWordsOf:
    @pytest.mark.parametrize("bad", ["", "a\nb", "\x00", "\ud800", "x" * 257, 7, None, ["a"]])
    def test_keeps_printable_texts_alone(self, bad):
        assert words_of(["good", bad]) == ["good", None]
