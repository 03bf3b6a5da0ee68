"""Files of versions, handed out again."""

from contextlib import suppress
from datetime import datetime
from typing import IO

from django.contrib.auth.models import User
from django.db import transaction

from crowetrade_site.core import audit, storage
from crowetrade_site.core.errors import Corrupted, Forbidden, NotFound
from registry import selectors
from registry.artifacts.manifest import FileEntry
from registry.jobs import report_tampering
from registry.models import ModelVersion


def open_file(*, version: ModelVersion, entry: FileEntry, at: datetime) -> IO[bytes]:
    """Return a file of a version, verified in full; a forged one is reported before it is refused.

    Whether it may leave at all `selectors.refusal_to_serve` says.

    Raises
    ------
    Corrupted
        Its bytes are not those that were registered, or are not there (409).
    """
    try:
        return storage.stream(entry.sha256)
    except NotFound:
        raise Corrupted(
            f"The bytes of {entry.path} are not in the artefact store; restore them from a backup."
        ) from None
    except Corrupted:
        with suppress(NotFound):  # whoever deletes the version is faster
            found = storage.digest_of(entry.sha256)
            report_tampering(version_id=version.public_id, path=entry.path, found=found, at=at)
        raise


def inspect_file(
    *, version: ModelVersion, entry: FileEntry, actor: User, at: datetime
) -> IO[bytes]:
    """Return a file that is served to nobody to somebody who judges it; the trail says so.

    Raises
    ------
    Forbidden
        The actor judges no versions, or the version is one that is served (403).
    Corrupted
        As `open_file` (409).
    """
    if not selectors.may_inspect(version, actor):
        raise Forbidden(f"Validators and admins look at files of {version} that are not served.")
    file = open_file(version=version, entry=entry, at=at)
    with transaction.atomic(durable=True):
        audit.record(
            "registry.version.inspected", version, actor=actor, at=at,
            after={"path": entry.path, "sha256": entry.sha256, "status": version.status},
        )  # fmt: skip
    return file
