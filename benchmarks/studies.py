"""Sweeps through the platform beside the same trials in bare processes.

    python -m benchmarks studies                 10,000 pairs of averages, then 50,000
    python -m benchmarks studies --trials 1000000  as many as asked, and the memory of every process

Everything runs on a throw-away home folder with the embedded servers: two workers of one process
each, an upkeep worker with the beat. The bare processes evaluate the same chunks and write the same
Parquet, without a database, a broker or leases. Both pairs run alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import table
from benchmarks.peers.workloads import reference_workloads

CELERY = (sys.executable, "-m", "celery", "-A", "crowetrade_site", "worker")
QUIET = ("--without-mingle", "--without-gossip", "--loglevel", "WARNING")
BARE = """
import django; django.setup()
import io, sys, time
import pyarrow.parquet as pq
from backtests import selectors
from backtests.jobs import evaluation, trials
from backtests.models import Run
from backtests.runspec import search_of
class Nobody:
    def progress(self, done, total): pass
run = Run.objects.get(public_id=sys.argv[1])
bench, found = trials.Bench.of(run), selectors.plan_search(search_of(run.spec))
mine = list(run.chunks.order_by("first"))[int(sys.argv[2])::int(sys.argv[3])]
bench.evaluate(found, evaluation.trials_of(mine[0], found)[:40], Nobody())  # warm
print("ready", flush=True); sys.stdin.readline()
began = time.perf_counter()
for chunk in mine:
    rows = bench.evaluate(found, evaluation.trials_of(chunk, found), Nobody())
    pq.write_table(rows, io.BytesIO(), compression="zstd")
print(time.perf_counter() - began, sum(c.n_trials for c in mine), flush=True)
"""


def main() -> None:
    """Print seconds, trials a second and memory."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks studies", description=__doc__)
    parser.add_argument("--trials", type=int, nargs="*", default=[10_000, 50_000])
    asked = parser.parse_args(sys.argv[2:] if sys.argv[1:2] == ["studies"] else sys.argv[1:])
    data = reference_workloads()
    if data is None:
        print("The reference workloads are not there; set CROWETRADE_DATA.")
        return
    with tempfile.TemporaryDirectory(prefix="ct-bench-") as folder:
        site = _Site(Path(folder))
        try:
            site.furnish(data.daily())
            rows: list[tuple[str, ...]] = [
                ("trials", "chunks", "wall s", "sum of chunks s", "trials/s", "bare, 1 s",
                 "bare, 2 s", "over bare 2", "largest MB", "page ms")
            ]  # fmt: skip
            rows += [site.measure(n) for n in asked.trials]
            table(rows)
        finally:
            site.close()


