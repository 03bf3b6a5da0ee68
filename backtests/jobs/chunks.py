"""The chunks of studies: claimed, computed, recorded once, and rescued."""

import logging
import time
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from backtests.jobs.lease import DATABASE_AWAY, Cancelled, Lease, LeaseLost, held_chunk
from backtests.jobs.problems import unexpected, worker_lost
from backtests.jobs.sharing import whose_turn
from backtests.jobs.waiting import postpone_chunk, require_store
from backtests.jobs.warming import await_kernels
from backtests.lifecycle import CHUNKS, ChunkStatus, RunStatus
from backtests.models import Chunk, Run
from crowetrade_site.core import context, storage
from crowetrade_site.core.errors import DomainError, Unavailable

logger = logging.getLogger(__name__)
REPUBLISH_AFTER = timedelta(seconds=60)
MOST_SENT_AGAIN = 1000  # in one look


class Next(NamedTuple):
    """What a message must speak of after a chunk: the study, if it can go on; further chunks."""

    study: UUID | None = None
    chunks: tuple[int, ...] = ()


def execute_chunk(*, chunk_id: int, worker: str) -> Next:
    """Claim a chunk, compute and record it; return what comes next.

    Idempotent: a second message finds it claimed, or done, and returns. Where several studies
    wait, a message is a turn rather than an order: the chunk may be another user's.
    """
    turns = whose_turn(chunk_id)
    chunk = next(filter(None, (_claim(turn, worker=worker) for turn in turns)), None)
    if chunk is None:
        ended = Chunk.objects.filter(pk=chunk_id).values_list("run_id", flat=True).first()
        return Next() if ended is None else _next(ended)
    was_back = False
    with context.acting(run=str(chunk.run.public_id)):
        try:
            with storage.within_room(), ChunkLease(chunk) as lease:
                was_back = require_store(chunk.run)
                outcome = _compute(chunk, lease)
        except LeaseLost:
            logger.warning("The lease was lost; another worker has the chunk")
            return Next()
        except Cancelled:
            _end(chunk, ChunkStatus.CANCELLED)
            return Next()
        except Unavailable as error:
            postpone_chunk(chunk, error, was_back=was_back)
            return Next()
        except DomainError as error:
            _end(chunk, ChunkStatus.QUARANTINED, problem=error.problem())
        except DATABASE_AWAY:
            raise
        except Exception as error:
            problem = unexpected(error, "A chunk of the study failed unexpectedly")
            _end(chunk, ChunkStatus.QUARANTINED, problem=problem)
            logger.exception("A chunk failed", extra={"chunk": chunk.pk})
        else:
            _end(chunk, ChunkStatus.DONE, **outcome)
    return _next(chunk.run_id)


def _next(run_pk: int) -> Next:
    """Return the study if this was its last chunk, else chunks that take this one's place.

    A study has a bounded number of chunks in the queue, so that studies take turns.
    """
    study = resume(run_pk)
    if study is not None:
        return Next(study)
    chunks = Chunk.objects.filter(run=run_pk, run__waits_for_chunks=True)
    room = settings.STUDY_CHUNKS_IN_FLIGHT - chunks.in_flight().count()
    return Next(None, tuple(chunks.next_unpublished(room)) if room > 0 else ())


def _claim(chunk_id: int, *, worker: str) -> Chunk | None:
    at = timezone.now()
    won = Chunk.objects.filter(
        pk=chunk_id, status=ChunkStatus.QUEUED, run__status=RunStatus.RUNNING,
        run__waits_for_chunks=True,
    ).update(
        status=ChunkStatus.RUNNING, attempt=F("attempt") + 1, worker=worker,
        lease_expires_at=at + timedelta(seconds=settings.RUN_LEASE_SECONDS),
    )  # fmt: skip
    return Chunk.objects.select_related("run__dataset").get(pk=chunk_id) if won else None


class ChunkLease(Lease):
    """The heartbeat of a chunk; its study's end, by whomever, ends it too."""

    def __init__(self, chunk: Chunk) -> None:
        super().__init__(chunk.run)
        self.chunk = chunk

    def _renew(self) -> None:
        kept = held_chunk(self.chunk).update(
            lease_expires_at=timezone.now() + timedelta(seconds=settings.RUN_LEASE_SECONDS)
        )
        if not kept:
            self._lost.set()
        elif not Run.objects.waiting().filter(pk=self.chunk.run_id).exists():
            self._cancelled.set()


