import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backtests.engine.errors import SettingsError, ShapeError
from backtests.engine.metrics import Column, RoundTrips, TradingActivity, compute_metrics

DAY_NS = 86_400_000_000_000
CURVE = np.array([100.0, 101.0, 99.0])
TS = np.arange(1, 4) * DAY_NS
OF_TRADES = [column.name.lower() for column in Column if column >= Column.N_TRADES]


def figures_of(pnl, return_=None, days=None):
    pnl = np.asarray(pnl, np.float64)
    days = np.ones(pnl.size) if days is None else np.asarray(days)
    trips = RoundTrips(
        pnl, pnl / 100.0 if return_ is None else return_, (days * DAY_NS).astype(np.int64)
    )
    return compute_metrics(CURVE, TS, trades=trips)


class TestMeasureTrades:
    def test_matches_trades_worked_by_hand(self):
        found = figures_of([10, -5, -5, 0, 20, -4], days=[1, 2, 3, 4, 5, 9]).values_by_name()

        assert found["n_trades"] == 6
        assert found["trade_hit_rate"] == pytest.approx(2 / 6)
        assert found["trade_payoff"] == pytest.approx(15 / (14 / 3))
        assert found["trade_profit_factor"] == pytest.approx(30 / 14)
        assert found["trade_expectancy"] == pytest.approx(16 / 6)
        sd = np.std([10, -5, -5, 0, 20, -4], ddof=1)
        assert found["system_quality_number"] == pytest.approx(math.sqrt(6) * 16 / 6 / sd)
        assert found["kelly_fraction"] == pytest.approx(1 / 3 - (2 / 3) / (15 / (14 / 3)))
        assert found["average_holding_days"] == pytest.approx(4.0)
        assert found["median_holding_days"] == pytest.approx(3.5)
        assert found["average_trade_return"] == pytest.approx(0.16 / 6)
        assert found["best_trade_return"] == pytest.approx(0.2)
        assert found["worst_trade_return"] == pytest.approx(-0.05)
        assert found["longest_losing_streak"] == 2

    @pytest.mark.parametrize(
        ("pnl", "name", "reason"),
        [
            ([], "trade_hit_rate", "no trade was closed"),
            ([5.0, 1.0], "kelly_fraction", "no trade made a loss"),
            ([5.0, 1.0], "trade_profit_factor", "no trade made a loss"),
            ([-5.0, -1.0], "trade_payoff", "no trade made a profit"),
            ([5.0], "system_quality_number", "fewer than two trades"),
            ([5.0, 5.0], "system_quality_number", "do not vary"),
            ([5.0, math.nan], "trade_expectancy", "missing values"),
        ],
    )
    def test_says_why_a_figure_is_missing(self, pnl, name, reason):
        metric = figures_of(pnl)[name]

        assert metric.value is None
        assert reason in metric.reason

    def test_counts_no_trades_as_none(self):
        assert figures_of([])["n_trades"].value == 0.0
        assert compute_metrics(CURVE, TS)["n_trades"].value is None

    @given(
        arrays(np.float64, st.integers(1, 60), elements=st.integers(-50, 50)), st.integers(0, 99)
    )
    @settings(deadline=None)
    def test_depends_on_the_order_only_in_its_streaks(self, pnl, seed):
        shuffled = np.random.default_rng(seed).permutation(pnl)
        one, other = figures_of(pnl).values_by_name(), figures_of(shuffled).values_by_name()

        for name in set(OF_TRADES) - {"longest_losing_streak"}:
            assert (one[name] is None) == (other[name] is None)
            if one[name] is not None:
                assert one[name] == pytest.approx(other[name], rel=1e-11, abs=1e-13)
        assert 0 <= one["longest_losing_streak"] <= np.count_nonzero(pnl < 0)
        assert 0.0 <= one["trade_hit_rate"] <= 1.0

    def test_takes_more_trades_than_bars(self):
        assert figures_of(np.arange(-50.0, 51.0))["n_trades"].value == 101

    def test_refuses_arrays_of_different_lengths(self):
        trips = RoundTrips(np.ones(2), np.ones(3), np.ones(2, np.int64))

        with pytest.raises(ShapeError):
            compute_metrics(CURVE, TS, trades=trips)


class TestMeasureCapacity:
    @staticmethod
    def capacity_of(participation):
        flat = np.zeros(3)
        activity = TradingActivity(flat, flat, flat, flat, participation)
        return compute_metrics(CURVE, TS, activity=activity)["capacity"]

    def test_is_where_the_larger_fills_reach_a_tenth_of_the_volume(self):
        participation = np.linspace(0.0, 0.02, 21)  # 95 % quantile 0.019

        assert self.capacity_of(participation).value == pytest.approx(100.0 * 0.1 / 0.019)

    def test_leaves_out_what_is_not_known(self):
        known = np.array([0.01, math.nan, 0.01, math.nan])

        assert self.capacity_of(known).value == pytest.approx(1_000.0)

    @pytest.mark.parametrize(
        "participation",
        [None, np.empty(0), np.array([math.nan]), np.array([math.inf]), np.zeros(2)],
    )
    def test_says_why_it_is_missing(self, participation):
        metric = self.capacity_of(participation)

        assert metric.value is None
        assert metric.reason

    def test_refuses_a_negative_share(self):
        with pytest.raises(SettingsError):
            self.capacity_of(np.array([-0.1]))
