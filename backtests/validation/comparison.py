"""Strategies side by side: differences, ranks and trade-offs, each with its uncertainty."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backtests.validation.checks import (
    FloatArray,
    constant_columns,
    matrix_of,
    require,
    require_count,
)
from backtests.validation.differences import sharpe_difference
from backtests.validation.errors import NotComputedError, SettingsError, ShapeError
from backtests.validation.judging import FEWEST_FOR_BOOTSTRAP
from backtests.validation.superiority import (
    ConfidenceSet,
    Resampling,
    SuperiorAbility,
    SuperiorSet,
    model_confidence_set,
    resampling_of,
    superior_predictive_ability,
    superior_strategies,
)
from numerics.multiplicity import holm
from numerics.resampling import resampling_counts, stationary_indices

_CELLS = 4_000_000


class Differences(NamedTuple):
    """Paired differences of one measure, float64 arrays of shape (k, k).

    Attributes
    ----------
    estimate : float64 array
        Strategy of the row less strategy of the column.
    lower, upper : float64 array
        Percentile interval of the stationary bootstrap, both strategies resampled together.
    """

    estimate: FloatArray
    lower: FloatArray
    upper: FloatArray


@dataclass(frozen=True)
class Comparison:
    """Strategies on the same bars.

    Attributes
    ----------
    names : tuple of str
    mean, deviation, sharpe : float64 array, shape (k,)
        Per bar (ddof 1).
    correlation : float64 array, shape (k, k)
    mean_differences, sharpe_differences : Differences
        Per bar.
    rank_probabilities : float64 array, shape (k, k)
        Share of resamples in which the strategy of the row has rank 1 (largest Sharpe ratio), 2,
        ... of the column.
    mean_rank : float64 array, shape (k,)
    reference : int
        Column that the tests are against: the benchmark, or the best Sharpe ratio without one.
    sharpe_p_values, holm_p_values : float64 array, shape (k,)
        Two-sided, of "the Sharpe ratio is that of the reference" (Ledoit and Wolf 2008, HAC), and
        adjusted: among the k - 1 of a benchmark; among all k (k - 1) / 2 pairs without one, because
        the best of the sample was chosen by these very ratios. NaN at the reference, and where the
        difference has no variance.
    superiority : SuperiorAbility or None
        Of the others over the benchmark; None without one, of fewer than 250 bars, or where it
        cannot be tested.
    superior : SuperiorSet or None
        Which of them; columns are numbered as in `names`.
    confidence_set : ConfidenceSet or None
        The strategies among which the best mean return is.
    reasons : mapping of str to str
        By the name of a field that is None: ``not computed, because ...``.
    confidence : float
        Of the intervals.
    resampling : Resampling
    """

    names: tuple[str, ...]
    mean: FloatArray
    deviation: FloatArray
    sharpe: FloatArray
    correlation: FloatArray
    mean_differences: Differences
    sharpe_differences: Differences
    rank_probabilities: FloatArray
    mean_rank: FloatArray
    reference: int
    sharpe_p_values: FloatArray
    holm_p_values: FloatArray
    superiority: SuperiorAbility | None
    superior: SuperiorSet | None
    confidence_set: ConfidenceSet | None
    reasons: dict[str, str]
    confidence: float
    resampling: Resampling

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON has it: lists for arrays, null where not computed."""
        return {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}


