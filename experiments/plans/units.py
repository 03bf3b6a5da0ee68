"""Units that report again and again: what their plan says of them, by unit and not by period alone.

The intervals have the reach that the plan's method gives to a mean of so many periods, times an
error that counts every unit once. The boundaries stay right as long as evidence grows no faster
than the periods do and a unit's later outcomes do not go against its earlier ones: differences at
two looks then depend on each other at least as much as the boundary takes for granted. That bounds
how often each side is left where nothing differs [1]_, and both sides by the sum.

References
----------
.. [1] Slepian (1962), "The one-sided barrier problem for Gaussian noise", Bell System Technical
   Journal 41(2).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from experiments.plans.document import ExperimentPlan
from experiments.plans.looks import looks_of, or_newest, sequence_of
from experiments.plans.observed import Observed
from experiments.plans.sections import MetricSpec
from experiments.statistics.checks import IntArray
from experiments.statistics.clusters import (
    FEWEST_EFFECTIVE,
    FEWEST_UNITS,
    ClusteredLooks,
    UnitTable,
    clustered_differences,
    clustered_means,
)
from experiments.statistics.errors import NotComputedError
from experiments.statistics.sequential import Sequence
from experiments.statistics.sequential.running import Looks
from experiments.statistics.summaries import PeriodTable

MOST_REPEATED = 1.1  # outcomes of a unit, on average, that are taken for one each
REPEATED = (
    "The same units report in period after period. How sure an interval is depends on how many "
    "units there are, not on how many outcomes: further periods of the same units narrow it less "
    "and less."
)
WITHHELD = (
    "The same units report in period after period, and which of them an arm got by chance would be "
    "in no interval: there is none, and nothing is concluded{why}. In a plan with counted_by: "
    "exposure each unit is in one period."
)
NOT_ONCE = (
    "The plan says that each unit reports once, and they have reported more than 1.1 times on "
    "average: which of them an arm got by chance would be in no interval, and what a frozen plan "
    "compares does not change. A plan with units: repeated compares means over all outcomes."
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
    lacks : str
        What the newest look has too little of for an interval, as a sentence; empty if of nothing.
    """

    sequence: Sequence
    ends: IntArray
    error: float | None
    lacks: str


def is_repeated(plan: ExperimentPlan, metric: MetricSpec, observed: Observed) -> bool:
    """Say whether the same units are in period after period.

    What chance gave an arm of better units then stays in every difference of periods: it does not
    vary, so no interval from differences of periods has it. Units that met an arm and say nothing
    change nothing about those that report, so that these are counted; all of them only where
    outcomes are in no sums by unit.
    """
    if plan.design != "assigned" or plan.counts_by_exposure:
        return False
    if plan.units is None:
        return _reports_again(metric, observed)
    return plan.units == "repeated" and observed.tables[metric.name].n_rows > 0


def why_no_interval(plan: ExperimentPlan, metric: MetricSpec, observed: Observed) -> str | None:
    """Return why an interval would not hold, by how often units report; None where it does."""
    if plan.units == "once" and _reports_again(metric, observed):
        return NOT_ONCE
    if not is_repeated(plan, metric, observed):
        return None
    why = why_withheld(plan, metric, observed)
    return None if why is None else WITHHELD.format(why=why)


def _reports_again(metric: MetricSpec, observed: Observed) -> bool:
    """Say whether units have sent more outcomes than are taken for one each."""
    units = observed.units.get(metric.name)
    if units is not None and units.counted.sum() > MOST_REPEATED * units.units.sum():
        return True
    n = float(observed.tables[metric.name].n.sum())
    return observed.n_exposed > 0 and n > MOST_REPEATED * observed.n_exposed


def why_withheld(plan: ExperimentPlan, metric: MetricSpec, observed: Observed) -> str | None:
    """Return why units that report again get no answer; None where they get one."""
    if plan.allocation.policy != "fixed":
        return ": a policy moves the shares by what units reported before"
    if plan.analysis.method == "betting":
        return ": betting takes outcomes one by one"
    if _misses_outcomes(plan, metric, observed):
        return (
            ": some outcomes came before they were added up by unit, which manage.py "
            "rebuild_unit_sums does"
        )
    return None


