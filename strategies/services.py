"""Web-side verbs of strategies: store, freeze."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from crowetrade_site.core import audit, canonical, idempotency, roles
from crowetrade_site.core.errors import Conflict, InvalidInput, StaleState
from strategies import selectors
from strategies.lifecycle import STRATEGIES, StrategyStatus
from strategies.models import Strategy

SLUG = re.compile(r"[-a-zA-Z0-9_]{1,80}")


@transaction.atomic(durable=True)
def create_strategy(
    *,
    name: str,
    document: Mapping[str, Any],
    actor: User,
    at: datetime,
    idempotency_key: str = "",
) -> Strategy:
    """Store a strategy spec as a draft.

    Raises
    ------
    Forbidden
        The actor may not store strategies (403).
    InvalidInput
        The name is no slug, or the document is not a valid spec (422).
    Conflict, DuplicateRequest
        The name is taken, or the idempotency key was used for another request (409).
    """
    roles.require(actor, "strategies:write")
    if not SLUG.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no strategy name: use letters, digits, '-' and '_', at most 80."
        )
    spec = selectors.get_spec(document)
    request = canonical.digest({"verb": "create_strategy", "name": name, "spec": spec.digest})
    if earlier := idempotency.recall(actor, idempotency_key, request):
        return selectors.get_strategy(earlier)
    try:
        with transaction.atomic():
            strategy = Strategy.objects.create(
                name=name,
                status=StrategyStatus.DRAFT,
                document=spec.model_dump(mode="json"),
                digest=spec.digest,
                created_by=actor,
            )
    except IntegrityError:
        raise Conflict(f"There is a strategy {name!r} already; choose another name.") from None
    idempotency.remember(actor, idempotency_key, request, strategy.public_id)
    audit.record(
        "strategies.strategy.created", strategy, actor=actor, at=at, after={"digest": spec.digest}
    )
    return strategy


@transaction.atomic(durable=True)
def freeze_strategy(*, strategy_id: UUID, actor: User, at: datetime, reason: str = "") -> Strategy:
    """Freeze a draft: from now on its digest names it and runs may refer to it by name.

    Raises
    ------
    Forbidden
        The actor may not (403).
    NotFound
        There is no such strategy (404).
    IllegalTransition, StaleState
        It is frozen already, or somebody else was first (409).
    """
    roles.require(actor, "strategies:write")
    strategy = selectors.get_strategy(strategy_id)
    before = StrategyStatus(strategy.status)
    STRATEGIES.check(before, StrategyStatus.FROZEN)
    won = Strategy.objects.filter(pk=strategy.pk, status=before).update(
        status=StrategyStatus.FROZEN, frozen_at=at, updated_at=at
    )
    if not won:
        raise StaleState(f"Strategy {strategy} has left {before}.")
    audit.record(
        "strategies.strategy.frozen",
        strategy,
        actor=actor,
        at=at,
        reason=reason,
        before={"status": before},
        after={"status": StrategyStatus.FROZEN, "digest": strategy.digest},
    )
    strategy.refresh_from_db()
    return strategy
