"""Promotion under four eyes: request, approve, reject, withdraw, execute, expire."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from crowetrade_site.core import audit, canonical, idempotency, roles
from crowetrade_site.core.errors import (
    Conflict,
    Forbidden,
    GateNotMet,
    IllegalTransition,
    InvalidInput,
    StaleState,
)
from crowetrade_site.core.services import CONSOLE
from registry import selectors
from registry.jobs import require_intact
from registry.lifecycle import ASKED_FROM, REQUESTS, RULES, MoveRule, RequestStatus, Stage
from registry.models import Approval, ModelVersion, PromotionPolicy, PromotionRequest
from registry.rules.policies import Policy
from registry.selectors import Judgement
from registry.services.refusals import (
    APPROVAL_REFUSED,
    EXECUTION_REFUSED,
    REQUEST_REFUSED,
    of_request,
    of_version,
    remembering_refusals,
)
from registry.services.steps import (
    SUPERSEDED,
    lock_version,
    move,
    require_mover,
    require_reason,
    require_role,
    require_sound,
    rule_of,
)

# Hashing the stored files takes long, and a transaction must not last that long. So whatever is
# cheap to ask is asked before, and asked again in the transaction, of rows that are locked.


@remembering_refusals(REQUEST_REFUSED, of_version)
def request_promotion(
    *, version_id: UUID, target: Stage, actor: User, at: datetime, reason: str = "",
    idempotency_key: str = "",
) -> PromotionRequest:  # fmt: skip
    """Ask for a version to go up; its gates are judged now, and again when it goes.

    Raises
    ------
    NotFound, Forbidden
        No such version (404), the actor's roles may not request this (403).
    IllegalTransition, Conflict, Corrupted
        No such move, no request needed, or one is open already; its stored bytes are other ones
        than were registered (409).
    GateNotMet, InvalidInput
        A gate is not met, or production is asked for without a reason; nothing is written (422).
    """
    require_mover(actor)
    asked = canonical.digest(
        {"verb": "request_promotion", "version": str(version_id), "target": target}
    )
    if earlier := idempotency.recall(actor, idempotency_key, asked):
        return selectors.get_request(earlier)
    version = selectors.get_version(version_id)
    _require_may_request(version, target, actor=actor, at=at)
    require_reason(rule_of(Stage(version.stage), target), reason)
    require_intact(version, at=at)
    with transaction.atomic(durable=True):
        if earlier := idempotency.recall(actor, idempotency_key, asked):
            return selectors.get_request(earlier)
        version = lock_version(version_id)
        judged = _require_may_request(version, target, actor=actor, at=at)
        days = Policy.model_validate(judged.policy.document).request_days
        try:
            with transaction.atomic():
                request = PromotionRequest.objects.create(
                    version=version, target=target, requested_by=actor, requested_at=at,
                    reason=reason,
                    policy=judged.policy, version_digest=version.digest,
                    evidence_digest=judged.evidence_digest, report=judged.report.document(),
                    expires_at=at + timedelta(days=days),
                )  # fmt: skip
        except IntegrityError:
            raise _taken(version, target) from None
        idempotency.remember(actor, idempotency_key, asked, request.public_id)
        audit.record(
            "registry.promotion.requested", request, actor=actor, at=at, reason=reason,
            after={
                "version": str(version.public_id), "target": target, "digest": version.digest,
                "evidence_digest": judged.evidence_digest, "policy": judged.policy.digest,
            },
        )  # fmt: skip
        return request


@remembering_refusals(APPROVAL_REFUSED, of_request)
def approve_promotion(
    *, request_id: UUID, actor: User, at: datetime, comment: str = "", evidence_digest: str = ""
) -> PromotionRequest:
    """Agree to a request, to the bytes and evidence as they are now.

    Parameters
    ----------
    evidence_digest : str, optional
        What the approver saw; refused if it is something else by now.

    Raises
    ------
    NotFound
        There is no such request (404).
    Forbidden
        The actor's roles do not approve this, or it is their own request, version or policy (403).
    Conflict, StaleState, IllegalTransition
        It has ended, or was approved by the actor; the version or its evidence changed (409).
    Corrupted
        The stored bytes are other ones than were registered (409).
    GateNotMet
        A gate is no longer met (422).
    """
    request = selectors.get_request(request_id)
    _require_may_approve(request, actor=actor, at=at, evidence_digest=evidence_digest)
    require_intact(request.version, at=at)
    with transaction.atomic(durable=True):
        request = _locked(request_id)
        judged, tally, role = _require_may_approve(
            request, actor=actor, at=at, evidence_digest=evidence_digest
        )
        _let_lapse(request, judged, tally, at)
        Approval.objects.create(
            request=request, approver=actor, requester=request.requested_by,
            author=request.version.created_by, policy_stored_by=judged.policy.stored_by,
            policy_assigned_by_id=judged.assigned_by, role=role, comment=comment, approved_at=at,
            version_digest=request.version_digest, evidence_digest=judged.evidence_digest,
        )  # fmt: skip
        audit.record(
            "registry.promotion.approved", request, actor=actor, at=at, reason=comment,
            after={
                "role": role, "version_digest": request.version_digest,
                "evidence_digest": judged.evidence_digest,
            },
        )  # fmt: skip
        if len(tally.standing) + 1 >= tally.n_needed:
            _complete(request, judged, actor=actor, at=at)
        request.refresh_from_db()
        return request


@transaction.atomic(durable=True)
def reject_promotion(
    *, request_id: UUID, actor: User, at: datetime, reason: str
) -> PromotionRequest:
    """Refuse a request, and say why.

    Raises
    ------
    NotFound, Forbidden, InvalidInput, IllegalTransition
        No such request (404), not an approver's role (403), no reason (422), it ended (409).
    """
    request = _locked(request_id)
    in_force = selectors.policy_in_force(request.version.registered_model.policy)
    _role_by(in_force, request, actor)
    if not reason.strip():
        raise InvalidInput("A rejection needs a reason.")
    end_request(request, RequestStatus.REJECTED, actor=actor, at=at, reason=reason)
    return request


@transaction.atomic(durable=True)
def withdraw_promotion(
    *, request_id: UUID, actor: User, at: datetime, reason: str = ""
) -> PromotionRequest:
    """Take back a request of one's own, or one for a version of one's own.

    Raises
    ------
    NotFound, Forbidden, IllegalTransition
        No such request (404), somebody else's (403), it ended (409).
    """
    require_mover(actor)
    request = _locked(request_id)
    if actor.pk not in {request.requested_by_id, request.version.created_by_id}:
        raise Forbidden("Who asked, or registered the version, withdraws a request.")
    end_request(request, RequestStatus.WITHDRAWN, actor=actor, at=at, reason=reason)
    return request


@remembering_refusals(EXECUTION_REFUSED, of_request)
def execute_promotion(*, request_id: UUID, actor: User, at: datetime) -> PromotionRequest:
    """Carry out an approved request: judge the gates once more, and move the version.

    Raises
    ------
    NotFound, Forbidden
        No such request (404), the actor's roles do not execute it, or they approved it (403).
    IllegalTransition, Conflict, StaleState
        It is not approved, its approvals lapsed, the version was moved or compromised (409).
    Corrupted
        The stored bytes are other ones than were registered (409).
    GateNotMet
        A gate is no longer met (422).
    """
    require_mover(actor)
    request = selectors.get_request(request_id)
    _require_may_execute(request, actor=actor, at=at)
    require_intact(request.version, at=at)
    with transaction.atomic(durable=True):
        request = _locked(request_id)
        judged = _require_may_execute(request, actor=actor, at=at)
        _carry_out(request, judged, actor=actor, at=at)
        request.refresh_from_db()
        return request


def _require_may_request(
    version: ModelVersion, target: Stage, *, actor: User, at: datetime
) -> Judgement:
    rule = rule_of(Stage(version.stage), target)
    if not rule.takes_request:
        raise IllegalTransition(f"From {version.stage} to {target} it takes no request.")
    require_role(actor, rule.requests, f"Your roles may not request to {rule.name}.")
    require_sound(version)
    if version.requests.filter(target=target, status__in=selectors.PENDING_REQUESTS).exists():
        raise _taken(version, target)
    judged = selectors.judge(version, target, at=at)
    _require_met(judged, f"{version} does not meet the gates of {target}")
    return judged


def _taken(version: ModelVersion, target: Stage) -> Conflict:
    return Conflict(f"There is an open request for {version} to {target} already.")


def _require_may_approve(
    request: PromotionRequest, *, actor: User, at: datetime, evidence_digest: str
) -> tuple[Judgement, selectors.Tally, roles.Role]:
    """Return what the actor would agree to, with whom, and by which role."""
    roles.require(actor, "models:approve")
    if actor.get_username() == CONSOLE:
        raise Forbidden("The console account is no person's; an approval takes a person.")
    if actor.pk == request.requested_by_id:
        raise Forbidden("Nobody approves a request of their own.")
    if actor.pk in selectors.authors_of(request.version):
        raise Forbidden("Nobody approves a version of their own.")
    _require_pending(request, at)
    judged = _judge_again(request, at)
    role = _role_by(judged.policy, request, actor)
    if actor.pk in judged.answering:
        is_theirs = actor.pk == judged.policy.stored_by_id
        own = "of their own" if is_theirs else "that they assigned"
        raise Forbidden(f"Nobody approves under a policy {own}: {judged.policy}.")
    if evidence_digest and evidence_digest != judged.evidence_digest:
        raise StaleState("The evidence has changed since you looked; look again.")
    tally = selectors.tally_of(request, judged)
    if any(one.approver_id == actor.pk for one in tally.standing):
        raise Conflict("You have approved this request already.")
    return judged, tally, role


def _require_may_execute(request: PromotionRequest, *, actor: User, at: datetime) -> Judgement:
    rule = _rule_of(request)
    require_role(actor, rule.executes, "Operators carry out promotions to production.")
    if request.approvals.filter(approver=actor, lapsed_at=None).exists():
        raise Forbidden("Nobody carries out what they approved.")
    _require_pending(request, at)
    judged = _judge_again(request, at)
    tally = selectors.tally_of(request, judged)
    if request.status != RequestStatus.APPROVED:
        raise IllegalTransition(
            f"The request has {len(tally.standing)} of {tally.n_needed} approvals."
        )
    if tally.lacking:
        raise StaleState(f"Too few approvals stand: {'; '.join(tally.lacking)}.")
    return judged


def _role_by(policy: PromotionPolicy, request: PromotionRequest, actor: User) -> roles.Role:
    """Return the role by which somebody may decide about a request under a policy."""
    roles.require(actor, "models:approve")
    asked = selectors.deciding_roles(policy, request.target)
    held = roles.roles_of(actor) & asked
    if not held:
        raise Forbidden(f"These roles decide about {request.target}: {', '.join(sorted(asked))}.")
    return min(held)


def _rule_of(request: PromotionRequest) -> MoveRule:
    """Return the rule of the move that was asked for, if the version is still where it was."""
    before, target = ASKED_FROM[Stage(request.target)], Stage(request.target)
    if request.version.stage != before:
        raise Conflict(f"{request.version} is in {request.version.stage}; the request is stale.")
    return RULES[before, target]


def _require_pending(request: PromotionRequest, at: datetime) -> None:
    if request.status not in selectors.PENDING_REQUESTS:
        raise IllegalTransition(f"The request was {request.status}.")
    if request.expires_at <= at:
        raise Conflict(f"The request ended on {request.expires_at:%Y-%m-%d}; hand in another.")


def _judge_again(request: PromotionRequest, at: datetime) -> Judgement:
    version = request.version
    _rule_of(request)
    require_sound(version)
    if version.digest != request.version_digest:
        raise StaleState(f"The files of {version} are not those of the request.")
    judged = selectors.judge(version, Stage(request.target), at=at)
    _require_met(judged, f"{version} no longer meets the gates of {request.target}")
    return judged


def _require_met(judged: Judgement, what: str) -> None:
    report = judged.report
    if not report.is_met:
        raise GateNotMet(
            f"{what}: {'; '.join(report.failures)}.", failures=report.failures,
            report=report.document(),
        )  # fmt: skip


def _let_lapse(
    request: PromotionRequest, judged: Judgement, tally: selectors.Tally, at: datetime
) -> None:
    """End approvals that count no more, and bind the request to what there is now.

    A request that had all its approvals is open again.
    """
    changes: dict[str, object] = {}
    if tally.void:
        stale = request.approvals.filter(pk__in=tally.void)
        lapsed = list(stale.order_by("pk").values_list("approver__username", flat=True))
        stale.update(lapsed_at=at, updated_at=at)
        changes["status"] = request.status = RequestStatus.OPEN
        audit.record(
            "registry.promotion.lapsed", request, actor=None, at=at,
            reason="; ".join(sorted(set(tally.void.values()))),
            before={"evidence_digest": request.evidence_digest, "approvals": lapsed},
            after={"evidence_digest": judged.evidence_digest},
        )  # fmt: skip
    PromotionRequest.objects.filter(pk=request.pk).update(
        evidence_digest=judged.evidence_digest, report=judged.report.document(),
        policy=judged.policy, updated_at=at, **changes,
    )  # fmt: skip


def _complete(request: PromotionRequest, judged: Judgement, *, actor: User, at: datetime) -> None:
    """Carry out what no operator has to, and leave the rest approved."""
    if not _rule_of(request).executes:
        _carry_out(request, judged, actor=actor, at=at)
        return
    won = PromotionRequest.objects.filter(pk=request.pk, status=RequestStatus.OPEN).update(
        status=RequestStatus.APPROVED, updated_at=at
    )
    if not won:
        if request.status != RequestStatus.APPROVED:
            raise StaleState("The request was decided by somebody else.")
        return
    audit.record(
        "registry.promotion.granted", request, actor=actor, at=at,
        before={"status": RequestStatus.OPEN}, after={"status": RequestStatus.APPROVED},
    )  # fmt: skip


def _carry_out(request: PromotionRequest, judged: Judgement, *, actor: User, at: datetime) -> None:
    version, target = request.version, Stage(request.target)
    told: dict[str, Any] = {
        "request": str(request.public_id), "evidence_digest": judged.evidence_digest
    }  # fmt: skip
    if target == Stage.PRODUCTION:
        present = selectors.list_versions().filter(
            registered_model=version.registered_model, stage=Stage.PRODUCTION
        )
        for replaced in present:
            move(
                replaced, Stage.ARCHIVED, actor=actor, at=at, reason=request.reason,
                verb=SUPERSEDED, heir=version, replaced_by=str(version.public_id), **told,
            )  # fmt: skip
    try:
        with transaction.atomic():
            move(
                version, target, actor=actor, at=at, reason=request.reason, verb="promoted", **told
            )
    except IntegrityError:
        raise StaleState(f"{version.registered_model} has another production version.") from None
    won = PromotionRequest.objects.filter(
        pk=request.pk, status__in=selectors.PENDING_REQUESTS
    ).update(
        status=RequestStatus.EXECUTED, decided_at=at, decided_by=actor,
        report=judged.report.document(), updated_at=at,
    )  # fmt: skip
    if not won:
        raise StaleState("The request was decided by somebody else.")
    audit.record(
        "registry.promotion.executed", request, actor=actor, at=at,
        before={"status": request.status},
        after={"status": RequestStatus.EXECUTED, "evidence_digest": judged.evidence_digest},
    )  # fmt: skip


def end_request(
    request: PromotionRequest, status: RequestStatus, *, actor: User, at: datetime, reason: str
) -> None:
    """End a request that is locked, within the caller's transaction.

    Raises
    ------
    IllegalTransition, StaleState
        It has ended already, or somebody else was first (409).
    """
    before = RequestStatus(request.status)
    REQUESTS.check(before, status)
    won = PromotionRequest.objects.filter(pk=request.pk, status=before).update(
        status=status, decided_at=at, decided_by=actor, decision=reason, updated_at=at
    )
    if not won:
        raise StaleState("The request was decided by somebody else.")
    audit.record(
        f"registry.promotion.{status}", request, actor=actor, at=at, reason=reason,
        before={"status": before}, after={"status": status},
    )  # fmt: skip
    request.refresh_from_db()


def _locked(request_id: UUID) -> PromotionRequest:
    """Return a request that nobody else decides, of a version that nobody moves, until the end."""
    version = lock_version(selectors.get_request(request_id).version.public_id)
    rows = PromotionRequest.objects.select_for_update(of=("self",), no_key=True)
    request = rows.select_related("requested_by", "policy").get(public_id=request_id)
    request.version = version
    return request
