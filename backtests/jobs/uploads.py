"""Uploads: imported by a worker, their row saying what became of them."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from backtests.lifecycle import DatasetStatus
from backtests.models import Dataset
from crowetrade_site.core import audit, storage
from crowetrade_site.core.errors import DomainError

logger = logging.getLogger(__name__)
STALLED_AFTER = timedelta(seconds=60)
BEAT_EVERY = timedelta(seconds=5)


def import_dataset(*, dataset_id: UUID) -> None:
    """Import an uploaded file; idempotent, a second message finds it done."""
    from backtests.jobs import imports

    waiting = Dataset.objects.filter(public_id=dataset_id, status=DatasetStatus.IMPORTING)
    dataset = waiting.select_related("imported_by").first()
    if dataset is None:
        return
    try:
        with TemporaryDirectory(prefix="upload-", dir=imports.workroom()) as folder:
            upload = Path(folder, Path(dataset.source_name).name)
            upload.symlink_to(storage.locate(dataset.source_artifact))
            imports.import_into(dataset, upload, on_progress=_heartbeat(dataset))
    except DomainError as refusal:
        _refuse(dataset, refusal)


def stalled_imports() -> list[UUID]:
    """Return uploads nobody has worked on for a while: their message or worker was lost."""
    quiet = timezone.now() - STALLED_AFTER
    waiting = Dataset.objects.filter(status=DatasetStatus.IMPORTING, updated_at__lt=quiet)
    return list(waiting.values_list("public_id", flat=True))


def _heartbeat(dataset: Dataset) -> Callable[[float, str], None]:
    last = timezone.now()

    def touch(share: float, step: str) -> None:  # noqa: ARG001 - a progress callback
        nonlocal last
        now = timezone.now()
        if now - last > BEAT_EVERY:
            last = now
            Dataset.objects.filter(pk=dataset.pk).update(updated_at=now)

    return touch


def _refuse(dataset: Dataset, refusal: DomainError) -> None:
    problem = refusal.problem()
    report = problem.pop("report", {})
    with transaction.atomic():
        mine = Dataset.objects.filter(pk=dataset.pk, status=DatasetStatus.IMPORTING)
        if mine.update(status=DatasetStatus.REFUSED, problem=problem, report=report):
            audit.record(
                "backtests.dataset.refused", dataset, actor=None, at=timezone.now(),
                reason=refusal.detail, before={"status": DatasetStatus.IMPORTING},
                after={"status": DatasetStatus.REFUSED},
            )  # fmt: skip
