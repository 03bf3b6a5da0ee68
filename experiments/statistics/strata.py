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
    rows = np.flatnonzero(np.isfinite(differences).any(axis=1))
    there = np.isfinite(differences[rows])
    weight = np.where(there, share[rows], 0.0)
    weighed = weight * np.where(there, differences[rows], 0.0)
    at = looks - 1
    compared, made = (np.cumsum(one, axis=0)[at] for one in (weight, weighed))
    counts = np.where(compared > 0.0, np.cumsum(share, axis=0)[rows[at]], 0.0)
    counts = counts / counts.sum(axis=1, keepdims=True)
    compared = np.where(compared > 0.0, compared, 1.0)
    own = made / compared
    mean = (counts * own).sum(axis=1)
    n_batches = _batches(there, batch)[at]
    center = np.where(n_batches > 1, own, mean[:, np.newaxis])
    fitted = np.where(n_batches > 1, n_batches / np.maximum(n_batches - 1.0, 1.0), 1.0)
    scale = counts * looks[:, np.newaxis] / compared * np.sqrt(fitted)

    error, freedom, residuals = np.empty(looks.size), np.empty(looks.size), np.empty(0)
    for look, n in enumerate(looks.tolist()):
        parts = (weighed[:n] - weight[:n] * center[look]) * scale[look]
        residuals = parts.sum(axis=1)
        running = RunningMean(batch, lag).extend(residuals)
        size = np.einsum("pc,pc->c", parts, parts)
        of_each = float(np.sum(size**2 / np.maximum(n_batches[look] - 1.0, 1.0)))
        of_all = float(size.sum()) ** 2 / of_each if of_each > 0.0 else 1.0
        error[look], freedom[look] = running.error[-1], min(of_all, running.freedom[-1])
    return StratifiedLooks(Looks(looks, mean, error, freedom), rows[at], residuals)


def _batches(there: NDArray[np.bool_], batch: int) -> IntArray:
    """Return in how many batches each context was compared by each period."""
    seen = np.cumsum(there, axis=0)
    begins = np.arange(there.shape[0]) // batch * batch
    before = np.where((begins > 0)[:, np.newaxis], seen[begins - 1], 0)
    return np.cumsum(there & (seen - before == 1), axis=0)
