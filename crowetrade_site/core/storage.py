"""Write-once artefacts named by the SHA-256 of their bytes.

Whatever leaves the store was hashed on the way out: a corrupted or missing object raises and
never returns bytes. The place is a Django storage (`STORAGES["artifacts"]`): the file system
by default, an S3-compatible bucket by setting.
"""

import errno
import filecmp
import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, NamedTuple, Protocol, cast

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, storages

from crowetrade_site.core.errors import Corrupted, InvalidInput, NotFound, Unavailable

CHUNK = 1 << 20
INCOMING = ".incoming-"
ASIDE = ".removed"
LEFTOVER_SECONDS = 24 * 3600.0
logger = logging.getLogger(__name__)
DIGEST = re.compile(r"[0-9a-f]{64}")
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
MOST_RACES = 5


class StoreFull(Unavailable):
    """A disk that files are written to has no room left."""

    slug, status, title = "store-full", 507, "There is no room left for files"


class Mismatched(InvalidInput):
    """What arrived is not what was announced."""

    slug, title = "digest-mismatch", "The bytes are not those that were announced"


@contextmanager
def within_room() -> Iterator[None]:
    """Turn a full disk, quota or file size limit into a refusal that names its cure."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise StoreFull(
            f"There is no room left for files ({error.strerror or error}). Free space, or raise "
            "the quota, where artefacts and temporary files are kept."
        ) from error


class Stored(NamedTuple):
    """How large an object is, and when it was last written or written again."""

    n_bytes: int
    written_at: datetime


class ArtifactStorage(Protocol):
    """What the store asks of its Django storage."""

    def adopt(self, path: Path, name: str) -> None:
        """Take over a finished local file under a name; a name that exists is left alone."""

    def local(self, name: str) -> Path:
        """Return a local file with the object's bytes; FileNotFoundError when there is none."""

    def forget(self, name: str) -> bool:
        """Drop a local copy that turned out wrong; False when there is no copy to drop."""

    def exists(self, name: str) -> bool:
        """Return whether the name is taken."""

    def look(self, name: str) -> Stored | None:
        """Return size and time of an object; None when there is none."""

    def remove(self, name: str) -> None:
        """Take an object away, with its local copy; one that is not there is no error."""

    def remove_unless_renewed(self, name: str, since: datetime) -> int | None:
        """Take an object away and return its size; None where it stays, or there is none."""


