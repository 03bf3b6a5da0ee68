import jsonschema
import pytest
from pydantic import ValidationError

from strategies.pipeline import StrategySpec, builtin_examples

HOLD = {"kind": "buy_and_hold"}
EQUAL = {"kind": "equal_weight"}


def spec(signals=(HOLD,), portfolio=None):
    document = {"signals": list(signals), "portfolio": portfolio or EQUAL}
    return StrategySpec.model_validate(document)


class TestStrategySpec:
    @pytest.mark.parametrize(
        ("signals", "portfolio", "sentence"),
        [
            (
                [{"kind": "moving_average_cross", "fast_bars": 50, "slow_bars": 50}],
                EQUAL,
                r"fast_bars \(50\) must be smaller than slow_bars \(50\)",
            ),
            (
                [{"kind": "momentum", "lookback_days": 5, "skip_days": 9}],
                EQUAL,
                r"skip_days \(9\) must be smaller than lookback_days \(5\)",
            ),
            ([], EQUAL, "at least 1 item"),
            ([{"kind": "astrology"}], EQUAL, "does not match any of the expected tags"),
            ([{**HOLD, "lookback": 3}], EQUAL, "Extra inputs are not permitted"),
            ([HOLD], {**EQUAL, "n_holdings": 0}, "greater than or equal to 1"),
            ([HOLD], {**EQUAL, "gross": 11.0}, "less than or equal to 10"),
            ([HOLD], {"kind": "given_weights", "weights": {}}, "at least 1 item"),
            (
                [HOLD],
                {"kind": "given_weights", "weights": {"A": float("nan")}},
                "finite number",
            ),
            (
                [HOLD],
                {"kind": "given_weights", "weights": {"A": 6.0, "B": -6.0}},
                "add up to 12",
            ),
        ],
    )
    def test_refuses_with_a_clear_sentence(self, signals, portfolio, sentence):
        with pytest.raises(ValidationError, match=sentence):
            spec(signals, portfolio)

    def test_has_one_digest_however_it_is_written(self):
        explicit = spec(
            portfolio={
                "rebalance": {"period": "month", "kind": "calendar"},
                "gross": 1,
                "n_holdings": None,
                "kind": "equal_weight",
            }
        )

        assert spec().digest == explicit.digest
        assert spec().digest != spec(portfolio={**EQUAL, "gross": 0.5}).digest
        assert len(spec().digest) == 64

    def test_survives_a_round_trip_through_json(self):
        for example in builtin_examples().values():
            again = StrategySpec.model_validate_json(example.model_dump_json())

            assert again == example
            assert again.digest == example.digest

    def test_cannot_be_changed(self):
        with pytest.raises(ValidationError, match="frozen"):
            spec().signals = ()

    def test_has_a_schema_that_accepts_the_examples(self):
        schema = StrategySpec.model_json_schema()

        for example in builtin_examples().values():
            jsonschema.validate(example.model_dump(mode="json"), schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"signals": [HOLD], "portfolio": EQUAL, "x": 1}, schema)


class TestBuiltinExamples:
    def test_are_three(self):
        assert set(builtin_examples()) == {
            "buy_and_hold", "moving_average_cross", "cross_sectional_momentum",
        }  # fmt: skip
