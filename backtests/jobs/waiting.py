"""Work that meets no artefact store: it waits, and fails only if the store stays away.

An attempt that cannot read or write ends, and its row keeps a lease that nobody renews: the reaper
queues it again when that has run out. No worker is held meanwhile, and no attempt is counted. The
next attempt first stores a few bytes: if it can, the store is back and patience begins anew; if
not, nothing was computed in vain. An attempt that meets no store after that is counted: one that
takes few bytes and no more must not keep work going round for ever.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from backtests.jobs.lease import cancel_chunks, finish, held_by, held_chunk
from backtests.lifecycle import ChunkStatus, RunStatus
from backtests.models import Chunk, Run
from crowetrade_site.core import audit, storage
from crowetrade_site.core.errors import Unavailable

logger = logging.getLogger(__name__)
PROBE = b"This store answers.\n"
WAITING = "waiting for the store"
SHORTEST, LONGEST = timedelta(seconds=2), timedelta(seconds=30)


def require_store(run: Run) -> bool:
    """Try the store for work that has waited for it; return whether it had, and the store is back.

    Raises
    ------
    Unavailable
        It is still away.
    """
    if run.store_away_since is None:
        return False
    storage.put(PROBE)
    away = Run.objects.filter(pk=run.pk, store_away_since=run.store_away_since)
    away.update(store_away_since=None)
    run.store_away_since = None
    return True


def postpone_run(run: Run, error: Unavailable, *, was_back: bool = False) -> None:
    """Let a claimed run wait for the store, or end it as failed once patience is over.

    `was_back` says that the store had answered in this attempt, which then counts.
    """
    at = timezone.now()
    since = run.store_away_since or at
    n_begun = run.attempt - run.resumptions
    if _is_over(since, at) or (was_back and n_begun >= settings.RUN_MAX_ATTEMPTS):
        finish(run, RunStatus.FAILED, problem=_problem(error, since, at))
        return
    logger.warning("The artefact store is away; the run waits", extra={"detail": error.detail})
    held_by(run).update(
        store_away_since=since, lease_expires_at=at + _pause(since, at),
        resumptions=F("resumptions") + (0 if was_back else 1), phase=WAITING,
    )  # fmt: skip


def postpone_chunk(chunk: Chunk, error: Unavailable, *, was_back: bool = False) -> None:
    """Let a claimed chunk wait for the store, or end its study once patience is over.

    Patience is the study's: a chunk that is done proves the store to be there, and begins it anew,
    and so does one that finds the store back.
    """
    at = timezone.now()
    study = Run.objects.waiting().filter(pk=chunk.run_id)
    study.filter(store_away_since=None).update(store_away_since=at)
    since = study.values_list("store_away_since", flat=True).first() or at
    n_begun = chunk.attempt - chunk.resumptions
    if _is_over(since, at) or (was_back and n_begun >= settings.CHUNK_MAX_ATTEMPTS):
        _end_study(chunk, _problem(error, since, at), at)
        return
    logger.warning("The artefact store is away; the chunk waits", extra={"detail": error.detail})
    held_chunk(chunk).update(
        lease_expires_at=at + _pause(since, at),
        resumptions=F("resumptions") + (0 if was_back else 1),
    )


def _is_over(since: datetime, at: datetime) -> bool:
    return at - since >= timedelta(seconds=settings.STORE_PATIENCE_SECONDS)


def _pause(since: datetime, at: datetime) -> timedelta:
    """Return how long until the next attempt: the longer, the longer the store has been away."""
    return min(max((at - since) / 2, SHORTEST), LONGEST)


def _problem(error: Unavailable, since: datetime, at: datetime) -> dict[str, Any]:
    waited = f"It was waited for for {(at - since).total_seconds():.0f} s."
    cure = "Queue it again once that is mended: chunks that were computed are taken over."
    return error.problem() | {"detail": f"{error.detail} {waited} {cure}"}


def _end_study(chunk: Chunk, problem: dict[str, Any], at: datetime) -> None:
    """End a study whose rows have no place to go; what is done stays, for the next one.

    Its other chunks that are at work find it over and stop.
    """
    with transaction.atomic():
        held_chunk(chunk).update(status=ChunkStatus.QUARANTINED, problem=problem)
        ended = Run.objects.waiting().filter(pk=chunk.run_id).update(
            status=RunStatus.FAILED, finished_at=at, waits_for_chunks=False, phase="",
            problem=problem,
        )  # fmt: skip
        if not ended:
            return
        cancel_chunks(chunk.run_id)
        audit.record(
            "backtests.run.failed", chunk.run, actor=None, at=at,
            before={"status": RunStatus.RUNNING},
            after={"status": RunStatus.FAILED, "problem": problem["detail"]},
        )  # fmt: skip
