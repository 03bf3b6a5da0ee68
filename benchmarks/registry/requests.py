"""Reads and searches over HTTP, of eight clients."""

import hashlib
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.measure import quantile, table
from benchmarks.registry.rows import CLIENTS, EACH_MODEL, FITS, MARKETS, METHODS, Names
from benchmarks.registry.server import ADDRESS

SECONDS = 1.5
PACE = 10.0  # requests a second of each client
PACED_SECONDS = 4.0  # of 320 requests: a p99 of half as many is the worst of a moment
MLFLOW = "/api/2.0/mlflow/model-versions/search"


def measure_requests(names: Names, n_rounds: int) -> None:
    """Print what each kind of request takes, of clients at full speed and at a steady pace."""
    rows: list[tuple[str, ...]] = [
        ("request", "alone p50", f"{CLIENTS} paced p50", "p99", f"{CLIENTS} at once p50", "p99",
         "a second", "CPU ms", "load")
    ]  # fmt: skip
    sys.setswitchinterval(0.0005)  # a client that reads does not wait for another that writes
    for name, ask in _kinds(names).items():
        _rate(names, ask, SECONDS / 4, CLIENTS)  # connections, plans, caches
        alone = min(quantile(_rate(names, ask, SECONDS / 4, 1)[0], 0.5) for _ in range(n_rounds))
        paced = [_rate(names, ask, PACED_SECONDS, CLIENTS, PACE)[0] for _ in range(n_rounds)]
        before, n_done, closed = _cpu(), 0, []
        for _ in range(n_rounds):
            seconds, each = _rate(names, ask, SECONDS, CLIENTS)
            closed.append(seconds)
            n_done += each
        spent = _since(before)
        least = [
            f"{1000 * min(quantile(one, share) for one in rounds):.1f}"
            for rounds in (paced, closed) for share in (0.5, 0.99)
        ]  # fmt: skip
        most = max(len(one) for one in closed) / SECONDS
        rows.append(
            (name, f"{1000 * alone:.1f}", *least, f"{most:.0f}",
             f"{1000 * spent / n_done:.1f}", f"{os.getloadavg()[0]:.1f}")
        )  # fmt: skip
        print(" ".join(rows[-1]), flush=True)
    print()
    table(rows)


def _kinds(names: Names) -> dict[str, Callable[[random.Random], str]]:
    """Return paths by what is asked for; each time of something else."""

    def versions(**query: Any) -> str:
        return f"/api/v1/versions/?{urlencode(query)}"

    def mlflow(text: str, **query: Any) -> str:
        return f"{MLFLOW}?{urlencode({'filter': text, 'max_results': 50} | query)}"

    def dataset(chance: random.Random) -> str:
        return hashlib.sha256(f"data {chance.randrange(500)}".encode()).hexdigest()

    return {
        "version by id": lambda c: f"/api/v1/versions/{c.choice(names.versions)}/",
        "MLflow: version by name, number": lambda c: (
            "/api/2.0/mlflow/model-versions/get?"
            f"{urlencode({'name': c.choice(names.models), 'version': c.randint(1, EACH_MODEL)})}"
        ),
        "MLflow: version by alias": lambda c: (
            "/api/2.0/mlflow/registered-models/alias?"
            f"{urlencode({'name': c.choice(names.models), 'alias': 'champion'})}"
        ),
        "newest versions": lambda _: versions(),
        "by model": lambda c: versions(model=c.choice(names.models)),
        "by stage and format": lambda c: versions(
            stage="production", format=c.choice(("onnx", "skops"))
        ),
        "by a common tag": lambda c: versions(tag=f"market:{c.choice(MARKETS)}"),
        "by a rare tag": lambda c: versions(tag=f"batch:{c.randrange(1000)}"),
        "by dataset": lambda c: versions(dataset=dataset(c)),
        "by digest": lambda _: versions(digest="0" * 64),
        "by author and status": lambda c: versions(
            created_by=f"client-{c.randrange(CLIENTS)}", status="quarantined"
        ),
        "by alias": lambda _: versions(alias="champion"),
        "word, many have it": lambda c: versions(q=c.choice(MARKETS)),
        "two words": lambda c: versions(q=f"{c.choice(FITS)} {c.choice(MARKETS)}"),
        "word, one has it": lambda c: versions(q=f"{c.randrange(10_000, 99_999)}"),
        "beginning of a word": lambda c: versions(q=c.choice(METHODS)[:4]),
        "word, none has it": lambda _: versions(q="zebra"),
        "MLflow: name =": lambda c: mlflow(f"name = '{c.choice(names.models)}'"),
        "MLflow: name LIKE, beginning": lambda c: mlflow(f"name LIKE '{c.choice(METHODS)}%'"),
        "MLflow: name ILIKE, middle": lambda c: mlflow(f"name ILIKE '%{c.choice(MARKETS)}%'"),
        "MLflow: tag =": lambda c: mlflow(f"tags.market = '{c.choice(MARKETS)}'"),
        "MLflow: rare tag =": lambda c: mlflow(f"tags.batch = '{c.randrange(1000)}'"),
        "MLflow: tag LIKE": lambda c: mlflow(f"tags.fit LIKE '{c.choice(FITS)[:3]}%'"),
        "MLflow: run_id =": lambda c: mlflow(f"run_id = '{c.randrange(100_000):032x}'"),
        "MLflow: source =": lambda c: mlflow(f"source_path = 'desk/{c.choice(names.models)}/7'"),
        "MLflow: source LIKE": lambda c: mlflow(f"source_path LIKE '%{c.choice(names.models)}%'"),
        "MLflow: source LIKE, many": lambda c: mlflow(f"source_path LIKE '%{c.choice(METHODS)}%'"),
        "MLflow: source ILIKE, none": lambda _: mlflow("source_path ILIKE '%zebra%'"),
        "MLflow: by creation": lambda _: mlflow("", order_by="creation_timestamp DESC"),
        "MLflow: by name": lambda _: mlflow("", order_by="name ASC"),
        "MLflow: stage =": lambda _: mlflow("tags.`registry.stage` = 'production'"),
    }


