"""Evidence: measured by a worker, or attested by a person."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from crowetrade_site.core import audit, canonical, idempotency, roles
from crowetrade_site.core.errors import Conflict, Forbidden, InvalidInput, Unavailable, translating
from registry import selectors
from registry.lifecycle import EvidenceStatus
from registry.models import Evidence, ModelVersion
from registry.rules import names
from registry.rules.errors import RuleError
from registry.rules.policies import BUILT_IN, OF_A_RUN, GateKind
from registry.rules.weighing import CLOCKS, number_of
from registry.services.steps import require_sound

LONGEST_SUMMARY = 10_000
MEASURED_KINDS = frozenset(GateKind) - {GateKind.MANUAL} - BUILT_IN


@dataclass(frozen=True)
class Measured:
    """One thing that a worker measured about a version.

    Attributes
    ----------
    kind : str
        Of the gate that weighs it.
    figures : mapping
        What gates compare with their bounds.
    """

    kind: str
    figures: Mapping[str, Any]
    summary: str = ""


@transaction.atomic(durable=True)
def attest_evidence(
    *, version_id: UUID, topic: str, summary: str, actor: User, at: datetime,
    expires_at: datetime | None = None, figures: Mapping[str, Any] | None = None,
    idempotency_key: str = "",
) -> Evidence:  # fmt: skip
    """Hand in what a person signs for; it meets manual gates of its topic.

    Raises
    ------
    Forbidden
        The actor may not hand in evidence, or attests for a version of their own (403).
    NotFound, InvalidInput, Conflict
        No such version (404), no topic or summary (422), the same was handed in before (409).
    """
    roles.require(actor, "evidence:write")
    version = selectors.get_version(version_id)
    if actor.pk in selectors.authors_of(version):
        raise Forbidden("Nobody attests for a version of their own.")
    if not topic.strip() or not summary.strip():
        raise InvalidInput("Attested evidence needs a topic and a summary.")
    if len(summary) > LONGEST_SUMMARY:
        raise InvalidInput(f"A summary has at most {LONGEST_SUMMARY} characters.")
    if expires_at is not None and expires_at <= at:
        raise InvalidInput("The evidence would have ended already.")
    _require_numbers(figures or {})
    request = canonical.digest(
        {
            "verb": "attest_evidence", "version": str(version_id), "topic": topic,
            "summary": summary, "figures": dict(figures or {}),
            "expires_at": audit.stamp(expires_at) if expires_at else None,
        }
    )  # fmt: skip
    if earlier := idempotency.recall(actor, idempotency_key, request):
        return selectors.get_evidence(earlier)
    piece, superseded = _store(
        version, kind=GateKind.MANUAL, is_measured=False,
        figures={**(figures or {}), "topic": topic}, digests={"artifact": version.digest},
        source=f"user:{actor.get_username()}", summary=summary, actor=actor, at=at,
        produced_at=at, expires_at=expires_at,
    )  # fmt: skip
    _tell("attested", version, [piece], superseded, actor=actor, at=at)
    idempotency.remember(actor, idempotency_key, request, piece.public_id)
    return piece


@transaction.atomic(durable=True)
def record_measurements(
    *, version_id: UUID, pieces: Sequence[Measured], digests: Mapping[str, str], source: str,
    produced_at: datetime, at: datetime, environment: str = "", expires_at: datetime | None = None,
) -> list[Evidence]:  # fmt: skip
    """Take over all that one computation measured, once; called by jobs, not by people.

    What the source has handed in before is returned as it is, so that a job may ask twice.

    Parameters
    ----------
    digests : mapping
        Of the artifact, and as far as there are any of data, code and engine.
    source : str
        What was measured, such as ``backtests.run:<id>``.

    Raises
    ------
    NotFound, InvalidInput, Conflict
        No such version (404), no such kind, other bytes or no digest of data (422), the version is
        compromised (409).
    Unavailable
        It is dated in the future: a clock is wrong, and the job comes back (503).
    """
    version = _measurable(version_id, [piece.kind for piece in pieces], digests)
    _require_past(produced_at)
    for piece in pieces:
        _require_numbers(piece.figures)
    digests = _with_plain_data(digests)
    known = {piece.kind: piece for piece in version.evidence.filter(source=source)}
    stored = [
        _store(
            version, kind=piece.kind, is_measured=True, figures=dict(piece.figures),
            digests=dict(digests), source=source, summary=piece.summary, actor=None, at=at,
            produced_at=produced_at, expires_at=expires_at, environment=environment,
        )
        for piece in pieces
        if piece.kind not in known
    ]  # fmt: skip
    if stored:
        superseded = [digest for _, older in stored for digest in older]
        _tell("measured", version, [piece for piece, _ in stored], superseded, actor=None, at=at)
    return [*known.values(), *(piece for piece, _ in stored)]


def _measurable(version_id: UUID, kinds: Sequence[str], digests: Mapping[str, str]) -> ModelVersion:
    """Return a version that workers may speak for, locked against twins of the same evidence."""
    ModelVersion.objects.select_for_update(no_key=True).filter(public_id=version_id).first()
    version = selectors.get_version(version_id)
    for kind in kinds:
        if kind not in MEASURED_KINDS:
            raise InvalidInput(f"There is no measured evidence of the kind {kind!r}.")
    if digests.get("artifact") != version.digest:
        raise InvalidInput(f"The evidence is of other bytes than those of {version}.")
    require_sound(version)
    return version


def _require_past(produced_at: datetime) -> None:
    """Refuse what is dated in the future, by the clock of the database, which all workers share.

    No refusal for good: a failure that a fast worker found would never be heard of.
    """
    with transaction.get_connection().cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    if produced_at > now + CLOCKS:
        raise Unavailable(
            f"The evidence is dated {produced_at - now} in the future: check the clocks."
        )


def _with_plain_data(digests: Mapping[str, str]) -> dict[str, str]:
    """Return digests, that of the data as those of versions are: gates compare them."""
    if not digests.get("data"):
        return dict(digests)
    with translating(RuleError, InvalidInput):
        return {**digests, "data": names.require_digest(digests["data"])}


def _store(
    version: ModelVersion, *, kind: str, is_measured: bool, figures: dict[str, Any],
    digests: dict[str, str], source: str, summary: str, actor: User | None, at: datetime,
    produced_at: datetime, expires_at: datetime | None, environment: str = "",
) -> tuple[Evidence, list[str]]:  # fmt: skip
    """Write evidence; return it, and the digests of what it supersedes: same kind and subject.

    What came in before is superseded, whatever the clocks of those who measured it say.
    """
    digest = canonical.digest(
        {
            "version": str(version.public_id), "kind": kind, "is_measured": is_measured,
            "figures": figures, "digests": digests, "source": source, "summary": summary,
            "produced_at": audit.stamp(produced_at),
        }
    )  # fmt: skip
    if Evidence.objects.filter(digest=digest).exists():
        raise Conflict(f"This evidence of {version} was handed in before.")
    older = version.evidence.filter(kind=kind, status=EvidenceStatus.VALID)
    if kind == GateKind.MANUAL:
        older = older.filter(figures__topic=figures["topic"])
    if kind in OF_A_RUN:  # of one run and by one code, it says nothing of another
        older = older.filter(
            figures__contains={"of": figures.get("of")},
            digests__contains={"code": digests["code"]} if digests.get("code") else {},
        )
    if kind == GateKind.CAUSALITY and figures.get("n_differing") == 0:  # it takes no proof back
        older = older.filter(figures__contains={"n_differing": 0})
    if kind == GateKind.DATA_QUALITY:  # of one import of data, it says nothing of another
        which = {name: digests[name] for name in ("data", "quality") if digests.get(name)}
        older = older.filter(digests__contains=which)
        if "quality" not in which:
            older = older.exclude(digests__has_key="quality")
    superseded = list(older.values_list("digest", flat=True))
    older.update(status=EvidenceStatus.SUPERSEDED, updated_at=at)
    piece = Evidence.objects.create(
        version=version, kind=kind, is_measured=is_measured, figures=figures, digests=digests,
        digest=digest, source=source, summary=summary, produced_at=produced_at,
        expires_at=expires_at, handed_in_by=actor, environment=environment,
    )  # fmt: skip
    return piece, superseded


def _require_numbers(figures: Mapping[str, Any]) -> None:
    """Refuse numbers that neither gates nor pages can compute with."""
    if name := next((name for name, value in figures.items() if not _fits_float64(value)), ""):
        raise InvalidInput(f"The figure {name!r} holds a number that float64 cannot: leave it out.")


def _fits_float64(value: Any) -> bool:
    """Whether gates and pages can compute with a figure, and with all that it holds."""
    if isinstance(value, Mapping):
        return all(map(_fits_float64, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_fits_float64, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    number = number_of(value)
    return number is not None and math.isfinite(number)


def _tell(
    verb: str, version: ModelVersion, pieces: Sequence[Evidence], superseded: list[str], *,
    actor: User | None, at: datetime,
) -> None:  # fmt: skip
    """Record that evidence came in: one entry however many pieces one computation measured."""
    first = pieces[0]
    told: dict[str, Any] = {"kind": first.kind, "digest": first.digest}
    if len(pieces) > 1:
        told = {"pieces": [{"kind": piece.kind, "digest": piece.digest} for piece in pieces]}
    audit.record(
        f"registry.evidence.{verb}", version, actor=actor, at=at, reason=first.summary,
        before={"superseded": superseded},
        after={**told, "source": first.source, "digests": first.digests},
    )  # fmt: skip
