"""No input makes a figure inf or nan, and what is missing says why."""

import math

import numpy as np
import pytest

from backtests.engine.metrics import (
    DEFINITIONS,
    Conventions,
    RoundTrips,
    TradingActivity,
    Trials,
    compute_metrics,
    compute_metrics_table,
)

DAY_NS = 86_400_000_000_000
CURVES = {
    "no bar": [],
    "one bar": [100.0],
    "two bars": [100.0, 101.0],
    "three bars": [100.0, 90.0, 101.0],
    "constant": [100.0] * 50,
    "constant growth": list(1.0001 ** np.arange(50)),
    "a step, then flat": [100.0] + [110.0] * 50,
    "no losses": list(100.0 + np.arange(50.0) ** 1.1),
    "only losses": list(100.0 * 0.99 ** np.arange(50.0) - np.arange(50.0) % 3),
    "alternating": [100.0, 101.0] * 25,
    "zero": [100.0, 50.0, 0.0, 0.0, 10.0],
    "negative": [100.0, 50.0, -10.0, 20.0],
    "only negative": [-1.0, -2.0, -1.0],
    "missing": [100.0, math.nan, 101.0],
    "all missing": [math.nan] * 5,
    "infinite": [100.0, math.inf, 101.0],
    "too large": [1e-300, 1e300, 1e-300, 1e300],
    "tiny": [5e-324, 1e-323, 5e-324],
    "one outlier": [1.0] * 30 + [1e6] + [1.0] * 30,
}
TRADES = {
    "none given": None,
    "none closed": ([], [], []),
    "one": ([5.0], [0.1], [DAY_NS]),
    "all alike": ([5.0] * 9, [0.1] * 9, [0] * 9),
    "only losers": ([-5.0, -4.0], [-0.1, -0.2], [1, 2]),
    "at zero": ([0.0, 0.0], [0.0, 0.0], [1, 2]),
    "missing": ([1.0, math.nan], [math.nan, 1.0], [1, 2]),
    "infinite": ([math.inf, -math.inf], [math.inf, 1.0], [1, 2]),
    "too large": ([1e308, 1e308, -1e308], [1e308, 1e308, 1.0], [1, 2, 3]),
}
AMOUNTS = [0.0, 1.0, 1e308, math.nan, math.inf]


def stamps(n):
    return (1 + np.arange(n)) * DAY_NS


def require_a_value_or_a_reason(metrics):
    assert list(metrics) == list(DEFINITIONS)
    for metric in metrics.values():
        assert (metric.value is None) == bool(metric.reason), metric.name
        if metric.value is None:
            assert metric.reason.startswith("not computed, because "), metric.name
        else:
            assert math.isfinite(metric.value), metric.name


BENCHMARKS = {
    "none": lambda equity: None,
    "itself": lambda equity: equity,
    "rising": lambda equity: np.linspace(1.0, 2.0, equity.size),
    "constant": lambda equity: np.ones(equity.size),
}
CONVENTIONS = (
    Conventions(),
    Conventions(0.5, 0.5, 0, 0.01, "geometric", "cagr", "sample", sharpe_benchmark=1.0),
)


class TestComputeMetrics:
    @pytest.mark.parametrize("benchmark", BENCHMARKS)
    @pytest.mark.parametrize("curve", CURVES)
    def test_has_a_value_or_a_reason(self, curve, benchmark):
        equity = np.array(CURVES[curve])

        for conventions in CONVENTIONS:
            metrics = compute_metrics(
                equity,
                stamps(equity.size),
                benchmark=BENCHMARKS[benchmark](equity),
                conventions=conventions,
                trials=Trials(10, 0.5),
            )
            require_a_value_or_a_reason(metrics)

    @pytest.mark.parametrize("amount", AMOUNTS)
    @pytest.mark.parametrize("curve", CURVES)
    def test_has_a_value_or_a_reason_for_any_activity(self, curve, amount):
        equity = np.array(CURVES[curve])
        per_bar = np.full(equity.size, amount)
        activity = TradingActivity(per_bar, per_bar, per_bar, per_bar, np.full(3, amount))

        require_a_value_or_a_reason(compute_metrics(equity, stamps(equity.size), activity=activity))

    @pytest.mark.parametrize("trades", TRADES)
    @pytest.mark.parametrize("curve", ["no bar", "three bars", "negative", "missing"])
    def test_has_a_value_or_a_reason_for_any_trades(self, curve, trades):
        equity = np.array(CURVES[curve])
        trips = TRADES[trades]
        given = None if trips is None else RoundTrips(*(np.array(part) for part in trips))

        require_a_value_or_a_reason(compute_metrics(equity, stamps(equity.size), trades=given))

    @pytest.mark.parametrize("name", DEFINITIONS)
    def test_computes_every_metric_of_a_complete_input(self, name, complete):
        metric = complete[name]

        assert metric.value is not None, metric.reason
        assert metric.unit
        assert metric.definition

    @pytest.mark.parametrize("curve", ["constant growth", "constant", "a step, then flat"])
    def test_takes_rounding_for_no_variation(self, curve):
        equity = np.array(CURVES[curve])

        metrics = compute_metrics(equity, stamps(equity.size), benchmark=equity / 3.0)

        assert metrics["information_ratio"].value is None
        if curve != "a step, then flat":
            assert metrics["sharpe"].value is None
            assert metrics["annual_volatility"].value == 0.0

    def test_gives_a_flat_curve_after_a_step_no_stability(self):
        equity = np.array(CURVES["a step, then flat"])

        assert compute_metrics(equity, stamps(51))["stability"].value is None


class TestComputeMetricsTable:
    @pytest.mark.parametrize("curve", CURVES)
    def test_is_missing_exactly_where_it_gives_a_reason(self, curve):
        equity = np.column_stack([CURVES[curve], CURVES[curve]])

        table = compute_metrics_table(equity, stamps(equity.shape[0]))

        np.testing.assert_array_equal(np.isnan(table.values), table.reasons != 0)
        assert not np.isinf(table.values).any()
