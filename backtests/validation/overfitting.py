"""How often the best of many trials is no better than the median elsewhere.

Combinatorially symmetric cross-validation: the time of all trials is cut into S blocks, and each of
the C(S, S/2) halves selects its best trial, which is then ranked among all trials in the other
half. Sums and sums of squares per block are all that is needed, so a search is judged without its
curves.

References
----------
.. [1] Bailey, Borwein, Lopez de Prado and Zhu (2017), "The probability of backtest overfitting",
   Journal of Computational Finance 20(4).
"""

import itertools
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backtests.validation.checks import FloatArray, matrix_of, require, require_count, vector_of
from backtests.validation.errors import NotComputedError, SettingsError, ShapeError
from numerics.compilation import njit

Score = Literal["sharpe", "mean"]
_MOST_BLOCKS = 20  # 184,756 halves
_STILL = 1e-13  # of a trial's squares: what rounding leaves of a half without variation


@dataclass(frozen=True)
class Overfitting:
    """What becomes of the best of one half in the other.

    Attributes
    ----------
    probability : float
        Share of halves whose best trial ranks no higher than the median elsewhere, ``logit <= 0``.
    probability_of_loss : float
        Share of halves whose best trial has a score below 0 elsewhere.
    slope, intercept, r_squared : float or None
        Of the least-squares line of the score elsewhere on the score that selected; None where all
        selecting scores are equal. A negative slope: the better it looked, the worse it did.
    logits : float64 array, shape (n_splits,)
        ``ln(w / (1 - w))`` with w = rank / (N + 1), rank 1 the worst, equal scores sharing the mean
        of their ranks. In the order of `itertools.combinations` of the blocks that select.
    in_sample, out_of_sample : float64 array, shape (n_splits,)
        Scores of each half's best trial, per bar (per block where only block returns were given).
    best : int64 array, shape (n_splits,)
        Number of the trial selected; of equal ones the first.
    score : "sharpe" or "mean"
    n_trials, n_still : int
        Trials compared, and those left out because they never vary ("sharpe" only).
    n_blocks, n_splits : int
    """

    probability: float
    probability_of_loss: float
    slope: float | None
    intercept: float | None
    r_squared: float | None
    logits: FloatArray
    in_sample: FloatArray
    out_of_sample: FloatArray
    best: NDArray[np.int64]
    score: Score
    n_trials: int
    n_still: int
    n_blocks: int
    n_splits: int


class _Blocks(NamedTuple):
    """Per-block sums of all trials, contiguous by trial."""

    mean: FloatArray  # (n_trials,), per bar, of the whole
    deviations: FloatArray  # (n_blocks, n_trials), sums of r - mean
    squares: FloatArray  # (n_blocks, n_trials), sums of (r - mean)^2
    bars: FloatArray  # (n_blocks,)


def probability_of_backtest_overfitting(
    returns: ArrayLike, *, n_blocks: int = 16, score: Score = "sharpe", purge_bars: int = 0
) -> Overfitting:
    """Return the probability of backtest overfitting of trials whose returns are at hand.

    Parameters
    ----------
    returns : float array, shape (n_bars, n_trials)
        Simple returns per bar [fraction], every trial ever run; finite, n_trials >= 2.
    n_blocks : int
        S, even, 4 to 20. Blocks differ by at most one bar; they should be longer than a position
        is held.
    score : "sharpe" or "mean"
        What selects and ranks: mean over standard deviation (ddof 1), or the mean.
    purge_bars : int
        Bars dropped at the beginning of every block but the first, >= 0, so that no position
        straddles two of them.

    Returns
    -------
    Overfitting

    Raises
    ------
    ShapeError, SampleError, SettingsError
        A matrix or a setting that cannot be.
    NotComputedError
        Fewer than two trials that vary, or a trial whose returns in some half are constant and not
        zero.

    Notes
    -----
    A half throughout which a trial holds cash scores 0. Without skill the probability is 0.5 on
    average but scatters widely from one study to the next (sd 0.2 with 20 trials and S = 10), so
    one low value proves little.
    """
    matrix = matrix_of(returns, "returns")
    _require_blocks(n_blocks)
    purge = require_count("purge_bars", purge_bars, 0)
    edges = np.linspace(0, matrix.shape[0], n_blocks + 1).astype(np.int64)
    if int(np.diff(edges).min()) - purge < 1:
        raise SettingsError(f"{matrix.shape[0]} bars are too few for {n_blocks} blocks.")
    slices = [
        slice(start + (purge if start else 0), stop) for start, stop in itertools.pairwise(edges)
    ]
    sums = np.array([matrix[rows].sum(axis=0) for rows in slices])
    bars = np.array([rows.stop - rows.start for rows in slices], dtype=np.float64)
    mean = sums.sum(axis=0) / bars.sum()
    squares = np.array([np.square(matrix[rows] - mean).sum(axis=0) for rows in slices])
    return _measure(_Blocks(mean, sums - np.outer(bars, mean), squares, bars), score)


