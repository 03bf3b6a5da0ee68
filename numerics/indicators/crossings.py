"""The rows at which one line crosses another.

Before anything is known, the first line counts as not above the second. The first row of a result
is therefore always one where it is above, and the sides alternate from there.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numerics.bits import WORD, above_bits, changed_bits, first_bit, without_first
from numerics.compilation import njit
from numerics.indicators.means import SHORTEST_BLOCK, block_length, fill_means, fresh_mean
from numerics.indicators.observed import observed_rows

_ROWS = SHORTEST_BLOCK  # advanced together: what they need stays in the nearest cache


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
    Both averages advance side by side, with the additions of `means`, and are looked at while they
    are in the nearest cache.
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
    lines = np.empty((2, max(start, _ROWS)))
    if not fill_means(values[:start], fast, lines[0, :start]):
        return -1
    if not fill_means(values[:start], slow, lines[1, :start]):
        return -1
    n_crossings = _scan(lines[0, :start], lines[1, :start], 0, rows, 0)

    a = b = 0.0
    steps = np.empty((2, _ROWS))
    scales = 1.0 / fast, 1.0 / slow
    while start < n_bars:
        if start % lengths[0] == 0:
            a = fresh_mean(values, start - 1, fast)
        if start % lengths[1] == 0:
            b = fresh_mean(values, start - 1, slow)
        stop = min(start + _ROWS, n_bars)
        leaving = values[start - fast : stop - fast], values[start - slow : stop - slow]
        a, b = _advance_both(values[start:stop], leaving, scales, (a, b), steps, lines)
        if math.isnan(a) or math.isnan(b):
            return -1
        n_crossings = _scan_words(lines[:, : stop - start], start, rows, n_crossings)
        start = stop
    return n_crossings


@njit(cache=True, error_model="numpy")
def _advance_both(
    entering: NDArray[np.float64],
    leaving: tuple[NDArray[np.float64], NDArray[np.float64]],
    scales: tuple[float, float],
    means: tuple[float, float],
    steps: NDArray[np.float64],
    lines: NDArray[np.float64],
) -> tuple[float, float]:
    """Write both averages to `lines`, with the additions of `means` in their order.

    Notes
    -----
    The steps wait for nothing, so a processor takes several at a time; the sums wait for each
    other, and two chains of them side by side keep it busy.
    """
    n_rows = entering.size
    p, q = scales
    for at in range(n_rows):
        steps[0, at] = (entering[at] - leaving[0][at]) * p
        steps[1, at] = (entering[at] - leaving[1][at]) * q
    a, b = means
    n_paired = n_rows // 2 * 2
    for at in range(0, n_paired, 2):
        lines[0, at] = a + steps[0, at]
        lines[1, at] = b + steps[1, at]
        a += steps[0, at] + steps[0, at + 1]
        b += steps[1, at] + steps[1, at + 1]
        lines[0, at + 1] = a
        lines[1, at + 1] = b
    if n_paired < n_rows:
        a += steps[0, n_paired]
        b += steps[1, n_paired]
        lines[0, n_paired] = a
        lines[1, n_paired] = b
    return a, b


@njit(cache=True, error_model="numpy")
def _scan_words(
    lines: NDArray[np.float64], start: int, rows: NDArray[np.int64], n_crossings: int
) -> int:
    """Do what `_scan` does for lines without a NaN, sixty-four rows at a time."""
    first, second = lines[0].ctypes.data, lines[1].ctypes.data
    n_rows = lines.shape[1]
    n_whole = n_rows // WORD * WORD
    for at in range(0, n_whole, WORD):
        changed = changed_bits(above_bits(first, second, at), n_crossings % 2 == 1)
        while changed != 0:
            rows[n_crossings] = start + at + first_bit(changed)
            n_crossings += 1
            changed = without_first(changed)
    return _scan(lines[0, n_whole:], lines[1, n_whole:], start + n_whole, rows, n_crossings)
