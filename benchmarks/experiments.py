"""Experiments over HTTP: units that ask for their arms, outcomes that come in, sums that are read.

    python -m benchmarks experiments                     all of it
    python -m benchmarks experiments --seconds 30 --outcomes 2000000

Everything runs on a throw-away home folder with the embedded servers; a web server of two workers
assigns, one of one worker takes outcomes. Clients are threads of this process with sockets of their
own, each with one request at a time. Bodies are written before the clock runs.
"""

import argparse
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.measure import free_port, table

HOST = "127.0.0.1"
N_CLIENTS = 8
PACE = 50.0  # requests a second of each client, where they do not ask as fast as they can
BATCH = 1_000
BATCHES_AT_A_TIME = 2
START = 1_767_571_200_000_000_000  # 2026-01-05 [UTC ns]
PLAN = {
    "hypothesis": "It is fast enough.",
    "arms": [{"name": "champion", "control": True}, {"name": "challenger"}],
    "metrics": [{"name": "return", "role": "primary"}],
    "analysis": {"horizon_periods": 500},
}
SETUP = """
import django; django.setup()
import json, sys
from datetime import UTC, datetime
from crowetrade_site.core.services import console_user, issue_token
from experiments import services
user, at = console_user(), datetime(2026, 1, 5, tzinfo=UTC)
found = {}
for name, design in (("units", "assigned"), ("json", "shadow"), ("arrow", "shadow"),
                     ("assigned", "assigned")):
    plan = json.loads(sys.argv[1]) | {"name": name, "design": design}
    draft = services.create_experiment(document=plan, actor=user, at=at)
    services.start_experiment(experiment_id=draft.public_id, actor=user, at=at)
    found[name] = str(draft.public_id)
found["token"] = issue_token(
    user=user, name="benchmark", scopes=["experiments:feed"], actor=user, at=at)[1]
print(json.dumps(found))
"""
EXPOSE = """
import django; django.setup()
import sys
from django.db import connection
from experiments.models import Experiment
one = Experiment.objects.get(public_id=sys.argv[1])
arms = [arm.pk for arm in one.arms.order_by("position")]
with connection.cursor() as cursor:
    cursor.execute("INSERT INTO experiments_exposure (experiment_id, unit, arm_id, allocation, "
        "probability, is_override, at, attributes) SELECT %s, 'unit-' || n, "
        "(%s::bigint[])[1 + n %% 2], 1, 0.5, false, %s, '{}' FROM generate_series(0, 99999) AS n",
        [one.pk, arms, one.started_at])
"""
SUMS = """
import django; django.setup()
import json, sys, time
import numpy as np
from django.db import connection
from experiments import selectors
from experiments.models import Experiment
from experiments.plans.analysis import analyze
from experiments.plans.observed import Observed
from experiments.plans.decisions import decide
one = Experiment.objects.get(public_id=sys.argv[1])
metric, plan = one.metrics.get(), selectors.plan_of(one)
arms = [arm.pk for arm in one.arms.order_by("position")]
with connection.cursor() as cursor:
    cursor.execute("DELETE FROM experiments_periodstatistic WHERE metric_id = %s", [metric.pk])
    cursor.execute("INSERT INTO experiments_periodstatistic (experiment_id, metric_id, arm_id, "
        "allocation, period, shard, n, total, squares, x_total, x_squares, x_product, changed_at) "
        "SELECT %s, %s, arm, 1, p * 86400000000000, s, 625, random(), random(), 0, 0, 0, now() "
        "FROM unnest(%s::bigint[]) AS arm, generate_series(1, 1000) AS p, "
        "generate_series(0, 7) AS s", [one.pk, metric.pk, arms])
    cursor.execute("ANALYZE experiments_periodstatistic")
reading, whole = [], []
for _ in range(7):
    began = time.perf_counter()
    sums = selectors.period_table(metric.pk)
    reading.append(time.perf_counter() - began)
    findings = analyze(plan, Observed({metric.name: sums}))
    decide(findings, control=plan.control.name)
    whole.append(time.perf_counter() - began)
assert float(np.sum(sums.n)) == 1e7, sums.n.sum()
print(json.dumps([len(sums.n), min(reading), min(whole), max(whole)]))
"""
COUNTED = """
import django; django.setup()
import json, sys
from django.db import connection
from experiments import selectors
from experiments.models import Experiment
one = Experiment.objects.get(public_id=sys.argv[1])
with connection.cursor() as cursor:
    counts = []
    for name in ("outcomekey", "outcome"):
        query = f"SELECT count(*) FROM experiments_{name} WHERE experiment_id = %s"
        cursor.execute(query, [one.pk])
        counts.append(cursor.fetchone()[0])
print(json.dumps([*counts, int(selectors.period_table(one.metrics.get().pk).n.sum())]))
"""


