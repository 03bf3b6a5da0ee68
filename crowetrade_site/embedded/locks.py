"""Advisory locks on files of the home folder.

The kernel drops such a lock with the last descriptor of its holder, so a lock never
outlives a killed process, and a lock file left behind means nothing.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crowetrade_site.embedded.errors import EmbeddedError
from crowetrade_site.embedded.home import unwritable

SHARED = fcntl.LOCK_SH
EXCLUSIVE = fcntl.LOCK_EX
PAUSE_SECONDS = 0.02


def try_lock(path: Path, kind: int) -> int | None:
    """Lock a file without waiting.

    Returns
    -------
    int or None
        A descriptor that holds the lock (close it to let go), None when it is taken.

    Notes
    -----
    The descriptor is closed by exec, so a server that we start does not inherit the lock.
    A file that was replaced while we locked it is opened again: two processes must never
    hold "the same" lock on different files.
    """
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            if is_file_of(descriptor, path):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            os.close(descriptor)
            raise EmbeddedError(
                f"{path} cannot be locked: {error.strerror}.",
                cure="Point CROWETRADE_HOME to a local disk; some network disks cannot lock.",
            ) from error
        os.close(descriptor)


def lock(path: Path, kind: int, *, seconds: float, purpose: str) -> int:
    """Lock a file, waiting at most so many seconds; `purpose` completes "waiting to …"."""
    deadline = time.monotonic() + seconds
    while (descriptor := try_lock(path, kind)) is None:
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"Gave up after {seconds:.0f} s of waiting to {purpose}: {path} is held by "
                f"{_holder(path)}.",
                cure="Wait for that process or end it; its lock goes with it.",
            )
        time.sleep(PAUSE_SECONDS)
    return descriptor


@contextmanager
def exclusive(path: Path, *, seconds: float, purpose: str) -> Iterator[int]:
    """Hold a file's exclusive lock for a block, which gets its descriptor."""
    descriptor = lock(path, EXCLUSIVE, seconds=seconds, purpose=purpose)
    try:
        # Only for the message of whoever waits too long; nothing is decided by it.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def is_file_of(descriptor: int, path: Path) -> bool:
    """Return whether an open descriptor still is the file of that name."""
    try:
        opened, named = os.fstat(descriptor), path.stat()
    except OSError:
        return False
    return os.path.samestat(opened, named)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except IsADirectoryError:
        raise EmbeddedError(
            f"The lock file {path} is a folder.", cure="Move that folder away."
        ) from None
    except OSError as error:
        raise unwritable(path, error) from error


def _holder(path: Path) -> str:
    try:
        text = path.read_text().strip()
    except OSError:
        text = ""
    return f"process {text}" if text.isdecimal() else "another process"
