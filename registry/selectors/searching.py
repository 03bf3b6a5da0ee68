"""Searches of models and versions by clauses, page by page."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from registry import selectors
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion, RegisteredModel, StoredFile
from registry.querysets import ModelVersionQuerySet
from registry.rules.filters import Clause, Order
from registry.selectors.trust import trusted_types_of


class ListedVersion(NamedTuple):
    """A version as MLflow's lists tell it, under the names that a `ModelVersion` has for it.

    An object of each row and of the rows that it joins costs more than the search itself.
    """

    pk: int
    registered_model_id: int
    model_name: str
    author_name: str
    number: int
    stage: str
    status: str
    status_message: str
    findings: list[dict[str, Any]]
    compromised_at: datetime | None
    digest: str
    description: str
    source: str
    run_id: str
    run_link: str
    tags: dict[str, str]
    created_at: datetime
    changed_at: datetime
    alias_names: list[str]


_JOINED = {"model_name": "registered_model__name", "author_name": "created_by__username"}
_COLUMNS = [_JOINED.get(name, name) for name in ListedVersion._fields]


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


def list_newest(
    models: Collection[RegisteredModel], stages: Collection[Stage] = ()
) -> list[ListedVersion]:
    """Return the newest version of each stage of each model that was not refused."""
    rows = _of_models(models).exclude(status=VersionStatus.REFUSED)
    return _newest(rows.filter(stage__in=stages) if stages else rows)


def list_newest_loadable(model: RegisteredModel) -> list[ListedVersion]:
    """Return the newest version of each stage of a model among those that are served."""
    return _newest(_of_models([model]).loadable(trusted_types_of(model.desk)))


def _of_models(models: Collection[RegisteredModel]) -> ModelVersionQuerySet:
    ids = [model.pk for model in models]
    return selectors.list_versions().filter(registered_model__in=ids)


def _newest(rows: ModelVersionQuerySet) -> list[ListedVersion]:
    order = ("registered_model", "stage")
    return _listed(rows.order_by(*order, "-number").distinct(*order))


def _listed(rows: ModelVersionQuerySet) -> list[ListedVersion]:
    return list(map(ListedVersion._make, rows.values_list(*_COLUMNS)))


def search_models(search: Search) -> list[RegisteredModel]:
    """Return the models that a search finds, one page of them."""
    rows = selectors.list_models().satisfying(search.clauses).in_order(search.order)
    if search.after:
        rows = rows.after(search.order, search.after)
    return list(rows[: search.limit])


def search_versions(search: Search) -> list[ListedVersion]:
    """Return the versions that a search finds, one page of them."""
    rows = selectors.list_versions().satisfying(search.clauses).in_order(search.order)
    if search.after:
        rows = rows.after(search.order, search.after)
    return _listed(rows[: search.limit])


def list_holding(sha256: str) -> list[ModelVersion]:
    """Return the versions that hold a file of these bytes and are not known to be compromised."""
    rows = selectors.list_versions().filter(
        manifest__contains={"files": [{"sha256": sha256}]}, compromised_at=None
    )
    return list(rows.order_by("pk"))


def list_registered_at(stored: StoredFile) -> list[ModelVersion]:
    """Return the versions that were registered with a file from the address it was handed in at.

    That address is what clients see as their source. Copies have a source of their own.
    """
    parts = stored.path.split("/")
    folders = ["/".join(parts[:n]) for n in range(1, len(parts))]
    sources = [*folders, *(f"{folder}/" for folder in folders)]
    if stored.logged_model_id:
        sources.append(f"models:/{stored.logged_model_id}")
    rows = selectors.list_versions().filter(source__in=sources).order_by("pk")
    return [version for version in rows if _has_of(stored, version)]


def _has_of(stored: StoredFile, version: ModelVersion) -> bool:
    """Say whether a version names a file that ends the path of this one, with its bytes."""
    return any(
        entry["sha256"] == stored.sha256 and f"/{stored.path}".endswith(f"/{entry['path']}")
        for entry in version.manifest["files"]
    )
