"""Filters of datasets and runs."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from django.db.models import Q, QuerySet

from backtests.lifecycle import DatasetStatus, RunStatus

if TYPE_CHECKING:
    from backtests.models import Dataset, Run  # noqa: F401 - the row types below


class DatasetQuerySet(QuerySet["Dataset"]):
    """Dataset versions."""

    def ready(self) -> Self:
        """Those that runs may use."""
        return self.filter(status=DatasetStatus.READY)

    def unattended(self, at: datetime) -> Self:
        """Uploads that no worker is at: never begun, or their worker was lost."""
        lost = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=at)
        return self.filter(lost, status=DatasetStatus.IMPORTING)

    def unpublished(self, at: datetime, *, patience: timedelta) -> Self:
        """Unattended ones that no message, or only an old one, speaks of."""
        silent = Q(published_at__isnull=True) & Q(created_at__lt=at - timedelta(seconds=2))
        return self.unattended(at).filter(silent | Q(published_at__lt=at - patience))

    def newest_first(self) -> Self:
        """Latest version of a name first."""
        return self.order_by("name", "-version")


class RunQuerySet(QuerySet["Run"]):
    """Runs."""

    def lease_expired(self, at: datetime) -> Self:
        """Running ones whose worker has not been heard of in time."""
        return self.filter(status=RunStatus.RUNNING, lease_expires_at__lt=at)

    def unpublished(self, at: datetime, *, patience: timedelta) -> Self:
        """Queued ones that no message, or only an old one, speaks of."""
        silent = Q(published_at__isnull=True) & Q(queued_at__lt=at - timedelta(seconds=2))
        stale = Q(published_at__lt=at - patience)
        return self.filter(silent | stale, status=RunStatus.QUEUED)

    def with_dataset(self) -> Self:
        """Joined with dataset and requester, so that lists need one query."""
        return self.select_related("dataset", "requested_by")
