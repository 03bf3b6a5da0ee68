"""Means of a moving window over complete series, in blocks that do not depend on each other.

The mean moves by ``(entering - leaving) / window`` from row to row and is worked out afresh where a
block begins, so rounding cannot accumulate over a long series. Inside a block two rows advance
together: the second adds both steps at once, so the chain of additions that the processor must wait
for has half the length. Rows pair as (0, 1), (2, 3), ... and blocks begin at multiples of a power
of two, so what is computed at a row never depends on how long the series is.
"""

import math

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit
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
    length = block_length(window)
    scale = 1.0 / window
    mean = fresh_mean(values, window - 1, window)
    out[window - 1] = mean
    start = window
    while start < n_bars:
        if start % length == 0:
            mean = fresh_mean(values, start - 1, window)
        stop = start + 1 if start % 2 else min((start // length + 1) * length, n_bars)
        mean = advance(
            values[start:stop],
            values[start - window : stop - window],
            scale,
            mean,
            out[start:stop],
        )
        if math.isnan(mean):
            return False
        start = stop
    return not math.isnan(mean)


@njit(cache=True, error_model="numpy")
def advance(
    entering: NDArray[np.float64],
    leaving: NDArray[np.float64],
    scale: float,
    mean: float,
    out: NDArray[np.float64],
) -> float:
    """Carry a mean over rows that begin at an even one, or over a single row; return the last mean.

    Parameters
    ----------
    entering, leaving : float64 array, shape (n_rows,) at least
        The value at each row and the one `window` rows before it.
    scale : float
        ``1 / window``.
    mean : float
        At the row before the first.
    out : float64 array, shape (n_rows,)
        Written.
    """
    n_rows = out.size
    n_fours, n_paired = n_rows // 4 * 4, n_rows // 2 * 2
    for at in range(0, n_fours, 4):  # two pairs at a time: less counting, the same additions
        step = (entering[at] - leaving[at]) * scale
        both = step + (entering[at + 1] - leaving[at + 1]) * scale
        next_step = (entering[at + 2] - leaving[at + 2]) * scale
        next_both = next_step + (entering[at + 3] - leaving[at + 3]) * scale
        out[at] = mean + step
        mean += both
        out[at + 1] = mean
        out[at + 2] = mean + next_step
        mean += next_both
        out[at + 3] = mean
    if n_fours < n_paired:
        step = (entering[n_fours] - leaving[n_fours]) * scale
        out[n_fours] = mean + step
        mean += step + (entering[n_fours + 1] - leaving[n_fours + 1]) * scale
        out[n_fours + 1] = mean
    if n_paired < n_rows:
        mean += (entering[n_paired] - leaving[n_paired]) * scale
        out[n_paired] = mean
    return mean
