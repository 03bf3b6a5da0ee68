"""Files of versions, handed out again."""

from contextlib import suppress
from datetime import datetime
from typing import IO

from crowetrade_site.core import storage
from crowetrade_site.core.errors import Corrupted, NotFound
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
