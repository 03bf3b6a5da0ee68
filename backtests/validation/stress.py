"""What an account loses where markets are at their worst.

Losses and drawdowns are fractions of equity, >= 0; above 1 where more was lost than there was.
Days are those of UTC in which bars end, midnight closing one, as the engine's sessions are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtests.validation.errors import NotComputedError

FloatArray = NDArray[np.float64]
DAY_NS = 86_400_000_000_000


@dataclass(frozen=True)
class Window:
    """A stretch of days, by the rows of its first and last close.

    Attributes
    ----------
    change : float
        Return of the market from the one to the other.
    """

    first: int
    last: int
    change: float


def rows_of_days(ts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the row of the last bar of each day.

    Parameters
    ----------
    ts : int64 array, shape (n_bars,), n_bars >= 1
        Ends of bars, strictly increasing [ns UTC].
    """
    days = (ts - 1) // DAY_NS
    return np.append(np.flatnonzero(np.diff(days)), ts.size - 1)


def worst_loss(equity: FloatArray, n_days: int) -> float:
    """Return the most that was lost over any stretch of so many days.

    Parameters
    ----------
    equity : float64 array, shape (n,)
        At the end of each day [account currency]; a stretch begins where it is > 0.
    n_days : int, >= 1

    Raises
    ------
    NotComputedError
        There are not so many days.
    """
    if equity.size <= n_days:
        raise NotComputedError(f"the account has {equity.size} days, {n_days + 1} are needed")
    before, after = equity[:-n_days], equity[n_days:]
    held = before > 0.0
    return float(max(0.0, np.max(1.0 - after[held] / before[held], initial=0.0)))


def market_level(close: FloatArray) -> FloatArray:
    """Return the level of an equally weighted market, shape (n,), 1 in the first row.

    Parameters
    ----------
    close : float64 array, shape (n, n_assets)
        Adjusted closes; NaN where an instrument has none. Each day's return is the mean over
        those with a close on it and one before.
    """
    known = _carried(close)
    with np.errstate(invalid="ignore"):
        returns = np.where(np.isnan(close[1:]), np.nan, close[1:] / known[:-1] - 1.0)
    n = np.count_nonzero(~np.isnan(returns), axis=1)
    mean = np.nansum(returns, axis=1) / np.maximum(n, 1)
    return np.concatenate([[1.0], np.cumprod(1.0 + mean)])


def _carried(close: FloatArray) -> FloatArray:
    """Return closes with each gap filled by the last before it."""
    rows = np.where(np.isnan(close), 0, np.arange(len(close))[:, None])
    filled: FloatArray = np.take_along_axis(close, np.maximum.accumulate(rows, axis=0), axis=0)
    return filled


def worst_windows(level: FloatArray, *, n_days: int, n_windows: int) -> tuple[Window, ...]:
    """Return the deepest falls of a market over so many days, none sharing a day, deepest first.

    Parameters
    ----------
    level : float64 array, shape (n,)
        Of the market at the end of each day, > 0.

    Raises
    ------
    NotComputedError
        There are not so many days, or none of these stretches is a fall.

    Notes
    -----
    Chosen one after the other, the deepest of those that share no day with one chosen before; the
    close that one ends at may be the one that the next begins at.
    """
    if level.size <= n_days:
        raise NotComputedError(f"the market has {level.size} days, {n_days + 1} are needed")
    changes = level[n_days:] / level[:-n_days] - 1.0
    is_free, chosen = np.ones(level.size - 1, dtype=bool), list[Window]()
    for first in np.argsort(changes, kind="stable"):
        if len(chosen) == n_windows or changes[first] >= 0.0:
            break
        if is_free[first : first + n_days].all():
            is_free[first : first + n_days] = False
            chosen.append(Window(int(first), int(first) + n_days, float(changes[first])))
    if not chosen:
        raise NotComputedError(f"the market never fell over {n_days} days")
    return tuple(chosen)


def max_drawdown(equity: FloatArray) -> float:
    """Return the deepest fall from a running peak.

    Parameters
    ----------
    equity : float64 array, shape (n,), n >= 1
        The first is > 0.
    """
    return float(np.max(1.0 - equity / np.maximum.accumulate(equity)))


def at_volatility(equity: FloatArray, factor: float) -> FloatArray:
    """Return what equity would have been with every return so many times as large.

    Ruin lasts: what has reached 0 stays there.
    """
    before = equity[:-1]
    changes = np.divide(np.diff(equity), before, out=np.full(before.size, -1.0), where=before > 0.0)
    growth = np.maximum(1.0 + factor * changes, 0.0)
    curve: FloatArray = equity[0] * np.concatenate([[1.0], np.cumprod(growth)])
    return curve


def gap_loss(exposure: FloatArray, equity: FloatArray, gap: float) -> float:
    """Return the most that a leap of prices would have cost at once.

    Parameters
    ----------
    exposure : float64 array, shape (n_bars,)
        Value of positions at each close [account currency]: gross where every price leaps against
        its position, net where all leap the same way.
    equity : float64 array, shape (n_bars,)
    gap : float
        Fraction of the price, > 0.
    """
    held = equity > 0.0
    return float(gap * np.max(np.abs(exposure[held]) / equity[held], initial=0.0))
