"""Giving up the files of refused versions.

The version stays, with its manifest, digest and findings: all that entries of the trail speak of.
Its bytes lose their name, and go a grace later like others that have none. Whoever puts a version
under legal hold until then keeps them.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from crowetrade_site.core import audit
from registry.jobs.loose import note_loose
from registry.lifecycle import VersionStatus
from registry.models import ModelVersion, StoredFile
from registry.querysets import ModelVersionQuerySet
from registry.selectors import kept_by_versions, place_of

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
    )  # fmt: skip
    first = list(due.with_names().order_by("changed_at", "pk")[:MOST_VERSIONS])
    reason = reason or f"refused, and untouched for {settings.REFUSED_KEEP_DAYS} days"
    return [
        str(version) for version in first
        if is_dry or _discard(version, due, at=at, actor=actor, reason=reason)
    ]  # fmt: skip


@transaction.atomic
def _discard(
    version: ModelVersion, due: ModelVersionQuerySet, *, at: datetime, actor: "User | None",
    reason: str,
) -> bool:  # fmt: skip
    """Give up the files of one version that is still due; say whether it was."""
    still = due.select_for_update(skip_locked=True, no_key=True).filter(pk=version.pk)
    if not still.exists():
        return False
    sums = {file["sha256"] for file in version.manifest["files"]}
    # whoever registers them at this moment has them locked; their version is seen afterwards
    files = StoredFile.objects.select_for_update().filter(place_of(version.source), sha256__in=sums)
    rows = list(files.order_by("pk"))
    ModelVersion.objects.filter(pk=version.pk).update(files_discarded_at=at, updated_at=at)
    free = sums - kept_by_versions(sums)
    for sha256 in sorted(free):
        note_loose(sha256, at=at)
    gone = [row for row in rows if row.sha256 in free]
    StoredFile.objects.filter(pk__in=[row.pk for row in gone]).delete()
    audit.record(
        "registry.version.discarded", version, actor=actor, at=at, reason=reason,
        before={
            "digest": version.digest, "status_message": version.status_message,
            "n_files": version.n_files, "n_bytes": version.n_bytes,
        },
        after={
            "files_discarded_at": audit.stamp(at), "n_objects": len(free),
            "n_shared": len(sums - free), "paths": [row.path for row in gone],
        },
    )  # fmt: skip
    return True
