"""The drawings of an experiment, from what its analyses and allocations keep."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from crowetrade_site.core.drawings import (
    Curve,
    Drawing,
    draw_curves,
    draw_shares,
    write_time_of,
)
from experiments.models import Allocation
from experiments.plans import ExperimentPlan, MetricSpec
from experiments.plans.wording import write_difference, write_value

Found = Mapping[str, Any]
_NS = 1e9
_ALL_LOOKS = "The estimate after every period, and the interval that holds at all looks at once"
_SAID = {
    "planned_sequence": _ALL_LOOKS,
    "asymptotic": _ALL_LOOKS,
    "betting": _ALL_LOOKS,
    "group_sequential": "The estimate, and its interval at the planned looks",
    "fixed_horizon": "The estimate after every period; its interval comes once, at the end",
}
_CUT = ", each cut to those before it"
_DENSITY_POINTS = 121
_DENSITY_REACH = 4.0  # standard deviations


def named(drawn: Mapping[str, Drawing | None]) -> list[tuple[str, Drawing]]:
    """Return the drawings that there are, each with its name."""
    return [(name, drawing) for name, drawing in drawn.items() if drawing is not None]


def draw_sequence(plan: ExperimentPlan, metric: MetricSpec, found: Found) -> Drawing | None:
    """Return each challenger's difference from the control with its interval as it went.

    None before the first interval: an estimate alone would be read as an answer.
    """
    paths = [(one["arm"], one["path"]) for one in found["comparisons"] if one.get("path")]
    paths = [(name, path) for name, path in paths if path["at"]]
    if not any(edge is not None for _, path in paths for edge in path["lower"]):
        return None
    stamps = sorted({at for _, path in paths for at in path["at"]})
    along = [at / _NS for at in stamps]
    curves = [
        Curve(
            name, _placed(path, "estimate", stamps), _placed(path, "lower", stamps),
            _placed(path, "upper", stamps), color=at,
        )
        for at, (name, path) in enumerate(paths, start=1)
    ]  # fmt: skip
    region = plan.analysis.region_of_equivalence if metric.role == "primary" else None
    levels = [(0.0, "")]
    levels += [(region, ""), (-region, "")] if region else []
    if metric.margin is not None:
        sign = -1.0 if metric.direction == "increase" else 1.0
        levels.append((sign * metric.margin, "margin"))
    return draw_curves(
        along, curves, title=f"{metric.name}: difference from {plan.control.name}",
        said=_said(plan, metric, found["method"]),
        write=lambda value: write_difference(metric, value), levels=levels,
        write_along=write_time_of(along[0], along[-1]),
    )  # fmt: skip


def _said(plan: ExperimentPlan, metric: MetricSpec, method: str) -> str:
    """Return what is drawn; intervals of guardrails, and over contexts, are each of their time."""
    moves = metric.role == "guardrail" or plan.allocation.context is not None
    is_cut = _SAID[method] is _ALL_LOOKS and not moves
    return f"{_SAID[method]}{_CUT if is_cut else ''}."


def draw_posteriors(metric: MetricSpec, found: Found) -> Drawing | None:
    """Return the posterior densities of the differences.

    None before the first interval, as of `draw_sequence`.
    """
    known = [
        (one["arm"], NormalDist(one["posterior_mean"], one["posterior_deviation"]))
        for one in found["comparisons"]
        if one.get("posterior_deviation") and one["lower"] is not None
    ]  # fmt: skip
    if not known:
        return None
    low = min(0.0, *(law.mean - _DENSITY_REACH * law.stdev for _, law in known))
    high = max(0.0, *(law.mean + _DENSITY_REACH * law.stdev for _, law in known))
    along = [low + (high - low) * at / (_DENSITY_POINTS - 1) for at in range(_DENSITY_POINTS)]
    peak = max(law.pdf(law.mean) for _, law in known)
    curves = [
        Curve(name, [law.pdf(at) / peak for at in along], color=at)
        for at, (name, law) in enumerate(known, start=1)
    ]
    return draw_curves(
        along, curves, title=f"{metric.name}: what the difference may be",
        said="Posterior densities, the highest point being 1. They say how plausible a difference "
        "is, and never end an experiment.",
        write=lambda value: f"{value:.2g}", up="plausibility",
        write_along=lambda value: write_difference(metric, value),
    )  # fmt: skip


def draw_allocations(
    plan: ExperimentPlan, allocations: Sequence[Allocation], until: float
) -> list[Drawing]:
    """Return the shares of the arms over time, a drawing a context; none of what never changed.

    All have the same span of time, so that they can be held beside each other.
    """
    if len(allocations) <= len(plan.contexts):
        return []
    end = max(until, *(one.at.timestamp() for one in allocations))
    drawn = [
        _draw_shares(plan, [one for one in allocations if one.context == context], context, end)
        for context in plan.contexts
    ]
    return [drawing for drawing in drawn if drawing is not None]


def _draw_shares(
    plan: ExperimentPlan, allocations: Sequence[Allocation], context: str, end: float
) -> Drawing | None:
    """Return the shares in one context up to a moment [UTC s]."""
    along = [one.at.timestamp() for one in allocations] + [end]
    shares = [
        Curve(arm.name, [one.weights[at] for one in [*allocations, allocations[-1]]], color=at)
        for at, arm in enumerate(plan.ordered_arms)
    ]
    asked = plan.allocation.context
    where = f" where {asked.attribute} is {context}" if asked else ""
    return draw_shares(
        along, shares, title=f"Shares of the arms{where}",
        said=f"The share of each arm over time{where}; an exposure keeps the chance that it had.",
        write_along=write_time_of(along[0], along[-1]), up="share",
    )  # fmt: skip


def draw_cost(plan: ExperimentPlan, cost: Found | None) -> Drawing | None:
    """Return what trying cost so far, cumulated."""
    if not cost or not cost["at"]:
        return None
    metric, asked = plan.primary, plan.allocation.context
    best = f"in each {asked.attribute}" if asked else "now"
    along = [at / _NS for at in cost["at"]]
    return draw_curves(
        along, [Curve("cost", cost["total"])], title="What trying cost",
        said=f"What the arm that looks best {best} would have made of all outcomes, less what was "
        "made: an estimate, which grows more slowly as shares move to the better arm.",
        write=lambda value: write_value(metric, value),
        write_along=write_time_of(along[0], along[-1]),
    )  # fmt: skip


def _placed(path: Found, name: str, stamps: Sequence[int]) -> list[float]:
    """Return a path's numbers at their moments; NaN at those of others, and where there is none."""
    known = dict(zip(path["at"], path[name], strict=True))
    values = (known.get(at) for at in stamps)
    return [math.nan if value is None else value for value in values]
