"""One supervised child process and its process group."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from crowetrade_site.embedded import tether
from crowetrade_site.embedded.guardian import lives

LOG_BYTES = 16 * 2**20
LEFTOVER_SECONDS = 2.0


@dataclass(frozen=True)
class Child:
    """A program to run under a supervisor.

    Attributes
    ----------
    name : str
        Its name in messages and of its log file.
    argv : sequence of str
        The program and its arguments.
    env : mapping
        Variables added to the supervisor's own.
    ready : callable
        Says whether it does its work; asked until it does, before the next child starts.
    restarts : bool
        Whether it is started again when it ends by itself.
    cwd : Path or None
        Its working directory; None means the supervisor's.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] | None = None
    restarts: bool = False
    cwd: Path | None = None


class Running:
    """A started child: the leader of a session and process group of its own."""

    def __init__(self, child: Child, log_dir: Path) -> None:
        self.child = child
        self.log = log_dir / f"{child.name}.log"
        self.started = time.monotonic()
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self.log_start = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *child.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **child.env},
                cwd=child.cwd,
                start_new_session=True,
            )
        self.group = self._process.pid

    def code(self) -> int | None:
        """Return the exit code (128 + number for a signal), None while it runs."""
        found = self._process.poll()
        return 128 - found if found is not None and found < 0 else found

    def terminate(self) -> None:
        """Ask the leader to end; it ends its own children as it sees fit."""
        self._process.terminate()

    def is_gone(self) -> bool:
        """Return whether the whole group has ended."""
        if self.code() is None:
            return False
        # As process 1 of a container we inherit its orphans and must collect them.
        with suppress(ChildProcessError):
            while os.waitpid(-self.group, os.WNOHANG) != (0, 0):
                pass
        return not lives(self.group)

    def await_gone(self, seconds: float, hurry: Callable[[], bool]) -> bool:
        """Wait for the group's end, no longer than the time given or until in a hurry."""
        deadline = time.monotonic() + seconds
        leads = True
        while not self.is_gone():
            if leads and self.code() is not None:
                # What a leader leaves behind is told as well, and gets less time.
                leads = False
                deadline = min(deadline, time.monotonic() + LEFTOVER_SECONDS)
                self._signal(signal.SIGTERM)
            if hurry() or time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def kill(self) -> None:
        """Kill the whole group."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self.await_gone(LEFTOVER_SECONDS, hurry=lambda: False)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.group, number)

    def log_tail(self, lines: int = 6) -> str:
        """Return the last lines this run wrote."""
        with self.log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self.log_start, end - 16_384))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