def overfitting_of_blocks(
    block_returns: ArrayLike,
    *,
    block_squares: ArrayLike | None = None,
    block_bars: ArrayLike | None = None,
    score: Score = "sharpe",
) -> Overfitting:
    """Return the probability of backtest overfitting of trials that kept sums by block.

    Parameters
    ----------
    block_returns : float array, shape (n_trials, n_blocks)
        Simple returns summed over blocks of equal length, as a sweep keeps them.
    block_squares : float array, same shape, optional
        Squared returns summed likewise: then Sharpe ratios are those of the bars, exactly. Without
        it each block counts as one observation, and ratios are those of block returns.
    block_bars : float array, shape (n_blocks,), optional
        Bars in each block; needed with `block_squares`.
    score : "sharpe" or "mean"

    Raises
    ------
    ShapeError, SampleError, SettingsError, NotComputedError
        As `probability_of_backtest_overfitting`.
    """
    sums = np.ascontiguousarray(matrix_of(block_returns, "block_returns").T)
    _require_blocks(sums.shape[0])
    if block_squares is None:
        mean = sums.mean(axis=0)
        off = sums - mean
        return _measure(_Blocks(mean, off, off * off, np.ones(sums.shape[0])), score)
    raw = np.ascontiguousarray(matrix_of(block_squares, "block_squares").T)
    if block_bars is None:
        raise SettingsError("Squares by block need the number of bars in each block.")
    bars = vector_of(block_bars, "block_bars")
    if raw.shape != sums.shape or bars.shape != sums.shape[:1] or bool(np.any(bars < 1.0)):
        raise ShapeError("Sums, squares and bars by block do not fit.")
    mean = sums.sum(axis=0) / bars.sum()
    squares = np.maximum(raw - 2.0 * mean * sums + np.outer(bars, mean * mean), 0.0)
    return _measure(_Blocks(mean, sums - np.outer(bars, mean), squares, bars), score)


def _require_blocks(n_blocks: int) -> None:
    require_count("n_blocks", n_blocks, 4)
    if n_blocks % 2 or n_blocks > _MOST_BLOCKS:
        raise SettingsError(f"Blocks must be even in number and at most 20, not {n_blocks}.")


