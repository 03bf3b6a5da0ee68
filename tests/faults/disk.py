"""A disk that can be full: a small file system, or a limit on what processes may write."""

import resource
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import pytest

MEGABYTES = 64


class Disk(Protocol):
    def fill(self) -> None: ...

    def free(self) -> None: ...


class SmallDisk:
    """A file system in memory, which a file of our own fills up."""

    def __init__(self, folder: Path) -> None:
        self.filler = folder / "filler"

    def fill(self) -> None:
        # Large pieces first: workers must not finish meanwhile, however busy the machine is.
        with self.filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    def free(self) -> None:
        self.filler.unlink(missing_ok=True)


class Limited:
    """Processes that may make no file any larger."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self.pids = pids

    def fill(self) -> None:
        for pid in self.pids():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def free(self) -> None:
        for pid in self.pids():
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)


@contextmanager
def disk(folder: Path, pids: Callable[[], Iterable[int]]) -> Iterator[Disk]:
    """Yield a disk for a folder: mounted where that is allowed, else a limit on processes."""
    folder.mkdir(parents=True)
    if _mounted(folder):
        try:
            yield SmallDisk(folder)
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    elif hasattr(resource, "prlimit"):
        yield Limited(pids)
    else:
        pytest.skip("neither mounting a small file system nor prlimit is possible here")


def _mounted(folder: Path) -> bool:
    if shutil.which("mount") is None:
        return False
    words = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0
