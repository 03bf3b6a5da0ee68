"""Real servers in home folders of their own; nothing may live on after a test."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from crowetrade_site.embedded import processes
from crowetrade_site.embedded.broker import Broker
from crowetrade_site.embedded.home import socket_dir
from crowetrade_site.embedded.postgres import Postgres
from tests.crowetrade_site.embedded.faults import wait_until

PROJECT = Path(__file__).resolve().parents[3]


def leave_nothing(home: Path) -> None:
    """Kill the servers of one home folder, found by their working directory."""
    for daemon in (Postgres(home), Broker(home)):
        for pid in processes.serving(daemon.program, daemon.folder):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda d=daemon: not processes.serving(d.program, d.folder))
    if socket_dir(home).parent != home:
        shutil.rmtree(socket_dir(home), ignore_errors=True)


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a short path: sockets have room for 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="ct-"))
    yield folder
    leave_nothing(folder)
    shutil.rmtree(folder)


class Clients:
    """Python processes that use one home folder."""

    def __init__(self, home: Path) -> None:
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("COV_")},
            "CROWETRADE_HOME": str(home),
            "PYTHONPATH": str(PROJECT),
        }
        self.started: list[subprocess.Popen[str]] = []

    def start(self, code: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.environment, **environment},
        )
        self.started.append(process)
        return process

    def run(self, code: str, **environment: str) -> str:
        out, err = self.start(code, **environment).communicate(timeout=90)
        assert not err, err
        return out.strip()

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate()


@pytest.fixture
def clients(home: Path) -> Iterator[Clients]:
    """Start client processes; they are gone before the home folder is."""
    made = Clients(home)
    yield made
    made.close()
