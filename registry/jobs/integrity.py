"""Whether the stored bytes of versions are those that were registered: hashed, where they are.

Outside of any transaction: a large file takes seconds, and what is found out must stay on record
whatever becomes of the request that asked.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import transaction

from crowetrade_site.core import audit, storage
from crowetrade_site.core.errors import Corrupted, DomainError, NotFound
from registry.artifacts.errors import ArtifactError
from registry.artifacts.manifest import FileEntry
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion
from registry.selectors import list_versions, manifest_of
from registry.selectors.searching import list_holding

logger = logging.getLogger(__name__)
WATCHED = (Stage.STAGING, Stage.PRODUCTION)


class Absent(Corrupted):
    """Stored bytes are missing: no forgery, and a backup may bring them back."""


class Verified(NamedTuple):
    """What a pass over the stored bytes found."""

    n_versions: int
    n_files: int
    n_bytes: int
    broken: list[str]  # a sentence for each version that is not whole
    not_verified: list[str]  # a sentence for each that could not be read to its end


def require_intact(version: ModelVersion, *, at: datetime) -> None:
    """Hash every file of a version in the store; one of other bytes compromises the version.

    Raises
    ------
    Corrupted
        A file holds other bytes, which is on record now (409).
    Absent
        A file is missing (409).
    Unavailable
        The store is away (503).
    """
    if version.compromised_at is None:  # else whoever asks is refused for that
        for entry in _files_of(version, at):
            _verify(entry.path, entry.sha256, at)


def verify_versions(*, at: datetime, is_all: bool = False) -> Verified:
    """Hash the files of all versions in staging and production, or of all there are.

    A file that several versions name is read once, and other bytes compromise all of them. A
    version that cannot be read, as where the store is away, is told and does not end the pass. One
    that is compromised already is told as long as it stands there, whatever is stored by now.
    """
    rows = list_versions().exclude(status=VersionStatus.REFUSED)
    if not is_all:
        rows = rows.filter(stage__in=WATCHED)
    sizes: dict[str, int] = {}
    n_versions, broken, not_verified = 0, [], []
    for version in rows.order_by("pk").iterator(chunk_size=100):
        n_versions += 1
        if version.compromised_at is not None:
            broken.append(f"{version}: compromised since {version.compromised_at:%Y-%m-%d %H:%M}.")
            continue
        try:
            for entry in _files_of(version, at):
                if entry.sha256 not in sizes:
                    _verify(entry.path, entry.sha256, at)
                    sizes[entry.sha256] = entry.n_bytes
        except Corrupted as found:
            logger.error("A version is not what was registered", extra={"version": str(version)})  # noqa: TRY400 - found
            broken.append(f"{version}: {found.detail}")
        except (DomainError, ArtifactError, OSError) as unread:
            logger.exception("A version was not verified", extra={"version": str(version)})
            not_verified.append(f"{version}: {unread}")
    return Verified(n_versions, len(sizes), sum(sizes.values()), broken, not_verified)


def _files_of(version: ModelVersion, at: datetime) -> Sequence[FileEntry]:
    """Return the files that were approved; a manifest of others compromises its version."""
    try:
        return manifest_of(version).files
    except Corrupted:
        report_tampering(version_id=version.public_id, path="", found="another manifest", at=at)
        raise


def _verify(path: str, sha256: str, at: datetime) -> None:
    try:
        storage.verify(sha256)
    except NotFound:
        raise Absent(
            f"The bytes of {path} are not in the artefact store; restore them from a backup."
        ) from None
    except Corrupted as broken:
        found = storage.digest_of(sha256)
        for one in list_holding(sha256):
            with suppress(NotFound):  # one was deleted meanwhile
                report_tampering(
                    version_id=one.public_id, path=_path_of(sha256, one), found=found, at=at
                )
        raise Corrupted(f"{path} is not what was registered. {broken.detail}") from broken


def _path_of(sha256: str, version: ModelVersion) -> str:
    """Return what a version calls a file of these bytes."""
    return next(file["path"] for file in version.manifest["files"] if file["sha256"] == sha256)


@transaction.atomic(durable=True)
def report_tampering(*, version_id: UUID, path: str, found: str, at: datetime) -> ModelVersion:
    """Mark a version whose stored bytes are no longer those that were registered.

    Called after the refusal, in a transaction of its own, whoever asked for the bytes.

    Raises
    ------
    NotFound
        There is no such version (404).
    """
    version = (
        ModelVersion.objects.select_for_update(of=("self",), no_key=True)
        .with_names()
        .filter(public_id=version_id)
        .first()
    )
    if version is None:
        raise NotFound(f"There is no model version {version_id}.")
    if version.compromised_at is None:  # the mark is final: a trigger keeps it
        ModelVersion.objects.filter(pk=version.pk).update(compromised_at=at, changed_at=at)
    audit.record(
        "registry.version.compromised", version, actor=None, at=at,
        after={"path": path, "found": found, "digest": version.digest},
    )  # fmt: skip
    version.refresh_from_db()
    return version
