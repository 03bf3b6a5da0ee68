import numpy as np
import pytest

from backtests.engine.metrics import infer_periods_per_year

DAYS = np.arange(np.datetime64("2015-01-01"), np.datetime64("2018-01-01"))
WEEKDAYS = DAYS[np.is_busday(DAYS)]
HOUR_NS = 3_600_000_000_000
MINUTE_NS = HOUR_NS // 60
DAY_NS = 24 * HOUR_NS
LAST_MOMENT = DAY_NS - 1000


def stamps(days):
    return days.astype("datetime64[ns]").astype(np.int64) + LAST_MOMENT


def minutes(first, n, step=1):
    start = np.datetime64(first, "ns").astype(np.int64)
    return start + np.arange(1, n + 1, step, dtype=np.int64) * MINUTE_NS


def within(days, first_minute, last_minute, step=1):
    """Return ends of bars within each day; minutes may pass 1440, into the next day."""
    moments = np.arange(first_minute, last_minute + 1, step) * MINUTE_NS
    return (days.astype("datetime64[ns]").astype(np.int64)[:, None] + moments).ravel()


class TestInferPeriodsPerYear:
    @pytest.mark.parametrize(
        ("days", "expected"),
        [
            (WEEKDAYS, 252.0),
            (WEEKDAYS[:4], 252.0),
            (np.append(WEEKDAYS, np.datetime64("2018-01-06")), 252.0),  # one special Saturday
            (DAYS, 365.0),
            (DAYS[:5], 365.0),  # Thursday to Monday
            (DAYS[1:3], 365.0),
            (DAYS[4:9], 252.0),  # Monday to Friday: nothing tells
            (DAYS[::7], 52.0),
            (np.unique(DAYS.astype("datetime64[M]")), 12.0),
            (DAYS[::91], 4.0),
            (DAYS[::365], 1.0),
        ],
    )
    def test_snaps_to_usual_calendars(self, days, expected):
        assert infer_periods_per_year(stamps(days))[0] == expected

    @pytest.mark.parametrize(
        ("days", "expected"),
        [(WEEKDAYS[::2], 130.4), (DAYS[::2], 182.6), (DAYS[::3], 121.75), (DAYS[::14], 26.1)],
    )
    def test_counts_what_is_longer_than_a_day(self, days, expected):
        assert infer_periods_per_year(stamps(days))[0] == pytest.approx(expected, rel=3e-3)

    def test_counts_sessions_observed_on_six_weekdays(self):
        weekday = DAYS.astype(np.int64) % 7  # 0 is a Thursday; Saturday is 2
        per_year, _ = infer_periods_per_year(stamps(DAYS[weekday != 2]))

        assert per_year == pytest.approx(365.25 * 6 / 7, rel=1e-2)

    @pytest.mark.parametrize(
        ("ts", "expected"),
        [
            (within(WEEKDAYS, 15 * 60, 21 * 60, 60), 7 * 252),
            (within(WEEKDAYS[:1], 871, 1260), 390 * 252),
            (within(WEEKDAYS[:3], 871, 1260), 390 * 252),
            # 09:00 to 01:00 of the next UTC day, Monday to Friday
            (within(WEEKDAYS[:60], 541, 1500), 960 * 252),
            # 23:00 of the day before to 22:00, with one hour's break
            (within(WEEKDAYS[:60], -59, 1320), 1380 * 252),
            (within(WEEKDAYS[2:7], -59, 1320), 1380 * 252),
            (within(DAYS[:60], 541, 1080), 540 * 365),
        ],
    )
    def test_counts_bars_within_sessions(self, ts, expected):
        assert infer_periods_per_year(ts)[0] == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("ts", "expected"),
        [
            (minutes("2022-01-05", 1440), 525_600),
            (minutes("2022-01-05", 10 * 1440), 525_600),
            (minutes("2022-01-05", 60 * 1440, 60), 8_760),
            (minutes("2022-01-05", 60 * 1440, 240), 2_190),
            (minutes("2022-01-05", 60 * 1440, 720), 730),
        ],
    )
    def test_knows_a_market_that_never_closes(self, ts, expected):
        assert infer_periods_per_year(ts)[0] == pytest.approx(expected)

    def test_counts_a_market_closed_at_weekends(self):
        hours = np.arange(np.datetime64("2015-01-01T01"), np.datetime64("2017-01-01T01"))
        hours = hours.astype("datetime64[ns]").astype(np.int64)
        of_week = ((hours - 1) // HOUR_NS + 3 * 24) % 168  # from Monday 00:00
        is_open = (of_week < 4 * 24 + 22) | (of_week >= 6 * 24 + 22)  # Sunday 22:00 to Friday 22:00

        long, short = hours[is_open], hours[is_open][:200]

        assert infer_periods_per_year(long)[0] == pytest.approx(24 * 260.9, rel=2e-3)
        assert infer_periods_per_year(short)[0] == pytest.approx(24 * 260.9, rel=1e-3)

    def test_counts_bars_where_some_are_missing(self):
        ts = minutes("2022-01-05", 30 * 1440)
        kept = ts[np.random.default_rng(0).random(ts.size) < 0.7]

        assert infer_periods_per_year(kept)[0] == pytest.approx(0.7 * 525_960, rel=2e-2)

    @pytest.mark.parametrize(
        ("name", "column", "bar_minutes", "least", "most"),
        [
            ("equities_daily_us40a", "date", 1439, 252, 252),
            ("index_sp500_daily", "date", 1439, 252, 252),
            ("equity_spy_1m_2011_01", "ts", 0, 252 * 708, 252 * 710),
            ("equity_cfd_15m_aapl", "ts", 15, 252 * 25.5, 252 * 26),
            ("fx_eurusd_1m_2017h1", "ts", 1, 370_000, 380_000),
            ("fx_eurusd_1h_bidask", "ts", 60, 6_150, 6_260),
            ("crypto_1h_ethusdt", "ts", 60, 8_740, 8_760),
            ("crypto_btcperp_1m_2022_01", "ts", 0, 525_600, 525_600),
        ],
    )
    def test_fits_real_stamps(self, shared_data, name, column, bar_minutes, least, most):
        import pandas as pd

        frame = pd.read_parquet(shared_data / f"{name}.parquet", columns=None)
        ts = np.unique(pd.DatetimeIndex(frame[column]).as_unit("ns").asi8) + bar_minutes * MINUTE_NS

        assert least <= infer_periods_per_year(ts)[0] <= most

    def test_knows_nothing_from_one_bar(self):
        assert infer_periods_per_year(stamps(DAYS[:1]))[0] is None
