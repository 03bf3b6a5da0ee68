"""Which of several arms is the best, and what choosing each would cost: of all arms together.

Differences from one control depend on each other, and so do arms on one market. The posteriors of
single comparisons are taken together by the correlation of the differences period by period.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.plans.differences import differences_of, most_periods
from experiments.plans.document import ExperimentPlan
from experiments.plans.findings import ArmStanding, Comparison
from experiments.plans.observed import Observed
from experiments.statistics.summaries import PeriodTable

FloatArray = NDArray[np.float64]
N_DRAWS = 20_000
_STANDING = 8  # use of the plan's seed
_FEWEST = 10  # periods that a correlation takes


def standing_of(
    plan: ExperimentPlan, table: PeriodTable, observed: Observed, comparisons: Sequence[Comparison]
) -> list[ArmStanding]:
    """Return the chance of each arm to be the best, control first; none of fewer than three.

    Parameters
    ----------
    plan : ExperimentPlan
    table : PeriodTable
        Sums of the primary metric in the periods to look at.
    observed : Observed
    comparisons : sequence of Comparison
        Of the primary metric, as `ordered_arms` has the challengers.

    Notes
    -----
    By 20,000 draws with the plan's seed: a chance has an error of 0.4 % at most. They decide
    nothing.
    """
    means = [one.posterior_mean for one in comparisons]
    deviations = [one.posterior_deviation for one in comparisons]
    if len(comparisons) < 2 or None in means or None in deviations:
        return []
    correlation = _correlation(plan, table, observed, len(comparisons))
    if correlation is None:
        return []
    spread = np.array(deviations, dtype=float)
    rng = np.random.default_rng([plan.seed, _STANDING])
    drawn = np.zeros((N_DRAWS, len(comparisons) + 1))
    drawn[:, 1:] = rng.multivariate_normal(
        np.array(means, dtype=float), correlation * np.outer(spread, spread), N_DRAWS, method="eigh"
    )
    if plan.primary.direction == "decrease":
        drawn = -drawn
    best = drawn.max(axis=1)
    chances = np.bincount(drawn.argmax(axis=1), minlength=drawn.shape[1]) / N_DRAWS
    losses = best.mean() - drawn.mean(axis=0)
    return [
        ArmStanding(arm.name, float(chance), max(0.0, float(loss)))
        for arm, chance, loss in zip(plan.ordered_arms, chances, losses, strict=True)
    ]


def _correlation(
    plan: ExperimentPlan, table: PeriodTable, observed: Observed, n_challengers: int
) -> FloatArray | None:
    """Return that of the challengers' differences in the periods of all of them; None of few."""
    most = most_periods(plan, plan.primary)
    found = [
        differences_of(plan, plan.primary, table, at, observed.contexts, most)
        for at in range(1, n_challengers + 1)
    ]
    common = found[0][0]
    for periods, _ in found[1:]:
        common = np.intersect1d(common, periods)
    if common.size < _FEWEST:
        return None
    series = np.stack([values[np.isin(periods, common)] for periods, values in found])
    if not (np.ptp(series, axis=1) > 0.0).all():
        return None
    return np.asarray(np.corrcoef(series))
