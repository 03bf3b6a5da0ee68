"""Means of a moving window over complete series, in blocks that do not depend on each other.

The mean moves by ``(entering - leaving) / window`` from row to row and is worked out afresh where a
block begins, so rounding cannot accumulate over a long series. Inside a block eight rows advance
together, see `eights`. Groups begin at multiples of eight and blocks at multiples of a power of
two, so what is computed at a row never depends on how long the series is.
"""

import math

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit
from numerics.indicators.eights import GROUP, eight_means, few_means
from numerics.indicators.observed import is_complete

SHORTEST_BLOCK = 512  # rows


@njit(cache=True, error_model="numpy")
def block_length(window: int) -> int:
    """Return the rows between two fresh means: a power of two, at least twice the window."""
    length = SHORTEST_BLOCK
    while length < 2 * window:
        length *= 2
    return length


@njit(cache=True, error_model="numpy")
def fresh_mean(values: NDArray[np.float64], last: int, window: int) -> float:
    """Return the mean of the `window` values that end at row `last`.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Without NaN.
    last, window : int
        ``window - 1 <= last < n_bars``.

    Notes
    -----
    Sums distances from the last value, so the mean of equal values is exactly that value.
    """
    anchor = values[last]
    inside = values[last - window + 1 : last + 1]
    a = b = c = d = 0.0  # four sums, because one would wait for itself
    n_whole = window // 4 * 4
    for at in range(0, n_whole, 4):
        a += inside[at] - anchor
        b += inside[at + 1] - anchor
        c += inside[at + 2] - anchor
        d += inside[at + 3] - anchor
    for at in range(n_whole, window):
        a += inside[at] - anchor
    return float(anchor + ((a + b) + (c + d)) / window)


@njit(cache=True, error_model="numpy")
def fill_means(values: NDArray[np.float64], window: int, out: NDArray[np.float64]) -> bool:
    """Write the mean of the last `window` values to every row; say whether no NaN was met.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Finite. If one is NaN, the answer is False and `out` holds nothing of use.
    window : int
        Values per mean, >= 1.
    out : float64 array, shape (n_bars,)
        Written: NaN in the first ``window - 1`` rows.
    """
    n_bars = values.size
    if window == 1:  # steps would only add rounding
        out[:] = values
        return is_complete(values)
    out[: min(window - 1, n_bars)] = np.nan
    if n_bars < window:
        return True
    series = np.ascontiguousarray(values)
    length = block_length(window)
    mean = fresh_mean(series, window - 1, window)
    out[window - 1] = mean
    start = min((window + GROUP - 1) // GROUP * GROUP, n_bars)
    for row in range(window, start):
        mean += (series[row] - series[row - window]) * (1.0 / window)
        out[row] = mean
    while start < n_bars:
        if start % length == 0:
            mean = fresh_mean(series, start - 1, window)
        stop = min((start // length + 1) * length, n_bars)
        mean = advance(series, start, window, mean, out[start:stop])
        if math.isnan(mean):
            return False
        start = stop
    return not math.isnan(mean)


@njit(cache=True, error_model="numpy")
def advance(
    values: NDArray[np.float64], start: int, window: int, mean: float, out: NDArray[np.float64]
) -> float:
    """Carry a mean over rows from a multiple of eight on, and return the last mean.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Without gaps between its numbers.
    start, window : int
        First row, ``start >= window``.
    mean : float
        At the row before the first.
    out : float64 array, shape (n_rows,)
        Written: row 0 is row `start` of the values. Without gaps.
    """
    scale = 1.0 / window
    series, means = values.ctypes.data, out.ctypes.data
    n_whole = out.size // GROUP * GROUP
    for at in range(0, n_whole, GROUP):
        mean = eight_means(series, start + at, window, scale, mean, means, at)
    if n_whole < out.size:
        mean = few_means(values, start + n_whole, window, mean, out[n_whole:])
    return mean
