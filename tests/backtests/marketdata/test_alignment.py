from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.marketdata.alignment import Aligned, align, day_labels
from backtests.marketdata.arrays import load_mapped
from backtests.marketdata.stamps import DAY_NS

HOUR_NS = 3_600_000_000_000
CLOSE_NS, MIDNIGHT_NS = 21 * HOUR_NS, DAY_NS - 1_000


def _days(start: str, end: str, at: int = CLOSE_NS) -> np.ndarray:
    return _ns(pd.bdate_range(start, end)) + at


def _ns(index: pd.DatetimeIndex) -> np.ndarray:
    return index.to_numpy().astype("M8[ns]").view(np.int64).copy()


def _align(source: np.ndarray, target: np.ndarray, source_bar: int, target_bar: int) -> Aligned:
    values = np.arange(1.0, source.size + 1)
    return align(source, values, target, source_bar_ns=source_bar, target_bar_ns=target_bar)


class TestAlign:
    def test_days_meet_whatever_their_hour(self):
        source = _days("2024-01-01", "2024-03-01", MIDNIGHT_NS)
        target = _days("2024-01-01", "2024-03-01")

        joined = _align(source, target, DAY_NS, DAY_NS)

        assert joined.values.tolist() == list(range(1, source.size + 1))
        assert (joined.n_carried, joined.n_missing, joined.ended_early) == (0, 0, False)

    def test_a_holiday_is_carried_and_counted(self):
        target = _days("2024-01-01", "2024-03-01")

        joined = _align(np.delete(target, 5), target, DAY_NS, DAY_NS)

        assert joined.values[5] == joined.values[4]
        assert (joined.n_carried, joined.n_missing) == (1, 0)

    def test_a_series_that_ends_is_missing_after_three_open_days_not_flat(self):
        target = _days("2024-01-01", "2024-03-01")

        joined = _align(target[:10], target, DAY_NS, DAY_NS)

        # The tenth is a Friday: three trading days are carried over the weekend.
        assert joined.first_missing == 13
        assert np.isnan(joined.values[13:]).all()
        assert (joined.n_carried, joined.ended_early) == (3, True)

    def test_a_series_that_begins_late_has_not_ended(self):
        target = _days("2024-01-01", "2024-03-01")

        joined = _align(target[10:], target, DAY_NS, DAY_NS)

        assert (joined.first_missing, joined.n_missing, joined.ended_early) == (0, 10, False)

    def test_weekends_of_a_market_that_never_closes_take_friday(self):
        source = _days("2024-01-01", "2024-03-01")
        target = _ns(pd.date_range("2024-01-01", "2024-03-01")) + MIDNIGHT_NS

        joined = _align(source, target, DAY_NS, DAY_NS)

        assert joined.n_missing == 0
        assert joined.n_carried == 16  # Saturdays and Sundays

    def test_a_daily_close_serves_the_next_day_s_minutes_over_a_long_weekend(self):
        source = np.delete(_days("2024-01-01", "2024-03-01"), 10)  # Monday, 15 January
        target = _ns(pd.date_range("2024-01-16 14:31", "2024-01-16 16:00", freq="min"))

        joined = _align(source, target, DAY_NS, HOUR_NS // 60)

        assert joined.n_missing == 0
        assert (joined.values == 10.0).all()  # Friday's

    def test_hours_of_the_night_make_a_price_no_older(self):
        opening = _ns(pd.bdate_range("2024-01-01", "2024-01-31"))
        source = (opening[:, None] + np.arange(29, 43) * (HOUR_NS // 2)).ravel()
        target = _ns(pd.date_range("2024-01-02", "2024-01-30", freq="D"))

        joined = _align(source, target, HOUR_NS // 2, DAY_NS)

        assert joined.n_missing == 0

    def test_an_outage_in_open_hours_is_missing_after_three_bars(self):
        source = _ns(pd.date_range("2024-01-01", "2024-02-01", freq="h"))
        holed = np.delete(source, slice(100, 110))

        joined = _align(holed, source, HOUR_NS, HOUR_NS)

        assert np.flatnonzero(np.isnan(joined.values)).tolist() == list(range(103, 110))
        assert joined.n_carried == 3

    @given(st.lists(st.integers(0, 400), min_size=1, max_size=60, unique=True))
    def test_never_takes_a_value_from_the_future(self, hours):
        source = np.array(sorted(hours), dtype=np.int64) * HOUR_NS
        target = np.arange(0, 420, 3, dtype=np.int64) * HOUR_NS

        joined = _align(source, target, HOUR_NS, 3 * HOUR_NS)

        last = np.searchsorted(source, target, side="right").astype(float)
        present = ~np.isnan(joined.values)
        np.testing.assert_array_equal(joined.values[present], last[present])

    @pytest.mark.parametrize("values", [[], [np.nan]])
    def test_nothing_gives_nothing(self, values):
        source = np.arange(len(values), dtype=np.int64)

        joined = align(
            source, np.array(values), np.arange(3), source_bar_ns=DAY_NS, target_bar_ns=DAY_NS
        )

        assert (joined.n_missing, joined.first_missing) == (3, 0)


class TestDayLabels:
    def test_midnight_ends_the_day_before(self):
        stamps = np.array([CLOSE_NS, MIDNIGHT_NS, DAY_NS, DAY_NS + 1])

        assert day_labels(stamps).tolist() == [0, 0, 0, DAY_NS]


class TestRealBenchmark:
    @pytest.fixture
    def series(self, shared_data, run_import):
        stocks = run_import(shared_data / "equities_daily_us40a.parquet", calendar="XNYS")
        index = run_import(shared_data / "index_sp500_daily.parquet", symbol="SPX")
        ts, close = (load_mapped(stocks.files[f"{n}.npy"]) for n in ("ts", "adj_close"))
        own = (load_mapped(index.files[f"{n}.npy"]) for n in ("ts", "close"))
        return ts, close, *own

    def test_an_index_without_a_calendar_meets_stocks_with_one(self, series):
        ts, close, index_ts, index = series

        joined = align(
            index_ts, index[:, 0], ts, source_bar_ns=DAY_NS, target_bar_ns=DAY_NS
        )  # fmt: skip

        moves = np.nanmean(close[1:] / close[:-1] - 1.0, axis=1)
        benchmark = joined.values[1:] / joined.values[:-1] - 1.0
        both = ~np.isnan(benchmark) & (ts[1:].view("M8[ns]") >= np.datetime64("2005-01-03"))
        assert np.corrcoef(moves[both], benchmark[both])[0, 1] == pytest.approx(0.98, abs=0.01)
        assert joined.n_carried == 2
        # The index ends with 2018, the stocks in April 2021.
        assert joined.ended_early
        assert np.array(ts[joined.first_missing], "M8[ns]") < np.datetime64("2019-01-09")
