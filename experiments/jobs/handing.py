"""Handing what a concluded experiment measured to the registry, for the versions it tried.

Outside the experiment's own transactions, after its end: a registry that refuses or is away changes
no verdict. The row of the experiment is the queue of record; the beat comes back to what is due.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from crowetrade_site.core import audit
from crowetrade_site.core.errors import DomainError, Unavailable
from experiments import selectors
from experiments.models import Analysis, Arm, Experiment
from experiments.plans import Verdict
from registry import services as registry

logger = logging.getLogger(__name__)
KIND = "experiment"
MOST_AT_ONCE = 200


def evidence_due() -> list[UUID]:
    """Return the concluded experiments of which the registry has not been told."""
    due = Experiment.objects.evidence_due().order_by("concluded_at")
    return list(due.values_list("public_id", flat=True)[:MOST_AT_ONCE])


def hand_in_evidence(*, experiment_id: UUID) -> None:
    """Have the registry take over what the last analysis says of each arm that is a version.

    Idempotent: the registry knows evidence by its source. A refusal of the domain is final and
    written down; a store or database that is away is tried again.
    """
    experiment = Experiment.objects.evidence_due().filter(public_id=experiment_id).first()
    if experiment is None:
        return
    analysis = selectors.list_analyses(experiment).first()
    handed_in: list[dict[str, str]] = []
    problem: dict[str, Any] | None = None
    try:
        for arm in experiment.arms.exclude(version_id=None).order_by("position"):
            handed_in += _hand_in(experiment, arm, analysis)
    except Unavailable:
        logger.warning("The evidence of an experiment waits", extra={"experiment": experiment.name})
        return
    except DomainError as refusal:
        problem = refusal.problem()
    _close(experiment, handed_in, problem, timezone.now())


def _hand_in(experiment: Experiment, arm: Arm, analysis: Analysis | None) -> list[dict[str, str]]:
    figures = {} if analysis is None else figures_of(arm, analysis.findings, analysis.decision)
    if not figures or arm.version_id is None or analysis is None:
        return []
    stored = registry.record_measurements(
        version_id=arm.version_id,
        pieces=[registry.Measured(KIND, figures, f"{arm.name} in {experiment.name}.")],
        digests={
            "artifact": arm.version_digest, "spec": experiment.plan_digest,
            "result": analysis.digest,
        },
        source=f"experiments.experiment:{experiment.public_id}",
        produced_at=analysis.at, at=timezone.now(),
    )  # fmt: skip
    return [{"arm": arm.name, "id": str(piece.public_id)} for piece in stored]


def figures_of(
    arm: Arm, findings: Mapping[str, Any], decision: Mapping[str, Any]
) -> dict[str, float | str]:
    """Return what gates may ask of an arm; nothing of one that no analysis speaks of.

    Of the platform's own analysis, whatever verdict a person has given: `is_winner` is 1 where it
    found the arm to win. A challenger's `improvement` on the primary metric, with its interval, is
    signed so that more is better; the control has none.
    """
    primaries = [one for one in findings["metrics"] if one["role"] == "primary"]
    if not primaries:
        return {}
    primary = primaries[0]
    has_won = decision["verdict"] == Verdict.WINNER and decision["winner"] == arm.name
    states = [one["status"] for one in decision["guardrails"] if one["arm"] == arm.name]
    figures: dict[str, float | str | None] = {
        "metric": primary["name"], "n_periods": findings["n_periods"],
        "is_winner": float(has_won),
        "n_guardrails_breached": states.count("breached"),
        "n_guardrails_open": states.count("open"),
    }  # fmt: skip
    own = next((one for one in primary["comparisons"] if one["arm"] == arm.name), None)
    if own is not None:
        sign = 1.0 if primary["direction"] == "increase" else -1.0
        ends = [None if own[end] is None else sign * own[end] for end in ("lower", "upper")]
        lower, upper = ends if sign > 0.0 else ends[::-1]
        figures |= {
            "improvement": None if own["estimate"] is None else sign * own["estimate"],
            "improvement_lower": lower, "improvement_upper": upper,
            "confidence": own["confidence"],
        }  # fmt: skip
    if own is not None and len(primaries) > 1:
        figures |= _counted(arm, primaries)
    return {name: value for name, value in figures.items() if value is not None}


def _counted(arm: Arm, primaries: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return on how many primary metrics a challenger is shown to be better, and worse."""
    n_better = n_worse = 0
    for metric in primaries:
        is_increase = metric["direction"] == "increase"
        edge = (metric["margin"] or 0.0) * (-1.0 if is_increase else 1.0)
        for one in metric["comparisons"]:
            if one["arm"] != arm.name or one["lower"] is None or one["is_withheld"]:
                continue
            above, below = one["lower"] > edge, one["upper"] < edge
            n_better += above if is_increase else below
            n_worse += below if is_increase else above
    return {"n_primaries_better": float(n_better), "n_primaries_worse": float(n_worse)}


def _close(
    experiment: Experiment, handed_in: list[dict[str, str]], problem: dict[str, Any] | None,
    at: datetime,
) -> None:  # fmt: skip
    """Write what became of it, once."""
    with transaction.atomic():
        mine = Experiment.objects.evidence_due().filter(pk=experiment.pk)
        if not mine.update(evidence_at=at, evidence_problem=problem):
            return
        if handed_in or problem:
            audit.record(
                f"experiments.experiment.{'evidence_refused' if problem else 'handed_in'}",
                experiment, actor=None, at=at, reason=problem["detail"] if problem else "",
                after={"evidence": handed_in},
            )  # fmt: skip
