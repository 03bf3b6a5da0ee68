"""Parameter sets: digests, and paths put into documents."""

import copy
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.runspec import RunSpec
from backtests.search import PathError, SpaceError, apply, digest

SPEC = {
    "kind": "backtest",
    "strategy": {
        "signals": [{"kind": "momentum", "lookback_days": 252}, {"kind": "buy_and_hold"}],
        "portfolio": {"kind": "equal_weight", "gross": 1.0},
    },
    "costs": {"commission_bps": 1.0, "impact": None},
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)  # fmt: skip
parameter_sets = st.dictionaries(st.text(max_size=5), json_values, max_size=5)


class TestDigest:
    @given(parameter_sets)
    def test_does_not_depend_on_the_order_of_keys(self, parameters):
        turned = dict(reversed(list(parameters.items())))

        assert digest(turned) == digest(parameters)

    def test_keeps_unequal_sets_apart(self):
        sets = [{"a": 63}, {"a": 63.0}, {"a": True}, {"a": 1}, {"a": "63"}, {"a": None}, {"b": 63},
                {}]  # fmt: skip

        assert len({digest(parameters) for parameters in sets}) == len(sets)

    def test_has_one_zero(self):
        assert digest({"a": [-0.0]}) == digest({"a": [0.0]})

    def test_is_the_one_that_stored_ledgers_have(self):
        assert digest({"b": 0.5, "a": [63, None]}) == (
            "998136ff21613c3505c72c233284f7ee34c684a2f4c38d68a1004290d13ac67b"
        )

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
    def test_refuses_what_json_cannot_say(self, value):
        with pytest.raises(SpaceError, match="is not a JSON value"):
            digest({"a": value})


class TestApply:
    def test_sets_values_in_mappings_and_lists(self):
        changed = apply(SPEC, {"strategy.signals.0.lookback_days": 63, "costs.commission_bps": 2.5})

        assert changed["strategy"]["signals"][0]["lookback_days"] == 63
        assert changed["costs"]["commission_bps"] == 2.5

    def test_leaves_the_document_alone(self):
        before = copy.deepcopy(SPEC)
        section = {"kind": "sqrt", "y": 0.9}

        changed = apply(SPEC, {"costs.impact": section, "costs.impact.y": 0.5})

        assert before == SPEC
        assert section["y"] == 0.9
        assert changed["costs"]["impact"] == {"kind": "sqrt", "y": 0.5}

    def test_takes_what_a_pydantic_model_dumps(self):
        document = {"start": date(2020, 1, 1), "signals": ({"n": 1}, {"n": 2})}

        changed = apply(document, {"signals.1.n": 3})

        assert changed == {"start": date(2020, 1, 1), "signals": [{"n": 1}, {"n": 3}]}
        assert document["signals"][1] == {"n": 2}

    def test_gives_a_run_spec_that_is_valid(self):
        spec = RunSpec(dataset="d", strategy=SPEC["strategy"]).model_dump()

        changed = apply(
            spec,
            {
                "costs.impact": {"kind": "sqrt", "y": 1.0}, "costs.impact.y": 0.5,
                "account.max_leverage": 2.0, "signals.0.lookback_days": 63,
            },
        )  # fmt: skip

        tried = RunSpec.model_validate(changed)
        assert tried.costs.impact.y == 0.5
        assert tried.account.max_leverage == 2.0
        assert tried.strategy["signals"][0]["lookback_days"] == 63

    def test_takes_symbols_for_keys(self):
        assert apply({"weights": {"BTC-USD": 1.0}}, {"weights.BTC-USD": 0.5}) == {
            "weights": {"BTC-USD": 0.5}
        }

    def test_takes_paths_of_the_strategy_from_its_top(self):
        changed = apply(SPEC, {"signals.0.lookback_days": 21})

        assert changed["strategy"]["signals"][0]["lookback_days"] == 21

    def test_sets_a_section_before_what_is_inside_it(self):
        changed = apply(
            SPEC,
            {
                "strategy.signals.1.fast_bars": 5,
                "signals.1": {"kind": "moving_average_cross", "fast_bars": 1, "slow_bars": 9},
            },
        )

        assert changed["strategy"]["signals"][1]["fast_bars"] == 5

    @pytest.mark.parametrize(
        ("path", "sentence"),
        [
            (
                "strategy.signals.0.lookback",
                "strategy.signals.0 has no 'lookback'; did you mean 'lookback_days'?",
            ),
            (
                "strategy.signals.2.lookback_days",
                "strategy.signals has 2 entries, counted from 0; '2' is none of them.",
            ),
            ("signals.-1.kind", "'-1' is none of them."),
            ("strategy.signals.first.kind", "'first' is none of them."),
            ("costs.impact.y", "costs.impact is null; there is no 'y' in it."),
            ("kind.x", "kind is 'backtest'; there is no 'x' in it."),
            ("cost.commission_bps", "the document has no 'cost'; did you mean 'costs'?"),
        ],
    )
    def test_names_the_path_that_does_not_exist(self, path, sentence):
        with pytest.raises(PathError) as refusal:
            apply(SPEC, {path: 1})

        assert sentence in str(refusal.value)
