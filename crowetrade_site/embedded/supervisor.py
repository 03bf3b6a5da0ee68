"""Run several programs as one: start in order, end together, leave nothing behind."""

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Self

from crowetrade_site.embedded import guardian
from crowetrade_site.embedded.children import Child, Running
from crowetrade_site.embedded.echo import Echo
from crowetrade_site.embedded.errors import EmbeddedError

__all__ = ["Child", "Supervisor"]

logger = logging.getLogger(__name__)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TICK_SECONDS = 0.1
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0


class Supervisor:
    """Child processes with one life.

    Parameters
    ----------
    children : sequence of Child
        Started in this order, each when the one before is ready; asked to end last first.
    log_dir : Path
        Where ``<name>.log`` of each is written.
    echo : bool
        Whether their output is shown as well.
    ready_seconds, grace_seconds : float
        How long a child may take to get ready, and to end before it is killed [s].

    Notes
    -----
    SIGINT, SIGTERM and SIGHUP end the children and then `wait`; a second one kills them.
    Each child has a process group of its own, so a Ctrl-C reaches the supervisor alone, and
    only a group's leader is asked to end: Celery's children finish their task. A supervisor
    that is killed itself takes its children along: the kernel sends them SIGTERM and a
    guardian process kills what is left after the grace.

    The kernel ties the children to the *thread* that started them: enter and wait in one
    thread that lives as long, best the main one (others cannot receive signals).
    """

    def __init__(
        self,
        children: Sequence[Child],
        log_dir: Path,
        *,
        echo: bool = False,
        ready_seconds: float = 60.0,
        grace_seconds: float = 20.0,
    ) -> None:
        self._children = children
        self._log_dir = log_dir
        self._wants_echo = echo
        self._ready_seconds = ready_seconds
        self._grace_seconds = grace_seconds
        self._running: dict[str, Running] = {}
        self._due: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._signals = 0
        self._previous: dict[signal.Signals, object] = {}
        self._echo: Echo | None = None
        self._guardian: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start all children; raise EmbeddedError, with nothing left, when one fails.

        A signal meanwhile ends the starting; `wait` then returns at once.
        """
        self._log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._catch_signals()
        try:
            self._start_guardian()
            if self._wants_echo:
                logs = {one.name: self._log_dir / f"{one.name}.log" for one in self._children}
                self._echo = Echo(logs)
            for child in self._children:
                if not self._signals:
                    self._start(child)
                    self._await_ready(child)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End all children."""
        self.stop()

    def wait(self) -> int:
        """Run until a signal (return 0) or until a child ends for good (return its code)."""
        while not self._signals:
            for child in self._children:
                code = self._look_after(child)
                if code is not None:
                    return code
            time.sleep(TICK_SECONDS)
        return 0

    @property
    def is_ending(self) -> bool:
        """Return whether a signal has asked for the end."""
        return self._signals > 0

    def pids(self) -> dict[str, int]:
        """Return the process of each child that runs."""
        return {name: one.group for name, one in self._running.items() if one.code() is None}

    def stop(self) -> None:
        """Ask all children to end, last first, and wait; calling it again does nothing."""
        running = {name: self._running[name] for name in reversed(list(self._running))}
        for one in running.values():
            if one.code() is None:
                one.terminate()
        for name, one in running.items():
            if not one.await_gone(self._grace_seconds, hurry=lambda: self._signals > 1):
                logger.warning("%s did not end when asked and is killed.", name)
                one.kill()
            self._forget(name)
        if self._guardian is not None:
            self._guardian.communicate()
            self._guardian = None
        if self._echo is not None:
            self._echo.close()
            self._echo = None
        self._release_signals()

    def _catch_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._previous = {one: signal.signal(one, self._note_signal) for one in SIGNALS}

    def _release_signals(self) -> None:
        for one, previous in self._previous.items():
            signal.signal(one, previous)  # type: ignore[arg-type]  # as signal() returned it
        self._previous = {}

    def _note_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _start_guardian(self) -> None:
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, str(self._grace_seconds)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _tell_guardian(self, line: str) -> None:
        if self._guardian is not None and self._guardian.stdin is not None:
            with suppress(BrokenPipeError):  # killed: the kernel's signal is left
                self._guardian.stdin.write(line.encode())
                self._guardian.stdin.flush()

    def _start(self, child: Child) -> None:
        one = Running(child, self._log_dir)
        self._running[child.name] = one
        self._tell_guardian(f"+{one.group}\n")

    def _forget(self, name: str) -> None:
        self._tell_guardian(f"-{self._running.pop(name).group}\n")

    def _await_ready(self, child: Child) -> None:
        one = self._running[child.name]
        while child.ready is not None and not self._signals:
            if (code := one.code()) is not None:
                raise EmbeddedError(
                    f"{child.name} ended with code {code} before it was ready; its log ends: "
                    f"{one.log_tail()}",
                    cure=f"The whole log is {one.log}.",
                )
            if child.ready():
                return
            if time.monotonic() - one.started > self._ready_seconds:
                raise EmbeddedError(
                    f"{child.name} is not ready after {self._ready_seconds:.0f} s; its log ends: "
                    f"{one.log_tail()}",
                    cure=f"The whole log is {one.log}.",
                )
            time.sleep(TICK_SECONDS / 2)

    def _look_after(self, child: Child) -> int | None:
        """Restart a child that ended, or return its code when it is not to be restarted."""
        if (due := self._due.get(child.name)) is not None:
            if time.monotonic() >= due:
                del self._due[child.name]
                self._start(child)
            return None
        one = self._running.get(child.name)
        if one is None or (code := one.code()) is None:
            return None
        if not child.restarts:
            logger.error("%s ended with code %d; its log is %s.", child.name, code, one.log)
            return code
        self._plan_restart(one, code)
        return None

    def _plan_restart(self, one: Running, code: int) -> None:
        name = one.child.name
        steady = time.monotonic() - one.started > STEADY_SECONDS
        pause = FIRST_PAUSE_SECONDS if steady else self._pauses.get(name, FIRST_PAUSE_SECONDS)
        self._pauses[name] = min(pause * 2, LONGEST_PAUSE_SECONDS)
        self._due[name] = time.monotonic() + pause
        logger.warning("%s ended with code %d and is restarted in %.0f s.", name, code, pause)
        one.kill()
        self._forget(name)
