"""What the page and the report of an experiment show, in words and drawings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from crowetrade_site.core.drawings import Drawing
from crowetrade_site.core.history import Happening, newest_about
from experiments.lifecycle import ExperimentStatus
from experiments.models import Analysis, Experiment
from experiments.plans import ExperimentPlan, MetricSpec, Verdict
from experiments.plans.verdicts import nothing_yet
from experiments.plans.wording import (
    NOTHING,
    write_confidence,
    write_difference,
    write_interval,
    write_share,
    write_value,
)
from experiments.selectors import drawings
from experiments.selectors.cards import MetricCard, card_of
from experiments.selectors.contexts import ContextRow, context_rows
from experiments.selectors.detecting import what_it_shows, when_first_interval
from experiments.selectors.records import list_allocations, plan_notes, plan_of
from experiments.selectors.statistics import tallies

TOLD_CHANGES = {"shares", "context", "verdict", "winner", "status", "acknowledged", "same arms"}
ANSWERS = {
    Verdict.WINNER: "A winner",
    Verdict.NO_DIFFERENCE: "No difference",
    Verdict.INCONCLUSIVE: "No answer in the time that was planned",
}
TALLIES = {
    "accepted": "taken, each metric's by itself",
    "late": "of these late: after newer periods of the same metric",
    "duplicate": "sent again, counted once",
    "conflicting": "refused: the same key with another value",
    "not_exposed": "refused: the unit never met an arm",
    "before_exposure": "refused: before the unit met its arm",
    "before_start": "refused: before the experiment began",
    "not_finite": "refused: not a number, or infinite",
    "not_binary": "refused: a proportion takes 0 and 1",
    "in_future": "refused: in the future",
    "overridden": "kept, not counted: the plan sends their units to an arm by name",
    "bad_time": "refused: no time that can be read",
    "bad_unit": "refused: no unit that can be",
    "bad_key": "refused: no key that can be",
    "missing_x": "refused: without the x that the metric needs",
    "no_object": "refused: a number, a list or the like, where an object is needed",
    "unknown_field": "refused: with a field that outcomes do not have",
    "unknown_metric": "refused: no such metric",
    "unknown_arm": "refused: no such arm",
}


@dataclass(frozen=True)
class ArmRow:
    """One arm, written out."""

    name: str
    is_control: bool
    what: str
    share: str
    units: str  # that met it; empty of a shadow experiment
    n: str
    mean: str
    error: str
    is_winner: bool = False


@dataclass(frozen=True)
class Board:
    """Everything that is shown of an experiment."""

    experiment: Experiment
    plan: ExperimentPlan
    headline: str
    reason: str
    rule: str  # what answers, and what a winner takes
    is_live: bool
    n_periods: int
    percent: int
    progress: str
    detectability: str  # empty where it cannot be said
    arms: Sequence[ArmRow]
    cards: Sequence[MetricCard]
    contexts: Sequence[ContextRow]  # none where shares depend on no context
    cost_drawings: Sequence[tuple[str, Drawing]]  # of shares and cost, by name
    has_moved: bool  # whether the shares have
    cost_text: str
    mismatch: str
    is_mismatch: bool
    tallies: Sequence[tuple[str, str]]
    analysis: Analysis | None
    analyzed_at: datetime | None
    notes: Sequence[str] = field(default=())
    history: Sequence[Happening] = field(default=())


def get_board(experiment: Experiment) -> Board:
    """Return what is shown of an experiment, from its newest analysis."""
    plan = plan_of(experiment)
    analysis = experiment.analyses.order_by("-number").first()
    found: Mapping[str, Any] = analysis.findings if analysis else {}
    decision: Mapping[str, Any] = analysis.decision if analysis else {}
    shares = list(list_allocations(experiment).reverse())
    by_name = {metric["name"]: metric for metric in found.get("metrics", [])}
    primary = by_name.get(plan.primary.name, {"comparisons": [], "arms": []})
    n_periods = int(found.get("n_periods", 0))
    horizon = plan.analysis.horizon_periods
    headline, reason = _headline(experiment, plan, decision, found)
    mismatch, is_mismatch = _mismatch(found.get("mismatch"))
    moved = drawings.draw_allocations(plan, shares, _until(experiment))
    return Board(
        experiment=experiment,
        plan=plan,
        headline=headline,
        reason=reason,
        rule=write_rule(plan),
        is_live=experiment.status in {ExperimentStatus.RUNNING, ExperimentStatus.PAUSED},
        n_periods=n_periods,
        percent=min(100, round(100 * n_periods / horizon)),
        progress=_progress(n_periods, plan),
        detectability=" ".join(
            filter(None, [what_it_shows(plan), (found.get("assumed") or {}).get("sentence")])
        ),
        arms=_arms(
            experiment, plan, primary, shares[-1].weights if shares else plan.weights,
            found.get("mismatch"),
        ),
        contexts=context_rows(plan, found.get("contexts", []), shares),
        cards=[card_of(plan, one, by_name.get(one.name), decision) for one in plan.metrics],
        cost_drawings=drawings.named(
            {f"allocation-{at}": drawing for at, drawing in enumerate(moved)}
            | {"cost": drawings.draw_cost(plan, found.get("cost"))}
        ),
        has_moved=bool(moved),
        cost_text=_cost_text(plan, found),
        mismatch=mismatch,
        is_mismatch=is_mismatch,
        tallies=[(TALLIES.get(why, f"refused: {why.replace('_', ' ')}"), f"{n:,}")
                 for why, n in tallies(experiment).items()],
        analysis=analysis,
        analyzed_at=experiment.analyzed_at,
        notes=[*plan_notes(experiment, plan), *found.get("notes", [])],
        history=history_of(experiment),
    )  # fmt: skip


def write_rule(plan: ExperimentPlan) -> str:
    """Return which metrics answer, and what a winner takes of several."""
    names = [metric.name for metric in plan.primaries]
    if len(names) == 1:
        return names[0]
    told = f"{', '.join(names[:-1])} and {names[-1]}"
    if plan.analysis.winner_needs == "all":
        return f"{told}, on each of which a winner is better"
    return f"{told}, on one of which at least a winner is better, and on none worse"


def history_of(experiment: Experiment) -> list[Happening]:
    """Return the newest entries of the audit trail about an experiment."""
    return newest_about(experiment, experiment.name, only=TOLD_CHANGES)


def write_differences(experiment: Experiment, analysis: Analysis | None) -> list[str]:
    """Return a line for each challenger and metric: its difference so far, of guardrails the state.

    The primary metrics come first. Where shares depend on a context, the differences of it within
    each follow, which decide nothing.
    """
    plan = plan_of(experiment)
    findings = analysis.findings if analysis else {}
    decision = analysis.decision if analysis else {}
    states = {(one["metric"], one["arm"]): one["status"] for one in decision.get("guardrails", [])}
    comparisons = {one["name"]: one["comparisons"] for one in findings.get("metrics", [])}
    ordered = [*plan.primaries, *(one for one in plan.metrics if one.role != "primary")]
    lines = [
        _with_state(
            _difference(plan, metric, one, decision),
            metric,
            states.get((metric.name, one["arm"]), ""),
        )
        for metric in ordered
        for one in comparisons.get(metric.name, [])
    ]
    return lines + [
        f"explored, {found['context']}: {_difference(plan, plan.primary, one, decision)}"
        for found in findings.get("contexts", [])
        for one in found["comparisons"]
    ]


def _difference(
    plan: ExperimentPlan, metric: MetricSpec, one: Mapping[str, Any],
    decision: Mapping[str, Any],
) -> str:  # fmt: skip
    """Return a challenger less the control in a line, without what the decision says."""
    role = "" if metric.role == "primary" else metric.role
    about = f"{one['arm']} less {plan.control.name}, {f'{role} {metric.name}'.strip()}: "
    estimate = write_difference(metric, one["estimate"])
    is_withheld, because = one.get("is_withheld", False), one["because"]
    if one["lower"] is None or one["upper"] is None:
        lacks = "no interval" if is_withheld else "no interval yet"
        why = because.removeprefix("No interval yet: ")
        is_said = not because or because in decision.get("reason", "")
        return f"{about}{estimate}, {lacks}" if is_said else f"{about}{estimate}, {lacks}: {why}"
    interval = write_interval(metric, one["lower"], one["upper"])
    why = f"; nothing is concluded: {because}" if is_withheld else ""
    return f"{about}{estimate}, {write_confidence(one['confidence'])} interval {interval}{why}"


def _with_state(line: str, metric: MetricSpec, status: str) -> str:
    """Return a line, of a guardrail with where it stands and how much worse is tolerated."""
    if metric.role != "guardrail":
        return line
    tolerated = f"worse by {write_difference(metric, metric.margin)} is tolerated"
    return f"{line.removesuffix('.')}; {status or 'open'}, {tolerated}"


def _progress(n_periods: int, plan: ExperimentPlan) -> str:
    """Return how much of the plan is over; what came after it is said apart."""
    horizon = plan.analysis.horizon_periods
    if n_periods <= horizon:
        return f"{n_periods:,} of {horizon:,} planned periods of {plan.period}"
    return (
        f"all {horizon:,} planned periods of {plan.period}, and {n_periods - horizon:,} after them"
    )


def _headline(
    experiment: Experiment, plan: ExperimentPlan, decision: Mapping[str, Any],
    findings: Mapping[str, Any],
) -> tuple[str, str]:  # fmt: skip
    status = ExperimentStatus(experiment.status)
    if experiment.verdict:
        won = f": {experiment.winner}" if experiment.winner else ""
        return f"{ANSWERS[Verdict(experiment.verdict)]}{won}", experiment.status_reason
    if status == ExperimentStatus.DRAFT:
        return "Not started", "The plan can still be changed; it is frozen at the start."
    if status == ExperimentStatus.PAUSED:
        return "Paused", experiment.status_reason
    if status == ExperimentStatus.ARCHIVED:
        return "Archived", experiment.status_reason
    unseen = nothing_yet(0, plan.analysis.first_look)
    if experiment.analysis_problem:
        unseen = "It cannot be analyzed; why is said below."
    comes = when_first_interval(experiment, plan, findings, now=timezone.now())
    return "Running", f"{decision.get('reason', unseen)} {comes}".strip()


def _arms(
    experiment: Experiment, plan: ExperimentPlan, primary: Mapping[str, Any],
    weights: Sequence[float], mismatch: Mapping[str, Any] | None,
) -> list[ArmRow]:  # fmt: skip
    figures = {arm["arm"]: arm for arm in primary["arms"]}
    met: Mapping[str, int] = mismatch["observed"] if mismatch else {}
    rows = {arm.name: arm for arm in experiment.arms.all()}
    found = []
    for at, arm in enumerate(plan.ordered_arms):
        own, row = figures.get(arm.name, {}), rows.get(arm.name)
        found.append(
            ArmRow(
                name=arm.name,
                is_control=at == 0,
                what=arm.model or arm.strategy or arm.description or NOTHING,
                share=_share(plan, weights[at]),
                units=f"{met.get(arm.name, 0):,}" if plan.design == "assigned" else "",
                n=f"{own['n']:,.0f}" if own else "0",
                mean=write_value(plan.primary, own.get("mean")),
                error=write_value(plan.primary, own.get("standard_error")),
                is_winner=bool(row and experiment.winner == row.name),
            )
        )
    return found


def _share(plan: ExperimentPlan, weight: float) -> str:
    """Return what an arm is given; by context it stands beside each."""
    if plan.design == "shadow":
        return "every period"
    asked = plan.allocation.context
    return write_share(weight) if asked is None else f"by {asked.attribute}"


def _mismatch(found: Mapping[str, Any] | None) -> tuple[str, bool]:
    """Return what is said of the mix of units, and whether it is wrong."""
    if not found:
        return "", False
    if found["p_value"] is None:
        return str(found["because"]), False
    told = ", ".join(
        f"{arm} {n:,} (expected {found['expected'][arm]:,.0f})"
        for arm, n in found["observed"].items()
    )
    says = "not as allocated" if found["is_mismatch"] else "as allocated"
    shown = f" (p = {found['p_value']:.2g})" if found["p_value"] < 0.1 else ""
    return f"Units came {says}{shown}: {told}.", bool(found["is_mismatch"])


def _cost_text(plan: ExperimentPlan, found: Mapping[str, Any]) -> str:
    if plan.design == "shadow":
        return "Nothing but time: all arms are traded on paper, and no order moves a market."
    cost = found.get("cost")
    if not cost or not cost["total"]:
        return "Not known yet."
    total = cost["total"][-1]
    amount = (
        f"{total:.4g} cases"
        if plan.primary.kind == "proportion"
        else write_value(plan.primary, total)
    )
    asked = plan.allocation.context
    best = f"in each {asked.attribute}" if asked else "now"
    return (
        f"About {amount} of {plan.primary.name} in all, compared with giving everything to the "
        f"arm that looks best {best}; of arms that are alike this is chance, and never 0."
    )


def _until(experiment: Experiment) -> float:
    return (experiment.concluded_at or timezone.now()).timestamp()
