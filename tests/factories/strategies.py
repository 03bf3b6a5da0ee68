"""Stored strategies."""

from typing import Any

from django.contrib.auth.models import User

from strategies import services
from strategies.models import Strategy
from tests.factories.backtests import AT, STRATEGY


def stored(owner: User, name: str = "crossing", **more: Any) -> Strategy:
    """Store a draft through the service."""
    document = more.pop("document", STRATEGY)
    return services.create_strategy(name=name, document=document, actor=owner, at=AT, **more)


def frozen(owner: User, name: str = "crossing", **more: Any) -> Strategy:
    """Store a strategy and freeze it."""
    draft = stored(owner, name, **more)
    return services.freeze_strategy(strategy_id=draft.public_id, actor=owner, at=AT)
