"""Spaces with conditions and constraints."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.search import SpaceError, UnsatisfiableError, apply, build_space
from backtests.search.dimensions import Choices, Range
from backtests.search.expressions import parse
from strategies.pipeline import StrategySpec

CONDITIONAL = build_space(
    {
        "fast": Range(low=2, high=50, step=1, when={"kind": "trend"}),
        "slow": Range(low=2, high=200, step=1, when={"kind": "trend"}),
        "kind": Choices(values=["trend", "momentum", "hold"]),
        "lookback": Choices(values=[63, 126], when={"kind": "momentum"}),
        "skip": Range(low=0, high=21, step=7, when={"lookback": [126.0]}),
        "gross": Range(low=0.5, high=2.0),
    },
    [parse("fast < slow")],
)


def points(space):
    return st.lists(st.floats(0.0, 1.0), min_size=space.n_dimensions, max_size=space.n_dimensions)


class TestSpace:
    def test_puts_parents_first(self):
        places = {path: place for place, path in enumerate(CONDITIONAL.paths)}

        assert places["kind"] < places["fast"]
        assert places["kind"] < places["lookback"] < places["skip"]

    @given(points(CONDITIONAL))
    def test_leaves_out_what_no_condition_asks_for(self, point):
        parameters = CONDITIONAL.decode(point)

        assert ("fast" in parameters) is (parameters["kind"] == "trend")
        assert ("lookback" in parameters) is (parameters["kind"] == "momentum")
        assert ("skip" in parameters) is (parameters.get("lookback") == 126)

    @given(points(CONDITIONAL))
    def test_finds_parameters_again(self, point):
        parameters = CONDITIONAL.decode(point)

        again = CONDITIONAL.decode(CONDITIONAL.encode(parameters))

        assert again == {
            path: pytest.approx(v) if path == "gross" else v for path, v in parameters.items()
        }
        assert CONDITIONAL.canonical(parameters) == parameters

    @given(st.integers(0, 1000))
    def test_draws_what_meets_the_constraints(self, seed):
        parameters = CONDITIONAL.sample(np.random.default_rng(seed))

        assert CONDITIONAL.broken(parameters) is None
        assert parameters.get("fast", 0) < parameters.get("slow", 1)

    def test_gives_equal_sets_equal_digests(self):
        one = {"kind": "momentum", "lookback": 126, "skip": 7, "gross": 1}
        other = {"gross": 1.0, "skip": 7.0, "lookback": 126.0, "kind": "momentum"}

        assert CONDITIONAL.digest(one) == CONDITIONAL.digest(other)
        assert CONDITIONAL.digest(one) != CONDITIONAL.digest(one | {"gross": 1.5})

    @pytest.mark.parametrize(
        ("parameters", "sentence"),
        [
            ({"kind": "hold"}, "'gross' is missing"),
            ({"kind": "hold", "gross": 1.0, "skip": 7}, "'skip' is not searched here"),
            ({"kind": "hold", "gros": 1.0}, "'gros' is not searched; did you mean 'gross'?"),
            ({"kind": "hold", "gross": 3.0}, "gross: '3.0' is not a number from 0.5 to 2"),
            ({"kind": "hald", "gross": 1.0}, "kind: 'hald' is not among the values"),
        ],
    )
    def test_refuses_parameters_from_elsewhere(self, parameters, sentence):
        with pytest.raises(SpaceError) as refusal:
            CONDITIONAL.canonical(parameters)

        assert sentence in str(refusal.value)

    def test_says_when_nothing_meets_the_constraints(self):
        space = build_space(
            {"a": Range(low=0.0, high=1.0), "b": Range(low=2.0, high=3.0)},
            [parse("a >= 0"), parse("a > b")],
        )

        with pytest.raises(UnsatisfiableError, match="'a > b' alone refused 10000"):
            space.sample(np.random.default_rng(0))

    def test_counts_without_enumerating(self):
        wide = {f"d{i}": Range(low=1, high=1000, step=1) for i in range(20)}

        assert build_space(wide).count() == 1000**20
        assert CONDITIONAL.count() is None


class TestSections:
    """A dimension may choose whole sections, and conditions look into them."""

    SIGNALS = (
        {"kind": "momentum", "lookback_days": 252, "skip_days": 0},
        {"kind": "moving_average_cross", "fast_bars": 5, "slow_bars": 50},
        {"kind": "buy_and_hold"},
    )
    SPACE = build_space(
        {
            "signals.0.lookback_days": Choices(
                values=[63, 126], when={"signals.0.kind": "momentum"}
            ),
            "signals.0.fast_bars": Range(
                low=2, high=20, step=1, when={"signals.0.kind": ["moving_average_cross"]}
            ),
            "signals.0": Choices(values=list(SIGNALS)),
        }
    )
    SPEC = {"strategy": {"signals": [SIGNALS[2]], "portfolio": {"kind": "equal_weight"}}}

    @given(points(SPACE))
    def test_give_specs_that_are_valid(self, point):
        parameters = self.SPACE.decode(point)

        spec = apply(self.SPEC, parameters)

        signal = StrategySpec.model_validate(spec["strategy"]).signals[0]
        inner = {"momentum": "lookback_days", "moving_average_cross": "fast_bars"}
        assert parameters["signals.0"]["kind"] == signal.kind
        assert parameters.keys() - {"signals.0"} == (
            {f"signals.0.{inner[signal.kind]}"} if signal.kind in inner else set()
        )
        for path in parameters.keys() - {"signals.0"}:
            assert getattr(signal, path.rsplit(".", 1)[-1]) == parameters[path]


class TestBuildSpace:
    @pytest.mark.parametrize(
        ("dimensions", "sentence"),
        [
            ({}, "Nothing is searched"),
            ({"a": Choices(values=[1], when={"b": 1})}, "its condition on b: 'b' is not searched"),
            (
                {"a": Choices(values=[1], when={"b": 2}), "b": Choices(values=[1, 3])},
                "its condition on b: '2' is not among the values",
            ),
            (
                {"a": Choices(values=[1], when={"b": 2}), "b": Range(low=0.0, high=3.0)},
                "b has no step",
            ),
            (
                {"a": Choices(values=[1], when={"b": []}), "b": Choices(values=[1])},
                "allows no value",
            ),
            (
                {"a": Choices(values=[1], when={"b": 1}), "b": Choices(values=[1], when={"a": 1})},
                "a, b go round in a circle",
            ),
            (
                {"a": Choices(values=[1], when={"b.kind": "x"}),
                 "b": Choices(values=[None, {"kind": "y"}])},
                "its condition on b.kind: it allows no value",
            ),
            (
                {"a": Choices(values=[1], when={"b.kind": 1}), "b": Range(low=1, high=3, step=1)},
                "b is a number; there is nothing in it",
            ),
        ],
    )  # fmt: skip
    def test_refuses_what_does_not_fit_together(self, dimensions, sentence):
        with pytest.raises(SpaceError) as refusal:
            build_space(dimensions)

        assert sentence in str(refusal.value)

    def test_compares_only_numbers(self):
        with pytest.raises(SpaceError, match="compares kind, which is no number"):
            build_space({"kind": Choices(values=["a", "b"])}, [parse("kind < 2")])

    def test_compares_no_inactive_parameters(self):
        assert CONDITIONAL.broken({"kind": "hold", "gross": 1.0}) is None
        assert CONDITIONAL.broken({"kind": "trend", "fast": 9, "slow": 3, "gross": 1.0})

    def test_takes_a_constraint_without_a_result_for_broken(self):
        space = build_space({"a": Choices(values=[0, 1])}, [parse("1 / a > 0")])

        assert space.broken({"a": 0}) is not None
        assert space.broken({"a": 1}) is None