class WriteOnceFileSystemStorage(FileSystemStorage):
    """Objects as read-only files; a name once written is never written again."""

    def _save(self, name: str, content: File) -> str:
        with spooled(Path(self.location)) as spool:
            for chunk in content.chunks(CHUNK):
                spool.write(chunk)
            _force(spool)
            self.adopt(Path(spool.name), name)
        return name

    def get_available_name(self, name: str, max_length: int | None = None) -> str:  # noqa: ARG002
        return name

    def adopt(self, path: Path, name: str) -> None:
        """Link a finished file to its name, durably; the first writer wins.

        An object that has rotted is the one thing that is replaced, by the bytes it had. The time
        of one that stays is made now, so that nobody removes what was just stored again.
        """
        target = Path(self.path(name))
        _make_folder(target.parent)
        path.chmod(0o400)
        for _ in range(MOST_RACES):
            with suppress(FileNotFoundError):  # it was removed meanwhile: link anew
                _link_or_renew(path, target)
                break
        _sync_folder(target.parent)  # also for the loser: the winner may not be that far yet

    def look(self, name: str) -> Stored | None:
        """Return size and time of an object."""
        try:
            found = Path(self.path(name)).stat()
        except FileNotFoundError:
            return None
        return Stored(found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def remove(self, name: str) -> None:
        """Take an object away."""
        Path(self.path(name)).unlink(missing_ok=True)

    def remove_unless_renewed(self, name: str, since: datetime) -> int | None:
        """Take an object away unless it was written, or written again, since a moment.

        It is moved aside before its time is looked at, so whoever stores it again has either made
        its time new, and it is put back, or finds none and writes it anew. What a killed process
        had moved aside is judged by the next.
        """
        target = Path(self.path(name))
        aside = target.with_name(f"{target.name}{ASIDE}")
        with suppress(FileNotFoundError):
            if datetime.fromtimestamp(target.stat().st_mtime, UTC) > since:
                return None
            target.rename(aside)
        try:
            found = aside.stat()
            if is_new := datetime.fromtimestamp(found.st_mtime, UTC) > since:
                with suppress(FileExistsError):
                    os.link(aside, target)
            aside.unlink()
        except FileNotFoundError:  # there was none, or another pass has it
            return None
        return None if is_new else found.st_size

    def local(self, name: str) -> Path:
        """Return the object's own file."""
        path = Path(self.path(name))
        if not path.is_file():
            raise FileNotFoundError(path)
        return path

    def forget(self, name: str) -> bool:  # noqa: ARG002 - the object's file is the only one
        """Return False: the object's own file is never dropped."""
        return False


def _link_or_renew(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except FileExistsError:
        if filecmp.cmp(path, target, shallow=False):
            os.utime(target)
            return
        logger.warning("A corrupted artefact is whole again", extra={"artefact": target.name})
        path.replace(target)


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents so that they outlive a crash."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def spooled(folder: Path) -> Iterator[IO[bytes]]:
    """Yield a temporary file in `folder` that is gone afterwards, whatever happens.

    What a killed process left there is removed when nobody has written to it for a day.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(folder)
    with NamedTemporaryFile(dir=folder, prefix=INCOMING, delete=False) as spool:
        try:
            yield spool
        finally:
            Path(spool.name).unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    oldest = time.time() - LEFTOVER_SECONDS
    for leftover in folder.glob(f"{INCOMING}*"):
        with suppress(FileNotFoundError):
            if leftover.stat().st_mtime < oldest:
                leftover.unlink()


def _force(spool: IO[bytes]) -> None:
    """Force a spool's bytes to disk, before anything has its name."""
    spool.flush()
    os.fsync(spool.fileno())


def _storage() -> ArtifactStorage:
    return cast("ArtifactStorage", storages["artifacts"])


def object_name(digest: str) -> str:
    """Return where an object lies: two levels of folders, then its digest."""
    if not DIGEST.fullmatch(digest):
        raise NotFound(f"{digest!r} is not a SHA-256 digest.")
    return f"{digest[:2]}/{digest[2:4]}/{digest}"


def put(content: IO[bytes] | bytes | Path, *, expect: str = "") -> str:
    """Store bytes and return their SHA-256 in hexadecimal.

    Streams: memory stays at one chunk whatever the size. The object appears under its name
    complete and on disk, or not at all; storing the same bytes again changes nothing.

    Parameters
    ----------
    expect : str, optional
        The digest that they should have.

    Raises
    ------
    Mismatched
        They have another digest; nothing is kept (422).
    StoreFull
        There is no room for it (507).
    Unavailable
        The store does not answer (503).
    """
    with within_room(), spooled(spool_folder()) as spool:
        digest = hashlib.sha256()
        for chunk in _chunks(content):
            digest.update(chunk)
            spool.write(chunk)
        _force(spool)
        name = _as_expected(digest.hexdigest(), expect)
        _storage().adopt(Path(spool.name), object_name(name))
    return name


def take_over(path: Path, *, expect: str) -> str:
    """Store a finished file of the spool folder without copying it; whoever calls removes it.

    Raises
    ------
    Mismatched, StoreFull, Unavailable
        As `put`.
    """
    with within_room(), path.open("rb") as file:
        name = _as_expected(hashlib.file_digest(file, "sha256").hexdigest(), expect)
        os.fsync(file.fileno())
        _storage().adopt(path, object_name(name))
    return name


def _as_expected(actual: str, expect: str) -> str:
    if expect and actual != expect:
        raise Mismatched(f"The bytes hash to {actual}, not to {expect}; send them again.")
    return actual


def spool_folder() -> Path:
    """Return a folder on the file system the objects end up on, so that adopting is a link."""
    return Path(settings.ARTIFACT_CACHE if settings.ARTIFACT_S3_BUCKET else settings.ARTIFACT_ROOT)


def _chunks(content: IO[bytes] | bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, Path):
        with content.open("rb") as file:
            yield from _chunks(file)
    else:
        while chunk := content.read(CHUNK):
            yield chunk


def exists(digest: str) -> bool:
    """Return whether an object of this name is stored (its bytes are checked when read)."""
    return _storage().exists(object_name(digest))


def look(digest: str) -> Stored | None:
    """Return how large an object is and when it was last stored; None when there is none."""
    return _storage().look(object_name(digest))


def remove(digest: str) -> None:
    """Take an object away for good; whoever calls knows that nothing refers to it."""
    _storage().remove(object_name(digest))


def remove_unless_renewed(digest: str, since: datetime) -> int | None:
    """Take an object away for good unless it was stored again since a moment.

    Returns
    -------
    int or None
        How large it was; None where it stays, or there is none.
    """
    return _storage().remove_unless_renewed(object_name(digest), since)


def locate(digest: str) -> Path:
    """Return a local, verified file with the object's bytes, fit for memory-mapping.

    Raises
    ------
    NotFound
        Nothing is stored under the digest (404).
    Corrupted
        The stored bytes do not hash to it (409).
    """
    with stream(digest) as file:
        return Path(file.name)


def read(digest: str) -> bytes:
    """Return an object's verified bytes; for small objects.

    Raises
    ------
    NotFound, Corrupted
        As `locate`.
    """
    with stream(digest) as file:
        content = file.read()
    if hashlib.sha256(content).hexdigest() != digest:  # changed between the check and the read
        raise Corrupted(f"The artefact {digest} changed while it was read.")
    return content


def stream(digest: str) -> IO[bytes]:
    """Return an open file over an object's bytes, verified in full before the first is read.

    The very file that was verified is handed out, whatever its name may mean by then.

    Raises
    ------
    NotFound, Corrupted
        As `locate`.
    """
    file, actual = _hashed(digest)
    if actual != digest:
        file.close()
        if not forget(digest):
            raise _corrupted(digest, actual)
        file, actual = _hashed(digest)
    if actual != digest:
        file.close()
        raise _corrupted(digest, actual)
    file.seek(0)
    return file


def verify(digest: str) -> None:
    """Hash an object where it is stored, whatever a local copy says.

    Raises
    ------
    NotFound, Corrupted
        As `locate`.
    """
    forget(digest)
    stream(digest).close()


def digest_of(digest: str) -> str:
    """Return what the bytes hash to that are stored under a digest; empty where there are none."""
    try:
        file, actual = _hashed(digest)
    except NotFound:
        return ""
    file.close()
    return actual


def open_unverified(digest: str) -> BufferedReader:
    """Return an open file over an object's bytes, for readers that verify what they read.

    Raises
    ------
    NotFound
        Nothing is stored under the digest (404).
    """
    try:
        with within_room():
            return _storage().local(object_name(digest)).open("rb")
    except FileNotFoundError:
        raise NotFound(f"The artefact {digest} is not in the store.") from None


def forget(digest: str) -> bool:
    """Drop a local copy that turned out wrong; False when there is no copy to drop."""
    return _storage().forget(object_name(digest))


def _hashed(digest: str) -> tuple[IO[bytes], str]:
    file = open_unverified(digest)
    try:
        return file, hashlib.file_digest(file, "sha256").hexdigest()
    except BaseException:
        file.close()
        raise


def _corrupted(digest: str, actual: str) -> Corrupted:
    return Corrupted(
        f"The artefact {digest} is corrupted: its bytes hash to {actual}. Restore it from a "
        "backup; nothing was read from it."
    )