def _rate(
    names: Names, ask: Callable[[random.Random], str], seconds: float, n_clients: int,
    pace: float = 0.0,
) -> tuple[list[float], int]:  # fmt: skip
    """Return the seconds of each request of so many clients, and how many there were."""

    def client(number: int) -> list[float]:
        taken: list[float] = []
        chance = random.Random(number + time.time_ns())  # noqa: S311 - a draw of rows
        link = _Link(names.tokens[number])
        end, due = time.perf_counter() + seconds, time.perf_counter()
        due += chance.random() / pace if pace else 0.0
        while time.perf_counter() < end:
            if pace:
                time.sleep(max(0.0, due - time.perf_counter()))
                due += 1 / pace
            taken.append(link.get(ask(chance)))
        link.close()
        return taken

    with ThreadPoolExecutor(n_clients) as pool:
        found = [one for taken in pool.map(client, range(n_clients)) for one in taken]
    return found, len(found)


class _Link:
    """A connection that stays open; its answers are read and not parsed, at little cost."""

    def __init__(self, token: str) -> None:
        self._socket = socket.create_connection(ADDRESS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._head = f"Host: {ADDRESS[0]}\r\nAuthorization: Bearer {token}\r\n\r\n"

    def get(self, path: str) -> float:
        began = time.perf_counter()
        self._socket.sendall(f"GET {path} HTTP/1.1\r\n{self._head}".encode())
        status = self._file.readline()
        size = 0
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                size = int(value)
        body = self._file.read(size)
        taken = time.perf_counter() - began
        if b" 200 " not in status:
            sys.exit(f"{path}: {status!r} {body[:300]!r}")
        return taken

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def _cpu() -> dict[str, int]:
    """Return the ticks that each web process and database session of ours has used."""
    ticks = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            if b"crowetrade_bench" in words or f"{ADDRESS[0]}:{ADDRESS[1]}".encode() in words:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                ticks[folder.name] = int(fields[11]) + int(fields[12])
        except OSError:  # it has ended
            continue
    return ticks


def _since(before: dict[str, int]) -> float:
    """Return the seconds of processors since then; a session that has ended since is left out."""
    ticks = sum(used - before.get(name, 0) for name, used in _cpu().items())
    return ticks / os.sysconf("SC_CLK_TCK")
