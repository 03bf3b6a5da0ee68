"""Refused decisions, put on record: who tried what, in which role, and why it was refused."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from crowetrade_site.core import audit
from crowetrade_site.core.errors import DomainError, Forbidden, NotFound, StaleState
from registry import selectors
from registry.models import PromotionRequest

Decision = Callable[..., PromotionRequest]


def remembering_refusals(verb: str) -> Callable[[Decision], Decision]:
    """Return a decorator: what somebody may not decide, or saw otherwise than it is, is recorded.

    Written after the rollback of the decision, in a transaction of its own. Whatever door the
    attempt came through, one who tries to approve their own work leaves a trace.
    """

    def decorate(decide: Decision) -> Decision:
        @wraps(decide)
        def decided(
            *, request_id: UUID, actor: User, at: datetime, **more: Any
        ) -> PromotionRequest:
            try:
                return decide(request_id=request_id, actor=actor, at=at, **more)
            except (Forbidden, StaleState) as refusal:
                with suppress(NotFound):  # who may not decide at all is refused before it is found
                    _record(verb, request_id, refusal, actor=actor, at=at)
                raise

        return decided

    return decorate


@transaction.atomic(durable=True)
def _record(
    verb: str, request_id: UUID, refusal: DomainError, *, actor: User, at: datetime
) -> None:
    request = selectors.get_request(request_id)
    audit.record(
        verb, request, actor=actor, at=at, reason=refusal.detail,
        after={
            "refused_as": refusal.slug, "version": str(request.version.public_id),
            "target": request.target, "version_digest": request.version_digest,
        },
    )  # fmt: skip
