"""The gates of a stage as they stand for a version now."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import (
    Case,
    CharField,
    Count,
    FloatField,
    Func,
    Max,
    Min,
    Q,
    Value,
    When,
    Window,
)
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, RowNumber
from django.db.models.lookups import Exact

from crowetrade_site.core import canonical, provenance
from registry.lifecycle import EvidenceStatus, RequestStatus, Stage, VersionStatus
from registry.models import (
    Evidence,
    ModelVersion,
    PromotionPolicy,
    RegisteredModel,
)
from registry.rules import gates, policies, signatures
from registry.rules.weighing import FINDINGS, failure_of
from registry.selectors.authors import authors_of, made_from
from registry.selectors.records import CARD, policy_in_force
from registry.selectors.trust import trusted_no_more

MOST_EARLIER = 100  # superseded pieces of a kind whose figures a report tells one by one


@dataclass(frozen=True)
class Judgement:
    """The gates of a stage as they stand for a version now."""

    report: gates.GateReport
    policy: PromotionPolicy
    evidence_digest: str


def judge(version: ModelVersion, target: Stage, *, at: datetime) -> Judgement:
    """Judge every gate that a version must pass to reach a stage."""
    stored = policy_in_force(version.registered_model.policy)
    policy = policies.Policy.model_validate(stored.document)
    told = _told(version)
    history = _history(version, told, policy.of(target).gates)
    report = gates.evaluate(
        target, policy, facts_of(version, at=at, target=target), _valid(told), at, history=history
    )
    report = replace(report, results=(*_by_an_author(stored, version), *report.results))
    card = {name: str(getattr(version.registered_model, name)) for name in CARD}
    judged_by = {"policy": stored.digest, "evidence": list(report.evidence), "card": card}
    return Judgement(report, stored, canonical.digest(judged_by))


def _by_an_author(stored: PromotionPolicy, version: ModelVersion) -> list[gates.GateResult]:
    """Return a gate that is not met where a policy would judge the work of who stored it."""
    if stored.stored_by_id is None or stored.stored_by_id not in authors_of(version):
        return []
    reason = (
        f"{stored} was stored by {stored.stored_by}, who had a hand in this version: another "
        "validator or admin stores it, or assigns a policy that somebody else stored"
    )
    return [gates.GateResult("policy", gates.Outcome.NOT_MET, reason)]


def standing_against(version: ModelVersion, *, at: datetime) -> list[str]:
    """Return what stands against a version of production, whatever its policy asks for.

    Of what it rests on now, and of what it came to production by.
    """
    stored = policy_in_force(version.registered_model.policy)
    policy = policies.Policy.model_validate(stored.document)
    told = _told(version)
    results = gates.standing(
        Stage.PRODUCTION, policy, facts_of(version, at=at, target=Stage.PRODUCTION), _valid(told),
        at, history=_history(version, told), relied_on=_relied_on(version),
    )  # fmt: skip
    return [f"gate {one.name}: {one.reason}" for one in results]


def _relied_on(version: ModelVersion) -> list[gates.EvidenceFacts]:
    """Return what gates were met by when a version came to production, whatever was measured since.

    Runs of which a failure was told there are left out: who approved it knew, and a later
    measurement stood in their place.
    """
    done = version.requests.filter(
        status=RequestStatus.EXECUTED, target__in=[Stage.STAGING, Stage.PRODUCTION]
    )
    newest = done.order_by("target", "-decided_at", "-id").distinct("target")
    named = {
        one.target: {name for gate in one.report["gates"] for name in gate["evidence"]}
        for one in newest
    }
    if Stage.PRODUCTION not in named:
        return []
    rows = Evidence.objects.filter(digest__in=set().union(*named.values()), is_measured=True)
    pieces = [_facts(row) for row in rows.order_by("id")]
    known = {
        piece.reproduces
        for piece in pieces
        if piece.name in named[Stage.PRODUCTION] and piece.kind in policies.OF_A_RUN
        and failure_of(piece)
    }  # fmt: skip
    return [
        piece for piece in pieces
        if piece.kind not in policies.OF_NO_RUN and piece.source.rpartition(":")[2] not in known
    ]  # fmt: skip


def _valid(told: Sequence[Evidence]) -> list[gates.EvidenceFacts]:
    return [_facts(row) for row in told if row.status == EvidenceStatus.VALID]


def _told(version: ModelVersion) -> list[Evidence]:
    """Return what is valid, and of each kind the newest of what it has superseded."""
    place = Window(RowNumber(), partition_by=["kind", "status"], order_by="-id")
    newest = Q(status=EvidenceStatus.SUPERSEDED, is_measured=True, place__lte=MOST_EARLIER)
    rows = version.evidence.annotate(place=place)
    return list(rows.filter(Q(status=EvidenceStatus.VALID) | newest).order_by("id"))


def _history(
    version: ModelVersion, told: Sequence[Evidence], asked: Sequence[policies.Gate] = ()
) -> gates.History:
    """Return what no gate is met by and each tells; failures of the same bytes whatever comes."""
    earlier = [row for row in told if row.status == EvidenceStatus.SUPERSEDED]
    known = {row.pk for row in told if row.status == EvidenceStatus.VALID}
    return gates.History(
        earlier=[_facts(row) for row in earlier], older=_older(version, earlier, asked),
        repeats=[_facts(row) for row in _repeats(version) if row.pk not in known],
    )  # fmt: skip


def _repeats(version: ModelVersion) -> list[Evidence]:
    """Return reproductions and checks of all versions of the same bytes.

    The valid ones, and of each run by each code the newest of every finding that was superseded, so
    that their number is that of runs; which findings are failures the rules know.
    """
    rows = Evidence.objects.filter(
        version__digest=version.digest, kind__in=sorted(policies.OF_A_RUN), is_measured=True
    )
    alike: list[Any] = ["kind", "status", KeyTextTransform("code", "digests")]
    alike += [KeyTextTransform(name, "figures") for name in FINDINGS]
    place = Window(RowNumber(), partition_by=alike, order_by="-id")
    newest = Q(status=EvidenceStatus.VALID) | Q(place=1)
    return list(rows.annotate(place=place).filter(newest))


def _older(
    version: ModelVersion, earlier: Sequence[Evidence], asked: Sequence[policies.Gate]
) -> dict[str, gates.Older]:
    """Count what is too much to be told piece by piece, and take the extremes of its figures."""
    superseded = version.evidence.filter(status=EvidenceStatus.SUPERSEDED, is_measured=True)
    told: dict[str, list[int]] = {}
    for row in earlier:
        told.setdefault(row.kind, []).append(row.pk)
    found = {}
    for gate in asked:
        keys, names = told.get(gate.kind, []), {*gate.minimum, *gate.maximum}
        if len(keys) < MOST_EARLIER or not names:
            continue
        rows = superseded.filter(kind=gate.kind, pk__lt=min(keys))
        terms: dict[str, Any] = {"n": Count("pk")}
        for i, name in enumerate(sorted(names)):
            terms |= {f"least_{i}": Min(_figure(name)), f"most_{i}": Max(_figure(name))}
        sums = rows.aggregate(**terms)
        extremes = {
            name: (sums[f"least_{i}"], sums[f"most_{i}"])
            for i, name in enumerate(sorted(names))
            if sums[f"least_{i}"] is not None
        }
        if sums["n"]:
            found[str(gate.kind)] = gates.Older(sums["n"], extremes)
    return found


def _figure(name: str) -> Case:
    """Return a figure of evidence where it is a number, and NULL where it is anything else."""
    number = Cast(KeyTextTransform(name, "figures"), FloatField())
    kind = Func(KeyTransform(name, "figures"), function="jsonb_typeof", output_field=CharField())
    return Case(When(Exact(kind, Value("number")), then=number), output_field=FloatField())


def facts_of(
    version: ModelVersion, *, at: datetime, target: Stage | None = None
) -> gates.VersionFacts:
    """Return what the registry itself knows of a version, which shall perhaps reach a stage."""
    granted = version.waivers.filter(granted_at__lte=at, revoked_at=None)
    waiver = granted.order_by("-expires_at").first()
    reasons = _why_not_served(version, target)
    return gates.VersionFacts(
        digest=version.digest,
        scan=VersionStatus.REFUSED if reasons else version.status,
        is_intact=version.compromised_at is None,
        has_signature=signatures.is_described(version.signature),
        missing=_missing(version.registered_model, at),
        waived_until=waiver.expires_at if waiver else None,
        findings=reasons or [finding["text"] for finding in version.findings],
        datasets=made_from(version),
    )


_ONLY_IN_THE_SANDBOX = (
    "it is a pickle in quarantine, which is opened in the sandbox alone and served to nobody; a "
    "waiver does not reach production: convert it, and promote what comes of it"
)


def _why_not_served(version: ModelVersion, target: Stage | None) -> list[str]:
    """Return why nobody could open a version in a stage, whatever was found in its files."""
    if target == Stage.PRODUCTION and version.status == VersionStatus.QUARANTINED:
        return [_ONLY_IN_THE_SANDBOX]
    return [f"{name} is trusted no more" for name in trusted_no_more(version)]


def _missing(model: RegisteredModel, at: datetime) -> list[str]:
    """Return what is missing of a model card; a review that is overdue is."""
    missing = [name for name in CARD if not getattr(model, name)]
    if model.review_date is not None and model.review_date < at.date():
        missing.append("a review_date to come")
    return missing


def _facts(piece: Evidence) -> gates.EvidenceFacts:
    return gates.EvidenceFacts(
        name=piece.digest,
        kind=piece.kind,
        topic=str(piece.figures.get("topic", "")) if not piece.is_measured else "",
        is_measured=piece.is_measured,
        figures=piece.figures,
        version_digest=str(piece.digests.get("artifact", "")),
        produced_at=piece.produced_at,
        expires_at=piece.expires_at,
        is_current=piece.digests.get("code") in {None, "", provenance.code_digest()},
        arrived=piece.pk,
        is_superseded=piece.status == EvidenceStatus.SUPERSEDED,
        source=piece.source,
        reproduces=str(piece.figures.get("of", "")),
        data=str(piece.digests.get("data", "")),
        quality=str(piece.digests.get("quality", "")),
        code=str(piece.digests.get("code", "")),
        computed=_computed(piece),
    )


def _computed(piece: Evidence) -> str:
    """Return by digests what was computed; empty where the evidence does not name all of it."""
    parts = [str(piece.digests.get(name, "")) for name in ("data", "spec", "code")]
    return ":".join(parts) if all(parts) else ""
