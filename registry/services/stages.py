"""Moves that one person makes: submit, rework, revoke, revive, roll back."""

import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from crowetrade_site.core.errors import (
    Conflict,
    GateNotMet,
    IllegalTransition,
    StaleState,
)
from registry import selectors
from registry.jobs import Absent, require_intact
from registry.lifecycle import RULES, UP, RequestStatus, Stage
from registry.models import ModelVersion, RegisteredModel
from registry.services.promotions import end_request
from registry.services.steps import (
    lock_version,
    move,
    require_mover,
    require_reason,
    require_role,
    require_sound,
    rule_of,
)

logger = logging.getLogger(__name__)
_VERBS = {"submit": "submitted", "rework": "reworked", "revoke": "revoked", "revive": "revived"}


def move_version(
    *, version_id: UUID, target: Stage, actor: User, at: datetime, reason: str = ""
) -> ModelVersion:
    """Make a move that takes no request: up to testing, back, or out.

    On the way up the stored files are hashed, before the transaction, which must not last as long;
    the trail keeps the policy, the evidence and the gates by which the move was judged.

    Raises
    ------
    NotFound
        There is no such version (404).
    Forbidden
        The actor's roles do not allow the move (403).
    IllegalTransition, StaleState, Conflict, Corrupted
        No such move, one that takes a request or a rollback, somebody was first, or the stored
        bytes are other ones than were registered (409).
    InvalidInput, GateNotMet
        A reason is missing, or a gate of testing is not met (422).
    """
    if target in UP:
        version = selectors.get_version(version_id)
        _require_may_move(version, target, actor=actor, at=at, reason=reason)
        require_intact(version, at=at)
    with transaction.atomic(durable=True):
        version = lock_version(version_id)
        told = _require_may_move(version, target, actor=actor, at=at, reason=reason)
        before = Stage(version.stage)
        pending = version.requests.select_for_update(of=("self",), no_key=True).filter(
            status__in=selectors.PENDING_REQUESTS
        )
        for request in pending.order_by("pk"):
            end_request(
                request, RequestStatus.WITHDRAWN, actor=actor, at=at,
                reason=f"The version went from {before} to {target}.",
            )  # fmt: skip
        verb = _VERBS[rule_of(before, target).name]
        move(version, target, actor=actor, at=at, reason=reason, verb=verb, **told)
    return version


def _require_may_move(
    version: ModelVersion, target: Stage, *, actor: User, at: datetime, reason: str
) -> dict[str, Any]:
    """Return by what a move up was judged; nothing of other moves, which no gate holds up."""
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
    whose = "this version" if is_own else "a version of somebody else"
    refusal = f"Your roles do not let you {rule.name} {whose}."
    require_role(actor, rule.able(is_own=is_own), refusal)
    require_reason(rule, reason)
    if target not in UP:
        return {}
    require_sound(version)
    judged = selectors.judge(version, target, at=at)
    report = judged.report
    if not report.is_met:
        raise GateNotMet(
            f"{version} does not meet the gates of {target}: {'; '.join(report.failures)}.",
            failures=report.failures, report=report.document(),
        )  # fmt: skip
    return {
        "policy": judged.policy.digest, "evidence_digest": judged.evidence_digest,
        "report": report.document(),
    }  # fmt: skip


def roll_back(*, model_name: str, actor: User, at: datetime, reason: str) -> ModelVersion:
    """Put the version that was in production before back there, and archive the present one.

    Versions that a later one superseded may return, the newest first. One whose bytes are missing
    in the store is passed over, which the trail says: stopping does not wait for a backup. So is
    one that may not be opened any more, that is known by now to look ahead, or whose evidence was
    not reproduced: it would be put into production by nobody who knew.

    Raises
    ------
    NotFound
        There is no such model (404).
    Forbidden, InvalidInput
        The actor's roles do not allow it (403), or there is no reason (422).
    Conflict, StaleState
        There is nothing in production, or nothing to go back to; somebody was first (409).
    Corrupted
        The stored bytes of the earlier version are other ones than were registered, or those of
        every earlier one are missing (409).
    GateNotMet
        Something stands against every earlier version (422).
    """
    require_mover(actor)
    rule = RULES[Stage.ARCHIVED, Stage.PRODUCTION]
    require_role(actor, rule.of_any, "Validators, operators and admins roll back.")
    require_reason(rule, reason)
    model = selectors.get_model(model_name)
    earlier, passed_over = _first_sound(model, at)
    with transaction.atomic(durable=True):
        lock_version(earlier.public_id)  # nothing is measured of it, or promoted, meanwhile
        present, left = _present_and_earlier(model)
        if next((one for one in left if one not in passed_over), None) != earlier:
            raise StaleState(f"{model} was rolled back, or promoted, by somebody else.")
        if failures := selectors.standing_against(earlier, at=at):
            raise GateNotMet(
                f"{earlier} cannot return: {'; '.join(failures)}.", failures=failures, report={}
            )
        move(
            present, Stage.ARCHIVED, actor=actor, at=at, reason=reason, verb="rolled_back",
            heir=earlier, replaced_by=str(earlier.public_id),
        )  # fmt: skip
        told: dict[str, Any] = (
            {"passed_over": {str(one.public_id): why for one, why in passed_over.items()}}
            if passed_over
            else {}
        )
        move(
            earlier, Stage.PRODUCTION, actor=actor, at=at, reason=reason, verb="restored",
            replaces=str(present.public_id), **told,
        )  # fmt: skip
    return earlier


def _first_sound(
    model: RegisteredModel, at: datetime
) -> tuple[ModelVersion, dict[ModelVersion, str]]:
    """Return the newest earlier version that may return, and why those before it may not."""
    _, left = _present_and_earlier(model)
    passed_over: dict[ModelVersion, str] = {}
    failures: list[str] = []
    for one in left:
        standing = selectors.standing_against(one, at=at)
        why = "; ".join(standing) or _absence(one, at)
        if not why:
            return one, passed_over
        logger.error("A rollback passes over a version", extra={"reason": why})
        passed_over[one] = why
        failures += standing
    if failures:
        raise GateNotMet(
            f"No earlier version of {model} can return: "
            f"{' '.join(f'{one}: {why}.' for one, why in passed_over.items())}",
            failures=failures, report={},
        )  # fmt: skip
    raise Absent(f"The bytes of {left[0]} are not in the artefact store, nor those before.")


def _absence(version: ModelVersion, at: datetime) -> str:
    """Return whose bytes are missing, if any are; other bytes than were registered raise."""
    try:
        require_intact(version, at=at)
    except Absent as missing:
        return missing.detail
    return ""


def _present_and_earlier(model: RegisteredModel) -> tuple[ModelVersion, list[ModelVersion]]:
    """Return the version in production, and those that may return, the newest first."""
    versions = selectors.list_versions().filter(registered_model=model)
    present = versions.filter(stage=Stage.PRODUCTION).first()
    if present is None:
        raise Conflict(f"{model} has no version in production.")
    superseded = versions.filter(
        stage=Stage.ARCHIVED, was_production_at__isnull=False, compromised_at=None
    )
    left = list(superseded.order_by("-was_production_at"))
    if not left:
        raise Conflict(f"{model} has no earlier production version that could return.")
    return present, left
