"""Rows of models, versions, evidence, policies and requests, and the gates as they stand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Prefetch, Q, QuerySet

from crowetrade_site.core import canonical, provenance
from crowetrade_site.core.errors import NotFound
from crowetrade_site.core.prepared import Lookup
from registry.lifecycle import EvidenceStatus, RequestStatus, Stage, VersionStatus
from registry.models import (
    Approval,
    Evidence,
    ModelAlias,
    ModelVersion,
    PromotionPolicy,
    PromotionRequest,
    RegisteredModel,
)
from registry.querysets import ModelVersionQuerySet, RegisteredModelQuerySet
from registry.rules import gates, policies, signatures
from registry.selectors.trust import trusted_no_more

# Fields of the model card, and what they are called where they are missing.
CARD = ("desk", "operators", "purpose", "tier", "limits", "review_date")
MOST_EARLIER = 100  # superseded pieces whose figures a report tells
PENDING_REQUESTS = (RequestStatus.OPEN, RequestStatus.APPROVED)


def list_models() -> RegisteredModelQuerySet:
    """Return every registered model, with its owner and aliases."""
    aliases = ModelAlias.objects.select_related("version").order_by("alias")
    models = RegisteredModel.objects.defer("words").select_related("owner")
    return models.prefetch_related(Prefetch("aliases", aliases))


def get_model(name_or_id: str | UUID) -> RegisteredModel:
    """Return a registered model by name or public id.

    Raises
    ------
    NotFound
        There is none (404).
    """
    by_id = isinstance(name_or_id, UUID)
    found = list_models().filter(Q(public_id=name_or_id) if by_id else Q(name=name_or_id)).first()
    if found is None:
        raise NotFound(f"There is no registered model {name_or_id}.")
    return found


def list_versions() -> ModelVersionQuerySet:
    """Return every version, with its model, its author and `alias_names`."""
    aliases = ModelAlias.objects.filter(version=OuterRef("pk")).order_by("alias")
    return ModelVersion.objects.with_names().annotate(  # type: ignore[no-redef] # brought along
        alias_names=ArraySubquery(aliases.values("alias"))
    )


_BY_ID = Lookup(lambda version_id: list_versions().filter(public_id=version_id), UUID(int=1))
_BY_NUMBER = Lookup(
    lambda name, number: list_versions().filter(registered_model__name=name, number=number),
    "a name", 7,
)  # fmt: skip
_BY_ALIAS = Lookup(
    lambda name, alias: list_versions().filter(
        aliases__alias=alias, aliases__registered_model__name=name
    ),
    "a name", "an alias",
)  # fmt: skip


def get_version(version_id: UUID) -> ModelVersion:
    """Return a version by public id.

    Raises
    ------
    NotFound
        There is none (404).
    """
    found = _BY_ID.first(version_id)
    if found is None:
        raise NotFound(f"There is no model version {version_id}.")
    return found


def get_version_of(name: str, number: int) -> ModelVersion:
    """Return a version by the name of its model and its number.

    Raises
    ------
    NotFound
        There is no such model, or it has no such version (404).
    """
    found = _BY_NUMBER.first(name, number)
    if found is None:
        get_model(name)
        raise NotFound(f"The model {name} has no version {number}.")
    return found


def get_aliased(name: str, alias: str) -> ModelVersion:
    """Return the version that an alias of a model stands for.

    Raises
    ------
    NotFound
        There is no such model, or it has no such alias (404).
    """
    found = _BY_ALIAS.first(name, alias)
    if found is None:
        get_model(name)
        raise NotFound(f"The model {name} has no alias {alias}.")
    return found


def newest_by_stage(name: str, stages: Sequence[Stage] = ()) -> list[ModelVersion]:
    """Return the newest version of each stage that has one, of these stages or of all."""
    rows = list_versions().filter(registered_model__name=name)
    if stages:
        rows = rows.filter(stage__in=stages)
    return list(rows.order_by("stage", "-number").distinct("stage"))


def archived_among(version_ids: Iterable[UUID]) -> set[UUID]:
    """Return those of some versions that are archived."""
    found = ModelVersion.objects.in_stage(Stage.ARCHIVED).filter(public_id__in=set(version_ids))
    return set(found.values_list("public_id", flat=True))


def policy_in_force(name: str) -> PromotionPolicy:
    """Return the newest version of a policy.

    Raises
    ------
    NotFound
        There is none of this name (404).
    """
    found = PromotionPolicy.objects.filter(name=name).order_by("-number").first()
    if found is None:
        raise NotFound(f"There is no promotion policy {name!r}.")
    return found


def list_policies() -> QuerySet[PromotionPolicy]:
    """Return every version of every policy."""
    return PromotionPolicy.objects.select_related("stored_by")


def get_policy(policy_id: UUID) -> PromotionPolicy:
    """Return one version of a policy.

    Raises
    ------
    NotFound
        There is none (404).
    """
    found = list_policies().filter(public_id=policy_id).first()
    if found is None:
        raise NotFound(f"There is no promotion policy {policy_id}.")
    return found


def list_evidence() -> QuerySet[Evidence]:
    """Return all evidence, with the version that it speaks for."""
    return Evidence.objects.select_related("version__registered_model", "handed_in_by")


def get_evidence(evidence_id: UUID) -> Evidence:
    """Return a piece of evidence.

    Raises
    ------
    NotFound
        There is none (404).
    """
    found = list_evidence().filter(public_id=evidence_id).first()
    if found is None:
        raise NotFound(f"There is no evidence {evidence_id}.")
    return found


def list_requests() -> QuerySet[PromotionRequest]:
    """Return all requests for promotion, with their approvals."""
    approvals = Approval.objects.select_related("approver").order_by("approved_at", "id")
    return PromotionRequest.objects.select_related(
        "version__registered_model", "version__created_by", "requested_by", "policy"
    ).prefetch_related(Prefetch("approvals", approvals))


def get_request(request_id: UUID) -> PromotionRequest:
    """Return a request for promotion.

    Raises
    ------
    NotFound
        There is none (404).
    """
    found = list_requests().filter(public_id=request_id).first()
    if found is None:
        raise NotFound(f"There is no promotion request {request_id}.")
    return found


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
    measured = Q(status=EvidenceStatus.SUPERSEDED, is_measured=True)
    rows = version.evidence.filter(Q(status=EvidenceStatus.VALID) | measured).order_by("id")
    pieces = [row for row in rows if row.status == EvidenceStatus.VALID]
    earlier = [row for row in rows if row.status != EvidenceStatus.VALID][-MOST_EARLIER:]
    report = gates.evaluate(
        target, policy.of(target), facts_of(version, at=at), [_facts(p) for p in pieces], at,
        earlier=[_facts(piece) for piece in earlier], measured=policy.measured_before(target),
        below=policy.measured_below(target),
    )  # fmt: skip
    seen = sorted(piece.digest for piece in pieces if piece.digest in report.evidence)
    card = {name: str(getattr(version.registered_model, name)) for name in CARD}
    judged_by = {"policy": stored.digest, "evidence": seen, "card": card}
    return Judgement(report, stored, canonical.digest(judged_by))


def facts_of(version: ModelVersion, *, at: datetime) -> gates.VersionFacts:
    """Return what the registry itself knows of a version."""
    granted = version.waivers.filter(granted_at__lte=at, revoked_at=None)
    waiver = granted.order_by("-expires_at").first()
    revoked = trusted_no_more(version)
    return gates.VersionFacts(
        digest=version.digest,
        scan=VersionStatus.REFUSED if revoked else version.status,
        is_intact=version.compromised_at is None,
        has_signature=signatures.is_described(version.signature),
        missing=_missing(version.registered_model, at),
        waived_until=waiver.expires_at if waiver else None,
        findings=[f"{name} is trusted no more" for name in revoked]
        or [finding["text"] for finding in version.findings],
        datasets=version.datasets,
    )


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
        source=piece.source,
        reproduces=str(piece.figures.get("of", "")),
        data=str(piece.digests.get("data", "")),
    )


def is_loadable(version: ModelVersion) -> bool:
    """Say whether the bytes of a version may be handed to somebody who runs them."""
    return (
        version.status == VersionStatus.READY
        and version.compromised_at is None
        and version.stage != Stage.ARCHIVED
    )
