"""What other shares of the arms would have made of the same units, from sums by allocation.

The probability of an arm is constant within an allocation, so that its sums are enough: no single
outcome is needed, nor kept. All of it is for one look at a time fixed beforehand.

References
----------
.. [1] Horvitz and Thompson (1952), "A generalization of sampling without replacement from a finite
   universe", Journal of the American Statistical Association 47.
.. [2] Swaminathan and Joachims (2015), "The self-normalized estimator for counterfactual
   learning", NIPS 28.
.. [3] Dudik, Langford and Li (2011), "Doubly robust policy evaluation and learning", ICML 28.
.. [4] Kong (1992), "A note on importance sampling using standardized weights", University of
   Chicago, technical report 348: effective sample size.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.adaptive import (
    Cells,
    cell_scores,
    cells_of,
    clustered,
    low_chance,
)
from experiments.statistics.checks import FloatArray, vector_of
from experiments.statistics.errors import SettingsError
from experiments.statistics.estimates import Estimate
from experiments.statistics.summaries import PeriodTable

_FEW = 0.1  # effective share of the outcomes below which an estimate is one of few


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """The mean outcome under other shares of the arms, by three estimates.

    Attributes
    ----------
    ips, snips, doubly_robust : Estimate
        `difference` is the mean outcome, and the p-value is of "it is 0".
    gain : Estimate
        The doubly robust mean less that of the outcomes as they were.
    n_outcomes, n_periods : int
    effective_n : float
        ``(sum w)^2 / sum w^2``: outcomes that the weights are worth [4]_.
    largest_weight : float
    """

    ips: Estimate
    snips: Estimate
    doubly_robust: Estimate
    gain: Estimate
    n_outcomes: int
    n_periods: int
    effective_n: float
    largest_weight: float


def policy_value(
    table: PeriodTable,
    probabilities: Mapping[int, ArrayLike],
    shares: ArrayLike,
    *,
    confidence: float = 0.95,
) -> PolicyValue:
    """Return what fixed shares of the arms would have made.

    Parameters
    ----------
    table : PeriodTable
        Of every arm.
    probabilities : mapping of allocation number to float array, shape (n_arms,)
        In force under each allocation; they add up to 1.
    shares : float array, shape (n_arms,)
        Of the policy to be judged, >= 0; they add up to 1.
    confidence : float

    Raises
    ------
    ShapeError, SampleError, SettingsError
        Arrays that do not fit, or an allocation without probabilities.
    NotComputedError
        Fewer than eleven periods, or an arm with a share that nobody met or could not meet at a
        time.

    Notes
    -----
    With weights ``w = share / probability``: ``sum(w y) / n`` [1]_; ``sum(w y) / sum(w)``, which a
    shift of outcomes does not move [2]_; and the shares' mean of AIPW scores [3]_, which guesses an
    arm's outcomes by those of the periods before (it leaves the first out) and is right whatever
    the guess. A period is one cluster; Student's law with periods less one degrees of freedom.
    """
    policy = vector_of(shares, "shares")
    if bool(np.any(policy < 0.0)) or abs(float(policy.sum()) - 1.0) > 1e-9:
        raise SettingsError("Shares must not be negative, and must add up to 1.")
    played = np.flatnonzero(policy > 0.0)
    cells = cells_of(table, probabilities, tuple(int(arm) for arm in played))
    if cells.e.shape[1] != policy.size:
        raise SettingsError(f"There are {policy.size} shares of {cells.e.shape[1]} arms.")
    w = np.divide(policy, cells.e, out=np.zeros_like(cells.e), where=policy > 0.0)
    units = cells.n.sum(axis=1)
    later, by_arm = cell_scores(cells, played.tolist())
    scores, scored = by_arm @ policy[played], later.n.sum(axis=1)
    weighted, whole = (w * cells.total).sum(axis=1), (w * cells.n).sum(axis=1)
    effective = float(whole.sum()) ** 2 / float((w * w * cells.n).sum())

    def estimate(of: Cells, sums: FloatArray, weights: FloatArray, method: str) -> Estimate:
        parts = np.stack([sums, of.total.sum(axis=1)])
        found = clustered(sums, weights, of.period, confidence, method, parts)
        return found.warned(low_chance(cells.e[:, played]), _few(effective, float(units.sum())))

    return PolicyValue(
        ips=estimate(cells, weighted, units, "IPS"),
        snips=estimate(cells, weighted, whole, "SNIPS"),
        doubly_robust=estimate(later, scores, scored, "doubly robust"),
        gain=estimate(
            later, scores - later.total.sum(axis=1), scored, "doubly robust, less as it was"
        ),
        n_outcomes=int(units.sum()),
        n_periods=int(np.unique(cells.period).size),
        effective_n=effective,
        largest_weight=float(w[cells.n > 0.0].max()),
    )


def _few(effective: float, n: float) -> str:
    """Return a warning, or nothing."""
    if effective >= _FEW * n:
        return ""
    return f"The weights are worth {effective:,.0f} of {n:,.0f} outcomes: do not rely on it."
