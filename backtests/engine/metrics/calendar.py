"""The clock of a curve: where days and months end, how many bars make a year."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtests.engine.dtypes import FloatArray
from backtests.engine.errors import ShapeError
from backtests.engine.metrics.metric import require
from numerics.hac import newey_west_lag

DAY_NS = 86_400_000_000_000
_TRAILING_MONTHS = 36


class Calendar(NamedTuple):
    """What the kernels know of time, built once for all curves on one clock.

    Attributes
    ----------
    ts : int64 array, shape (n_bars,)
        Strictly increasing stamps [ns UTC].
    day_ends, month_ends : int64 array
        The first row, then the last row of every UTC day and calendar month.
    trailing_start : int
        Last row at or before 36 months before the last stamp; -1 if there is none.
    hac_lag : int
        Highest autocovariance in the standard error of the Sharpe ratio.
    """

    ts: NDArray[np.int64]
    day_ends: NDArray[np.int64]
    month_ends: NDArray[np.int64]
    trailing_start: int
    hac_lag: int


def build_calendar(ts: NDArray[np.int64]) -> Calendar:
    """Return the calendar of strictly increasing stamps [ns UTC], shape (n_bars,)."""
    stamps = np.array(ts, dtype=np.int64)  # kernels are compiled for arrays of their own
    if stamps.size == 0:
        return Calendar(stamps, stamps, stamps, -1, 0)
    return Calendar(
        ts=stamps,
        day_ends=period_ends((stamps - 1) // DAY_NS),
        month_ends=period_ends(months_of(stamps)),
        trailing_start=int(np.searchsorted(stamps, _months_before(stamps[-1]), "right")) - 1,
        hac_lag=newey_west_lag(stamps.size - 1) if stamps.size > 1 else 0,
    )


def _months_before(ts: np.int64) -> np.int64:
    """Return the stamp 36 months earlier; a day that month lacks counts on into the next."""
    stamp = ts.view("datetime64[ns]")
    month = stamp.astype("datetime64[M]")
    start = (month - _TRAILING_MONTHS).astype("datetime64[ns]")
    return np.int64((start + (stamp - month.astype("datetime64[ns]"))).view(np.int64))


@dataclass(frozen=True)
class MonthlyReturns:
    """A table of months.

    Attributes
    ----------
    years : int64 array, shape (n_years,)
        Every year from the first to the last stamp.
    returns : float64 array, shape (n_years, 12)
        Compounded return of each month [fraction]; NaN for months without a return. The first
        and the last month may be incomplete.
    """

    years: NDArray[np.int64]
    returns: FloatArray


def monthly_returns(equity: FloatArray, ts: NDArray[np.int64]) -> MonthlyReturns:
    """Return the compounded return of every calendar month (UTC); midnight closes a month.

    Parameters
    ----------
    equity : float64 array, shape (n_bars,), n_bars >= 2
        Account values, > 0; the first value is the base of the first month.
    ts : int64 array, shape (n_bars,)
        Strictly increasing stamps [ns UTC].

    Raises
    ------
    ShapeError
        The two do not have the same length.
    NotComputedError
        Fewer than two values, or a value that is not positive and finite.
    """
    if equity.shape != ts.shape:
        raise ShapeError(f"Equity has shape {equity.shape}, the stamps have {ts.shape}.")
    simple_returns(equity)  # a fall to zero may lie within a month
    month = months_of(ts)
    ends = period_ends(month)
    change = simple_returns(equity[ends])
    at = month[ends[1:]]
    first = month[0] // 12
    table = np.full((int(month[-1] // 12 - first) + 1, 12), np.nan)
    table[at // 12 - first, at % 12] = change
    return MonthlyReturns(np.arange(first, first + table.shape[0]) + 1970, table)


def months_of(ts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of calendar months since January 1970 for every stamp.

    Notes
    -----
    A stamp is the end of its bar: one at midnight belongs to the month it closes.
    """
    inside = ts - 1
    months: NDArray[np.int64] = (
        inside.view("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    )
    return months


def simple_returns(equity: FloatArray) -> FloatArray:
    """Return ``e[t] / e[t-1] - 1``, refusing curves that are short or not positive."""
    require(equity.size >= 2, "there are fewer than two values")
    require(bool(np.all(np.isfinite(equity))), "the equity curve has missing values")
    require(bool(np.all(equity > 0.0)), "equity was zero or negative")
    with np.errstate(over="ignore"):
        change: FloatArray = equity[1:] / equity[:-1] - 1.0
    require(bool(np.all(np.isfinite(change))), "a return is too large for a number")
    return change


def period_ends(period: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first row and then the last row of every period, given each row's period."""
    last = np.flatnonzero(np.append(period[1:] != period[:-1], True))
    return np.unique(np.append(0, last)).astype(np.int64)
