"""The rows at which one line crosses another.

Before anything is known, the first line counts as not above the second. The first row of a result
is therefore always one where it is above, and the sides alternate from there.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numerics.bits import WORD, changed_bits, count_bits, first_bit, without_first
from numerics.compilation import njit
from numerics.indicators.eights import word_above
from numerics.indicators.means import (
    SHORTEST_BLOCK,
    advance,
    block_length,
    fill_means,
    fresh_mean,
)
from numerics.indicators.observed import observed_rows

_ROWS = SHORTEST_BLOCK  # looked at between two fresh means
_FEW = 4  # crossings of sixty-four rows, as a rule at most


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
    Both averages advance side by side, with the additions of `means`, and are compared where they
    are worked out: neither is ever written down.
    """
    series = np.ascontiguousarray(values)
    rows = np.empty(series.size + _FEW, np.int64)
    n_crossings = _cross(series, fast, slow, rows)
    if n_crossings >= 0:
        return _alternating(rows, n_crossings)
    observed = observed_rows(series, series, series)
    n_crossings = max(_cross(series[observed], fast, slow, rows), 0)
    return _alternating(observed[rows[:n_crossings]], n_crossings)


@njit(cache=True, error_model="numpy")
def _alternating(rows: NDArray[np.int64], n_crossings: int) -> Crossings:
    is_above = np.empty(n_crossings, np.bool_)
    for at in range(n_crossings):
        is_above[at] = at & 1 == 0
    return Crossings(rows[:n_crossings].copy(), is_above)


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
    lines = np.empty((2, max(start, WORD)))
    if not fill_means(values[:start], fast, lines[0, :start]):
        return -1
    if not fill_means(values[:start], slow, lines[1, :start]):
        return -1
    n_crossings = _scan(lines[0, :start], lines[1, :start], 0, rows, 0)

    windows, scales = (fast, slow), (1.0 / fast, 1.0 / slow)
    means = 0.0, 0.0
    while start < n_bars:
        if start % lengths[0] == 0:
            means = fresh_mean(values, start - 1, fast), means[1]
        if start % lengths[1] == 0:
            means = means[0], fresh_mean(values, start - 1, slow)
        stop = min(start + _ROWS, n_bars)
        last = start + (stop - start) // WORD * WORD
        for at in range(start, last, WORD):
            above, a, b = word_above(values.ctypes.data, at, windows, scales, means)
            means = a, b
            n_crossings = _scan_word(above, at, rows, n_crossings)
        if last < stop:
            left = lines[:, : stop - last]
            a = advance(values, last, fast, means[0], left[0])
            b = advance(values, last, slow, means[1], left[1])
            means = a, b
            n_crossings = _scan(left[0], left[1], last, rows, n_crossings)
        if math.isnan(means[0]) or math.isnan(means[1]):
            return -1
        start = stop
    return n_crossings


@njit(cache=True, error_model="numpy")
def _scan_word(above: int, start: int, rows: NDArray[np.int64], n_crossings: int) -> int:
    """Do what `_scan` does, for sixty-four rows of a comparison.

    Notes
    -----
    The first few are written whether they are there or not, and what is too much is written over
    (Langdale and Lemire 2019, "Parsing gigabytes of JSON per second", section 3.1): a processor
    guesses badly how many crossings the next word holds, and does not have to.
    """
    changed = changed_bits(above, n_crossings & 1 == 1)
    total = n_crossings + count_bits(changed)
    for at in range(n_crossings, n_crossings + _FEW):
        rows[at] = start + first_bit(changed)
        changed = without_first(changed)
    at = n_crossings + _FEW
    while changed != 0:
        rows[at] = start + first_bit(changed)
        changed = without_first(changed)
        at += 1
    return total
