"""What is known within each context: the primary metric of the units that came in it.

It is there to be read, and decides nothing: of several contexts that are alike one looks better by
chance, and each has fewer periods than the plan reckoned with.
"""

from dataclasses import replace

import numpy as np

from experiments.plans.comparing import in_time, metric_findings
from experiments.plans.differences import differences_of, uncompared_shares
from experiments.plans.document import ExperimentPlan
from experiments.plans.findings import ContextFindings
from experiments.plans.observed import Observed
from experiments.plans.units import is_repeated, n_since_both
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
    newest = max(observed.weights, default=None)
    weights = plan.weights if newest is None else observed.weights[newest]
    names = [arm.name for arm in plan.ordered_arms]
    return ContextFindings(
        context=context,
        n_periods=n_compared(plan, table, observed),
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
    said = (
        f"Shares depend on {asked.attribute}: arms are compared within each of its values, and "
        "these weighed by their traffic: the answer is of the mix that was seen. An arm's own mean "
        "is of the units that it had, whatever they came in: means of two arms do not compare."
    )
    again = is_repeated(plan, plan.primary, observed)
    if again:  # their means are over all periods
        table = replace(table, period=np.zeros_like(table.period)).merged()
    notes = [said]
    for at, arm in enumerate(plan.ordered_arms[1:], start=1):
        shares = uncompared_shares(table, at, len(plan.arms), observed.contexts)
        much = {value: share for value, share in shares.items() if share > MOST_UNCOMPARED}
        if much and again:
            notes.append(
                f"Units of {', '.join(much)} met only one of {arm.name} and {plan.control.name} "
                "so far: they are in no difference."
            )
        elif much:
            told = ", ".join(f"{share:.0%} of {value}" for value, share in much.items())
            notes.append(
                f"{told} came in periods that had only one of {arm.name} and {plan.control.name} "
                "there: it is in no difference, so these count for less than their traffic. "
                "Longer periods and a higher floor help."
            )
    return notes


def n_compared(plan: ExperimentPlan, table: PeriodTable, observed: Observed) -> int:
    """Return the periods in which most is known of some challenger beside the control."""
    challengers = range(1, len(plan.arms))
    if is_repeated(plan, plan.primary, observed):
        return max(n_since_both(table, arm) for arm in challengers)
    sizes = [
        differences_of(plan, plan.primary, table, arm, observed.contexts)[0].size
        for arm in challengers
    ]
    return max(sizes)
