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
    write_p_value,
    write_share,
)
from experiments.selectors import drawings

P_NAMES = {
    "planned_sequence": "Anytime-valid p-value",
    "asymptotic": "Anytime-valid p-value",
    "fixed_horizon": "p-value of the one look",
}


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
    p_value: str = ""


@dataclass(frozen=True)
class MetricCard:
    """One metric with its comparisons and its drawing."""

    name: str
    role: str
    about: str
    rows: Sequence[ComparisonRow]
    p_name: str = ""  # of the p-values; empty where the method has none
    standing: str = ""  # which of several arms is the best
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
        metric.name, metric.role, ", ".join(about), rows, _p_name(metric, found),
        _standing(metric, found), drawn,
        drawings.named({metric.name: drawn, "posterior": posterior}),
    )  # fmt: skip


def _p_name(metric: MetricSpec, found: Mapping[str, Any]) -> str:
    """Return what the p-values of a metric are; empty where there are none."""
    if metric.margin is not None or metric.kind == "ratio":
        return ""
    return P_NAMES.get(found["method"], "")


def _standing(metric: MetricSpec, found: Mapping[str, Any]) -> str:
    """Return in words which of several arms is the best of all; empty where it is not known."""
    rows = sorted(found.get("standing", ()), key=lambda one: -one["probability_best"])
    if not rows:
        return ""
    told = "; ".join(
        f"{one['arm']} {write_share(one['probability_best'])}, expected loss "
        f"{write_difference(metric, one['expected_loss'])}"
        for one in rows
    )
    return f"Chance to be the best of all arms, and what choosing it gives up on average: {told}."


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
        p_value=write_p_value(one.get("p_value")),
    )
