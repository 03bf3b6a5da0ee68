"""How many bars make a year."""

import numpy as np
from numpy.typing import NDArray

from backtests.engine.metrics.sample import DAY_NS

_DAYS_PER_YEAR = 365.25
_CALENDAR_BANDS = (  # median days between bars: at least, at most, bars per year, name
    (5.0, 9.0, 52.0, "weekly"),
    (25.0, 35.0, 12.0, "monthly"),
    (80.0, 100.0, 4.0, "quarterly"),
    (350.0, 380.0, 1.0, "yearly"),
)


def infer_periods_per_year(ts: NDArray[np.int64]) -> tuple[float | None, str]:
    """Return bars per year and the rule that gave it.

    Parameters
    ----------
    ts : int64 array, shape (n_bars,)
        Strictly increasing stamps [ns UTC].

    Returns
    -------
    tuple
        The number, or None with fewer than two bars, and a sentence.

    Notes
    -----
    By the median distance of bars: weekly 52, monthly 12, quarterly 4, yearly 1. Daily bars count
    sessions: 252 a year when the stamps fall on at most five weekdays, 365 on all seven, else as
    observed. Bars within days: bars per observed day times that number of sessions. Anything
    else: as observed over the elapsed time.
    """
    if ts.size < 2:
        return None, "fewer than two bars"
    gap_days = float(np.median(np.diff(ts))) / DAY_NS
    if gap_days < 5.0:
        return _from_sessions(ts, gap_days)
    for least, most, per_year, name in _CALENDAR_BANDS:
        if least <= gap_days <= most:
            return per_year, f"{name} bars: {per_year:g} a year"
    return _observed(ts.size, ts), "bars observed per elapsed year"


def _from_sessions(ts: NDArray[np.int64], gap_days: float) -> tuple[float, str]:
    days = np.unique(ts // DAY_NS)
    sessions, rule = _sessions_per_year(days)
    if gap_days >= 0.8:
        return sessions, rule
    return sessions * ts.size / days.size, f"bars per observed day times sessions ({rule})"


def _sessions_per_year(days: NDArray[np.int64]) -> tuple[float, str]:
    n_weekdays = np.unique(days % 7).size
    if n_weekdays <= 5:
        return 252.0, "at most five weekdays observed: 252 sessions a year"
    if n_weekdays == 7:
        return 365.0, "all weekdays observed: 365 sessions a year"
    return _observed(days.size, days * DAY_NS), "six weekdays: sessions observed per elapsed year"


def _observed(n: int, ts: NDArray[np.int64]) -> float:
    return (n - 1) / (float(ts[-1] - ts[0]) / DAY_NS / _DAYS_PER_YEAR)