def _misses_outcomes(plan: ExperimentPlan, metric: MetricSpec, observed: Observed) -> bool:
    """Say whether outcomes of the periods to look at are in no sums by unit.

    A late one is in them from a newer period on, so that some must be missing of all outcomes; and
    if none is of the periods to look at, the others do not matter yet.
    """
    table, units = observed.tables[metric.name], observed.units.get(metric.name)
    if units is None:
        return True
    if units.counted.sum() >= table.n.sum():
        return False
    if observed.watermark is None:
        return True
    by_ns, period_ns = observed.watermark, plan.period_ns
    n_due = table.ended(by_ns, period_ns).n.sum()
    return bool(units.ended(by_ns, period_ns).counted.sum() < n_due)


def clustered_sequence(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, units: UnitTable, arm: int,
    confidence: float, contexts: Mapping[int, str] | None = None,
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
    contexts : mapping of int to str, optional
        Context of the shares by allocation number.

    Raises
    ------
    StatisticsError
        There is nothing to compute yet.
    """
    asked, is_guardrail = plan.analysis, metric.role == "guardrail"
    n_periods = periods_since_both(table, arm).size
    if n_periods == 0:
        raise NotComputedError("one of the two arms has no outcomes yet")
    looks, reach = looks_of(asked, confidence, n_periods, is_guardrail=is_guardrail)
    told, reach = or_newest(asked, looks, reach, n_periods)
    found = clustered_differences(
        table, units, arm, told, is_ratio=metric.kind == "ratio", is_adjusted=metric.covariate,
        batch=asked.batch, groups=contexts,
    )  # fmt: skip
    sequence = sequence_of(
        f"{asked.method}, by unit", confidence,
        Looks(found.periods, found.difference, found.error, found.freedom), reach,
    )  # fmt: skip
    return Clustered(
        sequence, found.period, _known(found.error[-1]),
        _lacking(plan, found, arm) if looks.size else "",
    )  # fmt: skip


def _lacking(plan: ExperimentPlan, found: ClusteredLooks, arm: int) -> str:
    """Return why the newest look has no error."""
    if np.isfinite(found.error[-1]):
        return ""
    challenger, control = found.units[-1]
    name = plan.ordered_arms[arm].name
    if found.thin:
        return (
            f"Of {', '.join(found.thin)} there are too few units of {name} or {plan.control.name} "
            f"to know how sure the difference there is: an interval takes {FEWEST_UNITS} of each "
            "that report about as often, in every context that units come in."
        )
    if min(challenger, control) < FEWEST_UNITS:
        seen = f"{control:,.0f} units of {plan.control.name} and {challenger:,.0f} of {name}"
        return f"{seen} have reported; an interval takes {FEWEST_UNITS} of each."
    if found.effective[-1].min() < FEWEST_EFFECTIVE:
        return "One unit has nearly all outcomes of an arm: there is no interval."
    n_periods, n_units = found.periods[-1], challenger + control
    return (
        f"Outcomes of {n_units:,.0f} units in {n_periods:,} periods do not vary enough: there is "
        "no interval."
    )


def figures_by_unit(
    metric: MetricSpec, units: UnitTable, n_arms: int
) -> list[tuple[float, float | None, float | None]]:
    """Return the outcomes of each arm, their mean and its standard error by unit."""
    means, errors = clustered_means(units, n_arms, is_ratio=metric.kind == "ratio")
    n = np.bincount(units.arm, units.counted, n_arms)
    return [
        (float(count), _known(mean), _known(error))
        for count, mean, error in zip(n, means, errors, strict=True)
    ]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def periods_since_both(table: PeriodTable, arm: int) -> IntArray:
    """Return the periods with outcomes of a challenger or the control, once both had some.

    Their means are over all periods, so that no single one has to have both.
    """
    if not table.n_rows:
        return np.zeros(0, dtype=np.int64)
    periods, n = table.pivot("n", max(int(table.arm.max()), arm) + 1)
    pair = n[:, [0, arm]]
    has_both = (np.cumsum(pair, axis=0) > 0.0).all(axis=1)
    return periods[has_both & (pair > 0.0).any(axis=1)]
