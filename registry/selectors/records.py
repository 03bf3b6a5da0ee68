"""Rows of models, versions, evidence, policies and requests."""

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
)

from crowetrade_site.core.errors import NotFound
from crowetrade_site.core.prepared import Lookup
from registry.lifecycle import RequestStatus, Stage, VersionStatus
from registry.models import (
    Approval,
    Evidence,
    ModelAlias,
    ModelVersion,
    PromotionPolicy,
    PromotionRequest,
    RegisteredModel,
    SigningBundle,
    Waiver,
)
from registry.querysets import ModelVersionQuerySet, RegisteredModelQuerySet

# Fields of the model card, and what they are called where they are missing.
CARD = ("desk", "operators", "purpose", "tier", "limits", "review_date")
PENDING_REQUESTS = (RequestStatus.OPEN, RequestStatus.APPROVED)


def list_models() -> RegisteredModelQuerySet:
    """Return every registered model, with its owner and aliases."""
    aliases = ModelAlias.objects.select_related("version").order_by("alias")
    models = RegisteredModel.objects.defer("words").select_related("owner", "policy_assigned_by")
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
    return _versions().all()


@cache
def _versions() -> ModelVersionQuerySet:
    """Return the queryset that all others begin from: nobody reads its own rows."""
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


def archived_among(version_ids: Iterable[UUID | None]) -> set[UUID]:
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
    found = policies_in_force([name]).get(name)
    if found is None:
        raise no_policy(name)
    return found


def policies_in_force(names: Collection[str]) -> dict[str, PromotionPolicy]:
    """Return the newest version of each of these policies that there is, by name."""
    newest = list_policies().filter(name__in=names).order_by("name", "-number").distinct("name")
    return {policy.name: policy for policy in newest}


def no_policy(name: str) -> NotFound:
    """Return the refusal of a policy's name."""
    return NotFound(f"There is no promotion policy {name!r}.")


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


def list_waivers() -> QuerySet[Waiver]:
    """Return all waivers, with who granted and revoked them."""
    return Waiver.objects.select_related("granted_by", "revoked_by")


def list_signatures() -> QuerySet[SigningBundle]:
    """Return all signatures, with who attached them."""
    return SigningBundle.objects.select_related("attached_by")


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


def is_loadable(version: ModelVersion) -> bool:
    """Say whether the bytes of a version may be handed to somebody who runs them."""
    return (
        version.status == VersionStatus.READY
        and version.compromised_at is None
        and version.stage != Stage.ARCHIVED
    )
