"""Heal embedded servers that were killed while this process uses them."""

import logging
import os
import threading

from crowetrade_site.embedded.daemon import Daemon
from crowetrade_site.embedded.errors import EmbeddedError
from crowetrade_site.embedded.sessions import Sessions, sessions

logger = logging.getLogger(__name__)
LONGEST_PAUSE_SECONDS = 60.0


class Watch:
    """Looks after the servers of this process and starts those that are gone."""

    def __init__(self, source: Sessions, interval: float) -> None:
        self._source = source
        self._interval = interval
        self._failed: set[str] = set()
        self.pause = interval

    def look(self) -> None:
        """Heal what is stopped; double the pause to the next look while that fails."""
        with self._source.held() as usages:
            outcomes = [self._heal(usage.daemon) for usage in usages]
        if all(outcomes):
            self.pause = self._interval
        else:
            self.pause = min(self.pause * 2, LONGEST_PAUSE_SECONDS)

    def _heal(self, daemon: Daemon) -> bool:
        try:
            if daemon.pid() is not None:
                self._failed.discard(daemon.name)
                return True
            daemon.ensure_running()
        except EmbeddedError as error:
            if daemon.name not in self._failed:
                self._failed.add(daemon.name)
                logger.warning("An embedded server is gone and cannot be restarted: %s", error)
            return False
        self._failed.discard(daemon.name)
        logger.warning("The %s was gone and runs again.", daemon.title)
        return True

    def run(self) -> None:
        """Look for ever."""
        quiet = threading.Event()
        while not quiet.wait(self.pause):
            self.look()


_watching: dict[int, threading.Thread] = {}


def watch(interval: float = 1.0) -> threading.Thread:
    """Heal the servers this process uses while it lives; return the thread that does.

    Parameters
    ----------
    interval : float
        Time between two looks [s].

    Notes
    -----
    One daemon thread a process; a forked child that wants one calls again.
    """
    thread = _watching.get(os.getpid())
    if thread is None or not thread.is_alive():
        thread = threading.Thread(
            target=Watch(sessions(), interval).run, name="embedded-watch", daemon=True
        )
        _watching[os.getpid()] = thread
        thread.start()
    return thread