def _measure(blocks: _Blocks, score: Score) -> Overfitting:
    if score not in ("sharpe", "mean"):
        raise SettingsError(f'score must be "sharpe" or "mean", not {score!r}.')
    n_blocks = blocks.bars.size
    total = blocks.squares.sum(axis=0)
    size = np.abs(blocks.mean) * np.sqrt(blocks.bars.sum())
    moves = np.sqrt(total) > 1e-13 * size  # a constant varies by what rounding makes of it
    kept = np.flatnonzero(moves) if score == "sharpe" else np.arange(total.size)
    require(kept.size >= 2, "there are fewer than two trials that vary")
    halves = np.array(list(itertools.combinations(range(n_blocks), n_blocks // 2)), dtype=np.int64)
    n_splits = halves.shape[0]
    pairs = np.empty((n_splits, 3))
    best = np.empty(n_splits, dtype=np.int64)
    sound = _rank_halves(
        halves,
        blocks.mean[kept],
        np.ascontiguousarray(blocks.deviations[:, kept]),
        np.ascontiguousarray(blocks.squares[:, kept]),
        blocks.bars,
        score == "sharpe",
        pairs,
        best,
    )
    if not sound:
        raise NotComputedError("a trial earns a constant return throughout half of the blocks")
    place = pairs[:, 2] / (kept.size + 1.0)
    logits = np.log(place / (1.0 - place))
    slope, intercept, r_squared = _line(pairs[:, 0], pairs[:, 1])
    return Overfitting(
        probability=float(np.mean(logits <= 0.0)),
        probability_of_loss=float(np.mean(pairs[:, 1] < 0.0)),
        slope=slope,
        intercept=intercept,
        r_squared=r_squared,
        logits=logits,
        in_sample=pairs[:, 0].copy(),
        out_of_sample=pairs[:, 1].copy(),
        best=kept[best].astype(np.int64),
        score=score,
        n_trials=int(kept.size),
        n_still=int(total.size - kept.size),
        n_blocks=n_blocks,
        n_splits=n_splits,
    )


def _line(x: FloatArray, y: FloatArray) -> tuple[float | None, float | None, float | None]:
    """Return slope, intercept and share explained of y on x."""
    dx, dy = x - x.mean(), y - y.mean()
    xx, yy, xy = float(dx @ dx), float(dy @ dy), float(dx @ dy)
    if xx <= 1e-26 * x.size * float(np.max(x * x)):
        return None, None, None
    slope = xy / xx
    explained = slope * xy / yy if yy > 0.0 else None
    return slope, float(y.mean() - slope * x.mean()), explained


@njit(cache=True, error_model="numpy")
def _rank_halves(
    halves: NDArray[np.int64],
    mean: FloatArray,
    deviations: FloatArray,
    squares: FloatArray,
    bars: FloatArray,
    is_sharpe: bool,
    pairs: FloatArray,
    best: NDArray[np.int64],
) -> bool:
    """Write score, score elsewhere and rank elsewhere of every half's best trial.

    Notes
    -----
    In the order of combinations the complement of half c is half C - 1 - c, so the two are scored
    together. Sums are taken trial by trial in one order, which keeps the scores of equal trials
    equal to the last bit. Returns whether every score exists.
    """
    n_splits, n = halves.shape[0], mean.size
    off, rest_off = np.zeros(n), np.zeros(n)
    square, rest_square = np.zeros(n), np.zeros(n)
    for block in range(bars.size):
        for j in range(n):
            rest_off[j] += deviations[block, j]
            rest_square[j] += squares[block, j]
    total_off, total_square, total_bars = rest_off.copy(), rest_square.copy(), bars.sum()
    one, other = np.empty(n), np.empty(n)
    for c in range(n_splits // 2):
        off[:] = 0.0
        square[:] = 0.0
        n_bars = 0.0
        for block in halves[c]:
            n_bars += bars[block]
            for j in range(n):
                off[j] += deviations[block, j]
                square[j] += squares[block, j]
        for j in range(n):
            rest_off[j] = total_off[j] - off[j]
            rest_square[j] = total_square[j] - square[j]
        mirror, rest = n_splits - 1 - c, total_bars - n_bars
        if not (
            _write_scores(mean, off, square, n_bars, total_square, is_sharpe, one)
            and _write_scores(mean, rest_off, rest_square, rest, total_square, is_sharpe, other)
        ):
            return False
        best[c] = np.argmax(one)
        best[mirror] = np.argmax(other)
        _write_pair(one, other, best[c], pairs[c])
        _write_pair(other, one, best[mirror], pairs[mirror])
    return True


@njit(cache=True, error_model="numpy")
def _write_scores(
    mean: FloatArray,
    off: FloatArray,
    square: FloatArray,
    n_bars: float,
    total_square: FloatArray,
    is_sharpe: bool,
    out: FloatArray,
) -> bool:
    """Write every trial's score in a half from its sums about the mean of the whole."""
    if not is_sharpe:
        for j in range(mean.size):
            out[j] = mean[j] + off[j] / n_bars
        return True
    n_still = 0
    for j in range(mean.size):
        spread = square[j] - off[j] * off[j] / n_bars
        still = spread <= _STILL * total_square[j]
        out[j] = (mean[j] + off[j] / n_bars) / np.sqrt(spread / (n_bars - 1.0))
        n_still += int(still)
    if n_still > 0:
        for j in range(mean.size):
            if square[j] - off[j] * off[j] / n_bars <= _STILL * total_square[j]:
                earned = mean[j] + off[j] / n_bars
                if earned * earned * n_bars > _STILL * total_square[j]:
                    return False
                out[j] = 0.0
    return True


@njit(cache=True, error_model="numpy")
def _write_pair(chosen: FloatArray, elsewhere: FloatArray, best: int, out: FloatArray) -> None:
    """Write the best trial's score, its score elsewhere and its rank there, ties shared."""
    score = elsewhere[best]
    n_below, n_equal = 0, 0
    for j in range(elsewhere.size):
        n_below += int(elsewhere[j] < score)
        n_equal += int(elsewhere[j] == score)
    out[0] = chosen[best]
    out[1] = score
    out[2] = n_below + 0.5 * (n_equal + 1)