def main() -> None:
    """Print the times of assignments, the outcomes a second, and the time of reading sums."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks experiments", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of assignments")
    parser.add_argument("--outcomes", type=int, default=200_000, help="of each kind")
    words = sys.argv[2:] if sys.argv[1:2] == ["experiments"] else sys.argv[1:]
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="ct-bench-") as folder:
        site = _Site(Path(folder))
        found = json.loads(site.python(SETUP, json.dumps(PLAN)))
        site.python(EXPOSE, found["assigned"])
        print(f"  load {os.getloadavg()[0]:.1f}")
        with site.web(workers=2):
            _measure_assignments(site, found, asked.seconds)
        with site.web(workers=1):
            _measure_outcomes(site, found, asked.outcomes)
        n_rows, reading, least, most = json.loads(site.python(SUMS, found["json"]))
        print()
        table(
            [
                ("10,000,000 outcomes, by sums", "rows", "reading ms", "analysis ms", "first ms"),
                ("1,000 periods, 2 arms, 8 shards", f"{n_rows:,}", f"{1000 * reading:.1f}",
                 f"{1000 * least:.1f}", f"{1000 * most:.1f}"),
            ]
        )  # fmt: skip
        time.sleep(1.0)  # the embedded servers stop with their last user


def _measure_assignments(site: "_Site", found: dict[str, str], seconds: float) -> None:
    address = Address(site.port, f"/api/v1/experiments/{found['units']}/assign/")
    rows: list[tuple[str, ...]] = [
        ("assignments, 2 workers, 8 clients", "a second", "p50 ms", "p99 ms", "worst ms")
    ]
    _clients(address, found["token"], _units("warm"), 2.0)
    for name, prefix, pace in (
        ("units that are new", "new", 0.0),
        ("units that have met their arm", "new", 0.0),
        (f"new ones, {PACE:.0f} a second of each client", "paced", PACE),
    ):
        again = name.endswith("arm")
        units = _units(prefix, again=again)
        times = _clients(address, found["token"], units, seconds, pace)
        p50, p99 = np.percentile(times, [50, 99]) * 1000
        rows.append(
            (name, f"{len(times) / seconds:,.0f}", f"{p50:.1f}", f"{p99:.1f}",
             f"{1000 * max(times):.1f}")
        )  # fmt: skip
    print()
    table(rows)


def _units(prefix: str, *, again: bool = False) -> Callable[[int, int], bytes]:
    def body(client: int, number: int) -> bytes:
        name = f"{prefix}-{client}-{number % 100 if again else number}"
        return json.dumps({"unit": name}).encode()

    return body


def _clients(
    address: "Address", token: str, body: Callable[[int, int], bytes], seconds: float,
    pace: float = 0.0,
) -> list[float]:  # fmt: skip
    """Return the seconds of every request of eight clients, each with one at a time.

    At full speed, or so many a second of each.
    """
    end = time.perf_counter() + seconds

    def client(number: int) -> list[float]:
        times, line = [], Line(address, token, "application/json")
        due = time.perf_counter() + (number / N_CLIENTS / pace if pace else 0.0)
        while time.perf_counter() < end:
            if pace:
                time.sleep(max(0.0, due - time.perf_counter()))
                due += 1.0 / pace
            began = time.perf_counter()
            line.post(body(number, len(times)))
            times.append(time.perf_counter() - began)
        return times

    with ThreadPoolExecutor(N_CLIENTS) as pool:
        return [one for times in pool.map(client, range(N_CLIENTS)) for one in times]


def _measure_outcomes(site: "_Site", found: dict[str, str], n_outcomes: int) -> None:
    rows: list[tuple[str, ...]] = [
        ("outcomes, 1 worker, batches of 1,000", "outcomes", "s", "a second", "server CPU ms/batch")
    ]
    kinds = (("JSON", "json", "application/json"),
             ("Arrow", "arrow", "application/vnd.apache.arrow.stream"),
             ("JSON, by unit", "assigned", "application/json"))  # fmt: skip
    for name, key, kind in kinds:
        write = _arrow if key == "arrow" else _json
        bodies = [write(at, by_unit=key == "assigned") for at in range(0, n_outcomes, BATCH)]
        address = Address(site.port, f"/api/v1/experiments/{found[key]}/outcomes/")
        Line(address, found["token"], kind).post(bodies[0])  # the first loads and reads the plan
        spent, began = site.cpu(), time.perf_counter()
        with ThreadPoolExecutor(BATCHES_AT_A_TIME) as pool:
            parts = [bodies[1 + at :: BATCHES_AT_A_TIME] for at in range(BATCHES_AT_A_TIME)]
            list(pool.map(partial(_send, address, found["token"], kind), parts))
        took, spent = time.perf_counter() - began, site.cpu() - spent
        n_sent = (len(bodies) - 1) * BATCH
        counts = json.loads(site.python(COUNTED, found[key]))
        if counts != [n_outcomes] * 3:
            sys.exit(f"{n_outcomes} outcomes were sent; keys, rows and sums have {counts}.")
        each = 1000 * spent / (len(bodies) - 1)
        rows.append((name, f"{n_sent:,}", f"{took:.1f}", f"{n_sent / took:,.0f}", f"{each:.1f}"))
    print()
    table(rows)


def _send(address: "Address", token: str, kind: str, bodies: Iterable[bytes]) -> None:
    line = Line(address, token, kind)
    for body in bodies:
        answer = json.loads(line.post(body))
        assert answer["accepted"] == BATCH, answer  # noqa: S101


def _json(first: int, *, by_unit: bool) -> bytes:
    rng = np.random.default_rng(first)
    values = rng.standard_normal(BATCH)
    whose = [{"unit": f"unit-{n}"} for n in rng.integers(0, 100_000, BATCH)] if by_unit else [
        {"arm": ("champion", "challenger")[n % 2]} for n in range(BATCH)
    ]  # fmt: skip
    rows = [
        {
            "metric": "return",
            "value": float(value),
            "at": START + (first + n) * 1_000_000_000,
            **one,
        }
        for n, (value, one) in enumerate(zip(values, whose, strict=True))
    ]
    return json.dumps({"outcomes": rows}).encode()


def _arrow(first: int, *, by_unit: bool) -> bytes:  # noqa: ARG001 - as `_json`
    at = START + (first + np.arange(BATCH)) * 1_000_000_000
    batch = pa.record_batch(
        {
            "metric": pa.array(["return"] * BATCH),
            "value": np.random.default_rng(first).standard_normal(BATCH),
            "at": pa.array(at, pa.timestamp("ns", "UTC")),
            "arm": pa.array([("champion", "challenger")[n % 2] for n in range(BATCH)]),
        }
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


class Address(NamedTuple):
    """Where a web server of this machine takes something."""

    port: int
    path: str


class Line:
    """A connection that stays open, and posts to one address."""

    def __init__(self, address: Address, token: str, kind: str) -> None:
        self.head = (
            f"POST {address.path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: "
        ).encode()
        self.socket = socket.create_connection((HOST, address.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, body: bytes) -> bytes:
        """Return the body of the answer; anything but 200 ends the measurement."""
        self.socket.sendall(self.head + b"%d\r\n\r\n" % len(body) + body)
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._more()
        head, _, rest = got.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(rest) < length:
            rest += self._more()
        if b" 200 " not in head[:20]:
            raise RuntimeError(rest.decode())
        return rest

    def _more(self) -> bytes:
        piece = self.socket.recv(65_536)
        if not piece:
            raise ConnectionError("The server closed the connection.")
        return piece


class _Site:
    """A throw-away installation with a web server."""

    def __init__(self, home: Path) -> None:
        self.environment = {
            name: text for name, text in os.environ.items()
            if name not in {"DATABASE_URL", "CELERY_BROKER_URL"}
        } | {
            "CROWETRADE_HOME": str(home),
            "CROWETRADE_LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "crowetrade_site.settings",
        }  # fmt: skip
        self.pid, self.port = 0, 0
        self.manage("seal_audit")  # the embedded database, with its tables

    def manage(self, *words: str) -> None:
        subprocess.run(
            [sys.executable, "manage.py", *words], env=self.environment, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def python(self, code: str, *words: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code, *words], env=self.environment, check=True,
            stdout=subprocess.PIPE, text=True,
        ).stdout  # fmt: skip

    @contextmanager
    def web(self, *, workers: int) -> Iterator[None]:
        # Chosen anew each time: at a fixed one a second measurement would ask the server of the
        # first, which refuses its token.
        self.port = free_port()
        argv = (
            sys.executable, "-m", "gunicorn", "crowetrade_site.wsgi:application",
            "--bind", f"{HOST}:{self.port}", "--no-control-socket", "--log-level", "warning",
            "--worker-class", "crowetrade_site.web.BalancedWorker",
            "--workers", str(workers), "--threads", "4",
        )  # fmt: skip
        process = subprocess.Popen(argv, env=self.environment)
        self.pid = process.pid
        try:
            _await_port(process, self.port)
            yield
        finally:
            process.terminate()
            process.wait()

    def cpu(self) -> float:
        """Return the seconds of processors that the web workers have used so far."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        ticks = 0
        for child in children:
            fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def _await_port(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"The web server has ended; is {HOST}:{port} free?")
        try:
            request = socket.create_connection((HOST, port), timeout=60)
        except OSError:
            time.sleep(0.1)
            continue
        with request:
            request.sendall(b"GET /health/live HTTP/1.0\r\n\r\n")
            if request.recv(1024):
                return
    sys.exit("The web server does not answer.")


if __name__ == "__main__":
    main()
