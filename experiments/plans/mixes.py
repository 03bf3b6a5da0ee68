"""What an answer over several contexts still takes, however sure its interval is.

The interval is of the periods that were seen, whatever came in them: 200 calm ones say nothing of
turbulent times, and a plan that names both asks about both.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from experiments.plans.differences import ContextDifferences
from experiments.plans.document import ExperimentPlan
from experiments.plans.findings import Comparison, ContextFindings
from experiments.plans.units import periods_since_both
from experiments.plans.wording import write_difference, write_interval
from experiments.statistics.summaries import PeriodTable

FEWEST_COMPARED: Final = 10  # periods of each context, or a batch where that is more
MOST_LEFT_OUT: Final = 0.25  # of what came in a context


def is_mix(contexts: Mapping[int, str]) -> bool:
    """Say whether shares depend on a context."""
    return any(contexts.values())


def why_undecided(plan: ExperimentPlan, arm: int, found: ContextDifferences) -> str | None:
    """Return why differences by period give no answer yet; None where they do.

    Parameters
    ----------
    plan : ExperimentPlan
    arm : int
        Position of the challenger.
    found : ContextDifferences
        Of the periods that the answer is about.
    """
    n_compared = dict(zip(found.contexts, found.is_compared.sum(axis=0).tolist(), strict=True))
    few = _too_few(plan, arm, n_compared)
    if few is not None:
        return few
    much = {name: part for name, part in found.left_out().items() if part > MOST_LEFT_OUT}
    if not much:
        return None
    told = " and ".join(f"{share:.0%} of {name}" for name, share in much.items())
    return (
        f"{told} came in periods that had only one of {_pair(plan, arm)} there; nothing is "
        f"concluded above {MOST_LEFT_OUT:.0%}. Longer periods and a higher floor help."
    )


def why_units_undecided(
    plan: ExperimentPlan, arm: int, table: PeriodTable, contexts: Mapping[int, str]
) -> str | None:
    """Return why units that report again give no answer yet; None where they do."""
    numbers = {
        name: [number for number, value in contexts.items() if value == name]
        for name in plan.contexts
    }
    n_compared = {
        name: int(periods_since_both(table.of_allocations(own), arm).size)
        for name, own in numbers.items()
    }
    return _too_few(plan, arm, n_compared)


def _too_few(plan: ExperimentPlan, arm: int, n_compared: Mapping[str, int]) -> str | None:
    fewest = max(FEWEST_COMPARED, plan.analysis.batch)
    few = {name: n_compared.get(name, 0) for name in plan.contexts}
    few = {name: n for name, n in few.items() if n < fewest}
    if not few:
        return None
    told = " and ".join(f"{n:,} in {name}" for name, n in few.items())
    return (
        f"{_pair(plan, arm)} were compared in {told} so far, of {fewest:,} periods that every "
        f"{_attribute(plan)} takes before anything is concluded."
    )


def why_divided(plan: ExperimentPlan, arm: str, contexts: Sequence[ContextFindings]) -> str | None:
    """Return that a challenger wins in one context and loses in another, if it surely does.

    Where the question is whether it is no worse, the margin takes the place of 0.
    """
    each = {
        found.context: (one, one.lower, one.upper)
        for found in contexts for one in found.comparisons
        if one.arm == arm and one.lower is not None and one.upper is not None
    }  # fmt: skip
    asked = plan.primary
    more = {name: one for name, (one, lower, _) in each.items() if lower > asked.edge}
    less = {name: one for name, (one, _, upper) in each.items() if upper < asked.edge}
    if not more or not less:
        return None
    than = f"than {plan.control.name}"
    if asked.margin is None:
        fine, worse = more, less
        said, also = f"has more {asked.name} {than}", "less"
    else:
        fine, worse = (more, less) if asked.direction == "increase" else (less, more)
        least = write_difference(asked, asked.margin)
        said, also = f"is no worse {than} on {asked.name} by {least}", "worse by more"
    return (
        f"It depends on the {_attribute(plan)}: {arm} {said} in {_written(plan, fine)} and {also} "
        f"in {_written(plan, worse)}. No arm is the winner of both."
    )


def _written(plan: ExperimentPlan, each: Mapping[str, Comparison]) -> str:
    return " and ".join(
        f"{name} ({write_interval(plan.primary, one.lower, one.upper)})"
        for name, one in each.items()
    )


def _pair(plan: ExperimentPlan, arm: int) -> str:
    return f"{plan.ordered_arms[arm].name} and {plan.control.name}"


def _attribute(plan: ExperimentPlan) -> str:
    asked = plan.allocation.context
    return "context" if asked is None else asked.attribute
