"""Searches of models and versions by clauses, page by page."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef

from crowetrade_site.core.errors import NotFound
from crowetrade_site.core.prepared import Lookup
from registry import selectors
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion, RegisteredModel, Waiver
from registry.querysets import ModelVersionQuerySet
from registry.rules.filters import Clause, Order

# What a row in a list shows. A joined row that is read whole costs more than all the rest.
_LISTED = (
    "public_id", "registered_model__name", "created_by__username", "number", "stage", "status",
    "status_message", "findings", "compromised_at", "digest", "description", "source", "run_id",
    "run_link", "tags", "created_at", "changed_at",
)  # fmt: skip


@dataclass(frozen=True)
class Search:
    """What is looked for, in which order, and behind which row.

    Attributes
    ----------
    after : sequence, optional
        The values by which that row is ordered, its key last.
    """

    clauses: Sequence[Clause]
    order: Sequence[Order]
    after: Sequence[Any] = ()
    limit: int = 100


def list_versions_at(at: datetime) -> ModelVersionQuerySet:
    """Return every version with its model, author, `alias_names`, and `is_waived` of a moment."""
    standing = Waiver.objects.filter(
        version=OuterRef("pk"), granted_at__lte=at, expires_at__gt=at, revoked_at=None
    )  # fmt: skip
    rows: ModelVersionQuerySet = selectors.list_versions().annotate(is_waived=Exists(standing))
    return rows


def list_newest(
    models: Collection[RegisteredModel], stages: Collection[Stage] = (), *, at: datetime
) -> list[ModelVersion]:
    """Return the newest version of each stage of each model that was not refused."""
    ids = [model.pk for model in models]
    rows = list_versions_at(at).filter(registered_model__in=ids).only(*_LISTED)
    if stages:
        rows = rows.filter(stage__in=stages)
    kept = rows.exclude(status=VersionStatus.REFUSED)
    order = ("registered_model", "stage")
    return list(kept.order_by(*order, "-number").distinct(*order))


def search_models(search: Search) -> list[RegisteredModel]:
    """Return the models that a search finds, one page of them."""
    rows = selectors.list_models().satisfying(search.clauses).in_order(search.order)
    if search.after:
        rows = rows.after(search.order, search.after)
    return list(rows[: search.limit])


def search_versions(search: Search, *, at: datetime) -> list[ModelVersion]:
    """Return the versions that a search finds, one page of them."""
    rows = list_versions_at(at).only(*_LISTED).satisfying(search.clauses).in_order(search.order)
    if search.after:
        rows = rows.after(search.order, search.after)
    return list(rows[: search.limit])


def list_holding(sha256: str) -> list[ModelVersion]:
    """Return the versions that hold a file of these bytes and are not known to be compromised."""
    rows = selectors.list_versions().filter(
        manifest__contains={"files": [{"sha256": sha256}]}, compromised_at=None
    )
    return list(rows.order_by("pk"))


_AT = datetime(1970, 1, 1, tzinfo=UTC)  # stands for the moments to come
_BY_ID = Lookup(
    lambda at, version_id: list_versions_at(at).filter(public_id=version_id), _AT, UUID(int=1)
)
_BY_NUMBER = Lookup(
    lambda at, name, number: list_versions_at(at).filter(
        registered_model__name=name, number=number
    ),
    _AT, "a name", 7,
)  # fmt: skip


def get_version(version_id: UUID, *, at: datetime) -> ModelVersion:
    """Return a version by public id, with `is_waived` of a moment.

    Raises
    ------
    NotFound
        There is none (404).
    """
    found = _BY_ID.first(at, version_id)
    if found is None:
        raise NotFound(f"There is no model version {version_id}.")
    return found


def get_version_of(name: str, number: int, *, at: datetime) -> ModelVersion:
    """Return a version by model and number, with `is_waived` of a moment.

    Raises
    ------
    NotFound
        There is no such model, or it has no such version (404).
    """
    found = _BY_NUMBER.first(at, name, number)
    if found is None:
        selectors.get_model(name)
        raise NotFound(f"The model {name} has no version {number}.")
    return found
