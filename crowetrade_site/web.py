"""The web server's workers: none is crowded while another is idle, none pauses to clean up.

The kernel gives a new connection to whichever worker asks first, and a connection that is kept open
stays where it came. Eight clients on two workers so end six to two as often as four to four, and
those of the crowded worker wait three times as long while the other has nothing to do.

Python runs one thread at a time, and takes it from whoever has it to give it to any other: four
requests that a worker has begun all end late, some very late. So those that read take turns in the
order they came, each to its end if that is near: a slow one loses its turn and goes on beside the
others.

What a worker has loaded it keeps. Python's collector looks at all of it again and again (240,000
objects, a tenth of a second, and every thread waits), so it is told to leave that alone.
"""

import gc
import mmap
import os
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

from gunicorn.workers.gthread import ThreadWorker

from crowetrade_site import env

_ROW: Final = struct.Struct("=ii")  # pid, load
_ROWS: Final = 256  # more than live at a time: a worker's row is its number in order of birth
_CROWDED: Final = 1_000_000  # load of a worker whose threads are all at work, over any other
_PATIENCE: Final = 20  # times that a connection is left to somebody who takes none
_PAUSE: Final = 0.0005  # seconds
_LONGEST_TURN: Final = env.integer("CROWETRADE_TURN_MS", default=50, minimum=0) / 1000  # seconds
_READS: Final = ("GET", "HEAD")

_loads = mmap.mmap(-1, _ROW.size * _ROWS)  # made before the workers are forked: all share it


class Turns:
    """One after the other in the order they came, none for longer than a moment.

    Parameters
    ----------
    longest : float
        Seconds until a turn is over, though who has it may not be done; and until one who waits
        begins without a turn, however many slow ones are before it. With 0 nobody waits.
    """

    def __init__(self, longest: float) -> None:
        self._longest, self._lock = longest, threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._holder: threading.Lock | None = None
        self._ends = 0.0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a turn, but not for long; it is over with the block."""
        own = threading.Lock()  # until it is released, it is not this one's turn
        own.acquire()
        self._ask(own)
        self._wait(own, time.monotonic() + self._longest)
        try:
            yield
        finally:
            self._leave(own)

    def _ask(self, own: threading.Lock) -> None:
        with self._lock:
            if self._holder is None:
                self._give(own)
            else:
                self._waiting.append(own)

    def _wait(self, own: threading.Lock, until: float) -> None:
        while (now := time.monotonic()) < until:
            if own.acquire(timeout=max(0.0, min(self._ends, until) - now)):
                return
            self._take_what_is_over()
        with self._lock:
            if own in self._waiting:
                self._waiting.remove(own)

    def _take_what_is_over(self) -> None:
        with self._lock:
            if time.monotonic() >= self._ends and self._waiting:
                self._next()

    def _leave(self, own: threading.Lock) -> None:
        with self._lock:
            if self._holder is own:
                self._next()

    def _next(self) -> None:
        self._holder = None
        if self._waiting:
            self._give(self._waiting.popleft())

    def _give(self, one: threading.Lock) -> None:
        self._holder, self._ends = one, time.monotonic() + self._longest
        one.release()


class BalancedWorker(ThreadWorker):
    """A worker whose threads take turns, and that leaves connections to a sibling who has fewer."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._left, self._awaited = 0, 0
        self._turns = Turns(_LONGEST_TURN)

    def load_wsgi(self) -> None:
        """Load the application, which the garbage collector then looks past."""
        super().load_wsgi()
        gc.collect()
        gc.freeze()

    def set_accept_enabled(self, enabled: bool) -> None:
        """Begin to take connections, or end it: when loaded, when full, and to stop."""
        super().set_accept_enabled(enabled)
        self._tell()

    def accept(self, listener: Any) -> None:
        """Take a connection, or leave it for a moment to who has less to do."""
        least = self._least_of_siblings()
        if least != self._awaited:  # who has less to do has taken or lost one: not asleep
            self._left, self._awaited = 0, least
        if self._left < _PATIENCE and least < self._load():
            self._left += 1
            time.sleep(_PAUSE)
            return
        super().accept(listener)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request whose head has come; one that writes waits for the disk, not a turn."""
        with self._turns.taken() if req.method in _READS else nullcontext():
            return super().handle_request(req, conn)

    def enqueue_req(self, conn: Any) -> None:
        """Give a request to a thread."""
        super().enqueue_req(conn)
        self._tell()

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Keep or close the connection of a request that was answered."""
        super().finish_request(conn, fs)
        self._tell()

    def murder_keepalived(self, force: bool = False) -> None:
        """Close connections that were silent for too long."""
        super().murder_keepalived(force)
        self._tell()

    def _load(self) -> int:
        at_work = self.nr_conns - len(self.keepalived_conns) - len(self.pending_conns)
        return int(self.nr_conns) + (_CROWDED if at_work >= self.cfg.threads else 0)

    def _tell(self) -> None:
        """Tell the siblings; nobody waits for one that takes no connections."""
        pid = os.getpid() if self._accepting else 0
        _ROW.pack_into(_loads, self.age % _ROWS * _ROW.size, pid, self._load())

    def _least_of_siblings(self) -> int:
        """Return the least load of another worker that lives."""
        nobody = {0, os.getpid()}
        loads = sorted((load, pid) for pid, load in _ROW.iter_unpack(_loads) if pid not in nobody)
        return next((load for load, pid in loads if _lives(pid)), 2 * _CROWDED)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
