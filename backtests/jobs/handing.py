"""Handing what a run measured to the registry, for the version whose file was its strategy.

Outside the run's own transactions, after its end: a registry that refuses or is away fails no run.
The row of the run is the queue of record; the reaper comes back to what is due.
"""

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from backtests.jobs.measured import pieces_of
from backtests.jobs.problems import unexpected
from backtests.models import Run
from crowetrade_site.core import audit
from crowetrade_site.core.errors import DomainError, StaleState, Unavailable
from registry import services as registry
from strategies.selectors import get_registered

logger = logging.getLogger(__name__)
ASK_AGAIN_AFTER = timedelta(seconds=60)
MOST_ATTEMPTS = 20
MOST_AT_ONCE = 1000


def evidence_due() -> list[UUID]:
    """Return the runs whose evidence no message, or only an old one, speaks of."""
    at = timezone.now()
    silent = Q(evidence_asked_at=None) & Q(finished_at__lt=at - timedelta(seconds=2))
    due = Run.objects.evidence_due().filter(silent | Q(evidence_asked_at__lt=at - ASK_AGAIN_AFTER))
    return list(due.order_by("finished_at").values_list("public_id", flat=True)[:MOST_AT_ONCE])


def hand_in_evidence(*, run_id: UUID) -> None:
    """Have the registry take over what a run measured, and note what became of it.

    Idempotent: the registry knows evidence by its source, and a run that is done with is left
    alone. A refusal of the domain is final and written down; a store or database that is away, and
    whatever nobody has foreseen, is tried again, so many times.
    """
    due = Run.objects.evidence_due().filter(public_id=run_id)
    if not due.update(evidence_attempts=F("evidence_attempts") + 1):
        return
    run = Run.objects.with_dataset().get(public_id=run_id)
    try:
        pieces = _hand_in(run)
    except Unavailable:
        logger.warning("The evidence of a run waits for the store", extra={"run": str(run_id)})
    except DomainError as refusal:
        _close(run, problem=refusal.problem())
    except Exception as error:
        if run.evidence_attempts >= MOST_ATTEMPTS:
            _close(run, problem=unexpected(error, "The evidence could not be handed in"))
        raise
    else:
        _close(run, pieces=pieces)


def _hand_in(run: Run) -> list[dict[str, str]]:
    """Hand all pieces in by one call, once the version's file is seen to be what the run ran.

    Raises
    ------
    StaleState
        The version's file is not, or no longer, the strategy that the run computed (409).
    """
    tested = get_registered(run.tested_name)
    same_bytes = (tested.version_id, tested.digest) == (run.tested_version, run.tested_digest)
    if not same_bytes or tested.spec.digest != run.strategy_digest:
        raise StaleState(f"The run did not compute what {run.tested_name} holds.")
    pieces = pieces_of(run)
    if not pieces:
        return []
    stored = registry.record_measurements(
        version_id=tested.version_id, pieces=pieces, digests=_digests(run),
        source=f"backtests.run:{run.public_id}", produced_at=run.finished_at or timezone.now(),
        at=timezone.now(), environment=str(run.environment.get("platform", "")),
    )  # fmt: skip
    return [{"kind": piece.kind, "id": str(piece.public_id)} for piece in stored]


def _digests(run: Run) -> dict[str, str]:
    """Return what the evidence is bound to: a change of any of it ends its worth."""
    known = {
        "artifact": run.tested_digest, "data": run.dataset.digest, "code": run.code_digest,
        "engine": str(run.summary.get("engine_version", "")), "strategy": run.strategy_digest,
        "spec": run.spec_digest, "result": run.result_digest,
    }  # fmt: skip
    return {name: digest for name, digest in known.items() if digest}


def _close(
    run: Run, *, pieces: list[dict[str, str]] | None = None, problem: dict[str, Any] | None = None
) -> None:
    """Write what became of it once; files of what is evidence now are kept."""
    at = timezone.now()
    with transaction.atomic():
        mine = Run.objects.evidence_due().filter(pk=run.pk)
        if not mine.update(evidence_at=at, evidence_problem=problem):
            return
        if pieces:
            Run.objects.filter(pk=run.pk, artifacts_expired_at=None).update(is_kept=True)
        audit.record(
            f"backtests.run.{'evidence_refused' if problem else 'handed_in'}", run, actor=None,
            at=at, reason=problem["detail"] if problem else "",
            after={"tested_version": str(run.tested_version), "evidence": pieces or []},
        )  # fmt: skip
