"""Files that arrive in several requests: what is there of them waits beside the artefact store.

One writer at a time, by a lock that the system takes back when its process dies. How much has
arrived is the size of the file; no row has to agree with it. Of several machines all must see the
folder, as they see the store.
"""

import fcntl
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import UUID

from crowetrade_site.core.errors import Conflict, NotFound
from crowetrade_site.core.storage import CHUNK, spool_folder, within_room

FOLDER = ".parts"


class Busy(Conflict):
    """Somebody else is writing to it."""

    slug, title = "upload-busy", "Another request is writing to this upload"


class WrongOffset(Conflict):
    """The bytes do not follow those that are there."""

    slug, title = "wrong-offset", "The bytes do not follow those that are there"


def _path(name: UUID) -> Path:
    return spool_folder() / FOLDER / str(name)


def begin(name: UUID) -> None:
    """Make an empty file under a name that nobody has."""
    path = _path(name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with within_room():
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def arrived(name: UUID) -> int:
    """Return how many bytes are there.

    Raises
    ------
    NotFound
        It was taken over, given up or swept away (404).
    """
    try:
        return _path(name).stat().st_size
    except FileNotFoundError:
        raise NotFound(f"Nothing waits for more under {name}; begin anew.") from None


@contextmanager
def held(name: UUID) -> Iterator[Path]:
    """Hold a file against every other writer, and yield where it is.

    Raises
    ------
    NotFound
        As `arrived`.
    Busy
        Somebody else holds it (409).
    """
    path = _path(name)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFound(f"Nothing waits for more under {name}; begin anew.") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                "Another request is writing to this upload; ask again for its offset."
            ) from None
        if not _is_same(file, path):  # its last holder took it away while we opened it
            raise NotFound(f"Nothing waits for more under {name}; begin anew.")
        yield path


def _is_same(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def append(path: Path, body: IO[bytes], *, offset: int) -> int:
    """Write bytes behind those that are there, and return how many there are then.

    What arrives before a body breaks off stays: the next request goes on from there.

    Raises
    ------
    WrongOffset
        So many bytes are not there, or more (409, with the offset that there is).
    """
    with within_room(), path.open("ab") as file:
        present = file.tell()
        if present != offset:
            raise WrongOffset(f"{present} bytes are there; send what follows them.", offset=present)
        try:
            while chunk := body.read(CHUNK):
                file.write(chunk)
        finally:
            file.flush()
            os.fsync(file.fileno())
        return file.tell()


def remove(name: UUID) -> None:
    """Take a file away; one that is not there is no error."""
    _path(name).unlink(missing_ok=True)


def sweep(*, keep: Collection[UUID], unused_seconds: float) -> int:
    """Remove the files that nobody names and nobody wrote to for so long; return how many."""
    oldest = time.time() - unused_seconds
    kept = {str(name) for name in keep}
    n_removed = 0
    for path in (spool_folder() / FOLDER).glob("*"):
        with suppress(FileNotFoundError):
            if path.name not in kept and path.stat().st_mtime < oldest:
                path.unlink()
                n_removed += 1
    return n_removed
