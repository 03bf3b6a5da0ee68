"""Who uses an embedded server, counted by the kernel.

Each process that uses a server holds a shared lock on one file. At its clean end it lets go
and tries for the exclusive lock: whoever gets it was the last, and stops the server. A
killed process loses its lock like any other, so no count can go wrong.
"""

import os
from pathlib import Path

from crowetrade_site.embedded import locks
from crowetrade_site.embedded.daemon import Daemon
from crowetrade_site.embedded.home import run_dir

WAIT_SECONDS = 180.0


class Usage:
    """The use of one server by one process.

    Notes
    -----
    The shared lock is taken **before** the server is promised and the exclusive one is held
    **while** it is stopped, so nobody stops a server that somebody was just promised.

    A forked child shares its parent's lock: the server outlives the parent until the child
    ends as well. The exclusive lock is tried on a new descriptor, because turning the
    shared one would turn the children's too. A child that asks for the server itself gets
    a lock of its own and counts for itself.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self._descriptor: int | None = None
        self._holder = 0

    @property
    def path(self) -> Path:
        """The file whose lock is the count."""
        return run_dir(self.daemon.home) / f"{self.daemon.name}.users"

    def is_held(self) -> bool:
        """Return whether this very process, not its parent, holds the lock."""
        return (
            self._descriptor is not None
            and self._holder == os.getpid()
            and locks.is_file_of(self._descriptor, self.path)
        )

    def begin(self) -> None:
        """Hold the shared lock and return with the server running."""
        if not self.is_held():
            taken = locks.lock(
                self.path,
                locks.SHARED,
                seconds=WAIT_SECONDS,
                purpose=f"use the {self.daemon.title} while it is being stopped",
            )
            self._let_go()
            self._descriptor, self._holder = taken, os.getpid()
        self.daemon.ensure_running()

    def end(self) -> bool:
        """Let go; stop the server when nobody else uses it, and return whether we did.

        In a forked child that has not begun by itself this does nothing.
        """
        if self._holder != os.getpid():
            return False
        self._let_go()
        last = locks.try_lock(self.path, locks.EXCLUSIVE)
        if last is None:
            return False
        try:
            self.daemon.stop()
        finally:
            os.close(last)
        return True

    def _let_go(self) -> None:
        """Close our descriptor, unless something closed it and its number is another file."""
        descriptor, self._descriptor, self._holder = self._descriptor, None, 0
        if descriptor is not None and locks.is_file_of(descriptor, self.path):
            os.close(descriptor)
