"""Giving up the files of refused versions.

The version stays, with its manifest, digest and findings: all that entries of the trail speak of.
Its bytes lose their name, and go a grace later like others that have none, unless another version
names them or one did that was deleted since. Whoever puts a version under legal hold until then
keeps them.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from crowetrade_site.core import audit
from registry.jobs.loose import note_loose
from registry.lifecycle import VersionStatus
from registry.models import ModelVersion, StoredFile
from registry.querysets import ModelVersionQuerySet
from registry.selectors import is_of_place, kept_by_versions, place_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MOST_VERSIONS = 1000  # of a pass; the next does the rest


def discard_refused(at: datetime, actor: "User | None", reason: str, *, is_dry: bool) -> list[str]:
    """Give up the files of versions that were refused long ago, and return which.

    Long ago nobody has touched them: the end of a legal hold begins the time anew. One of other
    bytes than were registered stays, for whoever asks how that came.
    """
    if not settings.REFUSED_KEEP_DAYS:
        return []
    due = ModelVersion.objects.filter(
        status=VersionStatus.REFUSED, files_discarded_at=None, is_held=False, compromised_at=None,
        changed_at__lte=at - timedelta(days=settings.REFUSED_KEEP_DAYS),
        left_development_at=None,  # what newer rules refused was in use: it is part of the record
    )  # fmt: skip
    reason = reason or f"refused, and untouched for {settings.REFUSED_KEEP_DAYS} days"
    first = list(due.with_names().order_by("changed_at", "pk")[:MOST_VERSIONS])
    if not is_dry:
        first = _discard(first, due, at=at, actor=actor, reason=reason)
    return [str(version) for version in first]


@transaction.atomic
def _discard(
    versions: Sequence[ModelVersion], due: ModelVersionQuerySet, *, at: datetime,
    actor: "User | None", reason: str,
) -> list[ModelVersion]:  # fmt: skip
    """Give up the files of those versions that are still due, and return these."""
    keys = [version.pk for version in versions]
    still = due.select_for_update(skip_locked=True, no_key=True).filter(pk__in=keys)
    due_now = set(still.order_by("pk").values_list("pk", flat=True))
    gone = [version for version in versions if version.pk in due_now]
    sums = {version.pk: {file["sha256"] for file in version.manifest["files"]} for version in gone}
    every = set[str]().union(*sums.values())
    rows = _locked_files(gone, every)
    ModelVersion.objects.filter(pk__in=due_now).update(files_discarded_at=at, updated_at=at)
    kept = kept_by_versions(every)
    for sha256 in sorted(every - kept):
        note_loose(sha256, at=at)
    free = [row for row in rows if row.sha256 not in kept]
    for version in gone:
        own = sums[version.pk]
        _tell(version, _paths(version, own, free), len(own - kept), len(own & kept),
              at=at, actor=actor, reason=reason)  # fmt: skip
    named = {path for version in gone for path in _paths(version, sums[version.pk], free)}
    StoredFile.objects.filter(pk__in=[row.pk for row in free if row.path in named]).delete()
    return gone


def _locked_files(versions: Sequence[ModelVersion], sums: Collection[str]) -> list[StoredFile]:
    """Return the files that versions were registered from.

    Whoever registers them at this moment has them locked, in the same order; their version is seen
    afterwards.
    """
    places = Q(pk__in=[])
    for version in versions:
        places |= place_of(version.source)
    files = StoredFile.objects.select_for_update().filter(places, sha256__in=sums)
    return list(files.order_by("path"))


def _paths(version: ModelVersion, sums: Collection[str], rows: Sequence[StoredFile]) -> list[str]:
    return [
        row.path for row in rows
        if row.sha256 in sums and is_of_place(version.source, row.path, row.logged_model_id)
    ]  # fmt: skip


def _tell(
    version: ModelVersion, paths: list[str], n_objects: int, n_shared: int, *, at: datetime,
    actor: "User | None", reason: str,
) -> None:  # fmt: skip
    audit.record(
        "registry.version.discarded", version, actor=actor, at=at, reason=reason,
        before={
            "digest": version.digest, "status_message": version.status_message,
            "n_files": version.n_files, "n_bytes": version.n_bytes,
        },
        after={
            "files_discarded_at": audit.stamp(at), "n_objects": n_objects, "n_shared": n_shared,
            "paths": paths,
        },
    )  # fmt: skip
