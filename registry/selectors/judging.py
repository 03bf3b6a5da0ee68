"""The gates of a stage as they stand for a version now."""

from dataclasses import dataclass, replace
from datetime import datetime

from crowetrade_site.core import canonical, provenance
from registry.lifecycle import EvidenceStatus, RequestStatus, Stage, VersionStatus
from registry.models import Evidence, ModelVersion, PromotionPolicy, RegisteredModel
from registry.rules import gates, policies, signatures
from registry.rules.weighing import failure_of
from registry.selectors.dossiers import Dossiers
from registry.selectors.records import CARD
from registry.selectors.trust import trusted_no_more


@dataclass(frozen=True)
class Judgement:
    """The gates of a stage as they stand for a version now.

    Attributes
    ----------
    assigned_by : int, optional
        Key of who assigned the policy to the model.
    """

    report: gates.GateReport
    policy: PromotionPolicy
    evidence_digest: str
    assigned_by: int | None = None

    @property
    def answering(self) -> frozenset[int]:
        """Keys of who stored the policy and who assigned it: neither approves under it."""
        both = (self.policy.stored_by_id, self.assigned_by)
        return frozenset(person for person in both if person is not None)


def judge(version: ModelVersion, target: Stage, *, at: datetime) -> Judgement:
    """Judge every gate that a version must pass to reach a stage."""
    return judge_by(Dossiers([version], at), version, target)


def judge_by(known: Dossiers, version: ModelVersion, target: Stage) -> Judgement:
    """Judge the gates of a version by what was read of it and of others.

    Raises
    ------
    NotFound
        Its model names a policy that there is not (404).
    """
    stored = known.policy_of(version)
    policy = policies.Policy.model_validate(stored.document)
    report = gates.evaluate(
        target, policy, _version_facts(version, known, target), _valid(version, known), known.at,
        history=_history(version, known),
    )  # fmt: skip
    report = replace(report, results=(*_by_their_own(stored, version, known), *report.results))
    model = version.registered_model
    card = {name: str(getattr(model, name)) for name in CARD}
    judged_by = {"policy": stored.digest, "evidence": list(report.evidence), "card": card}
    return Judgement(
        report, stored, canonical.digest(judged_by), assigned_by=model.policy_assigned_by_id
    )


def _by_their_own(
    stored: PromotionPolicy, version: ModelVersion, known: Dossiers
) -> list[gates.GateResult]:
    """Return a gate that is not met where a policy would judge the work of who answers for it."""
    model = version.registered_model
    if stored.stored_by_id is None and model.policy_assigned_by_id is None:
        return []
    own = known.authors[version.pk] | {model.owner_id}
    reasons = []
    if stored.stored_by_id in own:
        reasons.append(
            f"{stored} was stored by {stored.stored_by}, {_PART}: another validator or admin "
            "stores it, or assigns a policy that somebody else stored"
        )
    if model.policy_assigned_by_id in own:
        person = known.assigners[model.policy_assigned_by_id]
        reasons.append(
            f"{stored.name} was assigned to {model} by {person}, {_PART}: another validator or "
            "admin assigns it, or another policy"
        )
    return [gates.GateResult("policy", gates.Outcome.NOT_MET, "; ".join(reasons))] * bool(reasons)


_PART = "who owns the model or had a hand in this version"


def standing_against(version: ModelVersion, *, at: datetime) -> list[str]:
    """Return what stands against a version of production, whatever its policy asks for.

    Of what it rests on now, and of what it came to production by.
    """
    known = Dossiers([version], at)
    policy = policies.Policy.model_validate(known.policy_of(version).document)
    results = gates.standing(
        Stage.PRODUCTION, policy, _version_facts(version, known, Stage.PRODUCTION),
        _valid(version, known), at, history=_history(version, known),
        relied_on=_relied_on(version),
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


def _valid(version: ModelVersion, known: Dossiers) -> list[gates.EvidenceFacts]:
    told = known.told.get(version.pk, ())
    return [
        replace(_facts(row), is_of_author=_is_own(row, version, known))
        for row in told
        if row.status == EvidenceStatus.VALID
    ]


def _is_own(row: Evidence, version: ModelVersion, known: Dossiers) -> bool:
    """Whether who attests is an author; they may have come to be that since."""
    return not row.is_measured and row.handed_in_by_id in known.authors[version.pk]


def _history(version: ModelVersion, known: Dossiers) -> gates.History:
    """Return what no gate is met by and each tells; failures of the same bytes whatever comes."""
    told = known.told.get(version.pk, ())
    earlier = [row for row in told if row.status == EvidenceStatus.SUPERSEDED]
    valid = {row.pk for row in told if row.status == EvidenceStatus.VALID}
    repeats = known.repeats_of(version)
    return gates.History(
        earlier=[_facts(row) for row in earlier], older=known.older.get(version.pk, {}),
        repeats=[_facts(row) for row in repeats if row.pk not in valid],
    )  # fmt: skip


def facts_of(
    version: ModelVersion, *, at: datetime, target: Stage | None = None
) -> gates.VersionFacts:
    """Return what the registry itself knows of a version, which shall perhaps reach a stage."""
    return _version_facts(version, Dossiers([version], at), target)


def _version_facts(
    version: ModelVersion, known: Dossiers, target: Stage | None
) -> gates.VersionFacts:
    reasons = _why_not_served(version, known, target)
    origins = known.made_from[version.pk]
    return gates.VersionFacts(
        digest=version.digest,
        scan=VersionStatus.REFUSED if reasons else version.status,
        is_intact=version.compromised_at is None,
        has_signature=signatures.is_described(version.signature),
        missing=_missing(version.registered_model, known.at),
        waived_until=known.waived.get(version.pk),
        findings=reasons or [finding["text"] for finding in version.findings],
        datasets=origins.datasets,
        datasets_set_aside=origins.set_aside,
        limits=version.registered_model.limits,
        strategies=known.strategies.get(version.pk, frozenset()),
    )


_ONLY_IN_THE_SANDBOX = (
    "it is a pickle in quarantine, which is opened in the sandbox alone and served to nobody; a "
    "waiver does not reach production: convert it, and promote what comes of it"
)


def _why_not_served(version: ModelVersion, known: Dossiers, target: Stage | None) -> list[str]:
    """Return why nobody could open a version in a stage, whatever was found in its files."""
    if target == Stage.PRODUCTION and version.status == VersionStatus.QUARANTINED:
        return [_ONLY_IN_THE_SANDBOX]
    if version.rescan_failed_at is not None:
        texts = (finding["text"] for finding in version.rescan_findings)
        when = f"{version.rescan_failed_at:%Y-%m-%d}"
        return [f"it failed newer rules on {when}: {'; '.join(texts)}"]
    gone = trusted_no_more(version, known.trusted_types_of)
    return [f"{name} is trusted no more" for name in gone]


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
        strategy=str(piece.digests.get("strategy", "")),
    )


def _computed(piece: Evidence) -> str:
    """Return by digests what was computed; empty where the evidence does not name all of it."""
    parts = [str(piece.digests.get(name, "")) for name in ("data", "spec", "code")]
    return ":".join(parts) if all(parts) else ""
