"""Uploads: imported by a worker, their row saying what became of them.

As with runs the row is the queue of record: claimed by compare-and-set, held by a lease that
the import's progress renews, written under the number of the attempt.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from backtests.jobs.lease import DATABASE_AWAY, LeaseLost
from backtests.jobs.problems import unexpected, worker_lost
from backtests.lifecycle import DatasetStatus
from backtests.models import Dataset
from backtests.querysets import DatasetQuerySet
from crowetrade_site.core import audit, storage
from crowetrade_site.core.errors import DomainError

logger = logging.getLogger(__name__)
LEASE = timedelta(seconds=60)
BEAT_EVERY = timedelta(seconds=5)
REPUBLISH_AFTER = timedelta(seconds=60)


def import_dataset(*, dataset_id: UUID) -> None:
    """Import an uploaded file; idempotent, a second message finds it at work or done.

    Whatever goes wrong ends the row as refused with its problem, so that no file can occupy
    workers for ever; a database that stays away leaves the lease to expire instead.
    """
    dataset = _claim(dataset_id)
    if dataset is None:
        return
    try:
        _import(dataset)
    except LeaseLost:
        logger.warning("The lease was lost; another worker has the upload")
    except DomainError as refusal:
        _refuse(dataset, refusal.problem())
    except DATABASE_AWAY:
        raise
    except Exception as error:
        _refuse(dataset, unexpected(error, "The import failed unexpectedly"))
        raise


def stalled_imports() -> list[UUID]:
    """Return uploads that need a message: theirs, or their worker, was lost.

    One that was begun as often as allowed is refused.
    """
    at = timezone.now()
    most = settings.RUN_MAX_ATTEMPTS
    for dataset in Dataset.objects.unattended(at).filter(attempt__gte=most):
        _refuse(dataset, worker_lost(dataset.attempt))
    waiting = Dataset.objects.unpublished(at, patience=REPUBLISH_AFTER)
    return list(waiting.order_by("pk").values_list("public_id", flat=True)[:1000])


def _claim(dataset_id: UUID) -> Dataset | None:
    """Take an upload that nobody is at, under a new attempt number."""
    at = timezone.now()
    waiting = Dataset.objects.unattended(at).filter(public_id=dataset_id)
    with transaction.atomic():
        if not waiting.update(attempt=F("attempt") + 1, lease_expires_at=at + LEASE):
            return None
        return Dataset.objects.select_related("imported_by").get(public_id=dataset_id)


def _import(dataset: Dataset) -> None:
    from backtests.jobs import imports

    with TemporaryDirectory(prefix="upload-", dir=imports.workroom()) as folder:
        upload = Path(folder, Path(dataset.source_name).name)
        upload.symlink_to(storage.locate(dataset.source_artifact))
        imports.import_into(dataset, upload, on_progress=_heartbeat(dataset))


def _held(dataset: Dataset) -> DatasetQuerySet:
    """Return the row as long as this attempt holds it: the fence round every write."""
    return Dataset.objects.filter(
        pk=dataset.pk, status=DatasetStatus.IMPORTING, attempt=dataset.attempt
    )


def _heartbeat(dataset: Dataset) -> Callable[[float, str], None]:
    """Return a progress callback that renews the lease and stops an attempt that lost it."""
    last = timezone.now()

    def renew(share: float, step: str) -> None:  # noqa: ARG001 - a progress callback
        nonlocal last
        now = timezone.now()
        if now - last > BEAT_EVERY:
            last = now
            if not _held(dataset).update(lease_expires_at=now + LEASE):
                raise LeaseLost

    return renew


def _refuse(dataset: Dataset, problem: dict[str, Any]) -> None:
    report = problem.pop("report", {})
    with transaction.atomic():
        refused = _held(dataset).update(
            status=DatasetStatus.REFUSED, problem=problem, report=report,
            n_refused=report.get("n_refused", 0), lease_expires_at=None,
        )  # fmt: skip
        if refused:
            audit.record(
                "backtests.dataset.refused", dataset, actor=None, at=timezone.now(),
                reason=problem["detail"], before={"status": DatasetStatus.IMPORTING},
                after={"status": DatasetStatus.REFUSED},
            )  # fmt: skip
