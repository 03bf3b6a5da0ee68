"""Returns by calendar month."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtests.engine.dtypes import FloatArray
from backtests.engine.errors import ShapeError
from backtests.engine.metrics.sample import period_ends, simple_returns


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
    simple_returns(
        equity
    )  # refuses a curve that was ever zero or negative, not at month ends alone
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
