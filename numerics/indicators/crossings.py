"""The rows at which one line crosses another.

Before anything is known, the first line counts as not above the second. The first row of a result
is therefore always one where it is above, and the sides alternate from there.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit
from numerics.indicators.means import advance, block_length, fill_means, fresh_mean
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
    return _alternating(rows, _scan(first, second, 0, rows, 0))


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
def _scan(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    start: int,
    rows: NDArray[np.int64],
    n_crossings: int,
) -> int:
    """Append the crossings from row `start` on and return their number; an odd one ends above."""
    for at in range(first.size):
        if math.isnan(first[at]) or math.isnan(second[at]):
            continue
        if (first[at] > second[at]) != (n_crossings % 2 == 1):
            rows[n_crossings] = start + at
            n_crossings += 1
    return n_crossings


@njit(cache=True, error_model="numpy")
def _cross(values: NDArray[np.float64], fast: int, slow: int, rows: NDArray[np.int64]) -> int:
    """Write the rows of the crossings and return their number, or -1 if a NaN was met."""
    n_bars = values.size
    lengths = block_length(fast), block_length(slow)
    # A window of one has no steps to fuse: both lines are then written out.
    start = n_bars if min(fast, slow) == 1 else min(max(lengths), n_bars)
    lines = np.empty((2, start))
    if not fill_means(values[:start], fast, lines[0]):
        return -1
    if not fill_means(values[:start], slow, lines[1]):
        return -1
    n_crossings = _scan(lines[0], lines[1], 0, rows, 0)

    a = b = 0.0
    while start < n_bars:
        if start % lengths[0] == 0:
            a = fresh_mean(values, start - 1, fast)
        if start % lengths[1] == 0:
            b = fresh_mean(values, start - 1, slow)
        stop = min(start + min(lengths), n_bars)
        entering = values[start:stop]
        leaving_fast, leaving_slow = values[start - fast : stop - fast], values[start - slow :]
        n_whole = entering.size // 4 * 4
        scales = 1.0 / fast, 1.0 / slow
        a, b, n_crossings = _cross_block(
            entering[:n_whole], leaving_fast, leaving_slow, scales, (a, b), start, rows, n_crossings
        )
        if n_whole < entering.size:  # the last rows of the series
            k = entering.size - n_whole
            tail = entering[n_whole:]
            a = advance(tail, leaving_fast[n_whole:], scales[0], a, lines[0, :k])
            b = advance(tail, leaving_slow[n_whole:], scales[1], b, lines[1, :k])
            n_crossings = _scan(lines[0, :k], lines[1, :k], start + n_whole, rows, n_crossings)
        if math.isnan(a) or math.isnan(b):
            return -1
        start = stop
    return n_crossings


@njit(cache=True, error_model="numpy")
def _cross_block(
    entering: NDArray[np.float64],
    leaving_fast: NDArray[np.float64],
    leaving_slow: NDArray[np.float64],
    scales: tuple[float, float],
    means: tuple[float, float],
    start: int,
    rows: NDArray[np.int64],
    n_crossings: int,
) -> tuple[float, float, int]:
    """Advance both averages by rows of fours, with the additions of `means` in their order."""
    p, q = scales
    a, b = means
    was_above = n_crossings % 2 == 1
    for at in range(0, entering.size // 4 * 4, 4):
        x, y, z, w = entering[at], entering[at + 1], entering[at + 2], entering[at + 3]
        a_step = (x - leaving_fast[at]) * p
        b_step = (x - leaving_slow[at]) * q
        a_both = a_step + (y - leaving_fast[at + 1]) * p
        b_both = b_step + (y - leaving_slow[at + 1]) * q
        above_0 = a + a_step > b + b_step
        a += a_both
        b += b_both
        above_1 = a > b
        a_step = (z - leaving_fast[at + 2]) * p
        b_step = (z - leaving_slow[at + 2]) * q
        a_both = a_step + (w - leaving_fast[at + 3]) * p
        b_both = b_step + (w - leaving_slow[at + 3]) * q
        above_2 = a + a_step > b + b_step
        a += a_both
        b += b_both
        above_3 = a > b
        # One branch for four rows: a crossing is rare, and a wrongly guessed one costs 20 cycles.
        if ((above_0 != was_above) | (above_1 != was_above)) | (
            (above_2 != was_above) | (above_3 != was_above)
        ):
            if above_0 != was_above:
                rows[n_crossings] = start + at
                n_crossings += 1
            if above_1 != above_0:
                rows[n_crossings] = start + at + 1
                n_crossings += 1
            if above_2 != above_1:
                rows[n_crossings] = start + at + 2
                n_crossings += 1
            if above_3 != above_2:
                rows[n_crossings] = start + at + 3
                n_crossings += 1
            was_above = above_3
    return a, b, n_crossings
