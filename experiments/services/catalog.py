"""Drafts of experiments: written, and written anew, until they start."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from crowetrade_site.core import audit, canonical, documents, idempotency, roles
from crowetrade_site.core.errors import Conflict, IllegalTransition, InvalidInput, translating
from experiments import selectors
from experiments.assignment import AssignmentError, read_targeting
from experiments.lifecycle import ExperimentStatus
from experiments.models import Arm, Experiment, Metric
from experiments.plans import ExperimentPlan
from experiments.services.steps import require_may_run


class NameTaken(Conflict):
    """An experiment has this name already."""

    slug, title = "name-taken", "The name is taken"


@transaction.atomic(durable=True)
def create_experiment(
    *, document: Mapping[str, Any], actor: User, at: datetime, idempotency_key: str = ""
) -> Experiment:
    """Keep a plan as a draft; whoever wrote it owns it.

    Raises
    ------
    Forbidden
        The actor may not write experiments (403).
    InvalidInput
        The plan is wrong: an unknown key, shares that do not sum to 1, one arm (422).
    NameTaken, DuplicateRequest
        The name is taken, or the idempotency key was used for another plan (409).
    """
    roles.require(actor, "experiments:write")
    plan = parse_plan(document)
    request = canonical.digest({"verb": "create_experiment", "plan": plan.document()})
    if earlier := idempotency.recall(actor, idempotency_key, request):
        return selectors.get_experiment(earlier)
    try:
        with transaction.atomic():
            experiment = Experiment.objects.create(
                name=plan.name, status=ExperimentStatus.DRAFT, status_changed_at=at,
                plan=plan.document(), design=plan.design, owner=actor, salt=secrets.token_hex(16),
            )  # fmt: skip
    except IntegrityError:
        raise NameTaken(f"There is an experiment {plan.name!r} already.") from None
    _write_parts(experiment, plan)
    idempotency.remember(actor, idempotency_key, request, experiment.public_id)
    audit.record(
        "experiments.experiment.created", experiment, actor=actor, at=at,
        after={"name": plan.name, "plan": canonical.digest(plan.document())},
    )  # fmt: skip
    return selectors.get_experiment(experiment.public_id)


@transaction.atomic(durable=True)
def revise_experiment(
    *, experiment_id: UUID, document: Mapping[str, Any], actor: User, at: datetime,
    reason: str = "",
) -> Experiment:  # fmt: skip
    """Write a draft anew; a plan that runs is never changed.

    Raises
    ------
    NotFound, Forbidden
        There is no such experiment (404), or it belongs to somebody else (403).
    IllegalTransition
        It has started: its plan is frozen (409).
    InvalidInput, NameTaken
        The plan is wrong (422), or its new name is taken (409).
    """
    experiment = selectors.lock_experiment(experiment_id)
    require_may_run(experiment, actor)
    plan = parse_plan(document)
    before = canonical.digest(experiment.plan)
    try:
        with transaction.atomic():
            won = Experiment.objects.filter(pk=experiment.pk, status=ExperimentStatus.DRAFT).update(
                name=plan.name, plan=plan.document(), design=plan.design, updated_at=at
            )
    except IntegrityError:
        raise NameTaken(f"There is an experiment {plan.name!r} already.") from None
    if not won:
        raise IllegalTransition(
            f"{experiment} has started; its plan is frozen. Conclude it and plan another."
        )
    experiment.arms.all().delete()
    experiment.metrics.all().delete()
    _write_parts(experiment, plan)
    audit.record(
        "experiments.experiment.revised", experiment, actor=actor, at=at, reason=reason,
        before={"plan": before}, after={"plan": canonical.digest(plan.document())},
    )  # fmt: skip
    return selectors.get_experiment(experiment_id)


def parse_plan(document: Mapping[str, Any]) -> ExperimentPlan:
    """Return the plan that a document describes.

    Raises
    ------
    InvalidInput
        (422)
    """
    plan = documents.parse(ExperimentPlan, document)
    if plan.assignment.targeting is not None:
        with translating(AssignmentError, InvalidInput, path="assignment.targeting"):
            read_targeting(plan.assignment.targeting)
    if plan.analysis.prior is not None and plan.analysis.prior.pinned is not None:
        said = "written at the start, from what is concluded then: leave it out"
        raise InvalidInput.of([{"path": "analysis.prior.pinned", "message": said}])
    return plan


def _write_parts(experiment: Experiment, plan: ExperimentPlan) -> None:
    """Write the arms, the control first, and the metrics."""
    Arm.objects.bulk_create(
        Arm(
            experiment=experiment, position=position, name=arm.name, model_uri=arm.model or "",
            strategy=arm.strategy or "",
        )
        for position, arm in enumerate(plan.ordered_arms)
    )  # fmt: skip
    Metric.objects.bulk_create(
        Metric(experiment=experiment, position=position, name=metric.name)
        for position, metric in enumerate(plan.metrics)
    )
