"""When a portfolio is put back to its weights; a bar knows nothing of the bars after it.

Rows are those of a common clock. A row that is due concerns every instrument; one that has no bar
in it acts at its own next bar, see `at_own_bars`.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Period = Literal["day", "week", "month", "quarter", "year"]

_DAY_NS = 86_400_000_000_000


def every_n_bars(n_bars: int, step: int, first: int) -> NDArray[np.bool_]:
    """Return True at row `first` and at every `step`-th row after it, shape (n_bars,)."""
    rows = np.arange(n_bars)
    due: NDArray[np.bool_] = (rows >= first) & ((rows - first) % step == 0)
    return due


def on_new_period(ts: NDArray[np.int64], period: Period, first: int) -> NDArray[np.bool_]:
    """Return True at row `first` and at the first bar of every calendar period after it (UTC).

    Notes
    -----
    The first bar of a period, not the last one: that a bar was its month's last is known only
    when the next one has come.
    """
    number = period_numbers(ts, period)
    due = np.empty(ts.size, np.bool_)
    due[0] = False
    due[1:] = number[1:] != number[:-1]
    due[:first] = False
    due[first] = True
    return due


def on_change(weights: NDArray[np.float64], first: int) -> NDArray[np.bool_]:
    """Return True at row `first` and wherever a row of weights differs from the one before."""
    due = np.empty(weights.shape[0], np.bool_)
    due[0] = False
    due[1:] = np.any(weights[1:] != weights[:-1], axis=1)
    due[:first] = False
    due[first] = True
    return due


def once(n_bars: int, first: int) -> NDArray[np.bool_]:
    """Return True at row `first` alone."""
    due = np.zeros(n_bars, np.bool_)
    due[first] = True
    return due


def at_own_bars(
    due: NDArray[np.bool_], printed: NDArray[np.bool_], concerned: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the rows at which each instrument acts on what was due.

    Parameters
    ----------
    due : bool array, shape (n_bars,)
        Rows at which the portfolio is put back to its weights.
    printed : bool array, shape (n_bars, n_assets)
        Whether the instrument has a bar in that row.
    concerned : bool array, shape (n_bars, n_assets)
        Whether a row that is due concerns an instrument that has no bar in it.

    Returns
    -------
    bool array, shape (n_bars, n_assets)
        True at bars of the instrument alone: where its bar is due, or the first one after a due
        row that concerned it and in which it had none. Several such rows are made good at once.
    """
    if printed.all():
        return np.broadcast_to(due[:, None], printed.shape)
    owed = np.cumsum(due[:, None] & (printed | concerned), axis=0)
    settled = np.maximum.accumulate(np.where(printed, owed, 0), axis=0)
    before = np.zeros_like(settled)
    before[1:] = settled[:-1]
    acts: NDArray[np.bool_] = printed & (owed > before)
    return acts


def at_first_eligible(eligible: NDArray[np.bool_], first: int) -> NDArray[np.bool_]:
    """Return True at each instrument's first eligible bar from row `first` on, and only there."""
    since = eligible.copy()
    since[:first] = False
    at_first: NDArray[np.bool_] = since & (np.cumsum(since, axis=0) == 1)
    return at_first


def period_numbers(ts: NDArray[np.int64], period: Period) -> NDArray[np.int64]:
    """Return a number for the calendar period of each stamp; weeks begin on Monday.

    Notes
    -----
    A stamp is the end of its bar: one at midnight belongs to the period it closes.
    """
    inside = ts - 1
    days = inside // _DAY_NS
    if period == "day":
        return days
    if period == "week":
        return (days + 3) // 7  # 1970-01-01 was a Thursday
    months = inside.view("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    numbers: NDArray[np.int64] = months // {"month": 1, "quarter": 3, "year": 12}[period]
    return numbers
