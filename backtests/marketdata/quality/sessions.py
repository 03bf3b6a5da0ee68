"""Stamps against a calendar: missing bars, bars when the market is closed, shifted clocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.calendars import Calendar, Sessions
from backtests.marketdata.findings import MAX_STAMPS, Ledger, Marks, example

HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shift:
    """A stretch of sessions whose bars sit at the wrong hours.

    Attributes
    ----------
    start, end : int
        First and last bar concerned [ns UTC].
    hours : float
        Observed minus expected; negative = the stamps are too early.
    n_sessions : int
    """

    start: int
    end: int
    hours: float
    n_sessions: int


def find_shifts(begins: Int64Array, bar_ns: int, sessions: Sessions) -> list[Shift]:
    """Find stretches of sessions that open and close at the wrong hour by the same amount.

    Parameters
    ----------
    begins : int64 array, shape (n,)
        Moments at which bars begin [ns UTC], increasing.
    bar_ns : int
        Bar length [ns].
    sessions : Sessions
        Weeks of a continuous market, days of an exchange.

    Returns
    -------
    list of Shift
        Neighbouring sessions with the same shift (to the hour) joined.

    Notes
    -----
    Each bar goes to the session whose middle is nearest, so a shift below half the break between
    sessions cannot move it to another one. A session counts as shifted when its first bar is at
    least an hour off **and** its last bar is off the same way within one hour: late opens, early
    closes and pre-market bars fail the second condition. For exchange days the shift must last
    five sessions; one week is enough for a weekly session, which holds some hundred bars.
    """
    if not begins.size or not sessions.opens.size:
        return []
    middle = (sessions.opens + sessions.closes) // 2
    edges = (middle[1:] + middle[:-1]) // 2
    owner = np.searchsorted(edges, begins)
    first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    last = np.r_[first[1:], begins.size] - 1
    held = owner[first]
    opened = begins[first] - sessions.opens[held]
    closed = begins[last] + bar_ns - sessions.closes[held]
    slack = max(HOUR_NS, bar_ns)
    same_way = (np.abs(opened - closed) <= slack) & (np.sign(opened) * np.sign(closed) > 0)
    shifted = (np.abs(opened) >= HOUR_NS) & same_way
    hours = np.where(shifted, np.rint(opened / HOUR_NS), 0.0)
    weekly = float(np.median(sessions.closes - sessions.opens)) > 2 * DAY_NS
    return _join(begins, first, last, hours, at_least=1 if weekly else 5)


def _join(
    begins: Int64Array,
    first: NDArray[np.intp],
    last: NDArray[np.intp],
    hours: NDArray[np.float64],
    at_least: int,
) -> list[Shift]:
    cuts = np.flatnonzero(np.r_[True, hours[1:] != hours[:-1]])
    stops = np.r_[cuts[1:], hours.size]
    return [
        Shift(int(begins[first[a]]), int(begins[last[b - 1]]), float(hours[a]), int(b - a))
        for a, b in zip(cuts, stops, strict=True)
        if hours[a] != 0.0 and b - a >= at_least
    ]


def flag_shifts(shifts: list[Shift], stamps: Int64Array, marks: Marks, ledger: Ledger) -> BoolArray:
    """Flag the rows inside shifted stretches; `stamps` are the begins of the rows' bars."""
    inside = np.zeros(stamps.size, dtype=bool)
    for shift in shifts:
        inside |= (stamps >= shift.start) & (stamps <= shift.end)
    return ledger.flag("clock_shift", marks, inside)


def describe_shifts(shifts: list[Shift]) -> str:
    """Return the sentence that names the shifted stretches."""
    parts = [
        f"{_date(s.start)} to {_date(s.end)} ({abs(s.hours):g} h "
        f"{'early' if s.hours < 0 else 'late'}, {s.n_sessions} sessions)"
        for s in shifts[:12]
    ]
    more = f" and {len(shifts) - 12} more stretches" if len(shifts) > 12 else ""
    return (
        "{n} bars lie in sessions whose clock is shifted against the calendar: "
        + "; ".join(parts)
        + more
        + "; correct the stamps there, or take them out with quarantine."
    )


