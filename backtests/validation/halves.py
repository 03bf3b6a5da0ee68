"""Scores of many trials in every half of their blocks, and in the other half: the compiled loop.

`backtests.validation.overfitting` says what is made of them.
"""

import numpy as np
from numpy.typing import NDArray

from backtests.validation.checks import FloatArray
from numerics.compilation import njit

TILE = 256  # trials; their sums take some 100 kB
STILL = 1e-13  # of a trial's squares: what rounding leaves of a half without variation


@njit(cache=True, error_model="numpy", nogil=True)
def pass_halves(
    begin_half: int,
    end_half: int,
    is_ranking: bool,
    halves: NDArray[np.int64],
    mean: FloatArray,
    sums: FloatArray,
    squares: FloatArray,
    bars: FloatArray,
    is_centered: bool,
    kept: NDArray[np.int64],
    first: int,
    is_sharpe: bool,
    pairs: FloatArray,
    best: NDArray[np.int64],
) -> bool:
    """Bring the best trials of some halves up to date with some trials, or their ranks less a half.

    The halves are those from `begin_half` to `end_half` in the first half of all combinations, and
    their complements: calls for others touch nothing in common, and may run at the same time.

    Written are score and score elsewhere, and in the second pass what each trial adds to the rank:
    1 where it scores less than the best, 0.5 where it scores as much.

    Notes
    -----
    In the order of combinations the complement of half c is half C - 1 - c, so the two are scored
    together; and one half differs from the one before in two blocks on average, so sums are kept
    for every number of blocks. Trials go by in tiles that stay in the processor's cache, twice: to
    find the best, and to rank it; `first` is the number of the first of these trials. Sums are
    taken trial by trial in one order, which keeps the scores of equal trials equal to the last bit.
    Scores are compared by their squares with the sign kept, which saves the root. Returns whether
    every score exists.
    """
    n_splits, depth = halves.shape[0], halves.shape[1]
    off, square = np.zeros((depth + 1, TILE)), np.zeros((depth + 1, TILE))
    tile_off, tile_square = np.empty((bars.size, TILE)), np.empty((bars.size, TILE))
    total_off, total_square, tile_mean = np.empty(TILE), np.empty(TILE), np.empty(TILE)
    one, other = np.empty(TILE), np.empty(TILE)
    for begin in range(0, kept.size, TILE):
        n = min(TILE, kept.size - begin)
        _lay_tile(
            mean, sums, squares, bars, is_centered, kept[begin : begin + n],
            tile_mean, tile_off, tile_square, total_off, total_square,
        )  # fmt: skip
        for c in range(begin_half, end_half):
            n_bars = _add_blocks(
                halves, c, c == begin_half, n, tile_off, tile_square, bars, off, square
            )
            if not _write_scores(
                n, tile_mean, off[depth], square[depth], n_bars, bars.sum() - n_bars,
                total_off, total_square, is_sharpe, one, other,
            ):  # fmt: skip
                return False
            mirror = n_splits - 1 - c
            if is_ranking:
                _count(n, other, pairs[c, 1], c, pairs)
                _count(n, one, pairs[mirror, 1], mirror, pairs)
            else:
                _choose(n, one, other, kept, begin, first, c, pairs, best)
                _choose(n, other, one, kept, begin, first, mirror, pairs, best)
    return True


@njit(cache=True, error_model="numpy", nogil=True)
def _lay_tile(
    mean: FloatArray,
    sums: FloatArray,
    squares: FloatArray,
    bars: FloatArray,
    is_centered: bool,
    trials: NDArray[np.int64],
    tile_mean: FloatArray,
    tile_off: FloatArray,
    tile_square: FloatArray,
    total_off: FloatArray,
    total_square: FloatArray,
) -> None:
    """Write the sums of some trials about their means, and those of all blocks."""
    total_off[:] = 0.0
    total_square[:] = 0.0
    for j in range(trials.size):
        tile_mean[j] = mean[trials[j]]
    for block in range(bars.size):
        for j in range(trials.size):
            at, m = trials[j], tile_mean[j]
            around = squares[block, at]
            if not is_centered:
                around = max(around - 2.0 * m * sums[block, at] + bars[block] * m * m, 0.0)
            tile_off[block, j] = sums[block, at] - bars[block] * m
            tile_square[block, j] = around
            total_off[j] += tile_off[block, j]
            total_square[j] += around


