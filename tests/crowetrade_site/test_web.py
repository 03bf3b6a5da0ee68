"""Connections to a web server of two workers, each of which takes its share."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from gunicorn.config import Config

from crowetrade_site import web

UNTIL_IT_IS_SEEN = 0.5  # seconds after which a worker has met that clients have left
WHO = """
import gc, os
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "8")])
    if environ["PATH_INFO"] == "/frozen":
        return [b"%08d" % gc.get_freeze_count()]
    return [b"%08d" % os.getpid()]
"""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Serve the number of the process that answers, from two workers of four threads."""
    (tmp_path / "who.py").write_text(WHO)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "who", "--bind", f"127.0.0.1:{port}"),
            *("--worker-class", "crowetrade_site.web.BalancedWorker", "--no-control-socket"),
            *("--workers", "2", "--threads", "4", "--pythonpath", str(tmp_path)),
        ],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _await(lambda: len(_pids(port, 8)) == 2)
        yield port
    finally:
        server.terminate()
        server.wait()


def test_clients_that_stay_are_shared_evenly(port: int):
    for _ in range(3):
        time.sleep(UNTIL_IT_IS_SEEN)
        assert sorted(_pids(port, 8).values()) == [4, 4]


def test_who_leaves_makes_room_for_who_comes(port: int):
    time.sleep(UNTIL_IT_IS_SEEN)
    with ExitStack() as kept:
        links = [kept.enter_context(_link(port)) for _ in range(8)]
        homes = [_pid(link) for link in links]
        crowd = homes[0]
        for link, home in zip(links, homes, strict=True):
            if home != crowd:
                link.close()

        time.sleep(UNTIL_IT_IS_SEEN)
        assert crowd not in _pids(port, 4)


def test_a_sibling_that_was_killed_is_not_waited_for(port: int):
    time.sleep(UNTIL_IT_IS_SEEN)
    one = next(iter(_pids(port, 8)))
    os.kill(one, signal.SIGKILL)
    began = time.monotonic()

    for _ in range(4):
        with _link(port) as link:
            assert _pid(link) != one
    assert time.monotonic() - began < 2.0


def test_what_is_loaded_is_looked_past_by_the_garbage_collector(port: int):
    with _link(port) as link:
        assert _ask(link, "/frozen") > 10_000


def test_a_sibling_that_takes_no_connections_is_not_waited_for():
    worker = web.BalancedWorker(1, 0, [], None, 30, Config(), None)
    told = []
    for is_accepting in (True, False, True):
        worker.set_accept_enabled(is_accepting)
        told.append(next(web._ROW.iter_unpack(web._loads[web._ROW.size :]))[0])
    worker.tmp.close()

    assert told == [os.getpid(), 0, os.getpid()]


def _pids(port: int, n_clients: int) -> Counter[int]:
    """Return how many of clients that stay each worker has."""
    with ExitStack() as kept:
        links = [kept.enter_context(_link(port)) for _ in range(n_clients)]
        return Counter([_pid(link) for link in links])


@contextmanager
def _link(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        yield link


def _pid(link: socket.socket) -> int:
    return _ask(link, "/")


def _ask(link: socket.socket, path: str) -> int:
    link.sendall(f"GET {path} HTTP/1.1\r\nHost: who\r\n\r\n".encode())
    answer = b""
    while not (body := answer.partition(b"\r\n\r\n")[2]) or len(body) < 8:
        piece = link.recv(4096)
        assert piece, answer
        answer += piece
    return int(body)


def _await(is_so: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if is_so():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("It has not come to pass.")
