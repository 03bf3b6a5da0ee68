"""Connections to a web server of two workers, each of which takes its share."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from gunicorn.config import Config

from crowetrade_site import web

UNTIL_IT_IS_SEEN = 0.5  # seconds after which a worker has met that clients have left
WHO = """
import gc, os
def application(environ, start_response):
    environ["wsgi.input"].read()
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


class TestTurns:
    """Requests of one worker, as its threads take them up."""

    LONG = 10.0  # seconds that no turn of these tests takes

    def test_are_in_the_order_of_coming(self):
        turns, order = web.Turns(self.LONG), []
        come, go = threading.Event(), threading.Event()

        def first():
            with turns.taken():
                come.set()
                go.wait(self.LONG)

        def other(number):
            with turns.taken():
                order.append(number)

        with ThreadPoolExecutor(6) as pool:
            pool.submit(first)
            come.wait(self.LONG)
            for number in range(5):
                pool.submit(other, number)
                _await(lambda n=number: len(turns._waiting) == n + 1)
            go.set()

        assert order == [0, 1, 2, 3, 4]

    def test_are_never_two_while_each_is_short(self):
        turns, at_work, most = web.Turns(self.LONG), [], []

        def ask(number):
            for _ in range(50):
                with turns.taken():
                    at_work.append(number)
                    time.sleep(0)  # gives the processor away
                    most.append(len(at_work))
                    at_work.remove(number)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ask, range(4)))

        assert most == [1] * 200

    def test_a_slow_one_is_passed_and_ends_beside_the_others(self):
        turns, done = web.Turns(0.02), []
        come, go = threading.Event(), threading.Event()

        def slow():
            with turns.taken():
                come.set()
                go.wait(self.LONG)
            done.append("slow")

        def quick(number):
            with turns.taken():
                done.append(number)

        with ThreadPoolExecutor(4) as pool:
            pool.submit(slow)
            come.wait(self.LONG)
            list(pool.map(quick, range(3)))
            assert sorted(done) == [0, 1, 2]
            go.set()
        assert done[-1] == "slow"
        with turns.taken():  # the slow one, when it ended, took nobody's turn
            assert turns._holder is not None
        assert turns._holder is None

    def test_nobody_waits_for_many_slow_ones(self):
        turns, go, began = web.Turns(0.05), threading.Event(), []

        def slow():
            with turns.taken():
                began.append(time.monotonic())
                go.wait(self.LONG)

        with ThreadPoolExecutor(20) as pool:
            asked = time.monotonic()
            for _ in range(20):
                pool.submit(slow)
            try:
                _await(lambda: len(began) == 20)
            finally:
                go.set()

        assert max(began) - asked < 0.5  # and not 19 turns
        assert not turns._waiting
        assert turns._holder is None

    def test_of_no_length_are_none(self):
        turns, together = web.Turns(0.0), threading.Barrier(3, timeout=self.LONG)

        def ask():
            with turns.taken():
                together.wait()

        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(ask) for _ in range(3)]:
                done.result()

    def test_one_that_fails_gives_its_turn_on(self):
        turns = web.Turns(self.LONG)
        with pytest.raises(ZeroDivisionError), turns.taken():
            1 / 0  # noqa: B018 - it is to fail

        began = time.monotonic()
        with turns.taken():
            assert time.monotonic() - began < self.LONG / 2


def test_reads_that_come_slowly_do_not_hold_up_others(port: int):
    with ExitStack() as kept:
        for _ in range(2):  # fewer than a worker has threads, whoever takes them
            slow = kept.enter_context(_link(port))
            slow.sendall(b"GET / HTTP/1.1\r\nHost: who\r\nContent-Length: 9\r\n\r\nhalf")
        began = time.monotonic()
        for _ in range(4):
            with _link(port) as link:
                _pid(link)
        assert time.monotonic() - began < 2.0


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
