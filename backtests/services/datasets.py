"""Dataset versions: imported, taken out of use and back into it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from backtests import selectors, tasks
from backtests.lifecycle import DATASETS, DatasetStatus
from backtests.models import Dataset
from crowetrade_site.core import audit, canonical, idempotency, roles
from crowetrade_site.core.errors import IllegalTransition, InvalidInput, StaleState

DATASET_VERBS = {DatasetStatus.QUARANTINED: "quarantined", DatasetStatus.READY: "released"}


@transaction.atomic(durable=True)
def request_import(
    *,
    name: str,
    source_name: str,
    source_artifact: str,
    options: Mapping[str, Any],
    actor: User,
    at: datetime,
    idempotency_key: str = "",
) -> Dataset:
    """Queue the import of an uploaded file as the next version of a dataset.

    Raises
    ------
    Forbidden
        The actor may not import (403).
    InvalidInput
        The name or an option is wrong (422).
    DuplicateRequest
        The idempotency key was used for another upload (409).
    """
    roles.require(actor, "datasets:write")
    checked = selectors.check_import(name, options)
    digest = canonical.digest(
        {"verb": "import", "name": name, "source": source_artifact, "options": checked}
    )
    if earlier := idempotency.recall(actor, idempotency_key, digest):
        return Dataset.objects.get(public_id=earlier)
    dataset = Dataset.objects.create(
        name=name,
        status=DatasetStatus.IMPORTING,
        source_name=source_name,
        source_artifact=source_artifact,
        options=checked,
        imported_by=actor,
    )
    idempotency.remember(actor, idempotency_key, digest, dataset.public_id)
    audit.record(
        "backtests.dataset.uploaded", dataset, actor=actor, at=at,
        after={"name": name, "source_name": source_name, "source": source_artifact},
    )  # fmt: skip
    transaction.on_commit(lambda: tasks.publish_import(dataset.public_id))
    return dataset


@transaction.atomic(durable=True)
def move_dataset(
    *, dataset_id: UUID, to: DatasetStatus, actor: User, at: datetime, reason: str
) -> Dataset:
    """Take a dataset version out of use, or back into it; past runs keep their data.

    Raises
    ------
    Forbidden
        The actor may not change datasets (403).
    NotFound
        There is no such dataset (404).
    IllegalTransition, StaleState
        The lifecycle has no such move, or somebody else was first (409).
    InvalidInput
        No reason was given (422).
    """
    roles.require(actor, "datasets:write")
    if not reason.strip():
        raise InvalidInput("Say why: a reason is kept with every move of a dataset.")
    dataset = selectors.get_dataset(dataset_id)
    before = DatasetStatus(dataset.status)
    if before == DatasetStatus.IMPORTING or to not in DATASET_VERBS:
        raise IllegalTransition(f"A dataset that is {before} cannot be made {to} by hand.")
    DATASETS.check(before, to)
    if not Dataset.objects.filter(pk=dataset.pk, status=before).update(status=to, updated_at=at):
        raise StaleState(f"Dataset {dataset} has left {before}.")
    audit.record(
        f"backtests.dataset.{DATASET_VERBS[to]}", dataset, actor=actor, at=at, reason=reason,
        before={"status": before}, after={"status": to},
    )  # fmt: skip
    dataset.refresh_from_db()
    return dataset
