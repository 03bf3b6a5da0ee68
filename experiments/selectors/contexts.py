"""What is shown of each context: its arms side by side, with the shares of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.models import Allocation
from experiments.plans import ExperimentPlan
from experiments.plans.wording import write_share
from experiments.selectors.cards import ComparisonRow, comparison_row


@dataclass(frozen=True)
class ContextRow:
    """One arm among the units that came in one context, written out."""

    context: str  # of the first of its arms; empty below it
    about: str
    arm: str
    share: str
    n: str
    difference: ComparisonRow | None  # None of the control


def context_rows(
    plan: ExperimentPlan, found: Sequence[Mapping[str, Any]], shares: Sequence[Allocation]
) -> list[ContextRow]:
    """Return the arms of each context, the control first, with the shares in force.

    Parameters
    ----------
    plan : ExperimentPlan
    found : sequence of mapping
        The contexts of an analysis, as its findings keep them.
    shares : sequence of Allocation
        All that were ever in force, the newest last.
    """
    if plan.allocation.context is None:
        return []
    by_context = {one["context"]: one for one in found}
    in_force = {one.context: one.weights for one in shares}
    return [
        row
        for context in plan.contexts
        for row in _of_context(
            plan, context, by_context.get(context, {}), in_force.get(context, plan.weights)
        )
    ]


def _of_context(
    plan: ExperimentPlan, context: str, found: Mapping[str, Any], weights: Sequence[float]
) -> list[ContextRow]:
    differences = {each["arm"]: each for each in found.get("comparisons", [])}
    figures = {each["arm"]: each for each in found.get("arms", [])}
    units, periods = found.get("n_exposed", 0), found.get("n_periods", 0)
    seen = f"{units:,} units, {periods:,} periods compared, {found.get('n_left_out', 0):,} left out"
    rows = []
    for at, (arm, weight) in enumerate(zip(plan.ordered_arms, weights, strict=True)):
        one = differences.get(arm.name)
        rows.append(
            ContextRow(
                context="" if at else context,
                about="" if at else seen,
                arm=arm.name,
                share=write_share(weight),
                n=f"{figures[arm.name]['n']:,.0f}" if arm.name in figures else "0",
                difference=comparison_row(plan.primary, one) if one else None,
            )
        )
    return rows
