"""What is shown of one metric: challengers beside the control, in words and drawings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crowetrade_site.core.drawings import Drawing
from experiments.plans import ExperimentPlan, MetricSpec
from experiments.plans.wording import (
    write_confidence,
    write_difference,
    write_interval,
    write_share,
)
from experiments.selectors import drawings


@dataclass(frozen=True)
class ComparisonRow:
    """One challenger on one metric, written out."""

    arm: str
    estimate: str
    interval: str
    confidence: str  # of the interval; empty where there is none
    chance: str
    loss: str
    guardrail: str = ""
    because: str = ""
    is_known: bool = False  # whether there is an interval


@dataclass(frozen=True)
class MetricCard:
    """One metric with its comparisons and its drawing."""

    name: str
    role: str
    about: str
    rows: Sequence[ComparisonRow]
    drawing: Drawing | None = None
    drawings: Sequence[tuple[str, Drawing]] = field(default=())  # by name: with all there are


def card_of(
    plan: ExperimentPlan, metric: MetricSpec, found: Mapping[str, Any] | None,
    decision: Mapping[str, Any],
) -> MetricCard:  # fmt: skip
    """Return what is shown of one metric."""
    better = "more is better" if metric.direction == "increase" else "less is better"
    about = [metric.kind, better]
    if metric.margin is not None:
        about.append(f"no worse than by {write_difference(metric, metric.margin)}")
    if found is None:
        return MetricCard(metric.name, metric.role, ", ".join(about), [])
    states = {
        (state["metric"], state["arm"]): str(state["status"])
        for state in decision.get("guardrails", [])
    }
    rows = [
        comparison_row(metric, one, guardrail=states.get((metric.name, one["arm"]), ""))
        for one in found["comparisons"]
    ]
    if plan.allocation.context is not None:
        about.append("over the periods that were seen")
    drawn = drawings.draw_sequence(plan, metric, found)
    posterior = drawings.draw_posteriors(metric, found) if metric.role == "primary" else None
    return MetricCard(
        metric.name, metric.role, ", ".join(about), rows, drawn,
        drawings.named({metric.name: drawn, "posterior": posterior}),
    )  # fmt: skip


def comparison_row(
    metric: MetricSpec, one: Mapping[str, Any], *, guardrail: str = ""
) -> ComparisonRow:
    """Return a challenger beside the control, written out."""
    is_known = one["lower"] is not None
    return ComparisonRow(
        arm=one["arm"],
        estimate=write_difference(metric, one["estimate"]),
        interval=write_interval(metric, one["lower"], one["upper"]),
        confidence=write_confidence(one["confidence"]) if is_known else "",
        chance=write_share(one["probability_better"]),
        loss=write_difference(metric, one["expected_loss"]),
        guardrail=guardrail,
        because=one["because"],
        is_known=is_known,
    )
