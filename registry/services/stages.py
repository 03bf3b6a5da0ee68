"""Moves that one person makes: submit, rework, revoke, revive, roll back."""

from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from crowetrade_site.core import roles
from crowetrade_site.core.errors import (
    Conflict,
    Forbidden,
    GateNotMet,
    IllegalTransition,
    StaleState,
)
from registry import selectors
from registry.jobs import require_intact
from registry.lifecycle import RULES, RequestStatus, Stage
from registry.models import ModelVersion, RegisteredModel
from registry.rules import gates
from registry.services.promotions import end_request
from registry.services.steps import move, require_mover, require_reason, require_sound, rule_of

_VERBS = {"submit": "submitted", "rework": "reworked", "revoke": "revoked", "revive": "revived"}
UP = (Stage.TESTING, Stage.STAGING, Stage.PRODUCTION)


@transaction.atomic(durable=True)
def move_version(
    *, version_id: UUID, target: Stage, actor: User, at: datetime, reason: str = ""
) -> ModelVersion:
    """Make a move that takes no request: up to testing, back, or out.

    Raises
    ------
    NotFound
        There is no such version (404).
    Forbidden
        The actor's roles do not allow the move (403).
    IllegalTransition, StaleState, Conflict
        No such move, one that takes a request or a rollback, or somebody was first (409).
    InvalidInput, GateNotMet
        A reason is missing, or a gate of testing is not met (422).
    """
    version = selectors.get_version(version_id)
    before = Stage(version.stage)
    rule = rule_of(before, target)
    if rule.takes_request:
        raise IllegalTransition(
            f"From {before} to {target} it takes a promotion request; hand one in."
        )
    if (before, target) == (Stage.ARCHIVED, Stage.PRODUCTION):
        raise IllegalTransition("A version returns to production by a rollback of its model.")
    require_mover(actor)
    is_own = version.created_by_id == actor.pk
    if not rule.allows(roles.roles_of(actor), is_own=is_own):
        whose = "this version" if is_own else "a version of somebody else"
        raise Forbidden(f"Your roles do not let you {rule.name} {whose}.")
    require_reason(rule, reason)
    if target in UP:
        require_sound(version)
        report = selectors.judge(version, target, at=at).report
        if not report.is_met:
            raise GateNotMet(
                f"{version} does not meet the gates of {target}: {'; '.join(report.failures)}.",
                failures=report.failures, report=report.document(),
            )  # fmt: skip
    pending = version.requests.select_for_update(of=("self",)).filter(
        status__in=selectors.PENDING_REQUESTS
    )
    for request in pending.order_by("pk"):
        end_request(
            request, RequestStatus.WITHDRAWN, actor=actor, at=at,
            reason=f"The version went from {before} to {target}.",
        )  # fmt: skip
    move(version, target, actor=actor, at=at, reason=reason, verb=_VERBS[rule.name])
    return version


def roll_back(*, model_name: str, actor: User, at: datetime, reason: str) -> ModelVersion:
    """Put the version that was in production before back there, and archive the present one.

    Raises
    ------
    NotFound
        There is no such model (404).
    Forbidden, InvalidInput
        The actor's roles do not allow it (403), or there is no reason (422).
    Conflict, StaleState
        There is nothing in production, or nothing to go back to; somebody was first (409).
    Corrupted
        The stored bytes of the earlier version are other ones than were registered (409).
    GateNotMet
        The earlier version may not be opened any more (422).
    """
    require_mover(actor)
    rule = RULES[Stage.ARCHIVED, Stage.PRODUCTION]
    if not rule.allows(roles.roles_of(actor), is_own=False):
        raise Forbidden("Validators, operators and admins roll back.")
    require_reason(rule, reason)
    model = selectors.get_model(model_name)
    _, verified = _present_and_earlier(model)
    require_intact(verified, at=at)
    with transaction.atomic(durable=True):
        present, earlier = _present_and_earlier(model)
        if earlier != verified:
            raise StaleState(f"{model} was rolled back, or promoted, by somebody else.")
        if failures := gates.standing(selectors.facts_of(earlier, at=at), at):
            raise GateNotMet(
                f"{earlier} cannot return: {'; '.join(failures)}.", failures=failures, report={}
            )
        move(
            present, Stage.ARCHIVED, actor=actor, at=at, reason=reason, verb="rolled_back",
            heir=earlier, replaced_by=str(earlier.public_id),
        )  # fmt: skip
        move(
            earlier, Stage.PRODUCTION, actor=actor, at=at, reason=reason, verb="restored",
            replaces=str(present.public_id),
        )  # fmt: skip
    return earlier


def _present_and_earlier(model: RegisteredModel) -> tuple[ModelVersion, ModelVersion]:
    """Return the version in production, and that which was before and is not compromised."""
    versions = selectors.list_versions().filter(registered_model=model)
    present = versions.filter(stage=Stage.PRODUCTION).first()
    if present is None:
        raise Conflict(f"{model} has no version in production.")
    left = versions.filter(
        stage=Stage.ARCHIVED, was_production_at__isnull=False, compromised_at=None
    )
    earlier = left.order_by("-was_production_at").first()
    if earlier is None:
        raise Conflict(f"{model} has no earlier production version that could return.")
    return present, earlier
