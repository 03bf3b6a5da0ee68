"""Files that were handed in, and which of them may leave again."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from crowetrade_site.core import storage
from crowetrade_site.core.errors import (
    Conflict,
    Corrupted,
    DomainError,
    Forbidden,
    NotFound,
    Unavailable,
)
from crowetrade_site.core.roles import Role, grants
from registry.artifacts.errors import ArtifactError
from registry.artifacts.manifest import FileEntry, Manifest
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion, StoredFile, Upload
from registry.selectors.trust import trusted_no_more

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

# Who may have the bytes of a version out of use: to look at the record, not to trade on it.
KEEPERS = frozenset({Role.VALIDATOR, Role.AUDITOR, Role.ADMIN})
MOST_LOOKED_FOR = 100  # files of one version, on a page
_NOT_READY = {
    VersionStatus.PENDING: "its files have not been looked at yet",
    VersionStatus.QUARANTINED: "it is in quarantine: opening it could run somebody's code",
    VersionStatus.REFUSED: "its files were refused",
}


def list_files() -> QuerySet[StoredFile]:
    """Return every file that was handed in under a path."""
    return StoredFile.objects.select_related("uploaded_by")


def list_uploads(user: "User") -> QuerySet[Upload]:
    """Return the uploads that somebody began."""
    return Upload.objects.filter(started_by=user)


def get_upload(upload_id: UUID, user: "User") -> Upload:
    """Return an upload that somebody began.

    Raises
    ------
    NotFound
        They began none of this id, or it is over (404).
    """
    found = list_uploads(user).filter(public_id=upload_id).first()
    if found is None:
        raise NotFound(f"You have no upload {upload_id}.")
    return found


def manifest_of(version: ModelVersion) -> Manifest:
    """Return the files of a version, held against the digest that people approved.

    Raises
    ------
    Corrupted
        Its manifest is of other files, or is none (409).
    """
    try:
        manifest = Manifest.from_json(version.manifest)
    except ArtifactError as error:
        raise Corrupted(f"The manifest of {version} is damaged: {error}") from error
    if manifest.version_digest != version.digest:
        raise Corrupted(f"The manifest of {version} is not the one that was registered.")
    return manifest


def absent_files(version: ModelVersion) -> list[str]:
    """Return a sentence for each file of a version that is not in the store, the first ones.

    A look at names alone, no reading: a page may ask for it. A store that is away is one, too. How
    many were not looked for is said beside those that are absent, and by `n_not_looked_for`.
    """
    try:
        entries = manifest_of(version).files[:MOST_LOOKED_FOR]
        absent = [
            f"the bytes of {entry.path} are not in the artefact store; restore them from a backup"
            for entry in entries
            if not storage.exists(entry.sha256)
        ]
    except (Corrupted, Unavailable) as refusal:
        return [refusal.detail]
    n_more = n_not_looked_for(version)
    return [*absent, f"{n_more} more files were not looked for"] if absent and n_more else absent


def n_not_looked_for(version: ModelVersion) -> int:
    """Return how many files of a version `absent_files` does not look for."""
    return max(len(version.manifest.get("files", ())) - MOST_LOOKED_FOR, 0)


def get_file(version: ModelVersion, path: str) -> FileEntry:
    """Return the entry of a file of a version; of a version of one file, without its path.

    Raises
    ------
    NotFound
        It has no such file (404).
    Corrupted
        As `manifest_of` (409).
    """
    entries = manifest_of(version).files
    if not path and len(entries) == 1:
        return entries[0]
    for entry in entries:
        if entry.path == path:
            return entry
    raise NotFound(f"{version} has no file {path!r}; it has {len(entries)}, listed under files/.")


def refusal_to_serve(version: ModelVersion, held: Collection[Role]) -> DomainError | None:
    """Return why the bytes of a version do not leave for somebody with these roles, if so.

    What was archived is kept for the record: who keeps it may look at it, nobody runs it.
    """
    if version.compromised_at is not None:
        return Conflict(f"{version} is compromised: its bytes are not those that were registered.")
    if version.files_discarded_at is not None:
        when = f"{version.files_discarded_at:%Y-%m-%d}"
        return Conflict(f"{version} was refused, and its files were discarded on {when}.")
    if reason := _NOT_READY.get(VersionStatus(version.status)):
        return Conflict(f"{version} is {version.status} and not served: {reason}.")
    if version.stage == Stage.ARCHIVED and KEEPERS.isdisjoint(held):
        return Forbidden(
            f"{version} is archived: validators, auditors and admins may have its files. "
            "Revive it to use it."
        )
    return no_longer_trusted(version)


def may_inspect(version: ModelVersion, reader: "User | AnonymousUser") -> bool:
    """Say whether somebody may look at the bytes of a version that are served to nobody.

    Whoever judges a version must be able to see what it is made of: through a door that warns,
    that nothing loads from, and that leaves an entry.
    """
    is_unserved = VersionStatus(version.status) in _NOT_READY and not version.files_discarded_at
    return is_unserved and "models:approve" in grants(reader)


def no_longer_trusted(version: ModelVersion) -> Conflict | None:
    """Return why nobody opens a version any more whose desk took back its trust, if so."""
    gone = ", ".join(trusted_no_more(version))
    return Conflict(f"{version} needs {gone}, which its desk trusts no more.") if gone else None


def referred_to(digests: Iterable[str]) -> set[str]:
    """Return those of some stored objects that the registry refers to."""
    wanted = set(digests)
    files = StoredFile.objects.filter(sha256__in=wanted)
    found = set(files.values_list("sha256", flat=True).distinct())
    return found | kept_by_versions(wanted - found)  # whatever became of the rows of their files


def kept_by_versions(digests: Collection[str]) -> set[str]:
    """Return those of some digests that a version names, or named before it was deleted.

    One whose files were discarded keeps none of them.
    """
    return set(keepers_of(digests))


def keepers_of(digests: Collection[str]) -> dict[str, set[int | None]]:
    """Return what keeps each of some stored objects, of those that anything of the registry does.

    Keys of versions whose manifest names it, and None for those that were deleted. One statement,
    so that a version is seen there or here at whatever moment it is deleted, and one pass over the
    manifests.
    """
    if not digests:
        return {}
    found: dict[str, set[int | None]] = defaultdict(set)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT f->>'sha256', v.id FROM registry_modelversion v, "
            "jsonb_array_elements(v.manifest->'files') f "
            "WHERE v.files_discarded_at IS NULL AND f->>'sha256' = ANY(%(digests)s) "
            "UNION SELECT sha256, NULL FROM registry_keptobject WHERE sha256 = ANY(%(digests)s)",
            {"digests": sorted(digests)},
        )
        for sha256, version in cursor.fetchall():
            found[sha256].add(version)
    return dict(found)
