"""How many bars make a year."""

import numpy as np
from numpy.typing import NDArray

from backtests.engine.metrics.calendar import DAY_NS

_DAYS_PER_YEAR = 365.25
_HOUR_NS = 3_600_000_000_000
_CALENDAR_BANDS = (  # median days between bars: at least, at most, bars per year, name
    (5.0, 9.0, 52.0, "weekly"),
    (25.0, 35.0, 12.0, "monthly"),
    (80.0, 100.0, 4.0, "quarterly"),
    (350.0, 380.0, 1.0, "yearly"),
)
_COMPLETE = 0.98  # share of the bars of a market that never closes
_LONG_ENOUGH_DAYS = 28.0  # to count bars over elapsed time, whole weeks at either end


def infer_periods_per_year(ts: NDArray[np.int64]) -> tuple[float | None, str]:
    """Return bars per year and the rule that gave it.

    Parameters
    ----------
    ts : int64 array, shape (n_bars,)
        Strictly increasing stamps, the ends of the bars [ns UTC].

    Returns
    -------
    tuple
        The number, or None with fewer than two bars, and a sentence.

    Notes
    -----
    By the median distance of the bars:

    - about weekly, monthly, quarterly, yearly: 52, 12, 4, 1;
    - 0.8 to 1.5 days, daily bars: 252 sessions a year where at most five weekdays have bars, 365
      where all seven have, or where a stretch without a gap runs into a weekend; six: as observed.
      A weekday with under a tenth of the bars of the busiest one does not count;
    - below 0.8 days, with a stretch of the clock, 45 minutes and 1.5 bars or longer, in which no
      bar ever ends: a market with a nightly close. Sessions are cut in the middle of that stretch,
      not at midnight; bars per session times sessions a year as for daily bars;
    - below 0.8 days, round the clock: 365 days of bars where every weekday has its share (as
      observed where over 2 % of the bars are missing). Closed on some weekdays: as observed over
      the elapsed time, below 28 days 5/7 of all the year's bars;
    - anything else: as observed over the elapsed time.
    """
    if ts.size < 2:
        return None, "fewer than two bars"
    gap_ns = float(np.median(np.diff(ts)))
    gap_days = gap_ns / DAY_NS
    if gap_days < 0.8:
        return _within_days(ts, gap_ns)
    if gap_days < 1.5:
        return _sessions_per_year(np.unique((ts - 1) // DAY_NS))
    for least, most, per_year, name in _CALENDAR_BANDS:
        if least <= gap_days <= most:
            return per_year, f"{name} bars: {per_year:g} a year"
    return _observed(ts), "bars observed per elapsed year"


def _within_days(ts: NDArray[np.int64], gap_ns: float) -> tuple[float, str]:
    boundary = _nightly_boundary(ts, gap_ns)
    if boundary is None:
        return _round_the_clock(ts, gap_ns)
    # A session that begins in the evening is named by the day on which it ends.
    named_later = DAY_NS if boundary > DAY_NS // 2 else 0
    days = np.unique((ts - 1 - boundary + named_later) // DAY_NS)
    sessions, rule = _sessions_per_year(days)
    return sessions * ts.size / days.size, f"bars per observed session times sessions ({rule})"


def _nightly_boundary(ts: NDArray[np.int64], gap_ns: float) -> int | None:
    """Return the middle of the longest stretch of the clock without a bar [ns after midnight]."""
    moments = np.unique(ts % DAY_NS)
    stretches = np.diff(moments, append=moments[0] + DAY_NS)
    at = int(np.argmax(stretches))
    if stretches[at] < max(0.75 * _HOUR_NS, 1.5 * gap_ns):
        return None
    return int(moments[at] + stretches[at] // 2) % DAY_NS


def _round_the_clock(ts: NDArray[np.int64], gap_ns: float) -> tuple[float, str]:
    span_ns = float(ts[-1] - ts[0])
    per_day = DAY_NS / gap_ns
    on_weekday = np.bincount((ts - 1) // DAY_NS % 7, minlength=7)
    has_closed_days = int(np.count_nonzero(2 * on_weekday >= on_weekday.max())) < 7
    if span_ns < 7 * DAY_NS:
        has_closed_days = bool(np.max(np.diff(ts)) >= DAY_NS)
    if has_closed_days:
        if span_ns >= _LONG_ENOUGH_DAYS * DAY_NS:
            return _observed(ts), "round the clock, closed some weekdays: observed per elapsed year"
        per_year = _DAYS_PER_YEAR * 5.0 / 7.0 * per_day
        return per_year, "round the clock, closed some weekdays: bars per day times 5/7 of the year"
    if ts.size < _COMPLETE * (span_ns / gap_ns + 1.0):
        return _observed(ts), "round the clock, bars missing: observed per elapsed year"
    return 365.0 * per_day, "round the clock on all weekdays: bars per day times 365"


def _sessions_per_year(days: NDArray[np.int64]) -> tuple[float, str]:
    on_weekday = np.bincount(days % 7, minlength=7)
    n_weekdays = np.count_nonzero(10 * on_weekday >= on_weekday.max())
    is_unbroken = bool(np.all(np.diff(days) == 1))
    if n_weekdays == 7:
        return 365.0, "all weekdays observed: 365 sessions a year"
    if is_unbroken and np.any(on_weekday[2:4]):  # 1970-01-01 was a Thursday
        return 365.0, "days without a gap run into a weekend: 365 sessions a year"
    if n_weekdays <= 5:
        return 252.0, "at most five weekdays observed: 252 sessions a year"
    return _observed(days * DAY_NS), "six weekdays: sessions observed per elapsed year"


def _observed(ts: NDArray[np.int64]) -> float:
    return (ts.size - 1) / (float(ts[-1] - ts[0]) / DAY_NS / _DAYS_PER_YEAR)
