"""Losses under stress: worked by hand, against brute force, and under changes of scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backtests.engine import Bars, Targets, simulate
from backtests.validation import stress
from backtests.validation.errors import NotComputedError

DAY = stress.DAY_NS
curves = arrays(np.float64, st.integers(2, 40), elements=st.floats(1.0, 1e6))


class TestRowsOfDays:
    def test_are_the_last_bars_and_midnight_closes_a_day(self):
        ts = np.array([DAY - 2, DAY, DAY + 1, 2 * DAY, 4 * DAY - 7], dtype=np.int64)

        assert stress.rows_of_days(ts).tolist() == [1, 3, 4]


class TestWorstLoss:
    def test_is_that_of_the_worst_stretch(self):
        equity = np.array([100.0, 90.0, 99.0, 66.0, 70.0])

        assert stress.worst_loss(equity, 1) == pytest.approx(1 / 3)
        assert stress.worst_loss(equity, 3) == pytest.approx(0.34)

    def test_is_nothing_where_nothing_was_lost(self):
        assert stress.worst_loss(np.array([1.0, 2.0, 3.0]), 1) == 0.0

    def test_is_more_than_all_where_there_is_debt_and_begins_at_none(self):
        assert stress.worst_loss(np.array([100.0, -20.0, -40.0]), 1) == pytest.approx(1.2)

    def test_is_not_computed_of_too_few_days(self):
        with pytest.raises(NotComputedError, match="5 are needed"):
            stress.worst_loss(np.ones(4), 4)

    @given(curves, st.integers(1, 5))
    def test_agrees_with_a_look_at_each_stretch(self, equity, n_days):
        each = [1.0 - equity[i + n_days] / equity[i] for i in range(equity.size - n_days)]
        if not each:
            return
        assert stress.worst_loss(equity, n_days) == pytest.approx(max([0.0, *each]))


class TestMarketLevel:
    def test_is_the_mean_of_those_that_trade(self):
        close = np.array([[10.0, np.nan], [11.0, 50.0], [np.nan, 60.0], [12.1, 54.0]])

        # +10 %; +20 % of the second alone; mean of 12.1 / 11 and 54 / 60
        np.testing.assert_allclose(stress.market_level(close), [1.0, 1.1, 1.32, 1.32])

    @given(arrays(np.float64, (12, 3), elements=st.floats(1.0, 100.0)), st.floats(0.1, 10.0))
    def test_knows_no_unit_of_price(self, close, scale):
        scaled = close * np.array([scale, 1.0, 1.0])

        np.testing.assert_allclose(stress.market_level(scaled), stress.market_level(close))


class TestWorstWindows:
    def test_are_the_deepest_that_share_no_day(self):
        level = np.array([100.0, 90.0, 81.0, 100.0, 95.0, 96.0, 60.0])

        found = stress.worst_windows(level, n_days=2, n_windows=3)

        assert [(one.first, one.last) for one in found] == [(4, 6), (0, 2), (2, 4)][: len(found)]
        assert found[0].change == pytest.approx(60 / 95 - 1)
        assert found[1].change == pytest.approx(-0.19)

    @given(curves, st.integers(1, 4))
    def test_begin_with_the_deepest_and_never_overlap(self, level, n_days):
        if level.size <= n_days:
            return
        changes = level[n_days:] / level[:-n_days] - 1.0
        try:
            found = stress.worst_windows(level, n_days=n_days, n_windows=5)
        except NotComputedError:
            assert changes.min() >= 0.0
            return
        assert found[0].change == changes.min()
        assert sorted(found, key=lambda one: one.change) == list(found)
        days = [day for one in found for day in range(one.first, one.last)]
        assert len(set(days)) == len(days)

    def test_are_not_computed_of_a_market_that_only_rose(self):
        with pytest.raises(NotComputedError, match="never fell"):
            stress.worst_windows(np.array([1.0, 2.0, 3.0]), n_days=1, n_windows=5)


class TestMaxDrawdown:
    def test_is_the_engines(self):
        rng = np.random.default_rng(4)
        close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, 300)))
        bars = Bars(np.arange(1, 301) * DAY, close, symbols=("A",))
        result = simulate(bars, Targets(np.ones((300, 1)), kind="weights"))

        found = stress.max_drawdown(result.equity)

        assert found == pytest.approx(result.metrics()["max_drawdown"].value)


class TestAtVolatility:
    def test_doubles_every_return(self):
        found = stress.at_volatility(np.array([100.0, 110.0, 99.0]), 2.0)

        np.testing.assert_allclose(found, [100.0, 120.0, 96.0])

    def test_stays_ruined(self):
        found = stress.at_volatility(np.array([100.0, 40.0, 80.0, 90.0]), 2.0)

        assert found.tolist() == [100.0, 0.0, 0.0, 0.0]

    @given(curves)
    def test_is_the_curve_itself_at_one(self, equity):
        np.testing.assert_allclose(stress.at_volatility(equity, 1.0), equity, rtol=1e-9)


class TestGapLoss:
    def test_is_of_the_fullest_book_for_its_equity(self):
        exposure, equity = np.array([50.0, -150.0, 160.0]), np.array([100.0, 100.0, 200.0])

        assert stress.gap_loss(exposure, equity, 0.1) == pytest.approx(0.15)

    def test_is_nothing_where_nothing_is_held(self):
        assert stress.gap_loss(np.zeros(3), np.ones(3), 0.1) == 0.0
