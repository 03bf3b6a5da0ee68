"""Prices averaged by the volume that traded at them.

A row is observed where price and volume both are. Every value at row t depends on rows up to t.
"""

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit
from numerics.indicators.observed import is_complete, observed_rows, spread
from numerics.indicators.windows import rolling_weighted_mean


@njit(cache=True, error_model="numpy")
def rolling_vwap(
    price: NDArray[np.float64], volume: NDArray[np.float64], window: int
) -> NDArray[np.float64]:
    """Return the volume-weighted average price of the last `window` observations.

    Parameters
    ----------
    price : float64 array, shape (n_bars,)
        Usually the typical price of a bar [quote currency]; NaN where not observed.
    volume : float64 array, shape (n_bars,)
        Traded in the bar [units], >= 0; NaN where not observed.
    window : int
        Number of observations averaged [observations], >= 1. Trusted.

    Returns
    -------
    float64 array, shape (n_bars,)
        ``sum(p v) / sum(v)`` [quote currency]. NaN at rows without an observation, before `window`
        observations exist and where nothing traded in the window.

    References
    ----------
    .. [1] Berkowitz, Logue and Noser (1988), "The total cost of transactions on the NYSE",
       Journal of Finance 43(1).
    """
    if is_complete(price) and is_complete(volume):
        return rolling_weighted_mean(price, volume, window)
    rows = observed_rows(price, volume, volume)
    return spread(rolling_weighted_mean(price[rows], volume[rows], window), rows, price.size)


@njit(cache=True, error_model="numpy")
def session_vwap(
    price: NDArray[np.float64], volume: NDArray[np.float64], session: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the volume-weighted average price since the session began.

    Parameters
    ----------
    price : float64 array, shape (n_bars,)
        Usually the typical price of a bar [quote currency]; NaN where not observed.
    volume : float64 array, shape (n_bars,)
        Traded in the bar [units], >= 0; NaN where not observed.
    session : int64 array, shape (n_bars,)
        Id of the session a bar belongs to, such as its day; a session begins where the id differs
        from that of the observation before.

    Returns
    -------
    float64 array, shape (n_bars,)
        ``sum(p v) / sum(v)`` from the first bar of the session to this one [quote currency]. NaN at
        rows without an observation and until something traded in the session.

    References
    ----------
    .. [1] Berkowitz, Logue and Noser (1988), "The total cost of transactions on the NYSE",
       Journal of Finance 43(1).
    """
    if is_complete(price) and is_complete(volume):
        return _session_vwap(price, volume, session)
    rows = observed_rows(price, volume, volume)
    return spread(_session_vwap(price[rows], volume[rows], session[rows]), rows, price.size)


@njit(cache=True, error_model="numpy")
def _session_vwap(
    price: NDArray[np.float64], volume: NDArray[np.float64], session: NDArray[np.int64]
) -> NDArray[np.float64]:
    out = np.empty(price.size)
    anchor = weight = moment = 0.0
    for row in range(price.size):
        if row == 0 or session[row] != session[row - 1]:
            # Distances from a price of the session keep the sums small and a constant price exact.
            anchor = price[row]
            weight = moment = 0.0
        weight += volume[row]
        moment += volume[row] * (price[row] - anchor)
        out[row] = anchor + moment / weight
    return out
