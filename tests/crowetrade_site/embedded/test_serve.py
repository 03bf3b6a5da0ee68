"""`manage.py serve` as a user runs it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from crowetrade_site.core.management.commands import serve
from crowetrade_site.embedded import processes
from tests.crowetrade_site.embedded.conftest import PROJECT
from tests.crowetrade_site.embedded.faults import wait_until

OURS = {"DATABASE_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE"}


def start(home, *arguments):
    return subprocess.Popen(
        [sys.executable, "-u", "manage.py", "serve", *arguments],
        cwd=PROJECT,
        env={
            **{name: text for name, text in os.environ.items() if name not in OURS},
            "CROWETRADE_HOME": str(home),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def group_members(home):
    """Return the processes that were started for a home folder."""
    mark = f"CROWETRADE_HOME={home}".encode()
    found = []
    for entry in processes.PROC.iterdir():
        try:
            if entry.name.isdecimal() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


class TestServe:
    @pytest.mark.faults
    def test_serves_until_ctrl_c_and_leaves_nothing_running(self, home, port):
        process = start(home, "--port", str(port), "--workers", "1", "--concurrency", "1")
        try:
            starting, first, second = (process.stdout.readline() for _ in range(3))
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready") as answer:
                body = json.load(answer)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
            process.communicate()

        assert starting.startswith("Starting ")
        assert re.fullmatch(r"User admin, password \S{12,} \(shown this once\)\.\n", first)
        assert second.startswith(f"CroweTrade is at http://127.0.0.1:{port}/ ")
        assert second.endswith(" Ctrl-C ends it.\n")
        assert body["status"] == "ready"
        assert (process.returncode, out) == (0, ""), err
        wait_until(lambda: not group_members(home))

    def test_says_in_one_line_that_the_port_is_taken(self, home):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = other.getsockname()[1]

            process = start(home, "--port", str(taken))
            _, err = process.communicate(timeout=60)

        assert process.returncode == 1
        assert err == (
            f"CommandError: Cannot listen on 127.0.0.1:{taken}: Address already in use. "
            "End what uses it, or choose another with --host and --port "
            "(make serve ARGS='--port 8001').\n"
        )
        assert not (home / "postgres").exists()


class TestQueues:
    def test_are_the_default_one_and_those_of_the_routes(self):
        assert serve.queues() == ["batch", "interactive", "upkeep"]


class TestAuthority:
    @pytest.mark.parametrize(
        ("host", "text"), [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("h", "h:80")]
    )
    def test_brackets_what_has_colons(self, host, text):
        assert serve.authority(host, 80) == text
