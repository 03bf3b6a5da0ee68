"""Stored strategy specs."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from crowetrade_site.core.models import BaseModel
from strategies.lifecycle import StrategyStatus
from strategies.querysets import StrategyQuerySet


class Strategy(BaseModel):
    """A named strategy spec; once frozen it is known by its digest and never changes."""

    name = models.SlugField(max_length=80, unique=True)
    status = models.CharField(max_length=20, choices=[(s.value, s.value) for s in StrategyStatus])
    document = models.JSONField()
    digest = models.CharField(max_length=64)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    frozen_at = models.DateTimeField(null=True, blank=True)

    objects = StrategyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "strategies"
        indexes = [models.Index(fields=["digest"], name="strategy_digest")]
        constraints = [
            models.CheckConstraint(
                condition=Q(status=StrategyStatus.DRAFT, frozen_at=None)
                | Q(status=StrategyStatus.FROZEN, frozen_at__isnull=False),
                name="strategy_frozen_has_frozen_at",
            )
        ]

    def __str__(self) -> str:
        return self.name