def _compute(chunk: Chunk, lease: Lease) -> dict[str, Any]:
    """Hand a chunk to what evaluates trials, loading the numeric libraries now."""
    await_kernels(lease)
    from backtests.jobs import evaluation

    return evaluation.compute(chunk, lease)


def _end(chunk: Chunk, status: ChunkStatus, **columns: Any) -> bool:
    """Record a chunk's end exactly once, and the progress of its study."""
    CHUNKS.check(ChunkStatus.RUNNING, status)
    deadline = time.monotonic() + settings.RUN_LEASE_SECONDS
    while True:
        try:
            with transaction.atomic():
                won = held_chunk(chunk).update(status=status, **columns)
                if won and status == ChunkStatus.DONE:
                    study = Run.objects.filter(pk=chunk.run_id)
                    study.update(
                        progress_done=F("progress_done") + chunk.n_trials, store_away_since=None
                    )
            return bool(won)
        except DATABASE_AWAY:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def resume(run_pk: int) -> UUID | None:
    """Queue a waiting study again if none of its chunks is unfinished; return its id if so.

    A compare-and-set: of two workers that end the last two chunks, one wins.
    """
    if Chunk.objects.unfinished().filter(run=run_pk).exists():
        return None
    won = Run.objects.waiting().filter(pk=run_pk).update(
        status=RunStatus.QUEUED, waits_for_chunks=False, queued_at=timezone.now(),
        published_at=None, resumptions=F("resumptions") + 1, lease_expires_at=None,
    )  # fmt: skip
    return Run.objects.get(pk=run_pk).public_id if won else None


def reap_chunks(*, n_messages: int | None = 0) -> tuple[list[int], list[UUID]]:
    """Return the chunks that need a message, and the studies that can go on.

    `n_messages` is how many wait for a worker; None where nobody knows, and nothing that was sent
    is sent again. A chunk whose worker was lost is queued again; begun as often as allowed it is
    quarantined, so that one that kills its worker cannot take the study down.
    """
    at = timezone.now()
    for chunk in Chunk.objects.lease_expired(at).order_by("pk"):
        _rescue(chunk)
    waiting = list(Run.objects.waiting().order_by("queued_at").values_list("pk", flat=True))
    messages = [] if n_messages is None else _take_back(waiting, at, n_messages)
    following = [_next(pk) for pk in waiting]
    messages += [chunk for one in following for chunk in one.chunks]
    return messages, [one.study for one in following if one.study is not None]


def _take_back(waiting: list[int], at: datetime, n_messages: int) -> list[int]:
    """Let as many old chunks be sent again as messages were lost; return them.

    A long queue is no loss: every chunk that was sent has its message as long as the queue is no
    shorter than they are many.
    """
    sent = Chunk.objects.filter(run__in=waiting, status=ChunkStatus.QUEUED).in_flight()
    n_lost = min(sent.count() - n_messages, MOST_SENT_AGAIN)
    if n_lost <= 0:
        return []
    forgotten = Chunk.objects.filter(run__in=waiting).forgotten(at, patience=REPUBLISH_AFTER)
    oldest = list(forgotten.order_by("published_at", "pk").values_list("pk", flat=True)[:n_lost])
    forgotten.filter(pk__in=oldest).update(published_at=None)
    return oldest


def _rescue(chunk: Chunk) -> None:
    at = timezone.now()
    mine = Chunk.objects.lease_expired(at).filter(pk=chunk.pk, attempt=chunk.attempt)
    if not Run.objects.waiting().filter(pk=chunk.run_id).exists():
        mine.update(status=ChunkStatus.CANCELLED)  # its study ended meanwhile
    elif chunk.attempt - chunk.resumptions >= settings.CHUNK_MAX_ATTEMPTS:
        problem = worker_lost(chunk.attempt, chunk.worker)
        mine.update(status=ChunkStatus.QUARANTINED, problem=problem)
    else:
        mine.update(status=ChunkStatus.QUEUED, published_at=None)
