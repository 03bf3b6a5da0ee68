"""What is known within each context: the primary metric of the units that came in it.

It is there to be read, and makes no winner: of several contexts that are alike one looks better by
chance, and each has fewer periods than the plan reckoned with. Where one is surely better and
another surely worse there is no winner over both either.
"""

from dataclasses import replace

import numpy as np

from experiments.plans.comparing import in_time, metric_findings
from experiments.plans.differences import IntArray, differences_by_context, differences_of
from experiments.plans.document import ExperimentPlan
from experiments.plans.findings import ContextFindings
from experiments.plans.observed import Observed
from experiments.plans.sections import MetricSpec
from experiments.plans.units import is_repeated, periods_since_both
from experiments.statistics.summaries import PeriodTable

MOST_UNCOMPARED = 0.05  # of a context's outcomes, before it is said


def context_findings(plan: ExperimentPlan, observed: Observed) -> list[ContextFindings]:
    """Return what is known within each context, in the plan's order; nothing where it has none."""
    if plan.allocation.context is None:
        return []
    return [_within(plan, observed.within(context), context) for context in plan.contexts]


def _within(plan: ExperimentPlan, observed: Observed, context: str) -> ContextFindings:
    """Return what is known of the units of one context, at the plan's confidence."""
    confidences = [plan.analysis.confidence] * (len(plan.arms) - 1)
    found = metric_findings(plan, plan.primary, observed, confidences)
    table = in_time(plan, observed.tables[plan.primary.name], observed.watermark)
    n_periods = n_compared(plan, plan.primary, table, observed)
    newest = max(observed.weights, default=None)
    weights = plan.weights if newest is None else observed.weights[newest]
    names = [arm.name for arm in plan.ordered_arms]
    return ContextFindings(
        context=context,
        n_periods=n_periods,
        n_left_out=int(np.unique(table.period).size) - n_periods,
        n_exposed=observed.n_exposed,
        shares={name: float(share) for name, share in zip(names, weights, strict=True)},
        arms=found.arms,
        comparisons=[replace(one, path=None) for one in found.comparisons],
    )


def context_notes(plan: ExperimentPlan, table: PeriodTable, observed: Observed) -> list[str]:
    """Return what has to be known where shares depend on a context, to read the differences."""
    asked = plan.allocation.context
    if asked is None or not table.n_rows:
        return []
    again = is_repeated(plan, plan.primary, observed)
    notes = [_target(asked.attribute, again=again)]
    if again:  # their means are over all periods
        table = replace(table, period=np.zeros_like(table.period)).merged()
    for at, arm in enumerate(plan.ordered_arms[1:], start=1):
        found = differences_by_context(plan, plan.primary, table, at, observed.contexts)
        much = {name: share for name, share in found.left_out().items() if share > MOST_UNCOMPARED}
        if much and again:
            notes.append(
                f"Units of {', '.join(much)} met only one of {arm.name} and {plan.control.name} "
                "so far: they are in no difference."
            )
        elif much:
            told = ", ".join(f"{share:.0%} of {name}" for name, share in much.items())
            notes.append(
                f"{told} came in periods that had only one of {arm.name} and {plan.control.name} "
                "there: it counts as the other periods of its context do. Longer periods and a "
                "higher floor help."
            )
    return notes


def _target(attribute: str, *, again: bool) -> str:
    """Return what the overall difference is of."""
    weighed = (
        "these weighed by the units that came in each: the answer is the average over the units "
        "that were seen"
        if again
        else "these weighed within a period by their outcomes, and periods alike: the answer is "
        "the average over the periods that were seen"
    )
    return (
        f"Shares depend on {attribute}: arms are compared within each of its values, and "
        f"{weighed}, and of no other mix. An arm's own mean is of the units that it had, whatever "
        "they came in: means of two arms do not compare."
    )


def n_compared(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, observed: Observed
) -> int:
    """Return the periods in which most is known of some challenger beside the control."""
    return max(periods.size for periods in _compared(plan, metric, table, observed))


def of_the_plan(plan: ExperimentPlan, table: PeriodTable, observed: Observed) -> Observed:
    """Return what was seen in the planned periods; an asymptotic sequence has no end."""
    horizon = plan.analysis.horizon_periods
    compared = _compared(plan, plan.primary, table, observed)
    if plan.analysis.method == "asymptotic" or min(one.size for one in compared) <= horizon:
        return observed
    last = max(int(periods[horizon - 1]) for periods in compared)
    return replace(observed, watermark=last + plan.period_ns)


def _compared(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, observed: Observed
) -> list[IntArray]:
    """Return the periods in which each challenger is compared with the control."""
    challengers = range(1, len(plan.arms))
    if is_repeated(plan, metric, observed):
        return [periods_since_both(table, arm) for arm in challengers]
    return [differences_of(plan, metric, table, arm, observed.contexts)[0] for arm in challengers]
