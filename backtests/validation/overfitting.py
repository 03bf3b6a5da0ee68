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
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backtests.validation.checks import (
    FloatArray,
    StoredBlocks,
    matrix_of,
    require,
    require_count,
    vector_of,
)
from backtests.validation.errors import NotComputedError, SettingsError, ShapeError
from backtests.validation.halves import pass_halves

Score = Literal["sharpe", "mean"]
_MOST_BLOCKS = 20  # 184,756 halves
_N_THREADS = 2  # a study is concluded when its workers have nothing else of it to do


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
    """Per-block sums of some trials, contiguous by trial."""

    mean: FloatArray  # (n_trials,), per bar, of the whole
    sums: FloatArray  # (n_blocks, n_trials), of r
    squares: FloatArray  # (n_blocks, n_trials), of r, or of r - mean
    bars: FloatArray  # (n_blocks,)
    is_centered: bool  # whether the squares are those of r - mean


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
    return _measure_at_once(_Blocks(mean, sums, squares, bars, is_centered=True), score)


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
        squares, bars = np.square(sums - mean), np.ones(sums.shape[0])
        return _measure_at_once(_Blocks(mean, sums, squares, bars, is_centered=True), score)
    raw = np.ascontiguousarray(matrix_of(block_squares, "block_squares").T)
    if block_bars is None:
        raise SettingsError("Squares by block need the number of bars in each block.")
    bars = vector_of(block_bars, "block_bars")
    if raw.shape != sums.shape or bars.shape != sums.shape[:1] or bool(np.any(bars < 1.0)):
        raise ShapeError("Sums, squares and bars by block do not fit.")
    mean = sums.sum(axis=0) / bars.sum()
    return _measure_at_once(_Blocks(mean, sums, raw, bars, is_centered=False), score)


def overfitting_of_stored(
    blocks: StoredBlocks, *, block_bars: ArrayLike, score: Score = "sharpe"
) -> Overfitting:
    """Return the same of trials whose sums do not stay in memory; they are read three times.

    Raises
    ------
    ShapeError, SampleError, SettingsError, NotComputedError
        As `overfitting_of_blocks`.
    """
    bars = vector_of(block_bars, "block_bars")
    _require_blocks(blocks.n_blocks)
    if bars.size != blocks.n_blocks or bool(np.any(bars < 1.0)):
        raise ShapeError("Sums and bars by block do not fit.")

    def read() -> Iterable[_Blocks]:
        for sums, squares in blocks.read():
            mean = sums.sum(axis=0) / bars.sum()
            yield _Blocks(mean, sums, squares, bars, is_centered=False)

    return _measure(read, bars.size, score)


def _require_blocks(n_blocks: int) -> None:
    require_count("n_blocks", n_blocks, 4)
    if n_blocks % 2 or n_blocks > _MOST_BLOCKS:
        raise SettingsError(f"Blocks must be even in number and at most 20, not {n_blocks}.")


def _measure_at_once(blocks: _Blocks, score: Score) -> Overfitting:
    return _measure(lambda: (blocks,), blocks.bars.size, score)


def _measure(read: Callable[[], Iterable[_Blocks]], n_blocks: int, score: Score) -> Overfitting:
    if score not in ("sharpe", "mean"):
        raise SettingsError(f'score must be "sharpe" or "mean", not {score!r}.')
    kept = [_compared(blocks, score) for blocks in read()]
    n_trials, n_kept = sum(moves.size for moves in kept), sum(int(moves.sum()) for moves in kept)
    require(n_kept >= 2, "there are fewer than two trials that vary")
    halves = np.array(list(itertools.combinations(range(n_blocks), n_blocks // 2)), dtype=np.int64)
    n_splits = halves.shape[0]
    pairs, best = np.zeros((n_splits, 3)), np.full(n_splits, -1, dtype=np.int64)
    pairs[:, 0] = -np.inf
    is_sharpe = score == "sharpe"
    for is_ranking in (False, True):  # which is the best of a half, and then its rank elsewhere
        first = 0
        for blocks, moves in zip(read(), kept, strict=True):
            here = np.flatnonzero(moves)
            given = (is_ranking, halves, *blocks, here, first, is_sharpe, pairs, best)
            if not _pass_at_once(n_splits // 2, *given):
                raise NotComputedError(
                    "a trial earns a constant return throughout half of the blocks"
                )
            first += moves.size
    pairs[:, 2] += 0.5
    if is_sharpe:
        pairs[:, :2] = np.copysign(np.sqrt(np.abs(pairs[:, :2])), pairs[:, :2])
    place = pairs[:, 2] / (n_kept + 1.0)
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
        best=best,
        score=score,
        n_trials=n_kept,
        n_still=n_trials - n_kept,
        n_blocks=n_blocks,
        n_splits=n_splits,
    )


def _pass_at_once(n_halves: int, *given: Any) -> bool:
    """Go over all halves, in as many threads as help; return whether every score exists."""
    edges = np.linspace(0, n_halves, _N_THREADS + 1).astype(np.int64).tolist()
    with ThreadPoolExecutor(_N_THREADS) as pool:
        parts = [
            pool.submit(pass_halves, begin, end, *given) for begin, end in itertools.pairwise(edges)
        ]
        return all(part.result() for part in parts)


def _compared(blocks: _Blocks, score: Score) -> NDArray[np.bool_]:
    """Return which trials are compared: by their ratios those that vary."""
    if score == "mean":
        return np.ones(blocks.mean.size, np.bool_)
    size = np.abs(blocks.mean) * np.sqrt(blocks.bars.sum())
    # a constant varies by what rounding makes of it
    moves: NDArray[np.bool_] = np.sqrt(_variation(blocks)) > 1e-13 * size
    return moves


def _variation(blocks: _Blocks) -> FloatArray:
    """Return each trial's sum of squares about its mean, block by block: no copy of them all."""
    total = np.zeros(blocks.mean.size)
    for sums, squares, n_bars in zip(blocks.sums, blocks.squares, blocks.bars, strict=True):
        if blocks.is_centered:
            total += squares
        else:
            about = squares - 2.0 * blocks.mean * sums + n_bars * blocks.mean * blocks.mean
            total += np.maximum(about, 0.0)
    return total


def _line(x: FloatArray, y: FloatArray) -> tuple[float | None, float | None, float | None]:
    """Return slope, intercept and share explained of y on x."""
    dx, dy = x - x.mean(), y - y.mean()
    xx, yy, xy = float(dx @ dx), float(dy @ dy), float(dx @ dy)
    if xx <= 1e-26 * x.size * float(np.max(x * x)):
        return None, None, None
    slope = xy / xx
    explained = slope * xy / yy if yy > 0.0 else None
    return slope, float(y.mean() - slope * x.mean()), explained
