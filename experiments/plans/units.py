"""Units that report again and again: what their plan says of them, by unit and not by period alone.

The intervals have the reach that the plan's method gives to a mean of so many periods, times an
error that counts every unit once. The boundaries stay right as long as evidence grows no faster
than the periods do and a unit's later outcomes do not go against its earlier ones: differences at
two looks then depend on each other at least as much as the boundary takes for granted [1]_.

References
----------
.. [1] Slepian (1962), "The one-sided barrier problem for Gaussian noise", Bell System Technical
   Journal 41(2).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from experiments.plans.document import ExperimentPlan
from experiments.plans.sections import AnalysisSpec, MetricSpec
from experiments.statistics.checks import IntArray
from experiments.statistics.clusters import (
    ClusteredLooks,
    UnitTable,
    clustered_differences,
    clustered_means,
)
from experiments.statistics.errors import NotComputedError
from experiments.statistics.sequential import Sequence, schedule
from experiments.statistics.sequential.boundaries import MixtureBoundary, PlannedBoundary
from experiments.statistics.sequential.running import student_reach
from experiments.statistics.summaries import PeriodTable

FloatArray = NDArray[np.float64]

MOST_REPEATED = 1.1  # outcomes of a unit, on average, that are taken for one each
MOST_LOOKS = 400
REPEATED = (
    "Units report again and again: intervals count each unit once, whatever it reports, and shocks "
    "that a period's outcomes share."
)
WITHHELD = (
    "Units report again and again, and their outcomes are counted by their own moments: how units "
    "differ is in no interval, so nothing is concluded{why}. counted_by: exposure puts each unit "
    "into one period."
)


@dataclass(frozen=True, slots=True)
class Clustered:
    """The intervals of one challenger, and when each of them was looked at.

    Attributes
    ----------
    ends : int64 array, shape (n_looks,)
        Starts of the newest periods [UTC ns].
    error : float or None
        Of the newest difference [unit of the metric].
    """

    sequence: Sequence
    ends: IntArray
    error: float | None


def is_repeated(plan: ExperimentPlan, table: PeriodTable, n_exposed: int) -> bool:
    """Say whether the same units are in period after period.

    What chance gave an arm of better units then stays in every difference of periods: it does not
    vary, so no interval from differences of periods has it.
    """
    if plan.design != "assigned" or plan.counts_by_exposure:
        return False
    return n_exposed > 0 and float(table.n.sum()) > MOST_REPEATED * n_exposed


def why_withheld(plan: ExperimentPlan, table: PeriodTable, units: UnitTable | None) -> str | None:
    """Return why units that report again get no answer; None where they get one.

    Of all outcomes so far: a late one is in the sums by unit from a newer period on.
    """
    if plan.allocation.policy != "fixed":
        return ": a policy moves the shares by what units reported before"
    if plan.analysis.method == "empirical_bernstein":
        return ": empirical_bernstein takes outcomes one by one"
    if units is None or units.counted.sum() != table.n.sum():
        return ": some outcomes came before they were added up by unit"
    return None


def clustered_sequence(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, units: UnitTable, arm: int,
    confidence: float,
) -> Clustered:  # fmt: skip
    """Return a challenger less the control at looks that the plan's method has.

    Parameters
    ----------
    table, units : PeriodTable, UnitTable
        Of the periods to look at.
    arm : int
        Position of the challenger.
    confidence : float
        Of all intervals at once.

    Raises
    ------
    StatisticsError
        There is nothing to compute yet.
    """
    asked, is_guardrail = plan.analysis, metric.role == "guardrail"
    n_both = _n_both(table, arm)
    if n_both == 0:
        raise NotComputedError("no period has outcomes of both arms yet")
    looks, reach = _looks(asked, confidence, n_both, is_guardrail=is_guardrail)
    last = min(n_both, asked.horizon_periods) if asked.method != "asymptotic" else n_both
    told = looks if looks.size else np.array([last], dtype=np.int64)  # an estimate at least
    found = clustered_differences(
        table, units, arm, told, is_ratio=metric.kind == "ratio", is_adjusted=metric.covariate,
        batch=asked.batch,
    )  # fmt: skip
    wide = student_reach(reach if looks.size else np.array([np.inf]), found.freedom)
    return Clustered(
        _sequence(asked, confidence, found, wide), found.period, _known(found.error[-1])
    )


def figures_by_unit(
    metric: MetricSpec, table: PeriodTable, units: UnitTable, n_arms: int
) -> list[tuple[float, float | None, float | None]]:
    """Return the outcomes of each arm, their mean and its standard error by unit."""
    means, errors = clustered_means(table, units, n_arms, is_ratio=metric.kind == "ratio")
    n = np.bincount(table.arm, table.n, n_arms)
    return [
        (float(count), _known(mean), _known(error))
        for count, mean, error in zip(n, means, errors, strict=True)
    ]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _n_both(table: PeriodTable, arm: int) -> int:
    """Return the periods in which a challenger and the control both have outcomes."""
    if not table.n_rows:
        return 0
    _, n = table.pivot("n", max(int(table.arm.max()), arm) + 1)
    return int(np.count_nonzero((n[:, arm] > 0.0) & (n[:, 0] > 0.0)))


def _looks(
    asked: AnalysisSpec, confidence: float, n_periods: int, *, is_guardrail: bool
) -> tuple[IntArray, FloatArray]:
    """Return the looks that have come, and their half widths [normal standard errors].

    They are the same whenever one asks, so that an answer of yesterday is one today.
    """
    horizon = asked.horizon_periods
    if asked.method == "group_sequential" and not is_guardrail:
        shares = np.arange(1, asked.n_looks + 1) / asked.n_looks
        scheduled = schedule(shares, confidence=confidence).boundary(horizon)
        looks = np.array(scheduled.looks, dtype=np.int64)
        looks = looks[looks <= n_periods]
        return looks, scheduled.reach(looks)
    if asked.method == "fixed_horizon" and not is_guardrail:
        looks = np.array([horizon] if n_periods >= horizon else [], dtype=np.int64)
        return looks, np.full(looks.size, ndtri((1.0 + confidence) / 2.0))
    step = -(-horizon // MOST_LOOKS)
    if asked.method == "asymptotic":
        start = asked.start
        looks = np.arange(start, n_periods + 1, step)
        return looks, MixtureBoundary.tuned(confidence, horizon / 2).reach(looks)
    start = max(asked.start, 10 * asked.batch)
    looks = np.arange(start, min(n_periods, horizon) + 1, step)
    return looks, PlannedBoundary(confidence, horizon, start).reach(looks)


def _sequence(
    asked: AnalysisSpec, confidence: float, found: ClusteredLooks, wide: FloatArray
) -> Sequence:
    half = wide * found.error
    is_known = np.isfinite(half)
    half = np.where(is_known, half, np.inf)
    return Sequence(
        f"{asked.method}, by unit", confidence, found.periods, found.difference,
        np.where(is_known, found.difference - half, -np.inf),
        np.where(is_known, found.difference + half, np.inf),
        np.full(half.size, np.nan),
    )  # fmt: skip