@njit(cache=True, error_model="numpy", nogil=True)
def _add_blocks(
    halves: NDArray[np.int64],
    c: int,
    is_first: bool,
    n: int,
    tile_off: FloatArray,
    tile_square: FloatArray,
    bars: FloatArray,
    off: FloatArray,
    square: FloatArray,
) -> float:
    """Bring the sums over the first blocks of a half up to date, and return the half's bars."""
    first, n_bars = 0, 0.0
    if not is_first:
        while halves[c, first] == halves[c - 1, first]:
            first += 1
    for k in range(halves.shape[1]):
        n_bars += bars[halves[c, k]]
    for k in range(first, halves.shape[1]):
        block = halves[c, k]
        for j in range(n):
            off[k + 1, j] = off[k, j] + tile_off[block, j]
            square[k + 1, j] = square[k, j] + tile_square[block, j]
    return n_bars


@njit(cache=True, error_model="numpy", nogil=True)
def _write_scores(
    n: int,
    mean: FloatArray,
    off: FloatArray,
    square: FloatArray,
    n_bars: float,
    n_rest: float,
    total_off: FloatArray,
    total_square: FloatArray,
    is_sharpe: bool,
    one: FloatArray,
    other: FloatArray,
) -> bool:
    """Write every trial's score in a half and in the other, from its sums about its mean.

    The score is the mean, or the square of the Sharpe ratio with the ratio's sign.
    """
    share, rest = 1.0 / n_bars, 1.0 / n_rest
    if not is_sharpe:
        for j in range(n):
            one[j] = mean[j] + off[j] * share
            other[j] = mean[j] + (total_off[j] - off[j]) * rest
        return True
    n_still = 0
    for j in range(n):
        earned = mean[j] + off[j] * share
        spread = square[j] - off[j] * off[j] * share
        one[j] = earned * abs(earned) * (n_bars - 1.0) / spread
        rest_off = total_off[j] - off[j]
        rest_earned = mean[j] + rest_off * rest
        rest_spread = total_square[j] - square[j] - rest_off * rest_off * rest
        other[j] = rest_earned * abs(rest_earned) * (n_rest - 1.0) / rest_spread
        still = STILL * total_square[j]
        n_still += int(spread <= still) + int(rest_spread <= still)
    if n_still == 0:
        return True
    for j in range(n):
        rest_off = total_off[j] - off[j]
        rest_square = total_square[j] - square[j]
        if not (
            _settle_still(j, mean[j], off[j], square[j], n_bars, total_square[j], one)
            and _settle_still(j, mean[j], rest_off, rest_square, n_rest, total_square[j], other)
        ):
            return False
    return True


@njit(cache=True, error_model="numpy", nogil=True)
def _settle_still(
    j: int, mean: float, off: float, square: float, n_bars: float, total: float, score: FloatArray
) -> bool:
    """Score a half without variation 0; return False where something was earned in it."""
    if square - off * off * (1.0 / n_bars) > STILL * total:
        return True
    earned = mean + off * (1.0 / n_bars)
    score[j] = 0.0
    return earned * earned * n_bars <= STILL * total


@njit(cache=True, error_model="numpy", nogil=True)
def _choose(
    n: int,
    chosen: FloatArray,
    elsewhere: FloatArray,
    kept: NDArray[np.int64],
    begin: int,
    first: int,
    half: int,
    pairs: FloatArray,
    best: NDArray[np.int64],
) -> None:
    """Write the best so far of a half, of equal ones the first, with its score elsewhere."""
    leader, most, n_better = -1, pairs[half, 0], 0
    for j in range(n):  # counted first, which takes many at once: seldom is there one
        n_better += int(chosen[j] > most)
    if n_better == 0:
        return
    for j in range(n):
        if chosen[j] > most:
            leader, most = j, chosen[j]
    if leader >= 0:
        best[half] = first + kept[begin + leader]
        pairs[half, 0], pairs[half, 1] = most, elsewhere[leader]


@njit(cache=True, error_model="numpy", nogil=True)
def _count(
    n: int,
    elsewhere: FloatArray,
    score: float,
    half: int,
    pairs: FloatArray,
) -> None:
    """Add to a rank the trials that score less than a half's best elsewhere, or as much."""
    below, equal = 0, 0
    for j in range(n):
        below += int(elsewhere[j] < score)
        equal += int(elsewhere[j] == score)
    pairs[half, 2] += below + 0.5 * equal
