"""The compiled kernels of a worker process: loaded in the background, compiled once per version.

A process that has just started takes work at once. What needs kernels waits for them under a phase
that says so; imports and uploads wait for nothing. The engine's come first, so that a backtest does
not wait for those of replays.
"""

import fcntl
import logging
import threading
from collections.abc import Iterator
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
logger = logging.getLogger(__name__)
_has_failed = threading.Event()
_LOCK = "lock"  # beside the machine code


class Kernels(StrEnum):
    """What is made ready, in this order; named by the mark beside its machine code."""

    ENGINE = "complete"
    REPLAYS = "complete-replays"


class WarmUp(threading.Thread):
    """Makes kernels ready in the background, and knows which are."""

    def __init__(self) -> None:
        super().__init__(name="warm-up", daemon=True)
        self.ready = {kernels: threading.Event() for kernels in Kernels}

    def run(self) -> None:
        """Load or compile all; nobody joins the thread to be told what went wrong."""
        try:
            for kernels in Kernels:
                _make_ready(kernels)
                self.ready[kernels].set()
        except Exception:
            logger.exception("The kernels could not be made ready in the background")
            _has_failed.set()


def begin() -> WarmUp:
    """Start to load or compile the kernels of this process; once, however often it is called.

    What went wrong is in the log, and who comes next begins anew.
    """
    if _has_failed.is_set():
        _has_failed.clear()
        _begun.cache_clear()
    return _begun()


@cache
def _begun() -> WarmUp:
    from backtests.jobs import backtest, replaying  # noqa: F401 - no two threads at once may

    thread = WarmUp()
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

    Raises
    ------
    Cancelled, LeaseLost
        As `Lease.progress`: nobody waits for a compiler in vain.
    """
    if not settings.WARM_UP and is_compiled(kernels):
        return
    thread = begin()
    while thread.is_alive() and not thread.ready[kernels].is_set():
        lease.phase(LOADING if is_compiled(kernels) else COMPILING)
        thread.ready[kernels].wait(LOOK_EVERY)


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
