"""Trading calendars: when a market is open, when a day's bar is known, how many bars a year has.

Exchange calendars come from `exchange_calendars`, loaded only when one is asked for. Two simple
ones are our own: ``24/7`` and ``fx`` (Sunday 17:00 to Friday 17:00, New York).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtests.marketdata.errors import OptionsError
from backtests.marketdata.options import nearest
from backtests.marketdata.stamps import DAY_NS

HOUR_NS = 3_600_000_000_000
DAYS_PER_YEAR = 365.25
# One microsecond before midnight: keeps the date's label and fits every database clock.
END_OF_DAY_NS = DAY_NS - 1_000
_NEW_YORK = "America/New_York"

Int64Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sessions:
    """Trading intervals.

    Attributes
    ----------
    opens, closes : int64 arrays, shape (n,)
        Nanoseconds UTC; ``opens[i] < closes[i] <= opens[i + 1]``.
    """

    opens: Int64Array
    closes: Int64Array


class Calendar(Protocol):
    """What the importer asks of a market's calendar."""

    name: str

    def sessions(self, start: int, end: int) -> Sessions:
        """Return the trading intervals that touch [start, end], nanoseconds UTC."""

    def days(self, start: int, end: int) -> Int64Array:
        """Return the midnights of the trading days in [start, end]."""

    def known(self, days: Int64Array) -> Int64Array:
        """Return the moment [ns UTC] at which the bar of each day is known."""

    def periods_per_year(self, bar_ns: int) -> float:
        """Return how many bars of this length a year has."""


