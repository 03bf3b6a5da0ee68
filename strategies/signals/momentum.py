"""Return of an instrument over the past, leaving out the latest days.

References
----------
.. [1] Jegadeesh and Titman (1993), "Returns to buying winners and selling losers", Journal of
   Finance 48(1).
"""

import numpy as np
from numpy.typing import NDArray

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
        Days on which the instrument has a bar, counted back from the day of the bar;
        0 <= skip < lookback. Trusted.

    Returns
    -------
    Scores
        ``price(skip) / price(lookback) - 1`` [fraction], long. "k days ago" is the last bar of
        that UTC day; 0 days ago is the bar itself. A bar that ends at midnight belongs to the day
        it closes.

    Notes
    -----
    Each instrument counts its own days, so another one's calendar changes nothing. With one bar a
    day the days are simply its bars.
    """
    by_asset = np.full(close.T.shape, np.nan)
    for prices, score in zip(np.ascontiguousarray(close.T), by_asset, strict=True):
        bars = np.flatnonzero(~np.isnan(prices))
        score[bars] = _momentum_of_one(ts[bars], prices[bars], lookback_days, skip_days)
    return long_where_scored(np.ascontiguousarray(by_asset.T))


def _momentum_of_one(
    ts: NDArray[np.int64], price: NDArray[np.float64], lookback_days: int, skip_days: int
) -> NDArray[np.float64]:
    """Return the score of one instrument at each of its bars, NaN with too little history."""
    score = np.full_like(price, np.nan)
    is_new = np.diff((ts - 1) // _DAY_NS) != 0
    day_of_bar = np.concatenate([np.zeros(min(1, ts.size), np.int64), np.cumsum(is_new)])
    first = int(np.searchsorted(day_of_bar, lookback_days))
    if first == ts.size:
        return score
    last_bar = np.append(np.flatnonzero(is_new), ts.size - 1)
    day = day_of_bar[first:]
    recent = price[first:] if skip_days == 0 else price[last_bar[day - skip_days]]
    score[first:] = recent / price[last_bar[day - lookback_days]] - 1.0
    return score
