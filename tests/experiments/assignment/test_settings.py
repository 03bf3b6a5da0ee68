import json
import pickle

import pytest

from experiments.assignment.errors import AssignmentError
from experiments.assignment.layers import WHOLE
from experiments.assignment.settings import AssignmentSettings

DOCUMENT = {
    "salt": "pilot",
    "arms": ["champion", "challenger", "other"],
    "weights": [0.5, 0.3, 0.2],
    "layer_salt": "equities",
    "ranges": [[0.0, 0.2], [0.5, 0.6]],
    "holdout": [[0.95, 1.0]],
    "ramp": [
        {"at": "2026-01-05T08:00:00Z", "share": 0.1},
        {"at": "2026-01-12T08:00:00Z", "share": 1.0},
    ],
    "targeting": {
        "all": [
            {"attribute": "desk", "in": ["equities", "futures"]},
            {"not": {"any": [{"attribute": "region", "equals": "US"}]}},
            {"attribute": "age", "at_least": 1, "at_most": 7.5},
        ]
    },
    "overrides": {"AAPL": "other"},
}
SMALL = {"salt": "pilot", "arms": ["a", "b"], "weights": [0.5, 0.5]}


class TestAssignmentSettings:
    @pytest.mark.parametrize("document", [DOCUMENT, SMALL])
    def test_survives_json_and_pickle(self, document):
        settings = AssignmentSettings.from_document(document)

        again = AssignmentSettings.from_document(json.loads(json.dumps(settings.document())))

        assert again == settings == pickle.loads(pickle.dumps(settings))  # noqa: S301
        assert again.thresholds == settings.thresholds
        assert settings.document() == {**settings.document(), **document}

    def test_takes_every_unit_by_default(self):
        settings = AssignmentSettings.from_document(SMALL)

        assert settings.ranges == WHOLE
        assert settings.ramp.steps == ()
        assert settings.targeting is None

    def test_keeps_its_own_overrides(self):
        overrides = {"AAPL": "a"}
        settings = AssignmentSettings("pilot", ("a", "b"), (0.5, 0.5), overrides=overrides)

        overrides["AAPL"] = "b"

        assert settings.overrides == {"AAPL": "a"}

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"salt": ""}, "no salt"),
            ({"salt": "a:b"}, "no salt"),
            ({"salt": "a/arm"}, "has a slash"),
            ({"salt": 7}, "no salt"),
            ({"layer_salt": "a/b"}, "has a slash"),
            ({"layer_salt": 7}, "no salt"),
            ({"arms": ["a"], "weights": [1.0]}, "2 to 100 arms, not 1"),
            ({"arms": ["a", "a"]}, "named twice"),
            ({"arms": ["a", ""]}, r"arms\[1\]"),
            ({"arms": "ab"}, "arms: a list"),
            ({"weights": [1.0]}, "2 arms have 1 weights"),
            ({"weights": [0.0, 0.0]}, "sum to 0; they must"),
            ({"weights": [0.5, 0.6]}, r"sum to 1\.1; they must"),
            ({"ranges": []}, "no unit"),
            ({"ranges": [[0.0, 0.5], [0.4, 0.6]]}, "overlap"),
            ({"holdout": [[0.9, 1.0]]}, "the experiment .* and the holdout"),
            ({"ramp": [{}]}, r"ramp\[0\]"),
            ({"targeting": {"al": []}}, "did you mean 'all'"),
            ({"overrides": {"AAPL": "c"}}, "to no arm"),
            ({"overrides": {"": "a"}}, "overrides: A unit's name"),
            ({"overrides": ["AAPL"]}, "overrides: an object"),
            ({"overrides": {f"u{k}": "a" for k in range(10_001)}}, "more than 10,000"),
            ({"weigths": [1.0]}, "weigths: unknown key; did you mean 'weights'?"),
        ],
    )
    def test_refuses_what_is_none(self, changed, told):
        with pytest.raises(AssignmentError, match=told):
            AssignmentSettings.from_document({**SMALL, **changed})

    def test_names_what_is_missing(self):
        with pytest.raises(AssignmentError, match="arms is missing"):
            AssignmentSettings.from_document({"salt": "pilot", "weights": [0.5, 0.5]})
        with pytest.raises(AssignmentError, match="are an object"):
            AssignmentSettings.from_document([])
