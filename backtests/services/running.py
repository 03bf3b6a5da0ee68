"""Runs that were queued: stopped, put before or behind others, kept."""

from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from backtests import selectors
from backtests.lifecycle import RUNS, ChunkStatus, Priority, RunStatus
from backtests.models import Run
from backtests.services.steps import require_own, require_priority
from crowetrade_site.core import audit, roles
from crowetrade_site.core.errors import Conflict, Forbidden, IllegalTransition, InvalidInput


@transaction.atomic(durable=True)
def cancel_run(*, run_id: UUID, actor: User, at: datetime, reason: str = "") -> Run:
    """Stop a run: one that waits ends at once, a running one at its next slice of work.

    Asking twice changes nothing.

    Raises
    ------
    Forbidden
        The actor may not, or it is another's run and the actor only a researcher (403).
    NotFound
        There is no such run (404).
    IllegalTransition
        The run is over (409).
    """
    roles.require(actor, "runs:write")
    run = selectors.get_run(run_id, lock=True)
    require_own(run, actor)
    is_asked = run.cancel_requested_at is not None and run.status == RunStatus.RUNNING
    if is_asked and not run.waits_for_chunks:
        return run
    if run.status == RunStatus.CANCELLED:
        raise IllegalTransition("The run is cancelled already.")
    RUNS.check(RunStatus(run.status), RunStatus.CANCELLED)
    run.cancel_requested_at = at
    before = run.status
    if run.status == RunStatus.QUEUED or run.waits_for_chunks:
        run.status, run.finished_at, run.waits_for_chunks = RunStatus.CANCELLED, at, False
        queued = run.chunks.filter(status=ChunkStatus.QUEUED)
        queued.update(status=ChunkStatus.CANCELLED)
    run.save(
        update_fields=[
            "status", "finished_at", "cancel_requested_at", "waits_for_chunks", "updated_at",
        ]
    )  # fmt: skip
    verb = "cancelled" if run.status == RunStatus.CANCELLED else "cancel_requested"
    audit.record(
        f"backtests.run.{verb}", run, actor=actor, at=at, reason=reason,
        before={"status": before}, after={"status": run.status},
    )  # fmt: skip
    return run


@transaction.atomic(durable=True)
def prioritize_run(
    *, run_id: UUID, priority: Priority, actor: User, at: datetime, reason: str = ""
) -> Run:
    """Give a study another share of the workers, from its next chunk on.

    Anybody may make their own runs low or normal again; high is for operators and admins.

    Raises
    ------
    Forbidden
        The actor may not, or it is another's run and the actor only a researcher (403).
    NotFound
        There is no such run (404).
    Conflict
        The run is over (409).
    """
    roles.require(actor, "runs:write")
    require_priority(actor, priority)
    run = selectors.get_run(run_id, lock=True)
    require_own(run, actor, "prioritize")
    if run.priority == Priority.HIGH:  # what an operator has raised, an operator lowers
        roles.require(actor, "runs:operate")
    if run.status in RUNS.terminal:
        raise Conflict(f"The run is {run.status}; its priority is of no account any more.")
    before, run.priority = run.priority, priority
    if before != priority:
        run.save(update_fields=["priority", "updated_at"])
        audit.record(
            "backtests.run.prioritized", run, actor=actor, at=at, reason=reason,
            before={"priority": before}, after={"priority": priority},
        )  # fmt: skip
    return run


@transaction.atomic(durable=True)
def keep_run(*, run_id: UUID, is_kept: bool, actor: User, at: datetime, reason: str) -> Run:
    """Keep the artefacts of a run for ever, or leave them to the retention policy again.

    What somebody else keeps, only an operator or admin releases: it may be evidence.

    Raises
    ------
    Forbidden
        The actor may not, it is another's run and the actor only a researcher, or another keeps
        it (403).
    NotFound
        There is no such run (404).
    InvalidInput
        No reason was given (422).
    Gone
        Its artefacts were removed (410).
    """
    roles.require(actor, "runs:write")
    if not reason.strip():
        raise InvalidInput("Say why: a reason is kept with what is kept for ever, or no longer.")
    run = selectors.get_run(run_id, lock=True)
    require_own(run, actor, "keep")
    selectors.require_artifacts(run)
    before, run.is_kept = run.is_kept, is_kept
    is_operator = "runs:operate" in roles.grants(actor)
    is_anothers = before and run.kept_by_id != actor.pk
    if is_anothers and not is_kept and not is_operator:
        raise Forbidden("Somebody else keeps this run; ask an operator to release it.")
    if before != is_kept or (is_anothers and is_operator):
        run.kept_by = actor if is_kept else None
        run.save(update_fields=["is_kept", "kept_by", "updated_at"])
        verb = "kept" if is_kept else "released"
        audit.record(
            f"backtests.run.{verb}", run, actor=actor, at=at, reason=reason,
            before={"is_kept": before}, after={"is_kept": is_kept},
        )  # fmt: skip
    return run
