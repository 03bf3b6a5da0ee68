"""Filters of stored strategies."""

from typing import TYPE_CHECKING, Self

from django.db.models import QuerySet

from strategies.lifecycle import StrategyStatus

if TYPE_CHECKING:
    from strategies.models import Strategy  # noqa: F401 - the row type below


class StrategyQuerySet(QuerySet["Strategy"]):
    """Stored strategies."""

    def frozen(self) -> Self:
        """Those that can no longer change."""
        return self.filter(status=StrategyStatus.FROZEN)
