"""Executing queued runs, and rescuing those whose worker was lost."""

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from backtests.jobs.lease import (
    DATABASE_AWAY,
    Cancelled,
    Lease,
    LeaseLost,
    cancel_chunks,
    claim,
    finish,
    wait_for_chunks,
)
from backtests.jobs.problems import unexpected, worker_lost
from backtests.jobs.waiting import WAITING, postpone_run, require_store
from backtests.jobs.warming import Kernels, await_kernels
from backtests.lifecycle import RunKind, RunStatus
from backtests.models import Run
from backtests.runspec import SECTIONS
from crowetrade_site.core import audit, context, provenance, storage
from crowetrade_site.core.errors import DomainError, Unavailable

logger = logging.getLogger(__name__)
REPUBLISH_AFTER = timedelta(seconds=60)


def execute_run(*, run_id: UUID, worker: str) -> list[int]:
    """Claim a queued run, compute it and record its end; return the chunks it now waits for.

    Idempotent: a second message for the same run finds it claimed and returns. A refusal of
    the domain ends the run as failed with its problem; a store that is away, and a database that
    stays away, leave the lease to expire, so that the reaper queues the run again.
    """
    run = claim(run_id, worker=worker)
    if run is None:
        return []
    was_back = False
    with context.acting(run=str(run_id)):
        try:
            with storage.within_room(), Lease(run) as lease:
                was_back = require_store(run)
                outcome = _compute(run, lease)
        except LeaseLost:
            logger.warning("The lease was lost; another worker has the run")
        except Cancelled:
            finish(run, RunStatus.CANCELLED)
        except Unavailable as error:
            postpone_run(run, error, was_back=was_back)
        except DomainError as error:
            finish(run, RunStatus.FAILED, problem=error.problem())
        except DATABASE_AWAY:
            raise
        except Exception as error:
            finish(run, RunStatus.FAILED, problem=unexpected(error, "The run failed unexpectedly"))
            raise
        else:
            if outcome is None:
                return wait_for_chunks(run)
            made_by = {
                "code_digest": provenance.code_digest(), "environment": provenance.environment(),
            }  # fmt: skip
            status = RunStatus.FAILED if "problem" in outcome else RunStatus.SUCCEEDED
            finish(run, status, **{**lease.reached, **made_by, **outcome})
    return []


def _compute(run: Run, lease: Lease) -> dict[str, Any] | None:
    """Hand a run to the code of its kind, loading the numeric libraries now; None: it waits."""
    is_replay = run.spec["kind"] == RunKind.REPLAY
    await_kernels(lease, Kernels.REPLAYS if is_replay else Kernels.ENGINE)
    from backtests.jobs import backtest, causality, replaying, reproduction, studies

    outcome: dict[str, Any] | None
    if run.kind == RunKind.CAUSALITY_CHECK:
        return causality.compute(run, lease)
    if run.spec["kind"] in SECTIONS:
        outcome = studies.advance(run, lease)
    elif is_replay:
        outcome = replaying.compute(run, lease)
    else:
        outcome = backtest.compute(run, lease)
    is_whole = outcome is not None and "problem" not in outcome  # of lost chunks nothing is known
    if outcome is not None and is_whole and run.reproduces is not None:
        outcome |= reproduction.compare(run, outcome)
    return outcome


def reap_runs() -> list[UUID]:
    """Return the runs that need a message: lost ones, queued again, and ones never published.

    A run that was begun as often as allowed ends as failed, so that a spec that kills its
    worker cannot circle for ever.
    """
    at = timezone.now()
    for run in Run.objects.lease_expired(at).order_by("pk"):
        _rescue(run)
    waiting = Run.objects.unpublished(at, patience=REPUBLISH_AFTER)
    return list(waiting.order_by("queued_at").values_list("public_id", flat=True)[:1000])


def _rescue(run: Run) -> None:
    """Queue a lost run again under the fence of its attempt, or fail it for good."""
    at = timezone.now()
    over = run.attempt - run.resumptions >= settings.RUN_MAX_ATTEMPTS
    cancelled = run.cancel_requested_at is not None
    status: RunStatus
    columns: dict[str, Any]
    if cancelled:
        status, columns = RunStatus.CANCELLED, {"finished_at": at}
    elif over:
        problem = worker_lost(run.attempt, run.worker)
        status, columns = RunStatus.FAILED, {"finished_at": at, "problem": problem}
    else:
        status, columns = RunStatus.QUEUED, {"queued_at": at, "published_at": None}
    reason = "the artefact store was away" if run.phase == WAITING else "the worker was lost"
    expired = Run.objects.lease_expired(at).filter(pk=run.pk, attempt=run.attempt)
    with transaction.atomic():
        if expired.update(status=status, phase="", **columns):
            if status != RunStatus.QUEUED:
                cancel_chunks(run.pk)
            verb = "requeued" if status == RunStatus.QUEUED else str(status)
            audit.record(
                f"backtests.run.{verb}", run, actor=None, at=at, reason=reason,
                before={"status": RunStatus.RUNNING, "attempt": run.attempt},
                after={"status": status},
            )  # fmt: skip
