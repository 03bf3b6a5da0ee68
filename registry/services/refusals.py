"""Refused decisions, put on record: who tried what, in which role, and why it was refused."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Model

from crowetrade_site.core import audit
from crowetrade_site.core.errors import DomainError, Forbidden, NotFound, StaleState
from registry import selectors
from registry.models import PromotionRequest

REQUEST_REFUSED = "registry.promotion.request_refused"
APPROVAL_REFUSED = "registry.promotion.approval_refused"
EXECUTION_REFUSED = "registry.promotion.execution_refused"
Decision = Callable[..., PromotionRequest]
Subject = tuple[Model, dict[str, Any]]  # what the entry is about, and what it tells of it


def of_request(*, request_id: UUID, **_: Any) -> Subject:
    """Return a request for promotion that somebody may not decide about."""
    request = selectors.get_request(request_id)
    return request, {
        "version": str(request.version.public_id), "target": request.target,
        "version_digest": request.version_digest,
    }  # fmt: skip


def of_version(*, version_id: UUID, target: str, **_: Any) -> Subject:
    """Return a version that somebody may not ask for, which has no request."""
    version = selectors.get_version(version_id)
    return version, {
        "version": str(version_id),
        "target": str(target),
        "version_digest": version.digest,
    }


def remembering_refusals(verb: str, find: Callable[..., Subject]) -> Callable[[Decision], Decision]:
    """Return a decorator: what somebody may not decide, or saw otherwise than it is, is recorded.

    Written after the rollback of the decision, in a transaction of its own. Whatever door the
    attempt came through, one who tries to approve their own work leaves a trace.

    Parameters
    ----------
    find : callable
        Takes what the decision is called with and returns what the entry is about.
    """

    def decorate(decide: Decision) -> Decision:
        @wraps(decide)
        def decided(*, actor: User, at: datetime, **about: Any) -> PromotionRequest:
            try:
                return decide(actor=actor, at=at, **about)
            except (Forbidden, StaleState) as refusal:
                with suppress(NotFound):  # who may not decide at all is refused before it is found
                    _record(verb, find, about, refusal, actor=actor, at=at)
                raise

        return decided

    return decorate


def remember_refusal(
    verb: str, refusal: DomainError, *, request_id: UUID, actor: User, at: datetime
) -> None:
    """Record what a door refused before the service was asked, as the service would have.

    Nothing is recorded where there is no such request.

    Parameters
    ----------
    verb : str
        `APPROVAL_REFUSED` or `EXECUTION_REFUSED`.
    """
    with suppress(NotFound):
        _record(verb, of_request, {"request_id": request_id}, refusal, actor=actor, at=at)


def remember_refused_request(
    refusal: DomainError, *, version_id: UUID, target: str, actor: User, at: datetime
) -> None:
    """Record that a door let nobody ask for a promotion, as the service would have.

    Nothing is recorded where there is no such version.

    Parameters
    ----------
    target : str
        The stage that was asked for; empty where what was sent names none.
    """
    about = {"version_id": version_id, "target": target}
    with suppress(NotFound):
        _record(REQUEST_REFUSED, of_version, about, refusal, actor=actor, at=at)


@transaction.atomic(durable=True)
def _record(
    verb: str, find: Callable[..., Subject], about: dict[str, Any], refusal: DomainError, *,
    actor: User, at: datetime,
) -> None:  # fmt: skip
    subject, told = find(**about)
    audit.record(
        verb, subject, actor=actor, at=at, reason=refusal.detail,
        after={"refused_as": refusal.slug, **told},
    )  # fmt: skip
