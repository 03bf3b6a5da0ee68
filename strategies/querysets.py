"""Filters of stored strategies."""

from typing import Self

from django.db import models

from strategies.lifecycle import StrategyStatus


class StrategyQuerySet(models.QuerySet["Strategy"]):
    """Stored strategies."""

    def frozen(self) -> Self:
        """Those that can no longer change."""
        return self.filter(status=StrategyStatus.FROZEN)
