"""A folder of verified model files, shared by the processes of a machine.

One folder a version, named by its manifest's digest; it appears complete and verified, or not at
all. The folders last used longest ago go first when there is no room.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import IO

from registry.artifacts.errors import DigestMismatchError
from registry.artifacts.manifest import FileEntry, Manifest, entry_of

Fetch = Callable[[FileEntry], IO[bytes] | Path]
_INCOMING = ".incoming-"
_LOCKS = ".locks"
_LEFTOVER_SECONDS = 24 * 3600.0
_DIGEST = re.compile(r"[0-9a-f]{64}")


class DiskCache:
    """Keeps the files of versions in a folder, up to a size.

    Parameters
    ----------
    folder : Path
        Made where it is not there. Nobody else may write to it.
    max_bytes : int
        Size of all versions kept; one version that is larger alone is kept until the next comes.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        (folder / _LOCKS).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()

    @contextmanager
    def opened(self, manifest: Manifest, fetch: Fetch) -> Iterator[Path]:
        """Yield the folder of a version; it is not removed while it is in use.

        Where several processes ask for one that is not here, one fetches it and the others wait.

        Parameters
        ----------
        manifest : Manifest
        fetch : callable
            Returns an open file, or the path of one, with the bytes of an entry.

        Raises
        ------
        DigestMismatchError
            What was fetched is not what the manifest names; nothing is kept of it.
        """
        name = manifest.content_digest
        with self._locked(name) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            while not self._place(name).is_dir():
                # Not an upgrade of the lock: between the two another may have been faster.
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not self._place(name).is_dir():
                    self._fill(manifest, fetch)
                fcntl.flock(lock, fcntl.LOCK_SH)
            self._touch(name)
            yield self._place(name)

    def forget(self, manifest: Manifest) -> None:
        """Remove a version's files, unless somebody uses them."""
        self._remove(manifest.content_digest)

    def n_bytes(self) -> int:
        """Return the size of what is kept [bytes]."""
        return sum(n_bytes for _, _, n_bytes in self._kept())

    def _place(self, name: str) -> Path:
        return self._folder / name

    @contextmanager
    def _locked(self, name: str) -> Iterator[int]:
        """Open a version's lock file; locks are let go when it is closed."""
        descriptor = os.open(
            self._folder / _LOCKS / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _fill(self, manifest: Manifest, fetch: Fetch) -> None:
        incoming = Path(mkdtemp(prefix=_INCOMING, dir=self._folder))
        try:
            for entry in manifest.files:
                _copy(fetch(entry), incoming / entry.path)
                if entry_of(incoming / entry.path, entry.path) != entry:
                    raise DigestMismatchError(
                        f"{entry.path} came from its store with other bytes than registered."
                    )
            self._make_room(manifest.n_bytes, manifest.content_digest)
            incoming.rename(self._place(manifest.content_digest))
        finally:
            shutil.rmtree(incoming, ignore_errors=True)

    def _touch(self, name: str) -> None:
        """Note that a version was used now; on its lock file, which is never removed."""
        with suppress(FileNotFoundError):
            os.utime(self._folder / _LOCKS / name)

    def _kept(self) -> list[tuple[float, str, int]]:
        """Return when each version was last used, its name and its size; oldest first."""
        kept = []
        for path in self._folder.iterdir():
            if _DIGEST.fullmatch(path.name):
                with suppress(FileNotFoundError):  # another process is removing it
                    used = (self._folder / _LOCKS / path.name).stat().st_mtime
                    kept.append((used, path.name, _size_of(path)))
        return sorted(kept)

    def _make_room(self, needed: int, keep: str) -> None:
        kept = self._kept()
        total = needed + sum(n_bytes for _, _, n_bytes in kept)
        for _, name, n_bytes in kept:
            if total <= self._max_bytes:
                return
            if name != keep and self._remove(name):
                total -= n_bytes

    def _remove(self, name: str) -> bool:
        """Take a version away, first out of sight; False where it is in use."""
        with self._locked(name) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            aside = Path(mkdtemp(prefix=_INCOMING, dir=self._folder))
            with suppress(FileNotFoundError):
                self._place(name).rename(aside / name)
            shutil.rmtree(aside, ignore_errors=True)
        return True

    def _sweep(self) -> None:
        """Remove what killed processes left a day ago."""
        oldest = time.time() - _LEFTOVER_SECONDS
        for leftover in self._folder.glob(f"{_INCOMING}*"):
            with suppress(FileNotFoundError):
                if leftover.stat().st_mtime < oldest:
                    shutil.rmtree(leftover, ignore_errors=True)


def _copy(source: IO[bytes] | Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, Path):
        shutil.copyfile(source, target)
    else:
        with source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    target.chmod(0o400)


def _size_of(folder: Path) -> int:
    sizes = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                sizes += (Path(place) / name).lstat().st_size
    return sizes
