"""A finished run is computed once more: to compare every byte, or to see whether it looks ahead."""

from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from backtests import selectors, tasks
from backtests.lifecycle import RunKind, RunStatus
from backtests.models import Run
from backtests.services.steps import require_room
from crowetrade_site.core import audit, roles


@transaction.atomic(durable=True)
def reproduce_run(*, run_id: UUID, actor: User, at: datetime, reason: str = "") -> Run:
    """Queue a finished run once more, to compare every byte of what comes out.

    Raises
    ------
    Forbidden
        The actor may not queue runs (403).
    NotFound
        There is no such run (404).
    Conflict
        The run has no result to compare with (409).
    InvalidInput
        It is a causality check, which is asked for anew (422).
    TooMuch
        The actor has as many runs queued or running as one may have (429).
    """
    roles.require(actor, "runs:write")
    require_room(actor)
    original = selectors.get_run(run_id)
    if refusal := selectors.why_not_reproduced(original):
        raise refusal
    original = original.reproduces or original
    return _queue_once_more(original, RunKind.REPRODUCTION, actor=actor, at=at, reason=reason)


@transaction.atomic(durable=True)
def check_causality(*, run_id: UUID, actor: User, at: datetime, reason: str = "") -> Run:
    """Queue a check of whether a finished backtest looks ahead.

    A worker computes it on futures, in which the bars after a cut are other ones: what was decided,
    ordered, filled and earned up to the cut must stay the same to the last bit.

    Raises
    ------
    Forbidden
        The actor may not queue runs (403).
    NotFound
        There is no such run (404).
    InvalidInput
        It is no backtest: other kinds are not checked this way (422).
    Conflict
        The run has not succeeded (409).
    TooMuch
        The actor has as many runs queued or running as one may have (429).
    """
    roles.require(actor, "runs:write")
    require_room(actor)
    original = selectors.get_run(run_id)
    original = original.reproduces or original
    if refusal := selectors.why_not_checked(original):
        raise refusal
    return _queue_once_more(original, RunKind.CAUSALITY_CHECK, actor=actor, at=at, reason=reason)


def _queue_once_more(
    original: Run, kind: RunKind, *, actor: User, at: datetime, reason: str
) -> Run:
    """Queue a run of a run: the same spec on the same data, for the same version."""
    run = Run.objects.create(
        kind=kind,
        status=RunStatus.QUEUED,
        spec=original.spec,
        spec_digest=original.spec_digest,
        strategy_digest=original.strategy_digest,
        dataset=original.dataset,
        reproduces=original,
        requested_by=actor,
        reason=reason,
        queued_at=at,
        tested_version=original.tested_version,
        tested_digest=original.tested_digest,
        tested_name=original.tested_name,
    )
    verb = "reproduces" if kind == RunKind.REPRODUCTION else "checks"
    audit.record(
        "backtests.run.queued", run, actor=actor, reason=reason, at=at,
        after={"status": RunStatus.QUEUED, verb: str(original.public_id)},
    )  # fmt: skip
    transaction.on_commit(lambda: tasks.publish_run(run.public_id))
    return run
