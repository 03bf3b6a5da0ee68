"""Filters of datasets and runs."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from django.db.models import Q, QuerySet

from backtests.lifecycle import RUNS, DatasetStatus, RunStatus

if TYPE_CHECKING:
    from backtests.models import Dataset, Run  # noqa: F401 - the row types below


class DatasetQuerySet(QuerySet["Dataset"]):
    """Dataset versions."""

    def ready(self) -> Self:
        """Those that runs may use."""
        return self.filter(status=DatasetStatus.READY)

    def newest_first(self) -> Self:
        """Latest version of a name first."""
        return self.order_by("name", "-version")


class RunQuerySet(QuerySet["Run"]):
    """Runs."""

    def active(self) -> Self:
        """Those that are not over."""
        return self.exclude(status__in=RUNS.terminal)

    def lease_expired(self, at: datetime) -> Self:
        """Running ones whose worker has not been heard of in time."""
        return self.filter(status=RunStatus.RUNNING, lease_expires_at__lt=at)

    def unpublished(self, at: datetime, *, patience: timedelta) -> Self:
        """Queued ones that no message, or only an old one, speaks of."""
        silent = Q(published_at__isnull=True) & Q(queued_at__lt=at - timedelta(seconds=2))
        stale = Q(published_at__lt=at - patience)
        return self.filter(silent | stale, status=RunStatus.QUEUED)

    def attempts_used_up(self, limit: int) -> Self:
        """Those that were begun as often as allowed."""
        return self.filter(attempt__gte=limit)

    def with_dataset(self) -> Self:
        """Joined with dataset and requester, so that lists need one query."""
        return self.select_related("dataset", "requested_by")
