"""The compiled kernels of a worker process: loaded in the background, compiled once per version.

A process that has just started takes work at once. What needs kernels waits for them under a phase
that says so; imports and uploads wait for nothing.
"""

import fcntl
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
_COMPLETE, _LOCK = "complete", "lock"  # beside the machine code


def begin() -> threading.Thread:
    """Start to load or compile the kernels of this process; once, however often it is called.

    What went wrong is in the log, and who comes next begins anew.
    """
    if _has_failed.is_set():
        _has_failed.clear()
        _begun.cache_clear()
    return _begun()


@cache
def _begun() -> threading.Thread:
    from backtests.jobs import backtest  # noqa: F401 - no two threads may import it at once

    thread = threading.Thread(target=_warm_up_or_tell, name="warm-up", daemon=True)
    thread.start()
    return thread


def _warm_up_or_tell() -> None:
    try:
        warm_up()
    except Exception:  # nobody joins the thread to be told
        logger.exception("The kernels could not be made ready in the background")
        _has_failed.set()


def warm_up() -> None:
    """Load every kernel; where another process compiles them, wait and load what it has made."""
    from backtests.jobs import backtest

    if is_compiled():
        backtest.warm_up()
        return
    with _alone():
        backtest.warm_up()


def await_kernels(lease: Lease) -> None:
    """Wait until this process has its kernels, and let the page say why.

    Raises
    ------
    Cancelled, LeaseLost
        As `Lease.progress`: nobody waits for a compiler in vain.
    """
    if not settings.WARM_UP and is_compiled():
        return
    thread = begin()
    while thread.is_alive():
        lease.phase(LOADING if is_compiled() else COMPILING)
        thread.join(LOOK_EVERY)


def is_compiled() -> bool:
    """Return whether these sources were compiled on this machine to the end."""
    return (_directory() / _COMPLETE).exists()


@contextmanager
def _alone() -> Iterator[None]:
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
        (_directory() / _COMPLETE).touch()


def _directory() -> Path:
    from numerics.compilation import cache_directory  # imports the compiler

    return cache_directory()
