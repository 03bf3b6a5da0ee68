"""The embedded servers this process uses."""

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crowetrade_site.embedded.broker import Broker
from crowetrade_site.embedded.daemon import Daemon
from crowetrade_site.embedded.errors import EmbeddedError
from crowetrade_site.embedded.home import home
from crowetrade_site.embedded.postgres import Postgres
from crowetrade_site.embedded.usage import Usage


class Sessions:
    """All uses of this process, behind one lock for its threads."""

    def __init__(self) -> None:
        self._gate = threading.RLock()
        self._usages: dict[tuple[type[Daemon], Path], Usage] = {}
        self._is_closed = False

    def begin(self, kind: type[Daemon]) -> None:
        """Use one server of the current home folder."""
        with self._gate:
            if self._is_closed:
                raise EmbeddedError(
                    "This process is ending and starts no server any more.",
                    cure="Do this work before the process ends.",
                )
            place = home()
            usage = self._usages.setdefault((kind, place), Usage(kind(place)))
            usage.begin()

    def end(self, *, is_final: bool = False) -> None:
        """Let go of all servers; stop those that nobody else uses."""
        with self._gate:
            self._is_closed = self._is_closed or is_final
            usages = list(self._usages.values())
            self._usages.clear()
            for usage in reversed(usages):
                usage.end()

    @contextmanager
    def held(self) -> Iterator[list[Usage]]:
        """Give the uses of this very process; none begins or ends meanwhile."""
        with self._gate:
            yield [usage for usage in self._usages.values() if usage.is_held()]

    def renew_gate(self) -> None:
        """Replace the lock in a forked child: another thread may have held it."""
        self._gate = threading.RLock()


_sessions = Sessions()
os.register_at_fork(after_in_child=_sessions.renew_gate)
atexit.register(_sessions.end, is_final=True)


def attach(*, postgres: bool, broker: bool) -> None:
    """Use the embedded servers: return when they run, keep them until this process ends.

    Parameters
    ----------
    postgres, broker : bool
        Which of the two.

    Raises
    ------
    EmbeddedError
        One cannot be started.

    Notes
    -----
    Cheap when already attached (one question to the server), so it may be called before
    every new connection.
    """
    if postgres:
        _sessions.begin(Postgres)
    if broker:
        _sessions.begin(Broker)


def detach() -> None:
    """Let go of the embedded servers before this process ends; the last one stops them."""
    _sessions.end()


def sessions() -> Sessions:
    """Return the uses of this process."""
    return _sessions