class _Site:
    """A throw-away installation."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            name: text for name, text in os.environ.items()
            if name not in {"DATABASE_URL", "CELERY_BROKER_URL"}
        } | {
            "CROWETRADE_HOME": str(home),
            "DJANGO_SETTINGS_MODULE": "crowetrade_site.settings",
            "NUMBA_CACHE_DIR": str(Path.home() / ".cache" / "crowetrade" / "numba"),
        }  # fmt: skip
        self.workers: list[subprocess.Popen[bytes]] = []

    def furnish(self, columns: dict[str, Any]) -> None:
        """Import the data and start the workers."""
        path = self.home / "daily.parquet"
        arrays = {name: pa.array(values[:, 0] if values.ndim > 1 else values)
                  for name, values in columns.items() if name != "ts"}  # fmt: skip
        stamps = pa.array(np.asarray(columns["ts"]), pa.timestamp("ns", tz="UTC"))
        pq.write_table(pa.table({"ts": stamps, **arrays}), path)
        self.manage("import_bars", str(path), "--dataset", "daily", "--symbol", "A", "--currency",
                    "USD", "--quarantine", "--stamp", "end")  # fmt: skip
        self.manage("collectstatic", "--noinput", "--verbosity", "0")  # for the page
        for number, queues in enumerate(("interactive,batch", "interactive,batch", "upkeep")):
            more = ("--beat", "--schedule", str(self.home / "beat")) if queues == "upkeep" else ()
            self.workers.append(
                subprocess.Popen(
                    [*CELERY, "--queues", queues, "--pool", "solo", *QUIET, *more,
                     "--hostname", f"w{number}@%h"],
                    env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )
            )  # fmt: skip
        self.run(_spec(100))  # whoever comes first compiles

    def manage(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words], env=self.environment, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    def run(self, spec: dict[str, Any]) -> tuple[str, float]:
        """Run a spec to its end and return its id and the wall seconds since it was queued."""
        path = self.home / "spec.json"
        path.write_text(json.dumps(spec))
        run_id = json.loads(self.manage("run", str(path), "--json"))["id"]
        text = self.python(WATCH, run_id)
        return run_id, float(text)

    def python(self, code: str, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *words], env=self.environment, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    def measure(self, n_trials: int) -> tuple[str, ...]:
        """Return one row of the table."""
        run_id, wall = self.run(_spec(n_trials))
        chunks, seconds, page = json.loads(self.python(FIGURES, run_id))
        memory = max(_peak(worker.pid) for worker in self.workers)
        one, two = (max(self._bare(run_id, n)) for n in (1, 2))
        return (
            f"{n_trials:,}", f"{chunks}", f"{wall:.1f}", f"{seconds:.1f}",
            f"{n_trials / wall:,.0f}", f"{one:.1f}", f"{two:.1f}", f"{wall / two - 1:+.0%}",
            f"{memory:.0f}", f"{page:.0f}",
        )  # fmt: skip

    def _bare(self, run_id: str, n: int) -> list[float]:
        """Return the seconds of n bare processes side by side."""
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", BARE, run_id, str(at), str(n)], env=self.environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for at in range(n)
        ]  # fmt: skip
        for process in processes:
            assert process.stdout  # noqa: S101
            assert process.stdout.readline() == "ready\n"  # noqa: S101
        for process in processes:
            assert process.stdin  # noqa: S101
            process.stdin.write("\n")
            process.stdin.flush()
        return [float(process.communicate()[0].split()[0]) for process in processes]

    def close(self) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait()
        time.sleep(1.0)  # the embedded servers stop with their last user


WATCH = """
import django; django.setup()
import sys, time
from backtests.models import Run
while (run := Run.objects.get(public_id=sys.argv[1])).finished_at is None:
    time.sleep(0.02)
assert run.status == "succeeded", run.problem
print((run.finished_at - run.queued_at.__class__.fromtimestamp(
    run.created_at.timestamp(), run.created_at.tzinfo)).total_seconds())
"""
FIGURES = """
import django; django.setup()
import json, sys, time
from django.db.models import Sum
from django.test import Client
from django.contrib.auth import get_user_model
from backtests.models import Run
run = Run.objects.get(public_id=sys.argv[1])
users = get_user_model().objects
user = users.filter(is_superuser=True).first() or users.create_superuser("bench")
client = Client(SERVER_NAME="localhost"); client.force_login(user)
least = 1e9
for _ in range(5):
    began = time.perf_counter()
    answer = client.get(f"/admin/backtests/run/{run.pk}/change/")
    least = min(least, time.perf_counter() - began)
    assert answer.status_code == 200, answer.status_code
print(json.dumps([run.chunks.count(), run.chunks.aggregate(s=Sum("seconds"))["s"], least * 1000]))
"""


def _peak(pid: int) -> float:
    """Return the most memory a process has held [MB]."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def _spec(n_trials: int) -> dict[str, Any]:
    """Return a sweep over as many pairs of averages."""
    fast = max(1, min(250, round(n_trials**0.5)))
    slow = -(-n_trials // fast)
    return {
        "kind": "sweep",
        "dataset": "daily",
        "costs": {"commission_bps": 5, "slippage_bps": 2},
        "strategy": {
            "signals": [{"kind": "moving_average_cross", "fast_bars": 2, "slow_bars": 900}],
            "portfolio": {"kind": "equal_weight", "rebalance": {"kind": "on_change"}},
        },
        "search": {
            "kind": "grid",
            "over": {
                "signals.0.fast_bars": {"low": 2, "high": 1 + fast, "step": 1},
                "signals.0.slow_bars": {"low": 260, "high": 259 + slow, "step": 1},
            },
        },
    }


if __name__ == "__main__":
    main()
