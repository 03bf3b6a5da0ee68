"""Where a value stands among its own past, and how two series move together.

A row is observed where every series is. Every value at row t depends on rows up to t alone.
"""

import math

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit
from numerics.indicators.observed import is_complete, observed_rows, spread
from numerics.indicators.windows import rolling_comoments, rolling_moments


@njit(cache=True, error_model="numpy")
def rolling_zscore(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the distance from the mean of the last `window` observations, in their deviations.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Any unit; finite, or NaN where nothing was observed.
    window : int
        Number of observations, the newest among them [observations], >= 2. Trusted.

    Returns
    -------
    float64 array, shape (n_bars,)
        ``(x_t - mean) / s`` [sample standard deviations, divisor window - 1], at most
        ``(window - 1) / sqrt(window)`` in size. NaN at rows without an observation, before `window`
        observations exist and where they are all equal.
    """
    if is_complete(values):
        return _zscore(values, window)
    rows = observed_rows(values, values, values)
    return spread(_zscore(values[rows], window), rows, values.size)


@njit(cache=True, error_model="numpy")
def rolling_beta(
    returns: NDArray[np.float64], benchmark: NDArray[np.float64], window: int
) -> NDArray[np.float64]:
    """Return the slope of returns on a benchmark's over the last `window` observations.

    Parameters
    ----------
    returns, benchmark : float64 array, shape (n_bars,)
        Returns per bar [fraction]; finite, or NaN where not observed.
    window : int
        Number of observations in which both are known [observations], >= 2. Trusted.

    Returns
    -------
    float64 array, shape (n_bars,)
        ``cov(returns, benchmark) / var(benchmark)``. NaN at rows without both observations, before
        `window` of them exist and where the benchmark did not vary.

    References
    ----------
    .. [1] Sharpe (1964), "Capital asset prices", Journal of Finance 19(3).
    """
    if is_complete(returns) and is_complete(benchmark):
        return _beta(returns, benchmark, window)
    rows = observed_rows(returns, benchmark, benchmark)
    return spread(_beta(returns[rows], benchmark[rows], window), rows, returns.size)


@njit(cache=True, error_model="numpy")
def rolling_correlation(
    first: NDArray[np.float64], second: NDArray[np.float64], window: int
) -> NDArray[np.float64]:
    """Return Pearson's correlation over the last `window` observations.

    Parameters
    ----------
    first, second : float64 array, shape (n_bars,)
        Any unit, usually returns; finite, or NaN where not observed.
    window : int
        Number of observations in which both are known [observations], >= 2. Trusted.

    Returns
    -------
    float64 array, shape (n_bars,)
        In [-1, 1]. NaN at rows without both observations, before `window` of them exist and where
        either series did not vary.

    References
    ----------
    .. [1] Pearson (1895), "Note on regression and inheritance in the case of two parents",
       Proceedings of the Royal Society of London 58.
    """
    if is_complete(first) and is_complete(second):
        return _correlation(first, second, window)
    rows = observed_rows(first, second, second)
    return spread(_correlation(first[rows], second[rows], window), rows, first.size)


@njit(cache=True, error_model="numpy")
def _zscore(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    mean, squares = rolling_moments(values, window)
    for row in range(values.size):
        deviation = math.sqrt(squares[row] / (window - 1))
        squares[row] = (values[row] - mean[row]) / deviation
    return squares


@njit(cache=True, error_model="numpy")
def _beta(x: NDArray[np.float64], y: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    moments = rolling_comoments(x, y, window)
    out = np.full(x.size, np.nan)
    for row in range(window - 1, x.size):
        if moments[1, row] > 0.0:
            out[row] = moments[2, row] / moments[1, row]
    return out


@njit(cache=True, error_model="numpy")
def _correlation(
    x: NDArray[np.float64], y: NDArray[np.float64], window: int
) -> NDArray[np.float64]:
    moments = rolling_comoments(x, y, window)
    out = np.full(x.size, np.nan)
    for row in range(window - 1, x.size):
        if moments[0, row] > 0.0 and moments[1, row] > 0.0:
            # Two roots, because the product of the squares may leave the range of floats.
            scale = math.sqrt(moments[0, row]) * math.sqrt(moments[1, row])
            out[row] = min(max(moments[2, row] / scale, -1.0), 1.0)
    return out