def compare_strategies(
    returns: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    benchmark: int | None = None,
    confidence: float = 0.95,
    n_resamples: int = 1_000,
    mean_block: float | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare strategies that ran over the same bars.

    Parameters
    ----------
    returns : float array, shape (n_bars, k), n_bars >= 10, k >= 2
        Simple returns per bar [fraction]; finite.
    names : sequence of str, optional
        "0", "1", ... when not given.
    benchmark : int, optional
        Column the others are held against.
    confidence : float
        Of the intervals, 0 < p < 1, each by itself.
    n_resamples, mean_block, seed
        Of the stationary bootstrap; the block by Politis and White when not given, the mean over
        strategies.

    Returns
    -------
    Comparison

    Raises
    ------
    ShapeError, SampleError, SettingsError
        Arrays or settings that cannot be.
    NotComputedError
        Fewer than ten bars or two strategies, or one whose returns never vary.

    Notes
    -----
    In a resample in which a strategy does not vary, as where it trades once, its ratio is 0.

    Without a benchmark Holm's p-values are those of all pairs where the pairs that are not asked
    for have the largest p-values; they may be smaller, so what is stated is an upper bound.
    """
    matrix = matrix_of(returns, "returns")
    n, k = matrix.shape
    labels = tuple(str(at) for at in range(k)) if names is None else tuple(names)
    if len(labels) != k:
        raise ShapeError(f"There are {k} strategies and {len(labels)} names.")
    if benchmark is not None and not 0 <= benchmark < k:
        raise SettingsError(f"benchmark must be one of {k} columns, not {benchmark!r}.")
    if not 0.0 < confidence < 1.0:
        raise SettingsError(f"confidence must lie between 0 and 1, not {confidence!r}.")
    require_count("n_resamples", n_resamples, 1)
    require(n >= 10, "there are fewer than ten bars")
    require(k >= 2, "there are fewer than two strategies")
    still = np.flatnonzero(constant_columns(matrix))
    require(not still.size, f"the returns of {', '.join(labels[i] for i in still)} never vary")
    mean, deviation = matrix.mean(axis=0), matrix.std(axis=0, ddof=1)
    sharpe = mean / deviation
    how = resampling_of(matrix - mean, n_resamples, mean_block, seed)
    means, sharpes = _resampled(matrix, how)
    reference = int(np.argmax(sharpe)) if benchmark is None else benchmark
    p_values = _against(matrix, reference)
    n_tests = k * (k - 1) // 2 if benchmark is None else None
    ranks = _ranks(sharpes)
    reasons: dict[str, str] = {}
    superiority, superior = _superior(matrix, benchmark, how, 1.0 - confidence, reasons)
    return Comparison(
        names=labels,
        mean=mean,
        deviation=deviation,
        sharpe=sharpe,
        correlation=np.atleast_2d(np.corrcoef(matrix.T)),
        mean_differences=_differences(mean, means, confidence),
        sharpe_differences=_differences(sharpe, sharpes, confidence),
        rank_probabilities=ranks,
        mean_rank=ranks @ np.arange(1, k + 1),
        reference=reference,
        sharpe_p_values=p_values,
        holm_p_values=_adjusted(p_values, n_tests),
        superiority=superiority,
        superior=superior,
        confidence_set=_confidence_set(matrix, how, 1.0 - confidence, reasons),
        reasons=reasons,
        confidence=confidence,
        resampling=how,
    )


def pareto_front(values: ArrayLike, *, maximize: Sequence[bool]) -> NDArray[np.bool_]:
    """Return which rows no other row beats in one column without losing in another.

    Parameters
    ----------
    values : float array, shape (k, n_metrics)
        Finite, one row per strategy.
    maximize : sequence of bool, length n_metrics
        Whether more is better, column by column.

    Returns
    -------
    bool array, shape (k,)
        Equal rows are on the front together or not at all.

    Raises
    ------
    ShapeError, SampleError
        A matrix that does not fit, or with missing values: leave such strategies out.

    Notes
    -----
    Time is k times the size of the front.

    References
    ----------
    .. [1] Kung, Luccio and Preparata (1975), "On finding the maxima of a set of vectors", Journal
       of the ACM 22(4).
    """
    table = matrix_of(values, "values")
    if len(maximize) != table.shape[1]:
        raise ShapeError(f"There are {table.shape[1]} columns and {len(maximize)} directions.")
    costs = np.where(np.asarray(maximize, dtype=np.bool_), -table, table)
    # In lexical order nothing can be beaten by a row behind it.
    distinct, back = np.unique(costs, axis=0, return_inverse=True)
    front = np.zeros(distinct.shape[0], dtype=np.bool_)
    for at, row in enumerate(distinct):
        front[at] = not bool(np.any(np.all(distinct[:at][front[:at]] <= row, axis=1)))
    on_front: NDArray[np.bool_] = front[back.reshape(-1)]
    return on_front


def _resampled(matrix: FloatArray, how: Resampling) -> tuple[FloatArray, FloatArray]:
    """Return means and Sharpe ratios of all strategies in every resample."""
    n, k = matrix.shape
    mean = matrix.mean(axis=0)
    off = matrix - mean
    square = off * off
    rng = np.random.default_rng(how.seed)
    means, variances = np.empty((how.n_resamples, k)), np.empty((how.n_resamples, k))
    height = max(1, _CELLS // n)
    for first in range(0, how.n_resamples, height):
        rows = slice(first, min(first + height, how.n_resamples))
        indices = stationary_indices(n, rows.stop - first, how.mean_block, rng)
        counts = resampling_counts(indices, n)
        shift = counts @ off / n
        means[rows] = mean + shift
        variances[rows] = (counts @ square / n - shift * shift) * (n / (n - 1.0))
    varies = variances > 1e-12 * square.mean(axis=0)
    return means, np.where(varies, means / np.sqrt(np.where(varies, variances, 1.0)), 0.0)


def _differences(estimate: FloatArray, resampled: FloatArray, confidence: float) -> Differences:
    k, tail = estimate.size, 0.5 * (1.0 - confidence)
    lower, upper = np.zeros((k, k)), np.zeros((k, k))
    for row in range(k):
        apart = resampled[:, row, np.newaxis] - resampled
        lower[row], upper[row] = np.quantile(apart, [tail, 1.0 - tail], axis=0)
    return Differences(estimate[:, np.newaxis] - estimate, lower, upper)


def _ranks(sharpes: FloatArray) -> FloatArray:
    """Return how often each strategy takes each rank; of equal ones the first is first."""
    n_resamples, k = sharpes.shape
    order = np.argsort(-sharpes, axis=1, kind="stable")
    taken = np.zeros((k, k))
    for rank in range(k):
        taken[:, rank] = np.bincount(order[:, rank], minlength=k)
    taken /= n_resamples
    return taken


def _against(matrix: FloatArray, reference: int) -> FloatArray:
    p_values = np.full(matrix.shape[1], np.nan)
    for column in range(matrix.shape[1]):
        if column == reference:
            continue
        try:
            p_values[column] = sharpe_difference(matrix[:, column], matrix[:, reference]).p_value
        except NotComputedError:
            continue  # the same strategy twice: it stays without a p-value
    return p_values


def _adjusted(p_values: FloatArray, n_tests: int | None) -> FloatArray:
    """Return Holm's p-values of those that are there, among so many tests."""
    adjusted, tested = np.full(p_values.size, np.nan), np.isfinite(p_values)
    if tested.any():
        adjusted[tested] = holm(p_values[tested], n_tests)
    return adjusted


def _superior(
    matrix: FloatArray, benchmark: int | None, how: Resampling, size: float,
    reasons: dict[str, str],
) -> tuple[SuperiorAbility | None, SuperiorSet | None]:  # fmt: skip
    if benchmark is None:
        because = "no benchmark is named among the strategies"
        reasons |= dict.fromkeys(("superiority", "superior"), _because(because))
        return None, None
    options: dict[str, Any] = {
        "n_resamples": how.n_resamples, "mean_block": how.mean_block, "seed": how.seed,
    }  # fmt: skip
    try:
        n_bars = matrix.shape[0]
        require(
            n_bars >= FEWEST_FOR_BOOTSTRAP,
            f"{n_bars} bars are fewer than the {FEWEST_FOR_BOOTSTRAP} that the bootstrap needs",
        )
        # The benchmark's own column differs from it by a constant and is left out.
        tested = superior_predictive_ability(matrix, matrix[:, benchmark], **options)
        found = superior_strategies(matrix, matrix[:, benchmark], size=size, **options)
    except NotComputedError as refusal:
        reasons |= dict.fromkeys(("superiority", "superior"), _because(refusal))
        return None, None
    return tested, found


def _confidence_set(
    matrix: FloatArray, how: Resampling, size: float, reasons: dict[str, str]
) -> ConfidenceSet | None:
    try:
        return model_confidence_set(
            matrix, size=size, n_resamples=how.n_resamples, mean_block=how.mean_block, seed=how.seed
        )
    except NotComputedError as refusal:
        reasons["confidence_set"] = _because(refusal)
        return None


def _because(why: object) -> str:
    return f"not computed, because {why}"


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Differences):
        value = value._asdict()
    elif isinstance(value, SuperiorAbility | SuperiorSet | ConfidenceSet | Resampling):
        value = asdict(value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
