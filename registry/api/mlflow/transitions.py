"""MLflow's stage transitions as moves of our lifecycle.

MLflow knows four stages and moves a version whenever it is told to. Here a transition makes the
moves that lead there, each with its gates, and hands in a request where people must agree first:
the client is told what is missing, and asks again when it is not.
"""

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.models import User

from crowetrade_site.core.errors import Forbidden, GateNotMet, IllegalTransition
from registry import selectors, services
from registry.api.mlflow.wire import WORDS
from registry.lifecycle import RULES, STAGES, RequestStatus, Stage
from registry.models import ModelVersion, PromotionRequest

REASON = "by an MLflow client"
_ASKED = {"Staging": Stage.STAGING, "Production": Stage.PRODUCTION}  # what people agree to
_BELOW_STAGING = (Stage.DEVELOPMENT, Stage.TESTING)  # which MLflow has one word for, None


def move(version: ModelVersion, word: str, *, actor: User, at: datetime) -> None:
    """Move a version to the stage that a word of MLflow's stands for; none if it is there.

    Raises
    ------
    IllegalTransition
        No move leads there from where it is (INVALID_STATE_TRANSITION).
    GateNotMet
        Gates are not met, or people have not agreed yet; each is named (INVALID_STATE_TRANSITION).
    Forbidden
        The actor's roles do not allow it (PERMISSION_DENIED).
    """
    before = Stage(version.stage)
    if WORDS[before] == word:
        return
    if word == "Archived":
        _at_once(version, Stage.ARCHIVED, actor, at)
    elif word == "None":
        _at_once(version, Stage.DEVELOPMENT, actor, at)
    elif word == "Staging":
        steps = [Stage.TESTING] if before == Stage.DEVELOPMENT else []
        _climb(version, [*steps, Stage.STAGING], actor, at)
    else:
        _climb(version, [Stage.PRODUCTION], actor, at)


def remember_refusal(
    version: ModelVersion, word: str, refusal: Forbidden, *, actor: User, at: datetime
) -> None:
    """Put on record who was refused the request, or the execution, that a transition would be.

    One that asks nobody to agree is neither, and leaves no entry.
    """
    target = _ASKED.get(word)
    if target is None or target == version.stage:
        return
    pending = _pending(version, target)
    if pending is not None and pending.status == RequestStatus.APPROVED:
        services.remember_refusal(
            services.EXECUTION_REFUSED, refusal, request_id=pending.public_id, actor=actor, at=at
        )
        return
    services.remember_refused_request(
        refusal, version_id=version.public_id, target=target, actor=actor, at=at
    )


def _at_once(version: ModelVersion, target: Stage, actor: User, at: datetime) -> None:
    services.move_version(
        version_id=version.public_id, target=target, actor=actor, at=at, reason=REASON
    )


def _climb(version: ModelVersion, steps: Sequence[Stage], actor: User, at: datetime) -> None:
    """Make the steps up to the last, and ask for the last, which people agree to."""
    target = steps[-1]
    _require_way(version, steps)
    request = _pending(version, target)
    if request is not None and request.status == RequestStatus.APPROVED:
        services.execute_promotion(request_id=request.public_id, actor=actor, at=at)
        return
    if request is None:
        _ask_roles(version, steps, actor, at)
        _require_gates(version, steps, at)
        for step in steps[:-1]:
            _at_once(version, step, actor, at)
        request = services.request_promotion(
            version_id=version.public_id, target=target, actor=actor, at=at, reason=REASON
        )
    raise _waiting(request, at)


def _require_way(version: ModelVersion, steps: Sequence[Stage]) -> None:
    before = Stage(version.stage)
    if (before, steps[0]) == (Stage.ARCHIVED, Stage.PRODUCTION):
        raise IllegalTransition(
            f"{version} is archived: it returns to production by a rollback of its model, which "
            "MLflow's clients do not have, or by way of None and Staging."
        )
    if before in _BELOW_STAGING and steps[0] == Stage.PRODUCTION:
        raise IllegalTransition(
            f"{version} is in {before}: it goes to Staging first, and from there to Production."
        )
    STAGES.check(before, steps[0])


def _pending(version: ModelVersion, target: Stage) -> PromotionRequest | None:
    return (
        selectors.list_requests()
        .filter(version=version, target=target, status__in=selectors.PENDING_REQUESTS)
        .first()
    )


def _ask_roles(version: ModelVersion, steps: Sequence[Stage], actor: User, at: datetime) -> None:
    """Refuse whoever may not ask, on record: the service is not reached."""
    try:
        _require_may_ask(version, steps, actor)
    except Forbidden as refusal:
        services.remember_refused_request(
            refusal, version_id=version.public_id, target=steps[-1], actor=actor, at=at
        )
        raise


def _require_may_ask(version: ModelVersion, steps: Sequence[Stage], actor: User) -> None:
    """Refuse before the first step whoever may not make the last."""
    before = Stage(version.stage)
    is_own = version.created_by_id == actor.pk
    for step in steps:
        rule = RULES[before, step]
        able = rule.requests if rule.takes_request else rule.able(is_own=is_own)
        services.require_role(
            actor, able, f"Your roles do not let you {rule.name} {version}, or ask for it."
        )
        before = step


def _require_gates(version: ModelVersion, steps: Sequence[Stage], at: datetime) -> None:
    """Refuse with every gate of every step that is not met, and the approvals that come after."""
    reports = [selectors.judge(version, step, at=at).report for step in steps]
    failures = [failure for report in reports for failure in report.failures]
    if failures:
        failures.append(_four_eyes(0, reports[-1].approvals_needed))
        raise GateNotMet(
            f"{version} cannot go to {steps[-1]}: {'; '.join(failures)}.", failures=failures
        )


def _waiting(request: PromotionRequest, at: datetime) -> GateNotMet:
    """Return what a request still waits for."""
    standing = selectors.standing_of(request, at=at)
    failures = [*standing.refusals, _four_eyes(standing.n_standing, standing.n_needed)]
    return GateNotMet(
        f"{request.version} waits for {request.target}: {'; '.join(failures)}. Its request is "
        f"{request.public_id}; ask again when others have approved it.",
        failures=failures,
    )


def _four_eyes(n_given: int, n_needed: int) -> str:
    return f"gate four_eyes: {n_given} of {n_needed} approvals"
