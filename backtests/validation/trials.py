"""What is kept of every trial of a search, and how many independent ones they amount to."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backtests.validation.checks import (
    AT_ONCE,
    FloatArray,
    StoredBlocks,
    matrix_of,
    require,
    require_count,
)
from backtests.validation.errors import SettingsError, ShapeError
from numerics.sharpe import write_luck

_MOST_CUTS = 40  # numbers of clusters tried


@dataclass(frozen=True)
class TrialSummaries:
    """The moments of each trial's returns per bar, float64 arrays of shape (n_trials,).

    Attributes
    ----------
    n_observations : float64 array
        Returns of each trial.
    mean, deviation : float64 array
        Arithmetic mean and standard deviation (ddof 1) [fraction per bar].
    skewness, excess_kurtosis : float64 array
        Population moments.

    Notes
    -----
    NaN marks what a trial has not: it failed, or never traded. Such a trial counts as one that was
    tried; it has no Sharpe ratio.
    """

    n_observations: FloatArray
    mean: FloatArray
    deviation: FloatArray
    skewness: FloatArray
    excess_kurtosis: FloatArray

    def __post_init__(self) -> None:
        shape = np.shape(self.mean)
        if len(shape) != 1 or shape[0] == 0:
            raise ShapeError(f"Summaries need one dimension and a trial, not {shape}.")
        for name in ("n_observations", "mean", "deviation", "skewness", "excess_kurtosis"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if name == "n_observations" and values.ndim == 0:
                values = np.full(shape, float(values))
            if values.shape != shape:
                raise ShapeError(f"{name} has shape {values.shape}, the means have {shape}.")
            object.__setattr__(self, name, np.ascontiguousarray(values))

    @classmethod
    def of_returns(cls, returns: ArrayLike) -> Self:
        """Return the summaries of returns at hand, shape (n_bars, n_trials), n_bars >= 2."""
        matrix = matrix_of(returns, "returns")
        n = matrix.shape[0]
        require(n >= 2, "there are fewer than two returns")
        mean = matrix.mean(axis=0)
        off = matrix - mean
        still = np.ptp(matrix, axis=0) <= 1e-13 * np.abs(matrix).max(axis=0)
        second = np.where(still, np.nan, np.mean(off**2, axis=0))
        return cls(
            n_observations=np.full(mean.size, float(n)),
            mean=mean,
            deviation=np.sqrt(np.where(still, 0.0, second) * n / (n - 1)),
            skewness=np.mean(off**3, axis=0) / second**1.5,
            excess_kurtosis=np.mean(off**4, axis=0) / second**2 - 3.0,
        )

    @classmethod
    def of_annual(
        cls,
        *,
        n_observations: ArrayLike,
        annual_return: ArrayLike,
        annual_volatility: ArrayLike,
        skewness: ArrayLike,
        excess_kurtosis: ArrayLike,
        periods_per_year: float,
    ) -> Self:
        """Return the summaries of trials of which metrics were kept, as the columns of a sweep.

        Parameters
        ----------
        n_observations : float array, shape (n_trials,), or one number for all
            Returns of each trial: its bars less one.
        annual_return, annual_volatility : float array, shape (n_trials,)
            Arithmetic mean times, and standard deviation (ddof 1) times the root of,
            `periods_per_year`.
        skewness, excess_kurtosis : float array, shape (n_trials,)
            Population moments of the returns per bar.
        periods_per_year : float
            > 0.
        """
        if not 0.0 < periods_per_year < math.inf:
            raise SettingsError(f"periods_per_year must be positive, not {periods_per_year!r}.")
        return cls(
            n_observations=np.asarray(n_observations, dtype=np.float64),
            mean=np.asarray(annual_return, dtype=np.float64) / periods_per_year,
            deviation=np.asarray(annual_volatility, dtype=np.float64) / math.sqrt(periods_per_year),
            skewness=np.asarray(skewness, dtype=np.float64),
            excess_kurtosis=np.asarray(excess_kurtosis, dtype=np.float64),
        )

    @property
    def n_trials(self) -> int:
        """Trials, those without a Sharpe ratio included."""
        return self.mean.size

    @property
    def sharpe(self) -> FloatArray:
        """Sharpe ratio per bar of each trial, NaN where it has none."""
        known = self.deviation > 0.0
        for values in (self.mean, self.deviation, self.skewness, self.excess_kurtosis):
            known &= np.isfinite(values)
        known &= self.n_observations >= 2.0
        ratio = np.full(self.mean.size, np.nan)
        ratio[known] = self.mean[known] / self.deviation[known]
        return ratio

    def p_values(self, benchmark: float = 0.0) -> FloatArray:
        """Return one less the probabilistic Sharpe ratio of each trial, NaN where there is none.

        Parameters
        ----------
        benchmark : float
            Ratio held against, per bar.
        """
        out = np.empty(self.n_trials)
        write_luck(
            self.sharpe, self.n_observations, self.skewness, self.excess_kurtosis, benchmark, out
        )
        return out


@dataclass(frozen=True)
class EffectiveTrials:
    """How many independent trials some dependent ones amount to, by three counts.

    Attributes
    ----------
    number : float
        The largest of the three: too small a number would flatter the best trial.
    participation : float
        ``N / (1 + (N - 1) c)``, c the mean squared correlation of two trials less what chance
        gives independent ones over so few blocks.
    effective_rank : float
        exp(entropy) of the eigenvalues of the correlations; cannot exceed `rank_ceiling`.
    rank_ceiling : int
        min(trials, blocks - 1).
    n_clusters : int
        Groups of like trials among those sampled, by average linkage on correlation distance, cut
        where the mean silhouette is largest.
    silhouette : float or None
        That mean, -1 to 1; None with one cluster.
    mean_correlation : float
        Of two trials; 0 with a single one.
    n_trials, n_sampled : int
        Trials that vary, and those of them that were clustered (drawn with `seed`).
    n_blocks, seed : int
    """

    number: float
    participation: float
    effective_rank: float
    rank_ceiling: int
    n_clusters: int
    silhouette: float | None
    mean_correlation: float
    n_trials: int
    n_sampled: int
    n_blocks: int
    seed: int


def effective_number_of_trials(
    block_returns: ArrayLike | StoredBlocks, *, n_sampled: int = 1_000, seed: int = 0
) -> EffectiveTrials:
    """Return how many independent trials the trials of a search amount to.

    Parameters
    ----------
    block_returns : float array, shape (n_trials, n_blocks), or StoredBlocks, n_blocks >= 4
        Returns of each trial summed by block; finite. Blocks longer than positions are held are
        as good as independent.
    n_sampled : int
        Most trials that are clustered, >= 2; of more, so many are drawn.
    seed : int

    Raises
    ------
    ShapeError, SampleError, SettingsError
        An array or a setting that cannot be.
    NotComputedError
        Fewer than four blocks, or no trial that varies.

    Notes
    -----
    Participation and rank need the (n_blocks, n_blocks) product of the standardized returns only:
    time and memory are linear in the number of trials. Clustering holds the square of `n_sampled`.
    Over 16 blocks two independent trials have a correlation of 0.26 by chance, which is why the
    entropy rank is no more than a lower bound there; participation is corrected for it, under the
    assumption that block returns have similar variances.

    References
    ----------
    .. [1] Roy and Vetterli (2007), "The effective rank", European Signal Processing Conference.
    .. [2] Rousseeuw (1987), "Silhouettes", J. of Computational and Applied Mathematics 20.
    .. [3] Lopez de Prado and Lewis (2019), "Detection of false investment strategies using
       unsupervised learning methods", Quantitative Finance 19(9).
    """
    require_count("n_sampled", n_sampled, 2)
    read, m = _reader(block_returns)
    require(m >= 4, "there are fewer than four blocks")
    gram, total, n = np.zeros((m, m)), np.zeros(m), 0
    for rows in read():
        unit = _standardized(_moving(rows))
        gram += unit.T @ unit
        total += unit.sum(axis=0)
        n += unit.shape[0]
    require(n > 0, "no trial varies")
    drawn = np.arange(n)
    if n > n_sampled:
        drawn = np.sort(np.random.default_rng(seed).choice(n, n_sampled, replace=False))
    chosen = _standardized(_picked(read(), drawn))
    participation, rank = _participation(gram, n), _entropy_rank(gram)
    n_clusters, silhouette = _clusters(chosen)
    return EffectiveTrials(
        number=min(float(n), max(participation, rank, float(n_clusters))),
        participation=participation,
        effective_rank=rank,
        rank_ceiling=min(n, m - 1),
        n_clusters=n_clusters,
        silhouette=silhouette,
        mean_correlation=_mean_correlation(total, n),
        n_trials=n,
        n_sampled=chosen.shape[0],
        n_blocks=m,
        seed=seed,
    )


def _reader(
    block_returns: ArrayLike | StoredBlocks,
) -> tuple[Callable[[], Iterator[FloatArray]], int]:
    """Return what yields the trials, some at a time, and the number of blocks."""
    if isinstance(block_returns, StoredBlocks):
        stored = block_returns
        return (lambda: (sums.T for sums, _ in stored.read())), stored.n_blocks
    matrix = matrix_of(block_returns, "block_returns")
    firsts = range(0, matrix.shape[0], AT_ONCE)
    return (lambda: (matrix[first : first + AT_ONCE] for first in firsts)), matrix.shape[1]


def _moving(rows: FloatArray) -> FloatArray:
    """Return the trials that vary by more than rounding."""
    highest, lowest = rows.max(axis=1), rows.min(axis=1)
    moving: FloatArray = rows[highest - lowest > 1e-13 * np.maximum(highest, -lowest)]
    return moving


def _picked(segments: Iterator[FloatArray], places: NDArray[np.int64]) -> FloatArray:
    """Return some of the trials that vary, by their ascending places among them."""
    found, begin = [], 0
    for rows in segments:
        moving = _moving(rows)
        here = (places >= begin) & (places < begin + moving.shape[0])
        found.append(moving[places[here] - begin])
        begin += moving.shape[0]
    return np.vstack(found)


def _standardized(rows: FloatArray) -> FloatArray:
    """Return rows less their mean, of length 1."""
    unit: FloatArray = rows - rows.mean(axis=1, keepdims=True)
    unit /= np.sqrt(np.einsum("ij,ij->i", unit, unit))[:, np.newaxis]
    return unit


def _participation(gram: FloatArray, n: int) -> float:
    """Return the participation ratio, corrected for correlations that arise by chance."""
    if n == 1:
        return 1.0
    chance = 1.0 / (gram.shape[0] - 1.0)
    square = (float(np.sum(gram * gram)) - n) / (n * (n - 1.0))
    true = min(1.0, max(0.0, (square - chance) / (1.0 - chance)))
    return float(n / (1.0 + (n - 1.0) * true))


def _mean_correlation(total: FloatArray, n: int) -> float:
    return (float(total @ total) - n) / (n * (n - 1.0)) if n > 1 else 0.0


def _entropy_rank(gram: FloatArray) -> float:
    shares = np.linalg.eigvalsh(gram)
    shares = shares[shares > 1e-12 * shares.max()]
    shares = shares / shares.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def _clusters(unit: FloatArray) -> tuple[int, float | None]:
    """Return the number of clusters with the largest mean silhouette, and that mean."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    n = unit.shape[0]
    distance = np.sqrt(np.clip(0.5 * (1.0 - unit @ unit.T), 0.0, 1.0))
    np.fill_diagonal(distance, 0.0)
    distance = 0.5 * (distance + distance.T)
    if n < 3 or float(distance.max()) < 1e-6:
        return (1 if float(distance.max()) < 1e-6 else n), None
    tree = linkage(squareform(distance, checks=False), "average")
    best, found = -math.inf, 1
    for cut in np.unique(np.geomspace(2, n - 1, _MOST_CUTS).astype(np.int64)):
        labels = np.unique(fcluster(tree, int(cut), "maxclust"), return_inverse=True)[1]
        if labels.max() == 0:
            continue
        mean = _mean_silhouette(distance, labels)
        if mean > best:
            best, found = mean, int(labels.max()) + 1
    return found, (best if found > 1 else None)


def _mean_silhouette(distance: FloatArray, labels: NDArray[np.int64]) -> float:
    """Return the mean of ``(b - a) / max(a, b)``; a cluster of one counts 0."""
    n, sizes = labels.size, np.bincount(labels)
    order = np.argsort(labels, kind="stable")
    sums = np.add.reduceat(distance[:, order], np.cumsum(sizes) - sizes, axis=1)
    own = sizes[labels]
    within = sums[np.arange(n), labels] / np.maximum(own - 1, 1)
    sums /= sizes
    sums[np.arange(n), labels] = np.inf
    nearest = sums.min(axis=1)
    largest = np.maximum(within, nearest)
    score = np.where((own > 1) & (largest > 0.0), (nearest - within), 0.0)
    return float(np.mean(score / np.where(largest > 0.0, largest, 1.0)))
