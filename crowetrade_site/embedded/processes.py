"""Questions about processes that a reused process number cannot answer wrongly."""

import os
import select
import signal
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Self

PROC = Path("/proc")
CONNECT_SECONDS = 2.0


def listener(path: Path) -> int | None:
    """Return who listens on a Unix socket, None when nobody does.

    Returns
    -------
    int or None
        The process that called listen(), told by the kernel; 0 when it listens but lives
        in a process namespace (a container) that we cannot see.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CONNECT_SECONDS)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return 0  # its queue is full: it listens, and is busy
        except OSError:
            return None
        size = struct.calcsize("3i")
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid: int = struct.unpack("3i", credentials)[0]
    return pid


def serving(program: str, folder: Path) -> list[int]:
    """Return the processes that run a program with a folder as working directory.

    Both our servers move into their data folder, so this finds a server, and its orphaned
    children, without any pid file.
    """
    own = str(folder.resolve())
    return sorted(
        int(entry.name)
        for entry in PROC.iterdir()
        if entry.name.isdecimal() and is_serving(int(entry.name), program, own)
    )


def is_serving(pid: int, program: str, folder: str) -> bool:
    """Return whether a process runs a program (by file name) inside a folder."""
    try:
        link = str((PROC / str(pid) / "exe").readlink())
        inside = str((PROC / str(pid) / "cwd").readlink())
    except OSError:  # it has ended, or belongs to another account: not ours
        return False
    return Path(link.removesuffix(" (deleted)")).name == program and inside == folder


class Handle:
    """A hold on one process that stays right when its number is given to another.

    Raises
    ------
    ProcessLookupError
        There is no such process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def ended(self, seconds: float = 0.0) -> bool:
        """Wait at most so many seconds and return whether the process has ended."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(int(seconds * 1000)))

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a process that has just ended is fine."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)

    def close(self) -> None:
        """Let go of the process."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def hold(pid: int) -> Handle | None:
    """Return a hold on a process, None when it has ended."""
    try:
        return Handle(pid)
    except ProcessLookupError:
        return None
