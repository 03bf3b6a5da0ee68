"""The rows at which one line crosses another.

Before anything is known, the first line counts as not above the second. The first row of a result
is therefore always one where it is above, and the sides alternate from there.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit
from numerics.indicators.means import block_length, fill_means, fresh_mean
from numerics.indicators.observed import observed_rows


class Crossings(NamedTuple):
    """Rows (int64, increasing) and whether the first line is above the second from there on."""

    rows: NDArray[np.int64]
    is_above: NDArray[np.bool_]


@njit(cache=True, error_model="numpy")
def crossings(first: NDArray[np.float64], second: NDArray[np.float64]) -> Crossings:
    """Return the rows where ``first > second`` changes.

    Parameters
    ----------
    first, second : float64 array, shape (n_bars,)
        Same unit. Where either is NaN the state does not change.

    Returns
    -------
    Crossings
        Shape (n_crossings,). Equal lines are not above each other.
    """
    rows = np.empty(first.size, np.int64)
    return _alternating(rows, _scan(first, second, rows))


@njit(cache=True, error_model="numpy")
def moving_average_cross(values: NDArray[np.float64], fast: int, slow: int) -> Crossings:
    """Return the rows where a fast simple moving average goes above a slow one, or ceases to be.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Any unit; finite, or NaN where nothing was observed.
    fast, slow : int
        Windows [observations], >= 1. Trusted.

    Returns
    -------
    Crossings
        Shape (n_crossings,); exactly ``crossings`` of the two `simple_moving_average`.

    Notes
    -----
    Both averages advance side by side in registers, with the additions of `means`; no average is
    written to memory but those of the first block.
    """
    rows = np.empty(values.size, np.int64)
    n_crossings = _cross(values, fast, slow, rows)
    if n_crossings >= 0:
        return _alternating(rows, n_crossings)
    observed = observed_rows(values, values, values)
    n_crossings = max(_cross(values[observed], fast, slow, rows), 0)
    return _alternating(observed[rows[:n_crossings]], n_crossings)


@njit(cache=True, error_model="numpy")
def _alternating(rows: NDArray[np.int64], n_crossings: int) -> Crossings:
    return Crossings(rows[:n_crossings].copy(), np.arange(n_crossings) % 2 == 0)


@njit(cache=True, error_model="numpy")
def _scan(first: NDArray[np.float64], second: NDArray[np.float64], rows: NDArray[np.int64]) -> int:
    """Write the rows of the crossings and return their number; an odd number ends above."""
    n_crossings = 0
    for row in range(first.size):
        if math.isnan(first[row]) or math.isnan(second[row]):
            continue
        if (first[row] > second[row]) != (n_crossings % 2 == 1):
            rows[n_crossings] = row
            n_crossings += 1
    return n_crossings


@njit(cache=True, error_model="numpy")
def _cross(values: NDArray[np.float64], fast: int, slow: int, rows: NDArray[np.int64]) -> int:
    """Write the rows of the crossings and return their number, or -1 if a NaN was met."""
    n_bars = values.size
    fast_length, slow_length = block_length(fast), block_length(slow)
    start = min(max(fast_length, slow_length), n_bars)
    scratch = np.empty((2, start))
    if not fill_means(values[:start], fast, scratch[0]):
        return -1
    if not fill_means(values[:start], slow, scratch[1]):
        return -1
    n_crossings = _scan(scratch[0], scratch[1], rows)

    a = b = 0.0
    while start < n_bars:
        if start % fast_length == 0:
            a = fresh_mean(values, start - 1, fast)
        if start % slow_length == 0:
            b = fresh_mean(values, start - 1, slow)
        stop = min(start + min(fast_length, slow_length), n_bars)
        a, b, n_crossings = _advance_both(
            values[start:stop],
            values[start - fast : stop - fast],
            values[start - slow : stop - slow],
            (1.0 / fast, 1.0 / slow, a, b),
            (start, n_crossings),
            rows,
        )
        if math.isnan(a) or math.isnan(b):
            return -1
        start = stop
    return n_crossings


@njit(cache=True, error_model="numpy")
def _advance_both(
    entering: NDArray[np.float64],
    leaving_fast: NDArray[np.float64],
    leaving_slow: NDArray[np.float64],
    averages: tuple[float, float, float, float],
    counts: tuple[int, int],
    rows: NDArray[np.int64],
) -> tuple[float, float, int]:
    fast_scale, slow_scale, a, b = averages
    start, n_crossings = counts
    was_above = n_crossings % 2 == 1
    n_paired = entering.size // 2 * 2
    for at in range(0, n_paired, 2):
        # The same additions in the same order as in `means`, or the last bit would differ.
        fast_step = (entering[at] - leaving_fast[at]) * fast_scale
        slow_step = (entering[at] - leaving_slow[at]) * slow_scale
        fast_both = fast_step + (entering[at + 1] - leaving_fast[at + 1]) * fast_scale
        slow_both = slow_step + (entering[at + 1] - leaving_slow[at + 1]) * slow_scale
        is_above = a + fast_step > b + slow_step
        a += fast_both
        b += slow_both
        is_above_next = a > b
        if is_above != was_above:
            rows[n_crossings] = start + at
            n_crossings += 1
        if is_above_next != is_above:
            rows[n_crossings] = start + at + 1
            n_crossings += 1
        was_above = is_above_next
    if n_paired < entering.size:
        a += (entering[n_paired] - leaving_fast[n_paired]) * fast_scale
        b += (entering[n_paired] - leaving_slow[n_paired]) * slow_scale
        if (a > b) != was_above:
            rows[n_crossings] = start + n_paired
            n_crossings += 1
    return a, b, n_crossings
