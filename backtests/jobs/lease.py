"""The right to work on a run: claimed, kept alive, given up.

The row is the queue of record. A worker claims it by compare-and-set, holds it by a lease
that a heartbeat thread renews, and writes under the attempt number it claimed, so that a
worker presumed dead that wakes up again can no longer write anything.
"""

import logging
import threading
import time
from datetime import timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from backtests.lifecycle import RUNS, ChunkStatus, RunStatus
from backtests.models import Chunk, Run
from crowetrade_site.core import audit

logger = logging.getLogger(__name__)
DATABASE_AWAY = (OperationalError, InterfaceError)


class LeaseLost(Exception):
    """Another worker, or the reaper, has taken the run over."""


class Cancelled(Exception):
    """Somebody asked for the run to stop."""


def claim(run_id: UUID, *, worker: str) -> Run | None:
    """Move a run from queued to running under a new attempt number; None when it is not queued."""
    at = timezone.now()
    with transaction.atomic():
        won = Run.objects.filter(public_id=run_id, status=RunStatus.QUEUED).update(
            status=RunStatus.RUNNING,
            attempt=F("attempt") + 1,
            worker=worker,
            started_at=Coalesce("started_at", at),
            lease_expires_at=at + timedelta(seconds=settings.RUN_LEASE_SECONDS),
            phase="starting",
        )
        if not won:
            return None
        run = Run.objects.select_related("dataset", "reproduces").get(public_id=run_id)
        audit.record(
            "backtests.run.started", run, actor=None, at=at,
            before={"status": RunStatus.QUEUED},
            after={"status": RunStatus.RUNNING, "attempt": run.attempt, "worker": worker},
        )  # fmt: skip
    return run


class Lease:
    """A heartbeat that renews a claimed run's lease and carries its progress.

    Used as a context manager round the computation, which calls `progress` between slices
    of its work; that is where a cancellation or a lost lease surfaces.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._phase, self._done, self._total = run.phase, run.progress_done, run.progress_total
        self._stop = threading.Event()
        self._cancelled = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def phase(self, name: str) -> None:
        """Say what comes next."""
        self._phase = name
        self._raise_if_over()

    def progress(self, done: int, total: int) -> None:
        """Say how far the work is.

        Raises
        ------
        Cancelled, LeaseLost
            The work must stop here.
        """
        self._done, self._total = done, total
        self._raise_if_over()

    @property
    def reached(self) -> dict[str, int]:
        """How far the work is, as the row's columns."""
        return {"progress_done": self._done, "progress_total": self._total}

    def _raise_if_over(self) -> None:
        if self._lost.is_set():
            raise LeaseLost
        if self._cancelled.is_set():
            raise Cancelled

    def _beat(self) -> None:
        """Renew every quarter of the lease, look for a cancellation every half second."""
        try:
            renewed = time.monotonic()
            while not self._stop.wait(min(0.5, settings.RUN_LEASE_SECONDS / 8)):
                try:
                    self._renew()
                    renewed = time.monotonic()
                except DATABASE_AWAY:
                    connection.close()
                    if time.monotonic() - renewed > settings.RUN_LEASE_SECONDS:
                        self._lost.set()
                if self._lost.is_set():
                    return
        finally:
            connection.close()

    def _renew(self) -> None:
        mine = held_by(self.run)
        kept = mine.update(
            lease_expires_at=timezone.now() + timedelta(seconds=settings.RUN_LEASE_SECONDS),
            phase=self._phase,
            **self.reached,
        )
        if not kept:
            self._lost.set()
        elif mine.filter(cancel_requested_at__isnull=False).exists():
            self._cancelled.set()


def held_by(run: Run) -> Any:
    """Return the row as long as this attempt holds it: the fence round every write."""
    return Run.objects.filter(pk=run.pk, status=RunStatus.RUNNING, attempt=run.attempt)


def held_chunk(chunk: Chunk) -> Any:
    """Return the row of a chunk as long as this attempt holds it."""
    return Chunk.objects.filter(pk=chunk.pk, status=ChunkStatus.RUNNING, attempt=chunk.attempt)


def wait_for_chunks(run: Run) -> list[int]:
    """Let a claimed study wait for its chunks; return those that a message must speak of.

    Its lease is over by then: the chunks have leases of their own. A study that was asked to stop
    meanwhile stops here: nobody looks at its flag while it waits.
    """
    going_on = held_by(run).filter(cancel_requested_at=None)
    if not going_on.update(waits_for_chunks=True, phase="computing", store_away_since=None):
        finish(run, RunStatus.CANCELLED)
        return []
    return run.chunks.next_unpublished(settings.STUDY_CHUNKS_IN_FLIGHT)


def cancel_chunks(run_pk: int) -> None:
    """Give up the chunks that nobody is at, of a study that is over."""
    queued = Chunk.objects.filter(run=run_pk, status=ChunkStatus.QUEUED)
    queued.update(status=ChunkStatus.CANCELLED)


def finish(run: Run, status: RunStatus, **columns: Any) -> bool:
    """Record a run's end exactly once, with its audit event; False when it is not ours any more.

    A database that is away is waited for as long as the lease could still be ours.
    """
    deadline = time.monotonic() + settings.RUN_LEASE_SECONDS
    while True:
        try:
            return _finish_once(run, status, columns)
        except DATABASE_AWAY:
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _finish_once(run: Run, status: RunStatus, columns: dict[str, Any]) -> bool:
    RUNS.check(RunStatus.RUNNING, status)
    at = timezone.now()
    with transaction.atomic():
        won = held_by(run).update(status=status, finished_at=at, phase="", **columns)
        if won:
            cancel_chunks(run.pk)
            after = {"status": status, "attempt": run.attempt}
            after |= {name: columns[name] for name in ("result_digest",) if name in columns}
            if problem := columns.get("problem"):
                after["problem"] = problem["detail"]
            audit.record(
                f"backtests.run.{status}", run, actor=None, at=at,
                before={"status": RunStatus.RUNNING}, after=after,
            )  # fmt: skip
    if not won:
        logger.warning("A finished attempt is no longer the run's", extra={"status": status})
    return bool(won)
