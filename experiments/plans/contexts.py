"""What is known within each context: the primary metric of the units that came in it.

It is there to be read, and decides nothing: of several contexts that are alike one looks better by
chance, and each has fewer periods than the plan reckoned with.
"""

from collections.abc import Mapping
from dataclasses import replace

from experiments.plans.comparing import in_time, metric_findings
from experiments.plans.differences import differences_of
from experiments.plans.document import ExperimentPlan
from experiments.plans.findings import ContextFindings
from experiments.plans.observed import Observed
from experiments.statistics.summaries import PeriodTable


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
        n_periods=n_compared(plan, table, observed.contexts),
        n_exposed=observed.n_exposed,
        shares={name: float(share) for name, share in zip(names, weights, strict=True)},
        arms=found.arms,
        comparisons=[replace(one, path=None) for one in found.comparisons],
    )


def n_compared(plan: ExperimentPlan, table: PeriodTable, contexts: Mapping[int, str]) -> int:
    """Return the periods in which most is known of some challenger beside the control."""
    sizes = [
        differences_of(plan, plan.primary, table, arm, contexts)[0].size
        for arm in range(1, len(plan.arms))
    ]
    return max(sizes)
