import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backtests.engine.errors import ShapeError
from backtests.engine.metrics import (
    DEFINITIONS,
    NO_ACTIVITY,
    NO_TRADES,
    Column,
    Conventions,
    RoundTrips,
    TradingActivity,
    Trials,
    build_calendar,
    build_market,
    build_settings,
    build_workspace,
    compute_metrics,
    compute_metrics_table,
    measure_curve,
    sentence_of,
)

DAY_NS = 86_400_000_000_000
N_BARS, N_CURVES = 300, 150  # more curves than are laid out at a time
TS = (1 + np.arange(N_BARS)) * DAY_NS


@pytest.fixture(scope="module")
def curves():
    rng = np.random.default_rng(8)
    returns = rng.standard_t(4, (N_BARS, N_CURVES)) * 0.01
    equity = 1e5 * np.cumprod(1.0 + returns, axis=0)
    equity[7, 3] = np.nan
    equity[9, 5] = -1.0
    equity[:, 11] = 7.0
    return equity


def activity_of(k):
    rng = np.random.default_rng(k)
    per_bar = rng.uniform(0.0, 1e5, (4, N_BARS))
    return TradingActivity(*per_bar, participation=rng.uniform(0.0, 0.1, k % 7))


def trades_of(k):
    pnl = np.random.default_rng(k).normal(size=5 * k)
    return RoundTrips(pnl, pnl / 10.0, np.arange(pnl.size))


class TestComputeMetricsTable:
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_agrees_with_single_curves_bit_for_bit(self, curves, order):
        equity = np.array(curves, order=order)
        activity = [activity_of(k) for k in range(N_CURVES)]
        trades = [trades_of(k) for k in range(N_CURVES)]
        shared = {"benchmark": curves[:, 0], "trials": Trials(N_CURVES, 0.3)}

        table = compute_metrics_table(equity, TS, activity=activity, trades=trades, **shared)

        assert table.values.shape == (N_CURVES, len(DEFINITIONS))
        assert table.names == tuple(DEFINITIONS)
        for k in range(N_CURVES):
            single = compute_metrics(
                equity[:, k], TS, activity=activity[k], trades=trades[k], **shared
            )
            for at, metric in enumerate(single.values()):
                found = None if table.reasons[k, at] else table.values[k, at]
                assert found == metric.value, (k, metric.name)
                assert sentence_of(table.reasons[k, at]) == metric.reason

    def test_reads_arrays_that_cannot_be_written_to(self, curves):
        locked = curves.copy()
        locked.flags.writeable = False
        single = np.ascontiguousarray(curves[:, 0])
        single.flags.writeable = False

        table = compute_metrics_table(locked, TS)

        assert compute_metrics(single, TS)["sharpe"].value == table.values[0, Column.SHARPE]

    def test_takes_no_curves(self):
        assert compute_metrics_table(np.empty((N_BARS, 0)), TS).values.shape[0] == 0

    def test_refuses_shapes_that_do_not_fit(self, curves):
        with pytest.raises(ShapeError):
            compute_metrics_table(curves[:, 0], TS)
        with pytest.raises(ShapeError):
            compute_metrics_table(curves[1:], TS)
        with pytest.raises(ShapeError):
            compute_metrics_table(curves, TS, trades=[trades_of(1)])
        with pytest.raises(ShapeError):
            compute_metrics_table(curves, TS, benchmark=curves[1:, 0])


class TestMeasureCurve:
    def test_fills_the_row_that_the_doors_return(self, curves):
        equity = np.ascontiguousarray(curves[:, 0])
        values, reasons = np.empty(len(Column)), np.empty(len(Column), np.int8)

        measure_curve(
            equity,
            build_calendar(TS),
            build_market(None, N_BARS),
            NO_ACTIVITY,
            NO_TRADES,
            build_settings(365.0, Conventions()),
            build_workspace(N_BARS),
            values,
            reasons,
        )

        table = compute_metrics_table(curves[:, :1], TS, periods_per_year=365.0)
        np.testing.assert_array_equal(values, table.values[0])
        np.testing.assert_array_equal(reasons, table.reasons[0])


equity_curves = arrays(np.float64, st.integers(3, 60), elements=st.floats(10.0, 1e4))


class TestInvariances:
    @given(equity_curves, st.sampled_from([1e-3, 7.0, 1e6]))
    @settings(max_examples=60, deadline=None)
    def test_do_not_depend_on_the_currency(self, equity, factor):
        ts = TS[: equity.size]
        one = compute_metrics(equity, ts, benchmark=equity[::-1].copy())
        other = compute_metrics(equity * factor, ts, benchmark=equity[::-1].copy())

        for name in ("total_return", "cagr", "annual_volatility", "max_drawdown", "stability"):
            first, second = one[name].value, other[name].value
            if first is not None and second is not None:
                assert second == pytest.approx(first, rel=1e-6, abs=1e-9), name

    @given(equity_curves, st.integers(0, 99))
    @settings(max_examples=60, deadline=None)
    def test_of_the_distribution_do_not_depend_on_the_order_of_the_returns(self, equity, seed):
        returns = equity[1:] / equity[:-1] - 1.0
        shuffled = np.random.default_rng(seed).permutation(returns)
        curve = [
            compute_metrics(
                np.concatenate([[1.0], np.cumprod(1.0 + each)]),
                TS[: equity.size],
                periods_per_year=252,
            ).values_by_name()
            for each in (returns, shuffled)
        ]

        for name in ("annual_return", "annual_volatility", "value_at_risk_95", "best_day", "omega"):
            first, second = curve[0][name], curve[1][name]
            if first is not None and second is not None:
                assert second == pytest.approx(first, rel=1e-7, abs=1e-7), name

    @given(equity_curves)
    @settings(max_examples=100, deadline=None)
    def test_bounds_hold(self, equity):
        found = compute_metrics(equity, TS[: equity.size], benchmark=equity[::-1].copy())
        figures = {
            name: value for name, value in found.values_by_name().items() if value is not None
        }

        for name in ("max_drawdown", "time_under_water", "stability", "r_squared", "hit_rate"):
            assert 0.0 <= figures.get(name, 0.0) <= 1.0, name
        for name in ("probabilistic_sharpe", "positive_months", "ulcer_index"):
            assert 0.0 <= figures.get(name, 0.0) <= 1.0, name
        assert abs(figures.get("correlation", 0.0)) <= 1.0
        assert abs(figures.get("autocorrelation", 0.0)) <= 1.0 + 1e-12
        assert figures.get("average_drawdown", 0.0) <= figures["max_drawdown"] + 1e-15
        assert figures["ulcer_index"] <= figures["max_drawdown"] + 1e-12
        assert figures["conditional_value_at_risk_95"] <= figures["value_at_risk_95"] + 1e-12
        assert figures["worst_day"] <= figures["best_day"]
        assert figures.get("sharpe_standard_error", 1.0) > 0.0
