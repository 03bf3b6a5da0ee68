import numpy as np
import pytest

from backtests.engine.metrics import infer_periods_per_year

DAYS = np.arange(np.datetime64("2015-01-01"), np.datetime64("2018-01-01"))
HOUR_NS = 3_600_000_000_000


def stamps(days):
    return days.astype("datetime64[ns]").astype(np.int64)


class TestInferPeriodsPerYear:
    @pytest.mark.parametrize(
        ("days", "expected"),
        [
            (DAYS[np.is_busday(DAYS)], 252.0),
            (DAYS[np.is_busday(DAYS)][:4], 252.0),
            (DAYS, 365.0),
            (DAYS[::7], 52.0),
            (np.unique(DAYS.astype("datetime64[M]")), 12.0),
            (DAYS[::91], 4.0),
            (DAYS[::365], 1.0),
        ],
    )
    def test_snaps_to_usual_calendars(self, days, expected):
        assert infer_periods_per_year(stamps(days))[0] == expected

    def test_counts_sessions_observed_on_six_weekdays(self):
        weekday = DAYS.astype(np.int64) % 7  # 0 is a Thursday; Saturday is 2
        per_year, _ = infer_periods_per_year(stamps(DAYS[weekday != 2]))

        assert per_year == pytest.approx(365.25 * 6 / 7, rel=1e-2)

    def test_counts_bars_within_days(self):
        sessions = stamps(DAYS[np.is_busday(DAYS)])
        hourly = (sessions[:, None] + np.arange(14, 21) * HOUR_NS).ravel()

        assert infer_periods_per_year(hourly)[0] == pytest.approx(7 * 252)

    def test_knows_nothing_from_one_bar(self):
        assert infer_periods_per_year(stamps(DAYS[:1]))[0] is None
