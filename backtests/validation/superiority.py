"""Whether the best of many strategies beats a benchmark, and which of them do.

Gains go in (returns: more is better) and losses go nowhere: what the literature states in losses is
turned round here. All strategies are resampled together by the stationary bootstrap, so that their
dependence, on each other and in time, is kept. The family must hold every strategy that was tried.

References
----------
.. [1] White (2000), "A reality check for data snooping", Econometrica 68(5).
.. [2] Hansen (2005), "A test for superior predictive ability", Journal of Business and Economic
   Statistics 23(4).
.. [3] Romano and Wolf (2005), "Stepwise multiple testing as formalized data snooping", Econometrica
   73(4).
.. [4] Hansen, Lunde and Nason (2011), "The model confidence set", Econometrica 79(2).
.. [5] Hsu, Hsu and Kuan (2010), "Testing the predictive ability of technical analysis using a new
   stepwise test without data snooping bias", Journal of Empirical Finance 17(3).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backtests.validation.checks import (
    FloatArray,
    constant_columns,
    matrix_of,
    require,
    require_count,
    vector_of,
)
from backtests.validation.errors import NotComputedError, SettingsError, ShapeError
from numerics.resampling import optimal_block_lengths, resampling_counts, stationary_indices

_CELLS = 4_000_000  # numbers held at a time, 32 MB
_COLUMNS_LOOKED_AT = 256  # for the block length
_MOST_PAIRS = 20_000_000  # of the pairwise model confidence set, times resamples


@dataclass(frozen=True)
class Resampling:
    """How a bootstrap was done.

    Attributes
    ----------
    mean_block : float
        Mean length of a block of the stationary bootstrap [bars].
    block_rule : str
        Where that length comes from.
    n_resamples, seed : int
    """

    mean_block: float
    block_rule: str
    n_resamples: int
    seed: int


@dataclass(frozen=True)
class SuperiorAbility:
    """The test of "no strategy is better than the benchmark", superior predictive ability.

    Attributes
    ----------
    p_value : float
        Hansen's consistent one; the one to report.
    p_lower, p_upper : float
        Bounds: strategies worse than the benchmark taken out of the null, or left in (White).
    statistic : float
        Largest studentized mean difference, at least 0 (plain where not studentized).
    best : int
        Column of that strategy.
    monte_carlo_error : float
        Standard error of `p_value` from the finite number of resamples.
    is_studentized : bool
    n_strategies, n_still : int
        Columns tested, and those left out because they differ from the benchmark by a constant.
    resampling : Resampling
    """

    p_value: float
    p_lower: float
    p_upper: float
    statistic: float
    best: int
    monte_carlo_error: float
    is_studentized: bool
    n_strategies: int
    n_still: int
    resampling: Resampling


@dataclass(frozen=True)
class SuperiorSet:
    """The strategies that beat the benchmark, with the family-wise error bounded.

    Attributes
    ----------
    superior : tuple of int
        Columns, ascending.
    critical_values : tuple of float
        Of each step, on the scale of the statistic.
    size : float
    resampling : Resampling
    """

    superior: tuple[int, ...]
    critical_values: tuple[float, ...]
    size: float
    resampling: Resampling


@dataclass(frozen=True)
class ConfidenceSet:
    """The strategies among which the best is, with a confidence of 1 - size.

    Attributes
    ----------
    included : tuple of int
        Columns, ascending.
    p_values : float64 array, shape (n_strategies,)
        Smallest size at which a strategy is left out.
    size : float
    method : "R" or "max"
        Largest pairwise difference, or largest difference from the mean (for large families).
    resampling : Resampling
    """

    included: tuple[int, ...]
    p_values: FloatArray
    size: float
    method: str
    resampling: Resampling


class _Family(NamedTuple):
    """Differences from the benchmark that vary."""

    mean: FloatArray  # (k,)
    off: FloatArray  # (n, k), less their mean
    columns: NDArray[np.int64]  # (k,), in the matrix given
    resampling: Resampling


def superior_predictive_ability(
    returns: ArrayLike,
    benchmark: ArrayLike | None = None,
    *,
    n_resamples: int = 1_000,
    mean_block: float | None = None,
    studentized: bool = True,
    seed: int = 0,
) -> SuperiorAbility:
    """Test whether the best of many strategies is better than a benchmark.

    Parameters
    ----------
    returns : float array, shape (n_bars, n_strategies), n_bars >= 8
        Gains per bar [fraction]; finite.
    benchmark : float array, shape (n_bars,), optional
        Its gains at the same bars; cash (0) when not given.
    n_resamples : int
        >= 1.
    mean_block : float, optional
        [bars] >= 1; by Politis and White when not given, the mean over (at most 256) strategies.
    studentized : bool
        Divide each mean by its bootstrap standard error, as Hansen does; otherwise White's plain
        means.
    seed : int

    Returns
    -------
    SuperiorAbility

    Raises
    ------
    ShapeError, SampleError, SettingsError
        Arrays or settings that cannot be.
    NotComputedError
        Fewer than eight bars, no strategy that differs from the benchmark by more than a constant,
        or one that beats it by a constant.

    Notes
    -----
    p = (1 + the resamples whose statistic reaches the observed one) / (1 + resamples): never 0.
    """
    family = _family(returns, benchmark, n_resamples, mean_block, seed)
    observed, best = -math.inf, 0
    maxima = np.full((3, n_resamples), -np.inf)
    for columns, scale, stars in _resampled(family, studentized):
        mean = family.mean[columns]
        scores = mean / scale
        if scores.max() > observed:
            observed, best = float(scores.max()), int(columns.start + np.argmax(scores))
        near = _is_near(family, columns, stars)
        shifts = (np.minimum(mean, 0.0), np.where(near, 0.0, mean), np.zeros_like(mean))
        for row, shift in zip(maxima, shifts, strict=True):
            np.maximum(row, ((stars + shift) / scale).max(axis=1), out=row)
    observed = max(observed, 0.0)
    reached = np.sum(np.maximum(maxima, 0.0) >= observed, axis=1)
    lower, consistent, upper = ((1 + int(count)) / (1 + n_resamples) for count in reached)
    return SuperiorAbility(
        p_value=consistent,
        p_lower=lower,
        p_upper=upper,
        statistic=observed,
        best=int(family.columns[best]),
        monte_carlo_error=math.sqrt(consistent * (1.0 - consistent) / n_resamples),
        is_studentized=studentized,
        n_strategies=family.mean.size,
        n_still=np.shape(returns)[1] - family.mean.size,
        resampling=family.resampling,
    )


def superior_strategies(
    returns: ArrayLike,
    benchmark: ArrayLike | None = None,
    *,
    size: float = 0.05,
    n_resamples: int = 1_000,
    mean_block: float | None = None,
    studentized: bool = True,
    seed: int = 0,
) -> SuperiorSet:
    """Return which strategies beat the benchmark: StepM with Hansen's consistent recentering.

    Parameters
    ----------
    returns, benchmark, n_resamples, mean_block, studentized, seed
        As `superior_predictive_ability`.
    size : float
        Probability of one or more false members, 0 < size < 1.

    Notes
    -----
    Strategies above the critical value of the largest statistic are taken out and the rest judged
    again without them, until none is found [3]_ [5]_.
    """
    _require_size(size)
    family = _family(returns, benchmark, n_resamples, mean_block, seed)
    remaining = np.ones(family.mean.size, dtype=np.bool_)
    critical = []
    while remaining.any():
        scores = np.full(family.mean.size, -np.inf)
        maxima = np.full(n_resamples, -np.inf)
        for columns, scale, stars in _resampled(family, studentized):
            scores[columns] = family.mean[columns] / scale
            shift = np.where(_is_near(family, columns, stars), 0.0, family.mean[columns])
            left = remaining[columns]
            if left.any():
                largest = ((stars + shift) / scale)[:, left].max(axis=1)
                np.maximum(maxima, largest, out=maxima)
        critical.append(float(np.quantile(maxima, 1.0 - size)))
        found = remaining & (scores > critical[-1])
        if not found.any():
            break
        remaining &= ~found
    superior = family.columns[~remaining]
    return SuperiorSet(tuple(superior.tolist()), tuple(critical), size, family.resampling)


def model_confidence_set(
    returns: ArrayLike,
    *,
    size: float = 0.05,
    n_resamples: int = 1_000,
    mean_block: float | None = None,
    seed: int = 0,
) -> ConfidenceSet:
    """Return the strategies that cannot be told from the best one.

    Parameters
    ----------
    returns : float array, shape (n_bars, n_strategies), n_strategies >= 2
        Gains per bar [fraction]; a benchmark must be one of the columns.
    size : float
        0 < size < 1.
    n_resamples, mean_block, seed
        As `superior_predictive_ability`; the block is rounded to whole bars.

    Raises
    ------
    NotComputedError
        Fewer than eight bars or two strategies, or two that differ by a constant.

    Notes
    -----
    `arch.bootstrap.MCS` on the losses ``-returns``.
    """
    _require_size(size)
    require_count("n_resamples", n_resamples, 1)
    matrix = matrix_of(returns, "returns")
    require(matrix.shape[1] >= 2, "there are fewer than two strategies")
    off = matrix - matrix.mean(axis=0)
    require(_differ(off), "two strategies differ by no more than a constant")
    resampling = resampling_of(off - off.mean(axis=1)[:, np.newaxis], n_resamples, mean_block, seed)
    block = max(1, round(resampling.mean_block))
    method: Literal["R", "max"] = (
        "R" if n_resamples * matrix.shape[1] ** 2 <= _MOST_PAIRS else "max"
    )
    from arch.bootstrap import MCS

    judged = MCS(-matrix, size, n_resamples, block, method, seed=np.random.default_rng(seed))
    judged.compute()
    table = judged.pvalues["Pvalue"]
    p_values = np.empty(matrix.shape[1])
    p_values[table.index.to_numpy(dtype=np.int64)] = table.to_numpy()
    return ConfidenceSet(
        included=tuple(int(column) for column in np.flatnonzero(p_values > size)),
        p_values=p_values,
        size=size,
        method=method,
        resampling=Resampling(float(block), resampling.block_rule, n_resamples, seed),
    )


def _family(
    returns: ArrayLike,
    benchmark: ArrayLike | None,
    n_resamples: int,
    mean_block: float | None,
    seed: int,
) -> _Family:
    require_count("n_resamples", n_resamples, 1)
    matrix = matrix_of(returns, "returns")
    if benchmark is not None:
        level = vector_of(benchmark, "benchmark")
        if level.size != matrix.shape[0]:
            raise ShapeError(
                f"There are {matrix.shape[0]} returns and {level.size} of a benchmark."
            )
        matrix = matrix - level[:, np.newaxis]
    mean, still = matrix.mean(axis=0), constant_columns(matrix)
    if bool(np.any(still & (mean > 0.0))):
        raise NotComputedError("a strategy beats the benchmark by a constant")
    require(not still.all(), "no strategy differs from the benchmark by more than a constant")
    kept = np.flatnonzero(~still)
    off = matrix[:, kept] - mean[kept]
    return _Family(mean[kept], off, kept, resampling_of(off, n_resamples, mean_block, seed))


def resampling_of(
    off: FloatArray, n_resamples: int, mean_block: float | None, seed: int
) -> Resampling:
    """Return how a bootstrap is to be done.

    Parameters
    ----------
    off : float64 array, shape (n_bars, k)
        Finite series less their means, none constant.
    n_resamples : int
    mean_block : float, optional
        [bars]; by Politis and White when not given, the mean over at most 256 of the series.
    seed : int

    Raises
    ------
    SettingsError
        A block shorter than one bar or longer than all of them.
    NotComputedError
        Fewer than eight bars.
    """
    n, k = off.shape
    require(n >= 8, "there are fewer than eight bars")
    if mean_block is not None:
        if not 1.0 <= mean_block <= n:
            raise SettingsError(f"mean_block must lie between 1 and {n} bars, not {mean_block!r}.")
        return Resampling(float(mean_block), "given", n_resamples, seed)
    looked_at = np.unique(np.linspace(0, k - 1, min(k, _COLUMNS_LOOKED_AT)).astype(np.int64))
    lengths = optimal_block_lengths(off[:, looked_at]).stationary
    rule = f"Politis-White, mean over {looked_at.size} of {k} strategies"
    return Resampling(max(1.0, float(lengths.mean())), rule, n_resamples, seed)


def _resampled(
    family: _Family, studentized: bool
) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
    """Yield columns, the scale of their means and their resampled means less the mean.

    Every part of the columns meets the same resamples: the generator begins anew with the seed.
    """
    n, k = family.off.shape
    how = family.resampling
    width = max(1, _CELLS // how.n_resamples)
    height = max(1, _CELLS // n)
    for first in range(0, k, width):
        columns = slice(first, min(first + width, k))
        rng = np.random.default_rng(how.seed)
        stars = np.empty((how.n_resamples, columns.stop - first))
        for at in range(0, how.n_resamples, height):
            rows = slice(at, min(at + height, how.n_resamples))
            indices = stationary_indices(n, rows.stop - at, how.mean_block, rng)
            stars[rows] = resampling_counts(indices, n) @ family.off[:, columns] / n
        scale = np.ones(stars.shape[1])
        if studentized:
            error = np.sqrt(np.mean(stars * stars, axis=0))
            scale = np.where(error > 0.0, error, np.inf)  # too few resamples to tell
        yield columns, scale, stars


def _is_near(family: _Family, columns: slice, stars: FloatArray) -> NDArray[np.bool_]:
    """Return which means are not so bad that the null would be false for them with certainty."""
    n = family.off.shape[0]
    error = np.sqrt(np.mean(stars * stars, axis=0))
    near: NDArray[np.bool_] = family.mean[columns] >= -error * math.sqrt(2 * math.log(math.log(n)))
    return near


def _differ(off: FloatArray) -> bool:
    """Say whether no two columns are equal to rounding."""
    scale = float(np.abs(off).max())
    rounded = np.round(off / scale, 12)
    return bool(np.unique(rounded, axis=1).shape[1] == off.shape[1])


def _require_size(size: float) -> None:
    if not 0.0 < size < 1.0:
        raise SettingsError(f"size must lie between 0 and 1, not {size!r}.")
