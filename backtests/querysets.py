"""Filters of datasets, runs, chunks and trials."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from django.db.models import Q, QuerySet, Sum

from backtests.lifecycle import OF_A_RUN, ChunkStatus, DatasetStatus, RunStatus

if TYPE_CHECKING:
    from backtests.models import Chunk, Dataset, LedgerScope, Run, TrialBatch  # noqa: F401 - the row types below


# Chunks that a worker is at, or a message speaks of; an index holds them in these very words.
IN_FLIGHT = Q(status=ChunkStatus.RUNNING) | Q(status=ChunkStatus.QUEUED, published_at__isnull=False)

# Runs that measured something, in the words of an index. A reproduction or check that failed and
# has a result found what it was to look for; a study of which chunks were lost has one, too, and
# speaks for nothing: what is missing may be what was bad.
HAS_FINDINGS = Q(status=RunStatus.SUCCEEDED) | Q(
    Q(status=RunStatus.FAILED, kind__in=sorted(OF_A_RUN)), ~Q(result_digest="")
)


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
        return self.filter(
            status=RunStatus.RUNNING, waits_for_chunks=False, lease_expires_at__lt=at
        )

    def attended(self, at: datetime) -> Self:
        """Those that a worker is at, itself or one of its chunks; waiting for the store is none."""
        itself = Q(waits_for_chunks=False, lease_expires_at__gte=at, store_away_since=None)
        chunk = Q(chunks__status=ChunkStatus.RUNNING, chunks__lease_expires_at__gte=at)
        return self.filter(itself | chunk, status=RunStatus.RUNNING).distinct()

    def active(self) -> Self:
        """Those not over yet."""
        return self.filter(status__in=[RunStatus.QUEUED, RunStatus.RUNNING])

    def waiting(self) -> Self:
        """Studies whose chunks are being computed."""
        return self.filter(status=RunStatus.RUNNING, waits_for_chunks=True)

    def unpublished(self, at: datetime, *, patience: timedelta) -> Self:
        """Queued ones that no message, or only an old one, speaks of."""
        silent = Q(published_at__isnull=True) & Q(queued_at__lt=at - timedelta(seconds=2))
        stale = Q(published_at__lt=at - patience)
        return self.filter(silent | stale, status=RunStatus.QUEUED)

    def evidence_due(self) -> Self:
        """Those that speak for a registered version and have not handed in what they found."""
        return self.filter(HAS_FINDINGS, tested_version__isnull=False, evidence_at=None)

    def with_dataset(self) -> Self:
        """Joined with dataset and requester, so that lists need one query."""
        return self.select_related("dataset", "requested_by", "reproduces")


class ChunkQuerySet(QuerySet["Chunk"]):
    """Parts of studies."""

    def unfinished(self) -> Self:
        """Those whose study has to wait for them."""
        return self.filter(status__in=[ChunkStatus.QUEUED, ChunkStatus.RUNNING])

    def done(self) -> Self:
        """Those that were computed."""
        return self.filter(status=ChunkStatus.DONE)

    def readable(self) -> Self:
        """Those whose rows another study may take over."""
        return self.done().filter(run__artifacts_expired_at=None)

    def lease_expired(self, at: datetime) -> Self:
        """Running ones whose worker has not been heard of in time."""
        return self.filter(status=ChunkStatus.RUNNING, lease_expires_at__lt=at)

    def next_unpublished(self, n: int) -> list[int]:
        """Return the keys of the next chunks that no message speaks of, in the order of trials."""
        queued = self.filter(status=ChunkStatus.QUEUED, published_at=None)
        return list(queued.order_by("first").values_list("pk", flat=True)[:n])

    def in_flight(self) -> Self:
        """Those that a worker is at, or a message speaks of."""
        return self.filter(IN_FLIGHT)

    def forgotten(self, at: datetime, *, patience: timedelta) -> Self:
        """Queued ones of which only an old message speaks: it may be lost."""
        return self.filter(status=ChunkStatus.QUEUED, published_at__lt=at - patience)


class TrialBatchQuerySet(QuerySet["TrialBatch"]):
    """Trials, counted."""

    def overlapping(self, scope: "LedgerScope") -> Self:
        """Trials on any of the same instruments in any of the same time, whatever their names."""
        return self.filter(
            scope__symbols__overlap=scope.symbols,
            scope__first_at__lte=scope.last_at,
            scope__last_at__gte=scope.first_at,
        )

    def count_trials(self) -> int:
        """Return how many trials these are."""
        return int(self.aggregate(n=Sum("n_trials"))["n"] or 0)
