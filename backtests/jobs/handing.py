"""Handing what a run measured to the registry, for the version whose file was its strategy.

Outside the run's own transactions, after its end: a registry that refuses or is away fails no run.
The row of the run is the queue of record; the reaper comes back to what is due.
"""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from backtests.jobs.measured import pieces_of
from backtests.jobs.problems import unexpected
from backtests.lifecycle import OF_A_RUN
from backtests.models import Run
from crowetrade_site.core import audit, canonical
from crowetrade_site.core.errors import Conflict, DomainError, StaleState, Unavailable
from registry import selectors
from registry import services as registry
from strategies.selectors import REGISTERED, get_registered

if TYPE_CHECKING:
    from registry.models import ModelVersion

logger = logging.getLogger(__name__)
ASK_AGAIN_AFTER = timedelta(seconds=60)
MOST_ATTEMPTS = 20
MOST_AT_ONCE = 1000


def evidence_due() -> list[UUID]:
    """Return the runs whose evidence no message, or only an old one, speaks of.

    Those of archived versions wait for a revival, and take no turn of others meanwhile.
    """
    at = timezone.now()
    silent = Q(evidence_asked_at=None) & Q(finished_at__lt=at - timedelta(seconds=2))
    due = Run.objects.evidence_due().filter(silent | Q(evidence_asked_at__lt=at - ASK_AGAIN_AFTER))
    versions = due.exclude(kind__in=sorted(OF_A_RUN)).values_list("tested_version", flat=True)
    known = [version for version in versions.distinct() if version is not None]
    if waiting := selectors.archived_among(known):
        due = due.exclude(~Q(kind__in=sorted(OF_A_RUN)), tested_version__in=waiting)
    return list(due.order_by("finished_at").values_list("public_id", flat=True)[:MOST_AT_ONCE])


def hand_in_evidence(*, run_id: UUID) -> None:
    """Have the registry take over what a run measured, and note what became of it.

    Idempotent: the registry knows evidence by its source, and a run that is done with is left
    alone. A refusal of the domain is final and written down, unless it is that the version is
    archived, which passes with a revival; a store or database that is away, and whatever nobody has
    foreseen, is tried again, so many times.
    """
    due = Run.objects.evidence_due().filter(public_id=run_id)
    if not due.update(evidence_attempts=F("evidence_attempts") + 1):
        return
    run = Run.objects.with_dataset().get(public_id=run_id)
    try:
        pieces = _hand_in(run)
    except Unavailable:
        logger.warning("The evidence of a run waits for the store", extra={"run": str(run_id)})
    except _Archived:
        logger.info("The evidence of a run waits for a revival", extra={"run": str(run_id)})
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
    NotFound
        The version was deleted (404).
    StaleState
        The version's file is not, or no longer, the strategy that the run computed (409).
    """
    assert run.tested_version is not None  # noqa: S101 - only such runs are due
    version = selectors.get_version(run.tested_version)
    _require_same(run, version)
    pieces = pieces_of(run, selectors.made_from(version).datasets)
    if not pieces:
        return []
    stored = registry.record_measurements(
        version_id=run.tested_version, pieces=pieces, digests=_digests(run),
        source=f"backtests.run:{run.public_id}", produced_at=run.finished_at or timezone.now(),
        at=timezone.now(), environment=str(run.environment.get("platform", "")),
    )  # fmt: skip
    return [{"kind": piece.kind, "id": str(piece.public_id)} for piece in stored]


class _Archived(Conflict):
    """The version's file is not opened while it is archived; it may be revived."""


def _require_same(run: Run, version: "ModelVersion") -> None:
    """Refuse a run that did not compute what a version holds; its name may have changed since.

    What computes a run once more is compared by digests alone: a failure must be heard of while
    the version's file may not be opened, too, and its strategy is that of its run.
    """
    is_same = version.digest == run.tested_digest
    if run.reproduces is not None:
        is_same = is_same and run.strategy_digest == run.reproduces.strategy_digest
    elif is_same:
        if selectors.archived_among([version.public_id]):
            raise _Archived(f"{version} is archived.")
        tested = get_registered(f"{REGISTERED}{version.registered_model.name}/{version.number}")
        same_bytes = (tested.version_id, tested.digest) == (version.public_id, version.digest)
        is_same = same_bytes and tested.spec.digest == run.strategy_digest
    if not is_same:
        raise StaleState(f"The run did not compute what {version} holds.")


def _digests(run: Run) -> dict[str, str]:
    """Return what the evidence is bound to: a change of any of it ends its worth."""
    known = {
        "artifact": run.tested_digest, "data": run.dataset.digest, "code": run.code_digest,
        "engine": str(run.summary.get("engine_version", "")), "strategy": run.strategy_digest,
        "spec": run.spec_digest, "result": run.result_digest,
        "quality": canonical.digest(run.dataset.report),
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
