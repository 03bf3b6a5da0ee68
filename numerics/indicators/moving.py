"""Averages over a moving window of observations.

NaN means "not observed at this bar". Windows count observations, not rows: a market that was
closed for a day does not lose the average of its last ten closes. Every value at row t depends on
rows up to t alone, so a longer history never changes a shorter one's result.
"""

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit
from numerics.indicators.means import fill_means, fresh_mean
from numerics.indicators.observed import is_complete, observed_rows, spread
from numerics.indicators.windows import linearly_weighted_mean


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
    A running mean, worked out afresh every 512 observations (or a power of two up to four windows),
    so rounding cannot accumulate over a long series; time does not depend on the window. A series
    without NaN is read once and needs no memory but the result.
    """
    out = np.empty(values.size)
    if fill_means(values, window, out):
        return out
    rows = observed_rows(values, values, values)
    compact = np.empty(rows.size)
    fill_means(values[rows], window, compact)
    return spread(compact, rows, values.size)


@njit(cache=True, error_model="numpy")
def simple_moving_averages(
    values: NDArray[np.float64], windows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the simple moving averages of one series over several windows.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Any unit; finite, or NaN where nothing was observed.
    windows : int64 array, shape (n_windows,)
        Numbers of observations averaged [observations], >= 1. Trusted.

    Returns
    -------
    float64 array, shape (n_windows, n_bars)
        Row k is ``simple_moving_average(values, windows[k])``, bit for bit.
    """
    out = np.empty((windows.size, values.size))
    if is_complete(values):
        for at in range(windows.size):
            fill_means(values, windows[at], out[at])
        return out
    rows = observed_rows(values, values, values)
    observed = values[rows]
    compact = np.empty(rows.size)
    for at in range(windows.size):
        fill_means(observed, windows[at], compact)
        out[at] = spread(compact, rows, values.size)
    return out


@njit(cache=True, error_model="numpy")
def exponential_moving_average(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the exponentially weighted average of span `window`.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Any unit; finite, or NaN where nothing was observed.
    window : int
        Span [observations], >= 1: the newest observation weighs ``2 / (window + 1)``. Trusted.

    Returns
    -------
    float64 array, shape (n_bars,)
        Same unit. NaN at rows without an observation and before `window` observations exist.

    Notes
    -----
    ``e_t = e_(t-1) + 2 / (window + 1) (x_t - e_(t-1))``, seeded at the `window`-th observation by
    the simple average of the first `window`. From there it is `pandas.ewm(span, adjust=False)`,
    which seeds by the first value instead. Rounding is forgotten as fast as the past is.

    References
    ----------
    .. [1] Murphy (1999), "Technical Analysis of the Financial Markets".
    """
    if is_complete(values):
        return smooth(values, window, 2.0 / (window + 1.0))
    rows = observed_rows(values, values, values)
    return spread(smooth(values[rows], window, 2.0 / (window + 1.0)), rows, values.size)


@njit(cache=True, error_model="numpy")
def weighted_moving_average(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the average of the last `window` observations under weights 1, 2, ..., `window`.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Any unit; finite, or NaN where nothing was observed.
    window : int
        Number of observations averaged [observations], >= 1; the newest weighs most. Trusted.

    Returns
    -------
    float64 array, shape (n_bars,)
        Same unit. NaN at rows without an observation and before `window` observations exist.

    Notes
    -----
    ``sum_(k=1..window) k x_(t-window+k) / (window (window + 1) / 2)`` in time that does not depend
    on the window; the average of equal values is exactly that value.

    References
    ----------
    .. [1] Murphy (1999), "Technical Analysis of the Financial Markets".
    """
    if is_complete(values):
        return linearly_weighted_mean(values, window)
    rows = observed_rows(values, values, values)
    return spread(linearly_weighted_mean(values[rows], window), rows, values.size)


@njit(cache=True, error_model="numpy")
def smooth(values: NDArray[np.float64], window: int, weight: float) -> NDArray[np.float64]:
    """Return ``s_t = s_(t-1) + weight (x_t - s_(t-1))``, seeded by the mean of the first values.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Finite.
    window : int
        Number of values in the seed, >= 1.
    weight : float
        Of the newest value, in (0, 1]: ``2 / (window + 1)``, or Wilder's ``1 / window``.

    Returns
    -------
    float64 array, shape (n_bars,)
        NaN in the first ``window - 1`` rows.
    """
    out = np.full(values.size, np.nan)
    if values.size < window:
        return out
    state = fresh_mean(values, window - 1, window)
    out[window - 1] = state
    for row in range(window, values.size):
        state += weight * (values[row] - state)
        out[row] = state
    return out
