"""Joining a second series, such as a benchmark, to a run's clock without inventing values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.stamps import DAY_NS

MINUTE_NS = 60_000_000_000
WEEK_NS = 7 * DAY_NS
# 1970-01-05 was a Monday: weeks are counted from there.
MONDAY_NS = 4 * DAY_NS
BIN_NS = (15 * MINUTE_NS, 60 * MINUTE_NS)
OPEN_SHARE = 0.05
TOLERANCE_GAPS = 3.0

FloatArray = NDArray[np.float64]
Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Aligned:
    """A series on another clock.

    Attributes
    ----------
    values : float64 array, shape (T,)
        NaN where nothing recent enough was known.
    n_carried : int
        Targets that were given an older value: of a day before (daily), or one at least a
        usual gap of the series old (otherwise).
    n_missing : int
        Targets without a value.
    first_missing : int or None
        Position of the first of them.
    ended_early : bool
        The series ends so long before the last target that it has no value there.
    """

    values: FloatArray
    n_carried: int
    n_missing: int
    first_missing: int | None
    ended_early: bool


def align(
    source_ts: Int64Array,
    source_values: FloatArray,
    target_ts: Int64Array,
    *,
    source_bar_ns: int,
    target_bar_ns: int,
    tolerance_gaps: float = TOLERANCE_GAPS,
) -> Aligned:
    """Give each target bar the series' value of its day, or the last one known and recent enough.

    Parameters
    ----------
    source_ts : int64 array, shape (S,)
        Stamps of the series [ns UTC], strictly increasing.
    source_values : float64 array, shape (S,)
        NaN = no value; left out beforehand.
    target_ts : int64 array, shape (T,)
        Stamps of the run's bars [ns UTC], strictly increasing.
    source_bar_ns, target_bar_ns : int
        Bar lengths [ns]; where both are one day, days are joined.
    tolerance_gaps : float
        A value is carried for this many usual gaps of the series, counted in its open time.

    Returns
    -------
    Aligned

    Notes
    -----
    Daily to daily joins by exchange day, the UTC date of the stamp: the same day's close may be
    stamped 21:00 by one dataset and 23:59:59.999999 by another. Such a value can be known hours
    after the target's own stamp, so the join is for comparing results, not for deciding on them.
    Anything else takes the last value stamped at or before the target.

    The usual gap is the median distance of the series' stamps. Ages are counted in open time: the
    parts of the week in which the series (nearly) never has a stamp do not count, so a weekend
    makes a Friday's close no older. With less than two weeks of history only a Saturday or Sunday
    seen without a stamp is closed. O((S + T) log S).
    """
    known = np.isfinite(source_values)
    stamps, values = source_ts[known], source_values[known]
    if not stamps.size or not target_ts.size:
        return _result(np.full(target_ts.size, np.nan), 0, ended=False)
    targets = target_ts
    daily = source_bar_ns == target_bar_ns == DAY_NS
    if daily:
        stamps, targets = day_labels(stamps), day_labels(target_ts)
    place = np.searchsorted(stamps, targets, side="right") - 1
    held = stamps[place.clip(0)]
    gap = _usual_gap(stamps, source_bar_ns)
    # A stamp ends its bar: one at a full hour belongs to the hour before; a label begins its day.
    open_time = _OpenTime(stamps if daily else stamps - 1, gap)
    age = open_time.until(targets) - open_time.until(held)
    fresh = (place >= 0) & (age <= tolerance_gaps * gap)
    joined = np.where(fresh, values[place.clip(0)], np.nan)
    older = targets > held if daily else targets - held >= gap
    ended = bool(np.isnan(joined[-1]) and stamps[-1] < targets[-1] and place[-1] >= 0)
    return _result(joined, int((fresh & older).sum()), ended=ended)


def day_labels(ts: Int64Array) -> Int64Array:
    """Return the midnight of each daily bar's exchange day [ns], shape as given.

    Daily stamps lie inside the UTC date of their exchange day, whatever the calendar; one at
    midnight ends the day before.
    """
    return (ts - 1) // DAY_NS * DAY_NS


def _result(values: FloatArray, n_carried: int, *, ended: bool) -> Aligned:
    missing = np.flatnonzero(np.isnan(values))
    first = int(missing[0]) if missing.size else None
    return Aligned(values, n_carried, int(missing.size), first, ended)


def _usual_gap(stamps: Int64Array, bar_ns: int) -> int:
    return int(np.median(np.diff(stamps))) if stamps.size > 1 else max(bar_ns, 1)


class _OpenTime:
    """A clock that stands still in the parts of the week in which a series has no stamps."""

    def __init__(self, stamps: Int64Array, gap: int) -> None:
        self._bin = next((b for b in BIN_NS if gap <= b), DAY_NS)
        is_open = self._learn(stamps) if gap <= DAY_NS else np.ones(WEEK_NS // self._bin, bool)
        self._open = is_open
        self._before = np.r_[0, np.cumsum(is_open)] * self._bin

    def until(self, moments: Int64Array) -> Int64Array:
        """Return the open time [ns] up to each moment, from a fixed origin."""
        since = moments - MONDAY_NS
        week, inside = since // WEEK_NS, since % WEEK_NS
        place = inside // self._bin
        partly = np.where(self._open[place], inside % self._bin, 0)
        return np.asarray(week * self._before[-1] + self._before[place] + partly)

    def _learn(self, stamps: Int64Array) -> BoolArray:
        since = stamps - MONDAY_NS
        n_bins = WEEK_NS // self._bin
        first, last = int(since[0] // WEEK_NS), int(since[-1] // WEEK_NS)
        span = last - first + 1
        slots = np.unique(since // self._bin)
        seen = np.bincount(slots % n_bins, minlength=n_bins)
        if since[-1] - since[0] >= 2 * WEEK_NS:
            return np.asarray(seen >= max(1.0, OPEN_SHARE * span))
        is_open = np.ones(n_bins, dtype=bool)
        per_day = n_bins // 7
        for day in (5, 6):
            part = slice(day * per_day, (day + 1) * per_day)
            covered = _covers_day(int(since[0]), int(since[-1]), day)
            is_open[part] = not covered or seen[part].any()
        return is_open


def _covers_day(first: int, last: int, day: int) -> bool:
    """Whether a whole weekday (0 = Monday) lies between two moments counted from a Monday."""
    start = first // WEEK_NS * WEEK_NS + day * DAY_NS
    start += WEEK_NS if start < first else 0
    return start + DAY_NS <= last