def check_days(days: Int64Array, calendar: Calendar, marks: Marks, ledger: Ledger) -> None:
    """Compare daily bars with the calendar's trading days, one instrument at a time.

    Parameters
    ----------
    days : int64 array, shape (n,)
        Midnights of the bars' dates, increasing.
    calendar, marks, ledger
        The market, where the bars stand, and where findings go.
    """
    expected = calendar.days(int(days[0]), int(days[-1]))
    outside = ~np.isin(days, expected)
    if calendar.name == "fx":
        outside &= (days // DAY_NS + 3) % 7 == 5  # the short Sunday bar belongs to the week
    ledger.flag("outside_sessions", marks, outside)
    absent = np.flatnonzero(~np.isin(expected, days))
    if not absent.size:
        return
    runs = np.split(absent, np.flatnonzero(np.diff(absent) > 1) + 1)
    longest = max(runs, key=len)
    first = [example(0, int(expected[i]), "missing session") for i in absent[:5]]
    gaps = _Gaps(
        "sessions", absent.size, len(runs), len(longest), _date(expected[longest[0]]),
        expected[absent], _spacing(days, expected.size),
    )  # fmt: skip
    _note_gaps(ledger, marks, gaps, first)


def check_intraday(
    begins: Int64Array, bar_ns: int, sessions: Sessions, marks: Marks, ledger: Ledger
) -> None:
    """Count the bars missing inside sessions and those outside them, for one instrument.

    Parameters
    ----------
    begins : int64 array, shape (n,)
        Moments at which bars begin [ns UTC], increasing.
    bar_ns : int
        Bar length [ns].
    sessions, marks, ledger
        The market's intervals, where the bars stand, and where findings go.

    Notes
    -----
    Trading time elapsed is piecewise linear in clock time; a step of more than one bar of trading
    time between neighbours is a gap of the difference. No grid is built, O(n log sessions).
    """
    place = np.searchsorted(sessions.opens, begins, side="right") - 1
    closes = sessions.closes[place.clip(0)]
    # A bar longer than the rest of its session may begin before the open it contains.
    following = np.r_[sessions.opens, np.iinfo(np.int64).max][place + 1]
    inside = ((place >= 0) & (begins < closes)) | (begins + bar_ns > following)
    ledger.flag("outside_sessions", marks, ~inside)
    elapsed = _trading_time(begins, sessions)
    missing = np.rint((np.diff(elapsed) - bar_ns) / bar_ns).astype(np.int64)
    gaps = np.flatnonzero(missing > 0)
    if not gaps.size:
        return
    top = gaps[np.argmax(missing[gaps])]
    first = [
        example(int(marks.rows[i]), int(begins[i]), f"{missing[i]} missing after it")
        for i in gaps[:5]
    ]
    after = str(begins[top : top + 1].view("M8[ns]").astype("M8[s]")[0]).replace("T", " ")
    total, most = int(missing[gaps].sum()), int(missing[top])
    # One stamp for each bar missing, up to as many as a finding keeps.
    shown = gaps[:MAX_STAMPS]
    stamps = np.repeat(begins[shown], np.minimum(missing[shown], MAX_STAMPS))[:MAX_STAMPS]
    stamps = np.r_[stamps, begins[gaps[-1]]] if total > MAX_STAMPS else stamps
    spacing = _spacing(begins, int((elapsed[-1] - elapsed[0]) // bar_ns) + 1)
    _note_gaps(ledger, marks, _Gaps("bars", total, gaps.size, most, after, stamps, spacing), first)


@dataclass(frozen=True, slots=True)
class _Gaps:
    unit: str
    n_missing: int
    n_gaps: int
    longest: int
    where: str
    stamps: Int64Array
    spacing_ns: int


def _note_gaps(
    ledger: Ledger, marks: Marks, gaps: _Gaps, examples: list[dict[str, object]]
) -> None:
    finding = ledger.note(
        "gaps",
        gaps.n_missing,
        symbol=ledger.symbols[int(marks.syms[0])],
        examples=examples,
        stamps=gaps.stamps,
        detail=f"{{n}} {gaps.unit} are missing in {gaps.n_gaps:,} gaps while the market was open; "
        f"the longest has {gaps.longest:,} {gaps.unit}, at {gaps.where}.",
    )
    finding.spacing_ns = gaps.spacing_ns


def _spacing(stamps: Int64Array, n_expected: int) -> int:
    return int(stamps[-1] - stamps[0]) // max(1, n_expected - 1)


def _trading_time(moments: Int64Array, sessions: Sessions) -> Int64Array:
    lengths = sessions.closes - sessions.opens
    before = np.r_[0, np.cumsum(lengths)]
    place = np.searchsorted(sessions.opens, moments, side="right") - 1
    held = place.clip(0)
    into = np.clip(moments - sessions.opens[held], 0, lengths[held])
    return np.asarray(np.where(place >= 0, before[held] + into, 0))


def _date(ns: int) -> str:
    return str(np.datetime64(int(ns), "ns").astype("M8[D]"))
