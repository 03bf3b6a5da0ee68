"""The challengers of a metric taken together: they share a control, and a market."""

from dataclasses import dataclass

import numpy as np

from experiments.plans.differences import FloatArray, differences_by_context, most_periods
from experiments.plans.document import ExperimentPlan
from experiments.plans.observed import Observed
from experiments.plans.sections import MetricSpec
from experiments.statistics.dependent import mean_of_series, robust_lag
from experiments.statistics.errors import StatisticsError
from experiments.statistics.simultaneous import confidence_of_each
from experiments.statistics.summaries import PeriodTable
from numerics.hac import long_run_covariance

_FEWEST = 10  # periods that a correlation takes


@dataclass(frozen=True, slots=True)
class Together:
    """Differences of all challengers of a metric in the periods of all of them.

    Attributes
    ----------
    series : float64 array, shape (n_common, n_challengers)
    n : int64 array, shape (n_challengers,)
        Periods of each.
    """

    series: FloatArray
    n: FloatArray


def together(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, observed: Observed
) -> Together | None:
    """Return the differences of all challengers; None of few periods, or where one is still."""
    most = most_periods(plan, metric)
    compared = [
        differences_by_context(plan, metric, table, at, observed.contexts, most)
        for at in range(1, len(plan.arms))
    ]
    if any(one.is_still for one in compared):
        return None
    found = [one.by_period() for one in compared]
    common = found[0][0]
    for periods, _ in found[1:]:
        common = np.intersect1d(common, periods)
    if common.size < _FEWEST:
        return None
    series = np.stack([values[np.isin(periods, common)] for periods, values in found], axis=1)
    if not (np.ptp(series, axis=0) > 0.0).all():
        return None
    return Together(series, np.array([periods.size for periods, _ in found], dtype=float))


def dunnett_confidence(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, observed: Observed,
    confidence: float,
) -> float | None:  # fmt: skip
    """Return the confidence of each challenger's interval; None where that is not known.

    Parameters
    ----------
    plan : ExperimentPlan
        Of one look.
    metric : MetricSpec
    table : PeriodTable
        Of the periods to look at.
    observed : Observed
    confidence : float
        Of all intervals of the metric together.

    Notes
    -----
    By the long-run correlation of the differences, with the lag and the degrees of freedom of
    their own errors; of challengers that were compared in other periods it is smaller by
    ``n_common / sqrt(n_i n_j)``.
    """
    found = together(plan, metric, table, observed)
    if found is None:
        return None
    n_common, k = found.series.shape
    if n_common < found.n.max() / 2.0:  # what one has alone would be most of what is known
        return None
    covariance = long_run_covariance(found.series, robust_lag(n_common))
    spread = np.sqrt(np.diag(covariance))
    if not (spread > 0.0).all():
        return None
    shared = n_common / np.sqrt(np.outer(found.n, found.n))
    correlation = np.where(np.eye(k) > 0.0, 1.0, shared * covariance / np.outer(spread, spread))
    try:
        freedom = min(mean_of_series(one).freedom for one in found.series.T)
        return confidence_of_each(
            correlation, freedom=freedom, confidence=confidence, seed=plan.seed
        )
    except StatisticsError:
        return None
