from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backtests.marketdata.calendars import AlwaysOpen, ForexWeek, get_calendar
from backtests.marketdata.errors import OptionsError
from backtests.marketdata.stamps import DAY_NS, parse_moment, show_moment

HOUR_NS = 3_600_000_000_000


class TestGetCalendar:
    def test_exchange_days_equal_an_independent_count(self):
        calendar = get_calendar("XNYS", parse_moment("2021-01-01"), parse_moment("2021-12-31"))

        days = calendar.days(parse_moment("2021-01-01"), parse_moment("2021-12-31"))

        # The New York Stock Exchange held 252 sessions in 2021.
        assert days.size == 252
        assert calendar.periods_per_year(DAY_NS) == pytest.approx(252, abs=1.5)
        assert calendar.periods_per_year(HOUR_NS) == pytest.approx(252 * 7, rel=0.01)

    def test_half_days_close_early(self):
        day = parse_moment("2020-11-27")
        calendar = get_calendar("XNYS", day, day)

        assert show_moment(int(calendar.known(np.array([day]))[0])) == "2020-11-27T18:00:00Z"

    def test_names_the_nearest_and_takes_none(self):
        assert get_calendar(None, 0, 0) is None
        with pytest.raises(OptionsError, match="did you mean 'XNYS'"):
            get_calendar("XNYSE", 0, DAY_NS)


class TestForexWeek:
    def test_opens_and_closes_at_five_in_new_york_through_the_clock_change(self):
        start, end = parse_moment("2024-03-04"), parse_moment("2024-03-15")

        sessions = ForexWeek().sessions(start, end)

        assert [show_moment(int(t)) for t in sessions.opens] == [
            "2024-03-03T22:00:00Z", "2024-03-10T21:00:00Z",
        ]  # fmt: skip
        assert show_moment(int(sessions.closes[0])) == "2024-03-08T22:00:00Z"

    def test_agrees_with_pandas_on_weekdays(self):
        start, end = parse_moment("2024-01-01"), parse_moment("2024-12-31")

        days = ForexWeek().days(start, end)

        expected = pd.bdate_range("2024-01-01", "2024-12-31")
        assert days.size == expected.size
        assert ForexWeek().periods_per_year(HOUR_NS) == pytest.approx(120 * 365.25 / 7)


class TestAlwaysOpen:
    def test_has_no_break(self):
        sessions = AlwaysOpen().sessions(0, 10 * DAY_NS)

        assert sessions.opens.size == 1
        assert AlwaysOpen().periods_per_year(DAY_NS) == pytest.approx(365.25)
