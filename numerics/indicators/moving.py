"""Averages and carried values over a moving window of observations.

NaN means "not observed at this bar". Windows count observations, not rows: a market that was
closed for a day does not lose the average of its last ten closes. Every value at row t depends on
rows up to t alone, so a longer history never changes a shorter one's result.
"""

import math

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit

_RESUM_EVERY = 256  # observations


@njit(cache=True, error_model="numpy")
def _resum(values: NDArray[np.float64], first: int, last: int) -> float:
    total = 0.0
    for row in range(first, last + 1):
        if not math.isnan(values[row]):
            total += values[row]
    return total


@njit(cache=True, error_model="numpy")
def simple_moving_average(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the mean of the last `window` observed values.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Any unit; finite, or NaN where nothing was observed.
    window : int
        Number of observations averaged [observations], >= 1. Trusted.

    Returns
    -------
    float64 array, shape (n_bars,)
        Same unit. NaN at rows without an observation and before `window` observations exist.

    Notes
    -----
    A running sum, added up afresh at fixed distances, so rounding cannot accumulate over a
    long series; time and memory do not depend on the window.
    """
    out = np.empty_like(values)
    total = 0.0
    oldest = 0
    n_seen = 0
    resum_at = max(window, _RESUM_EVERY)
    n_since_resum = 0
    for row in range(values.size):
        value = values[row]
        if math.isnan(value):
            out[row] = np.nan
            continue
        n_seen += 1
        n_since_resum += 1
        leaving = 0.0
        if n_seen > window:
            while math.isnan(values[oldest]):
                oldest += 1
            leaving = values[oldest]
            oldest += 1
        total += value - leaving
        if n_since_resum == resum_at:
            total = _resum(values, oldest, row)
            n_since_resum = 0
        out[row] = total / window if n_seen >= window else np.nan
    return out
