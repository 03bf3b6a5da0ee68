import numpy as np
import pytest

from backtests.engine.errors import ShapeError
from backtests.engine.metrics import NotComputedError, compute_metrics, monthly_returns


def stamps(*days):
    return np.array(days, "datetime64[ns]").astype(np.int64)


class TestMonthlyReturns:
    def test_matches_a_table_worked_by_hand(self):
        ts = stamps("2019-11-15", "2019-11-30", "2019-12-31", "2020-02-03", "2020-02-28")

        table = monthly_returns(np.array([100.0, 110.0, 99.0, 100.0, 198.0]), ts)

        assert table.years.tolist() == [2019, 2020]
        assert table.returns.shape == (2, 12)
        np.testing.assert_allclose(table.returns[0, 10:], [0.1, -0.1])
        np.testing.assert_allclose(table.returns[1, 1], 1.0)
        assert np.count_nonzero(~np.isnan(table.returns)) == 3

    def test_compounds_to_the_total(self):
        rng = np.random.default_rng(1)
        equity = np.cumprod(1.0 + rng.normal(0.0, 0.01, 900))
        ts = stamps("2018-05-07") + np.arange(900) * 86_400_000_000_000

        table = monthly_returns(equity, ts)

        assert np.nanprod(1.0 + table.returns) == pytest.approx(equity[-1] / equity[0])

    def test_refuses_arrays_of_different_lengths(self):
        with pytest.raises(ShapeError):
            monthly_returns(np.ones(3), stamps("2020-01-01"))

    def test_gives_a_bar_that_ends_at_midnight_to_the_month_it_closes(self):
        ts = stamps("2019-12-31", "2020-01-01", "2020-01-01T01:00", "2020-02-01T00:00")

        table = monthly_returns(np.array([100.0, 110.0, 110.0, 121.0]), ts)

        assert table.years.tolist() == [2019, 2020]
        np.testing.assert_allclose([table.returns[0, 11], table.returns[1, 0]], [0.1, 0.1])
        assert np.count_nonzero(~np.isnan(table.returns)) == 2

    @pytest.mark.parametrize("equity", [[100.0], [100.0, 0.0, 1.0], [100.0, -5.0, 1.0]])
    def test_says_why_there_is_no_table(self, equity):
        ts = stamps("2020-01-01", "2020-01-02", "2020-01-03")[: len(equity)]

        with pytest.raises(NotComputedError):
            monthly_returns(np.array(equity), ts)


class TestDailyReturns:
    def test_give_a_bar_that_ends_at_midnight_to_the_day_it_closes(self):
        ts = stamps("2020-01-01T12:00", "2020-01-02T00:00", "2020-01-02T12:00", "2020-01-03T00:00")

        found = compute_metrics(np.array([100.0, 110.0, 121.0, 99.0]), ts)

        assert found["best_day"].value == pytest.approx(0.1)
        assert found["worst_day"].value == pytest.approx(-0.1)
