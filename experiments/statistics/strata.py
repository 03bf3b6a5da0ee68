"""The mean difference over periods of several contexts, whose effects differ, at some looks.

The target is not one number for ever but, at each look, the average over the periods so far of the
effect that each had, given the contexts that came in it [1]_ [2]_. What differences are off by are
then increments of a martingale, however long a context lasts, and a boundary for sums of these
covers the target as it moves [3]_. So the error is of residuals about each context's own mean, not
about the mean of all: of regimes that last for a hundred periods nothing is known of how often they
come, and nothing is claimed.

References
----------
.. [1] Bojinov and Shephard (2019), "Time series experiments and causal estimands", Journal of the
   American Statistical Association 114.
.. [2] Ham, Bojinov, Lindon and Tingley (2022), "Design-based confidence sequences: a general
   approach to risk mitigation in online experimentation", arXiv 2210.08639.
.. [3] Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-uniform central limit theory
   and asymptotic confidence sequences", Annals of Statistics 52(6), section 2.5.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.statistics.checks import FloatArray, IntArray
from experiments.statistics.errors import ShapeError
from experiments.statistics.sequential.running import Looks, RunningMean


@dataclass(frozen=True, slots=True)
class StratifiedLooks:
    """A mean over contexts as it stood after some compared periods.

    Attributes
    ----------
    looks : Looks
        The mean, its error and the freedom of that.
    rows : int64 array, shape (n_looks,)
        Which of the periods each look came after.
    residuals : float64 array, shape (n,)
        Of each compared period by the newest look.
    """

    looks: Looks
    rows: IntArray
    residuals: FloatArray


def stratified_looks(
    differences: FloatArray, traffic: FloatArray, looks: IntArray, *, batch: int, lag: int = 1
) -> StratifiedLooks:
    """Return the mean of what contexts made in each period, weighed by how they came.

    Parameters
    ----------
    differences : float64 array, shape (n_periods, n_contexts)
        In the order of time; NaN where a context was not compared in a period.
    traffic : float64 array, shape (n_periods, n_contexts)
        What came in each, >= 0; some in every period.
    looks : int64 array, shape (n_looks,), n_looks >= 1
        Ascending; compared periods after which to look, of those that there are.
    batch, lag : int
        As `RunningMean` has them: noise about a context's mean may depend for so long.

    Raises
    ------
    ShapeError
        Arrays that do not fit each other.

    Notes
    -----
    Each context has the mean of its compared periods, weighed by its shares of them, and counts by
    its share of all periods: ``sum_c W_c d_c``. Where every context is compared whenever it came
    that is the plain mean of the periods' weighed differences; else what was left out counts as its
    context's other periods do, and not as another context. A period's residual is ``sum_c (W_c n /
    B_c) w_ic (d_ic - d_c)``, B_c the sum of the compared shares. That a context's mean is fitted
    takes away from its residuals, which grow by ``m / (m - 1)`` of the m batches it was in; one
    that was in a single batch is taken about the mean of all.
    """
    if differences.shape != traffic.shape or differences.ndim != 2:
        raise ShapeError("Differences and traffic must have one row a period, one column a context")
    share = traffic / traffic.sum(axis=1, keepdims=True)
    is_there = np.isfinite(differences)
    rows = np.flatnonzero(is_there.any(axis=1))[looks - 1]
    found = [_look(differences, share, is_there, row + 1, batch, lag) for row in rows.tolist()]
    mean, error, freedom, residuals = zip(*found, strict=True)
    return StratifiedLooks(
        Looks(looks, np.array(mean), np.array(error), np.array(freedom)), rows, residuals[-1]
    )


def _look(
    differences: FloatArray, share: FloatArray, is_there: NDArray[np.bool_], end: int, batch: int,
    lag: int,
) -> tuple[float, float, float, FloatArray]:  # fmt: skip
    """Return the mean after some periods, its error, its freedom and the residuals."""
    kept = np.flatnonzero(is_there[:end].any(axis=1))
    there, n = is_there[kept], kept.size
    weight = np.where(there, share[kept], 0.0)
    values = np.where(there, differences[kept], 0.0)
    compared = weight.sum(axis=0)
    counts = np.where(compared > 0.0, share[:end].mean(axis=0), 0.0)
    counts = counts / counts.sum()
    compared = np.where(compared > 0.0, compared, 1.0)
    own = (weight * values).sum(axis=0) / compared
    mean = float(counts @ own)

    batches = np.add.reduceat(there, np.arange(0, n, batch), axis=0, dtype=np.int64) > 0
    n_batches = batches.sum(axis=0)
    center = np.where(n_batches > 1, own, mean)
    fitted = np.where(n_batches > 1, n_batches / np.maximum(n_batches - 1.0, 1.0), 1.0)
    parts = weight * np.where(there, values - center, 0.0) * (counts * n / compared)
    parts = parts * np.sqrt(fitted)
    residuals: FloatArray = parts.sum(axis=1)
    running = RunningMean(batch, lag).extend(residuals)
    size = np.sum(parts**2, axis=0)
    of_each = np.sum(size**2 / np.maximum(n_batches - 1.0, 1.0))
    freedom = float(size.sum() ** 2 / of_each) if of_each > 0.0 else 1.0
    return mean, float(running.error[-1]), min(freedom, float(running.freedom[-1])), residuals
