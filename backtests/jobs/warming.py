"""The compiled kernels of a worker process: loaded in the background, compiled once per version.

A process that has just started takes work at once. What needs kernels waits for them under a phase
that says so; imports and uploads wait for nothing. The engine's come first, so that a backtest does
not wait for those of replays.
"""

import fcntl
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings

from backtests.jobs.lease import Lease

COMPILING: Final = "compiling, once per version: about 40 s"
LOADING: Final = "loading the engine"
LOOK_EVERY: Final = 0.25
# Between tries of what failed: doubled each time, up to the second.
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 30.0, 3600.0
logger = logging.getLogger(__name__)
_LOCK = "lock"  # beside the machine code


class Kernels(StrEnum):
    """What is made ready, in this order; named by the mark beside its machine code."""

    ENGINE = "complete"
    REPLAYS = "complete-replays"


class Failures:
    """How often each kind of kernel could not be made ready, and when it may be tried again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed: dict[Kernels, tuple[int, float]] = {}

    def note(self, kernels: Kernels, at: float) -> None:
        """Count one more; the next try waits twice as long as this one did."""
        with self._lock:
            times = self._failed.get(kernels, (0, 0.0))[0] + 1
            pause = min(PAUSE_SECONDS * 2 ** (times - 1), LONGEST_PAUSE_SECONDS)
            self._failed[kernels] = times, at + pause

    def take_due(self, kernels: Kernels, at: float) -> bool:
        """Whether a kind failed and its pause is over; of many who ask, one is told so."""
        with self._lock:
            times, due_at = self._failed.get(kernels, (0, 0.0))
            if not times or at < due_at:
                return False
            self._failed[kernels] = times, float("inf")  # until the try has ended
            return True

    def forget(self, kernels: Kernels) -> None:
        """Let a kind that is ready begin without a pause, should it ever fail again."""
        with self._lock:
            self._failed.pop(kernels, None)


class WarmUp(threading.Thread):
    """Makes kernels ready in the background, and knows which are, and which could not be."""

    def __init__(self, wanted: Iterable[Kernels] = Kernels) -> None:
        super().__init__(name="warm-up", daemon=True)
        self.wanted = tuple(wanted)
        self.ready = {kernels: threading.Event() for kernels in Kernels}
        self.ended = {kernels: threading.Event() for kernels in self.wanted}

    def run(self) -> None:
        """Load or compile each kind; nobody joins the thread to be told what went wrong."""
        for kernels in self.wanted:
            try:
                _make_ready(kernels)
            except Exception:
                logger.exception(
                    "Kernels could not be made ready in the background",
                    extra={"kernels": kernels.name.lower()},
                )
                _failures.note(kernels, time.monotonic())
            else:
                _failures.forget(kernels)
                self.ready[kernels].set()
            self.ended[kernels].set()


_failures = Failures()


def begin() -> WarmUp:
    """Start to load or compile the kernels of this process; once, however often it is called.

    What went wrong is in the log.
    """
    return _begun()


@cache
def _begun() -> WarmUp:
    return _started(WarmUp())


def _started(thread: WarmUp) -> WarmUp:
    from backtests.jobs import backtest, replaying  # noqa: F401 - no two threads at once may

    thread.start()
    return thread


def warm_up() -> None:
    """Load every kernel; where another process compiles them, wait and load what it has made."""
    for kernels in Kernels:
        _make_ready(kernels)


def _make_ready(kernels: Kernels) -> None:
    from backtests.jobs import backtest, replaying

    load = {Kernels.ENGINE: backtest.warm_up, Kernels.REPLAYS: replaying.warm_up}[kernels]
    if is_compiled(kernels):
        load()
        return
    with _alone(kernels):
        load()


def await_kernels(lease: Lease, kernels: Kernels = Kernels.ENGINE) -> None:
    """Wait until this process has the kernels that it needs, and let the page say why.

    A kind that could not be made ready is tried again for whoever needs it, after a pause that
    grows; meanwhile it is compiled where it is called. No other kind is touched.

    Raises
    ------
    Cancelled, LeaseLost
        As `Lease.progress`: nobody waits for a compiler in vain.
    """
    if not settings.WARM_UP and is_compiled(kernels):
        return
    thread = begin()
    if _failures.take_due(kernels, time.monotonic()):
        thread = _started(WarmUp([kernels]))
    while thread.is_alive() and not thread.ended[kernels].is_set():
        lease.phase(LOADING if is_compiled(kernels) else COMPILING)
        thread.ended[kernels].wait(LOOK_EVERY)


def is_compiled(kernels: Kernels = Kernels.ENGINE) -> bool:
    """Return whether these sources were compiled on this machine to the end."""
    return (_directory() / kernels).exists()


@contextmanager
def _alone(kernels: Kernels) -> Iterator[None]:
    """Let one process compile at a time, and note that it has; without a folder, all do."""
    try:
        _directory().mkdir(parents=True, exist_ok=True)
        lock = (_directory() / _LOCK).open("w")
    except OSError:
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        (_directory() / kernels).touch()


def _directory() -> Path:
    from numerics.compilation import cache_directory  # imports the compiler

    return cache_directory()
