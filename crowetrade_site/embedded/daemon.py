"""The discipline both embedded servers share.

One lock file guards starting and stopping. Whether a server lives is asked of the server
and of the kernel, never read from a pid file. A server gets a session of its own and a log
file, so that it outlives its starter and never blocks on a pipe.
"""

import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from crowetrade_site.embedded import locks, processes
from crowetrade_site.embedded.account import Account
from crowetrade_site.embedded.errors import EmbeddedError
from crowetrade_site.embedded.home import log_dir, open_socket_dir, run_dir, socket_dir, unwritable

LOG_BYTES = 16 * 2**20
FULL_DISK_BYTES = 2**20
# The shell goes at once and the server becomes an orphan: it is no child of ours that
# would turn into a zombie, or that gunicorn's and Celery's waiting for children would meet.
DETACH = ("/bin/sh", "-c", '"$@" </dev/null >&2 & echo $!', "sh")


class Health(StrEnum):
    """What a server answers."""

    ANSWERS = "running"
    BUSY = "not ready"
    SILENT = "stopped"


class Daemon(ABC):
    """One embedded server in its home folder."""

    name: ClassVar[str]
    title: ClassVar[str]
    program: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    orphan_signal: ClassVar[signal.Signals]
    start_seconds: ClassVar[float] = 120.0
    stop_seconds: ClassVar[float] = 60.0
    orphan_seconds: ClassVar[float] = 3.0

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / self.name
        self.sockets = socket_dir(home)

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.home / "log" / f"{self.name}.log"

    @property
    @abstractmethod
    def socket(self) -> Path:
        """The server's socket."""

    @abstractmethod
    def health(self) -> Health:
        """Ask the server how it is."""

    @abstractmethod
    def version(self) -> str:
        """Return the server's version, empty when it cannot be told."""

    @abstractmethod
    def _prepare(self, lock: int) -> Account:
        """Make the data folder ready and return the account the server runs under.

        A program that writes in the home folder must inherit the descriptor of the lock:
        should we be killed, nobody starts before that program has ended too.
        """

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the program and its arguments."""

    def ensure_running(self) -> None:
        """Return when the server answers, starting it when it does not run.

        Raises
        ------
        EmbeddedError
            It cannot be started; the text quotes the end of its log.
        """
        open_socket_dir(self.home)
        if self.is_running() and self._is_complete():
            return
        with self._guard(f"start the {self.title}") as lock:
            if not self._await_listening():
                self._start(lock)
            self._complete()

    def is_running(self) -> bool:
        """Return whether the server answers."""
        return self.health() is Health.ANSWERS

    def pid(self) -> int | None:
        """Return the process that listens on our socket, None when there is none."""
        return processes.listener(self.socket)

    def stop(self) -> None:
        """Shut the server down cleanly and wait until it is gone.

        Raises
        ------
        EmbeddedError
            It did not end in time; it is not killed.
        """
        if not self.folder.is_dir():
            return
        with self._guard(f"stop the {self.title}"):
            for pid in self._principals():
                self._end(pid, self.stop_signal)

    def log_tail(self, lines: int = 8) -> str:
        """Return the last lines of the server's log."""
        return self._log_since(0, lines)

    @abstractmethod
    def _is_complete(self) -> bool:
        """Return whether the running server holds what its users expect."""

    @abstractmethod
    def _complete(self) -> None:
        """Add what the running server must hold; called under the lock."""

    def _clear_leftovers(self) -> None:
        """Remove files that only a living server has; none lives."""
        self.socket.unlink(missing_ok=True)

    def _is_passing(self, _said: str) -> bool:
        """Return whether a failed start is worth another try (a hook)."""
        return False

    def _cure(self, said: str) -> str:
        # A full disk may have had no room for the message either.
        free = shutil.disk_usage(self.home).free
        if "No space left on device" in said or free < FULL_DISK_BYTES:
            return (
                f"Free some space on the disk of {self.home} ({free / 2**20:.1f} MiB are free), "
                "then start again."
            )
        return f"Mend what it complains about; the whole log is {self.log}."

    def _guard(self, purpose: str) -> AbstractContextManager[int]:
        return locks.exclusive(
            run_dir(self.home) / f"{self.name}.lock",
            seconds=self.start_seconds + self.stop_seconds,
            purpose=purpose,
        )

    def _await_listening(self) -> bool:
        """Wait for a server that listens and is not ready yet; False when none listens."""
        pid = self.pid()
        if pid is None:
            return False
        return self._await_answer(processes.hold(pid) if pid else None)

    def _await_answer(self, server: processes.Handle | None) -> bool:
        deadline = time.monotonic() + self.start_seconds
        pause = 0.01
        try:
            while self.health() is not Health.ANSWERS:
                if server is not None and server.ended():
                    return False
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"The {self.title} has not been ready for {self.start_seconds:.0f} s; "
                        f"the end of its log: {self.log_tail()}",
                        cure=f"Wait if it is recovering; otherwise read {self.log}.",
                    )
                time.sleep(pause)
                pause = min(pause * 1.5, 0.2)
        finally:
            if server is not None:
                server.close()
        return True

    def _start(self, lock: int) -> None:
        deadline = time.monotonic() + self.start_seconds
        self._end_strays()
        account = self._prepare(lock)
        self._rotate()
        while True:
            self._clear_leftovers()
            offset = self.log.stat().st_size if self.log.exists() else 0
            pid = self._launch(account)
            server = processes.hold(pid)
            if server is not None and self._await_answer(server):
                return
            said = self._log_since(offset)
            if not self._is_passing(said) or time.monotonic() > deadline:
                raise EmbeddedError(
                    f"The {self.title} does not start; its log ends: {said or '(empty)'}",
                    cure=self._cure(said),
                )
            time.sleep(0.2)

    def _launch(self, account: Account) -> int:
        try:
            with self.log.open("ab") as log:
                shell = subprocess.run(
                    [*DETACH, *account.prefix, *self._command()],
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd="/",
                    env=self._environment(),
                    umask=0o077,
                    start_new_session=True,
                    user=account.uid,
                    group=account.gid,
                    extra_groups=None if account.uid is None else [],
                    check=True,
                )
        except OSError as error:
            raise unwritable(self.log, error) from error
        return int(shell.stdout)

    def _environment(self) -> dict[str, str]:
        """Return the environment of a server: messages in English, no client's settings."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
        return {**kept, "LC_ALL": "C"}

    def _principals(self) -> list[int]:
        """Return the servers of our folder: who listens, else who has no parent among them."""
        pid = self.pid()
        if pid is not None:
            return [pid]
        return processes.serving(self.program, self.folder)

    def _end_strays(self) -> None:
        """End processes of our data folder that no client can reach.

        They are a server whose socket file was removed, a server on its way out, or
        children that outlived a killed server; they get a moment to end by themselves.
        """
        deadline = time.monotonic() + self.orphan_seconds
        while strays := self._strays():
            if time.monotonic() > deadline:
                for pid in strays:
                    self._end(pid, self._signal_for_stray(pid))
            time.sleep(0.05)

    def _strays(self) -> list[int]:
        return processes.serving(self.program, self.folder)

    def _signal_for_stray(self, _pid: int) -> signal.Signals:
        return self.orphan_signal

    def _end(self, pid: int, number: signal.Signals) -> None:
        if pid == 0:
            raise EmbeddedError(
                f"The {self.title} of {self.home} runs in another container.",
                cure="Stop it there.",
            )
        server = processes.hold(pid)
        if server is None:
            return
        with server:
            server.send(number)
            if not server.ended(self.stop_seconds):
                raise EmbeddedError(
                    f"The {self.title} (process {pid}) has not ended within "
                    f"{self.stop_seconds:.0f} s; its log ends: {self.log_tail(3)}",
                    cure="End the programs that still use it and try again.",
                )

    def _rotate(self) -> None:
        log_dir(self.home)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))

    def _log_since(self, offset: int, lines: int = 8) -> str:
        try:
            with self.log.open("rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(offset, end - 16_384))
                text = log.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])