class AlwaysOpen:
    """A market that never closes; a day ends at midnight UTC."""

    name = "24/7"

    def sessions(self, start: int, end: int) -> Sessions:
        """Return one interval that covers the range."""
        first, last = start // DAY_NS - 1, end // DAY_NS + 2
        return Sessions(np.array([first * DAY_NS]), np.array([last * DAY_NS]))

    def days(self, start: int, end: int) -> Int64Array:
        """Return every day."""
        return np.arange(start // DAY_NS, end // DAY_NS + 1, dtype=np.int64) * DAY_NS

    def known(self, days: Int64Array) -> Int64Array:
        """Return the end of the UTC day."""
        return days + END_OF_DAY_NS

    def periods_per_year(self, bar_ns: int) -> float:
        """Return the days of a year over the bar length."""
        return DAYS_PER_YEAR * DAY_NS / bar_ns


class ForexWeek:
    """Spot foreign exchange: Sunday 17:00 to Friday 17:00, New York time."""

    name = "fx"

    def sessions(self, start: int, end: int) -> Sessions:
        """Return one interval a week."""
        # Sunday 1969-12-28 is day -4; the week that holds `start` may have begun before it.
        first = (start // DAY_NS + 4) // 7 - 1
        last = (end // DAY_NS + 4) // 7 + 1
        sundays = (np.arange(first, last + 1, dtype=np.int64) * 7 - 4) * DAY_NS
        opens, closes = _new_york(sundays, 17), _new_york(sundays + 5 * DAY_NS, 17)
        keep = (closes >= start) & (opens <= end)
        return Sessions(opens[keep], closes[keep])

    def days(self, start: int, end: int) -> Int64Array:
        """Return Monday to Friday; a Sunday's short bar is allowed, but not expected."""
        days = np.arange(start // DAY_NS, end // DAY_NS + 1, dtype=np.int64)
        return days[(days + 3) % 7 < 5] * DAY_NS

    def known(self, days: Int64Array) -> Int64Array:
        """Return the end of the UTC day, on Fridays the close of the week."""
        ends = days + END_OF_DAY_NS
        friday = (days // DAY_NS + 3) % 7 == 4
        return np.where(friday, _new_york(days, 17), ends)

    def periods_per_year(self, bar_ns: int) -> float:
        """Return 5 daily bars or 120 trading hours a week."""
        weeks = DAYS_PER_YEAR / 7
        return weeks * 5 * DAY_NS / bar_ns if bar_ns < 7 * DAY_NS else weeks * 7 * DAY_NS / bar_ns


class ExchangeSessions:
    """An exchange of the `exchange_calendars` library."""

    def __init__(self, name: str, source: Any) -> None:
        self.name = name
        self._days = _ns(source.sessions)
        self._opens = _ns(source.opens)
        self._closes = _ns(source.closes)

    def sessions(self, start: int, end: int) -> Sessions:
        """Return one interval a trading day."""
        keep = (self._closes >= start) & (self._opens <= end)
        return Sessions(self._opens[keep], self._closes[keep])

    def days(self, start: int, end: int) -> Int64Array:
        """Return the exchange's trading days."""
        return self._days[(self._days >= start) & (self._days <= end)]

    def known(self, days: Int64Array) -> Int64Array:
        """Return each session's close; for a day without a session, the end of the UTC day.

        The stamp stays inside the UTC date of the session, so that the date can be read off it:
        a close at midnight counts as the end of its day, and New Zealand's half days, which close
        minutes before their date begins in UTC, are known just after that midnight.
        """
        place = np.searchsorted(self._days, days).clip(0, self._days.size - 1)
        held = self._days[place] == days
        closes = np.maximum(self._closes[place], days + 1_000)
        closes = np.where(closes == days + DAY_NS, days + END_OF_DAY_NS, closes)
        return np.where(held, closes, days + END_OF_DAY_NS)

    def periods_per_year(self, bar_ns: int) -> float:
        """Return sessions a year, times the bars begun in a session when shorter than a day."""
        years = (self._days[-1] - self._days[0]) / (DAYS_PER_YEAR * DAY_NS)
        per_year = (self._days.size - 1) / years
        if bar_ns >= DAY_NS:
            return float(min(per_year, DAYS_PER_YEAR * DAY_NS / bar_ns))
        return float(per_year * np.ceil((self._closes - self._opens) / bar_ns).mean())


def get_calendar(name: str | None, start: int, end: int) -> Calendar | None:
    """Return a calendar that covers [start, end] (nanoseconds UTC), or None for None.

    Raises
    ------
    OptionsError
        There is no such calendar, or it does not reach that far.
    """
    if name is None:
        return None
    own: dict[str, Calendar] = {"24/7": AlwaysOpen(), "fx": ForexWeek()}
    if name.lower() in own:
        return own[name.lower()]
    first = str(np.datetime64(start, "ns").astype("M8[Y]")) + "-01-01"
    last = str(np.datetime64(end, "ns").astype("M8[Y]") + 1) + "-01-31"
    return _exchange(name, first, last)


@lru_cache(maxsize=8)
def _exchange(name: str, first: str, last: str) -> Calendar:
    # Takes a second to load, and few imports need it.
    import exchange_calendars as xc

    try:
        with warnings.catch_warnings():
            # The library's own use of pandas is not for our users to mend.
            warnings.simplefilter("ignore", DeprecationWarning)
            return ExchangeSessions(name, xc.get_calendar(name, start=first, end=last))
    except xc.errors.InvalidCalendarName as error:
        known = ["24/7", "fx", *xc.get_calendar_names()]
        raise OptionsError(f"There is no calendar {name!r}{nearest(name, known)}") from error
    except ValueError as error:
        raise OptionsError(
            f"Calendar {name!r} does not cover {first} to {last}: {error}"
        ) from error


def _new_york(days: Int64Array, hour: int) -> Int64Array:
    clock = pd.DatetimeIndex((days + hour * HOUR_NS).view("M8[ns]"))
    return _ns(clock.tz_localize(_NEW_YORK).tz_convert("UTC"))


def _ns(index: Any) -> Int64Array:
    stamps = pd.DatetimeIndex(index)
    if stamps.tz is not None:
        stamps = stamps.tz_convert("UTC").tz_localize(None)
    return np.array(stamps.to_numpy().astype("M8[ns]").view(np.int64), dtype=np.int64)
