"""Show the log files of several processes as they grow, each line with its process's name."""

import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

INTERVAL_SECONDS = 0.2


class Echo:
    """Follows log files in a thread of its own.

    The processes write to files, not to us: they never wait for a reader, and nothing is
    lost or broken when the reader is killed.
    """

    def __init__(self, logs: Mapping[str, Path], out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._logs = dict(logs)
        self._offsets = {
            name: path.stat().st_size if path.exists() else 0 for name, path in logs.items()
        }
        self._partial = dict.fromkeys(logs, b"")
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="echo", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Show the rest and end."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(INTERVAL_SECONDS):
            self._show()
        self._show()

    def _show(self) -> None:
        for name, path in self._logs.items():
            *lines, self._partial[name] = (self._partial[name] + self._read(name, path)).split(
                b"\n"
            )
            for line in lines:
                self._out.write(f"{name:>7} | {line.decode(errors='replace')}\n")
        self._out.flush()

    def _read(self, name: str, path: Path) -> bytes:
        try:
            with path.open("rb") as log:
                log.seek(self._offsets[name])
                new = log.read()
        except OSError:
            return b""
        self._offsets[name] += len(new)
        return new
