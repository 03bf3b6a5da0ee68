"""Return of an instrument over the past, leaving out the latest days.

References
----------
.. [1] Jegadeesh and Titman (1993), "Returns to buying winners and selling losers", Journal of
   Finance 48(1).
"""

import numpy as np
from numpy.typing import NDArray

from numerics.indicators import last_observed
from strategies.signals.scores import Scores, long_where_scored

_DAY_NS = 86_400_000_000_000


def momentum(
    ts: NDArray[np.int64], close: NDArray[np.float64], *, lookback_days: int, skip_days: int
) -> Scores:
    """Return the price change from `lookback_days` ago to `skip_days` ago.

    Parameters
    ----------
    ts : int64 array, shape (n_bars,)
        Strictly increasing stamps [ns UTC].
    close : float64 array, shape (n_bars, n_assets)
        Adjusted prices [any currency], > 0; NaN where not tradable.
    lookback_days, skip_days : int
        Days that have a bar, counted back from the day of the bar; 0 <= skip < lookback. Trusted.

    Returns
    -------
    Scores
        ``price(skip) / price(lookback) - 1`` [fraction], long. "k days ago" is the last bar of
        that UTC day and the last price known by then; 0 days ago is the bar itself.

    Notes
    -----
    With one bar a day the days are simply rows.
    """
    known = last_observed(close)
    day_of_row, last_row = _days(ts)
    recent = known if skip_days == 0 else _days_ago(known, day_of_row, last_row, skip_days)
    score = recent / _days_ago(known, day_of_row, last_row, lookback_days) - 1.0
    score[np.isnan(close)] = np.nan
    return long_where_scored(score)


def _days(ts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of each row's day, and the last row of every day."""
    is_new = np.diff(ts // _DAY_NS) != 0
    day_of_row = np.concatenate([[0], np.cumsum(is_new)])
    return day_of_row, np.append(np.flatnonzero(is_new), ts.size - 1)


def _days_ago(
    known: NDArray[np.float64],
    day_of_row: NDArray[np.int64],
    last_row: NDArray[np.int64],
    n_days: int,
) -> NDArray[np.float64]:
    """Return, for every row, the prices known at the end of the day `n_days` before its own."""
    past = np.full_like(known, np.nan)
    first = int(np.searchsorted(day_of_row, n_days))
    past[first:] = known[last_row[day_of_row[first:] - n_days]]
    return past
