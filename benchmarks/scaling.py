"""Where many workers on small tasks first meet a limit that is not theirs.

    python -m benchmarks scaling                      1, 2, 4, 8 and 16 worker processes
    python -m benchmarks scaling --workers 1 32 --tasks 5000

Three measurements with each number of processes, on a throw-away home folder with a PostgreSQL and
a Valkey of their own: tasks that do nothing (the broker alone), chunks that are claimed and closed
without being computed (the database alone), and a study whose chunks hold one cheap trial (all of
it). Beside each rate stands the processor time a task takes, in milliseconds, in the workers, in
PostgreSQL and in the broker: on a machine with few cores the rates end where the cores do, and the
times say what would end first with more of them.
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

import psutil

from crowetrade_site.embedded.broker import Broker
from crowetrade_site.embedded.postgres import Postgres

CELERY = (sys.executable, "-m", "celery", "-A", "crowetrade_site", "worker")
QUIET = ("--without-mingle", "--without-gossip", "--loglevel", "WARNING")
LOADED = ("--include", "benchmarks.scaling_worker")
FIRST, LAST = 0.1, 0.9  # of the tasks, between which the clock runs
GROUPS = ("workers", "PostgreSQL", "broker")
OURS = {"DATABASE_URL", "CELERY_BROKER_URL"}

PUBLISH = """
import django; django.setup()
import sys, time
from benchmarks.scaling_worker import nothing
n = int(sys.argv[1])
began = time.perf_counter()
for _ in range(n):
    nothing.apply_async(queue="nothing")
print(n / (time.perf_counter() - began))
"""
ROWS = """
import django; django.setup()
import sys
from django.utils import timezone
from backtests.models import Chunk, Run
run = Run.objects.order_by("-pk").first()
Run.objects.filter(pk=run.pk).update(
    status="running", waits_for_chunks=True, finished_at=None, result_digest="",
    lease_expires_at=timezone.now(),
)
run.chunks.all().delete()
Chunk.objects.bulk_create(
    [Chunk(run=run, first=at, n_trials=1, content=f"{at:064x}", status="queued")
     for at in range(int(sys.argv[1]))], batch_size=2000,
)
"""
CLOSE = """
import django; django.setup()
import sys, time
from django.utils import timezone
from backtests.jobs import chunks
from backtests.lifecycle import ChunkStatus
from backtests.models import Chunk, Run
run = Run.objects.order_by("-pk").first()
at, n, each = map(int, sys.argv[1:])
mine = list(run.chunks.order_by("first").values_list("pk", flat=True))[at::n][:each]
print("ready", flush=True); sys.stdin.readline()
began = time.perf_counter()
for pk in mine:
    Chunk.objects.filter(pk=pk).update(published_at=timezone.now())
    turn = next(iter(chunks.whose_turn(pk)))
    chunk = chunks._claim(turn, worker="w")
    chunks._end(chunk, ChunkStatus.DONE, artifact="a" * 64, summary={}, seconds=0.001)
    chunks._next(chunk.run_id)
print(time.perf_counter() - began, flush=True)
"""
END = """
import django; django.setup()
from django.utils import timezone
from backtests.models import Run
Run.objects.filter(waits_for_chunks=True).update(
    status="cancelled", finished_at=timezone.now(), waits_for_chunks=False
)
"""
DONE = """
import django; django.setup()
import json, sys, time
from backtests.models import Chunk, Run
run = Run.objects.get(public_id=sys.argv[1])
n, first, last = int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
for share in (first, last):
    while Chunk.objects.done().filter(run=run).count() < share * n:
        run.refresh_from_db()
        assert run.finished_at is None, run.problem
        time.sleep(0.5)  # looking costs PostgreSQL as much as a chunk
    print(json.dumps([time.time(), Chunk.objects.done().filter(run=run).count()]), flush=True)
    sys.stdin.readline()
while (run := Run.objects.get(pk=run.pk)).finished_at is None:
    time.sleep(0.1)
assert run.status == "succeeded", run.problem
"""


def main() -> None:
    """Print a table for each of the three measurements."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scaling", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8, 16])
    parser.add_argument("--tasks", type=int, default=2500)
    parser.add_argument("--parts", nargs="*", default=["broker", "rows", "study"])
    asked = parser.parse_args(sys.argv[2:] if sys.argv[1:2] == ["scaling"] else sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="ct-scale-") as folder:
        site = _Site(Path(folder))
        try:
            site.furnish()
            parts = {
                "broker": ("tasks that do nothing: broker and Celery", site.measure_broker),
                "rows": ("chunks claimed and closed, not computed", site.measure_rows),
                "study": ("a study of chunks of one cheap trial", site.measure_study),
            }
            for title, measure in (parts[name] for name in asked.parts):
                print(f"-- {title}", flush=True)
                _say("processes", "a second", *(f"{group} [ms]" for group in GROUPS))
                for n in asked.workers:
                    _say(str(n), *measure(n, asked.tasks))
        finally:
            site.close()


class _Site:
    """A throw-away installation."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            name: text for name, text in os.environ.items() if name not in OURS
        } | {
            "CROWETRADE_HOME": str(home),
            "DJANGO_SETTINGS_MODULE": "crowetrade_site.settings",
            "NUMBA_CACHE_DIR": str(Path.home() / ".cache" / "crowetrade" / "numba"),
        }  # fmt: skip
        self.holder: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None

    def furnish(self) -> None:
        """Start the servers, and import three months of one instrument."""
        words = ("--queues", "upkeep", "--pool", "solo", "--hostname", "upkeep@%h")
        self.holder = self._celery(*words, "--beat", "--schedule", str(self.home / "beat"))
        path = self.home / "daily.csv"
        days = [f"2024-{month:02d}-{day:02d}" for month in (1, 2, 3) for day in range(1, 29)]
        closes = (f"{day},{100 + (at * 7) % 11}" for at, day in enumerate(days))
        path.write_text("\n".join(["date,close", *closes]))
        self._run("manage.py", "import_bars", str(path), "--dataset", "daily", "--symbol", "A",
                  "--currency", "USD", "--quarantine")  # fmt: skip

    def measure_broker(self, n: int, n_tasks: int) -> tuple[str, ...]:
        """Return tasks a second that do nothing."""
        self._run("-c", PUBLISH, str(n_tasks))
        self._start(n, "nothing", CROWETRADE_WARM_UP="0")
        took, done, spent = self._between(lambda share: self._await_queue(n_tasks, share))
        self._stop()
        return _row(done / took, [one / done for one in spent])

    def measure_rows(self, n: int, n_tasks: int) -> tuple[str, ...]:
        """Return chunks a second that are claimed and closed, by processes of their own."""
        if n == 1 or not (self.home / "study.json").exists():
            self._queue(4)  # a run whose chunks can be replaced
        self._run("-c", ROWS, str(n_tasks + 10))  # some stay open: the study does not go on
        each = n_tasks // n
        closers = [
            subprocess.Popen(
                [sys.executable, "-c", CLOSE, str(at), str(n), str(each)], env=self.environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for at in range(n)
        ]  # fmt: skip
        for closer in closers:
            assert closer.stdout  # noqa: S101
            assert closer.stdout.readline() == "ready\n"  # noqa: S101
        before = self._spent(closers)
        for closer in closers:
            assert closer.stdin  # noqa: S101
            closer.stdin.write("\n")
            closer.stdin.flush()
        seconds = []
        for closer in closers:
            assert closer.stdout  # noqa: S101
            seconds.append(float(closer.stdout.readline()))
        spent = [now - then for now, then in zip(self._spent(closers), before, strict=True)]
        for closer in closers:
            closer.wait()
        self._run("-c", END)
        done = each * n
        return _row(done / max(seconds), [one / done for one in spent])

    def measure_study(self, n: int, n_tasks: int) -> tuple[str, ...]:
        """Return chunks a second of a study, each of one cheap trial."""
        self._start(n, "interactive,batch")
        run_id = self._queue(n_tasks)
        watch = subprocess.Popen(
            [sys.executable, "-c", DONE, run_id, str(n_tasks), str(FIRST), str(LAST)],
            env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

        def reached(_: float) -> tuple[float, int]:
            assert watch.stdout  # noqa: S101
            assert watch.stdin  # noqa: S101
            moment, done = json.loads(watch.stdout.readline())
            watch.stdin.write("\n")
            watch.stdin.flush()
            return moment, done

        took, done, spent = self._between(reached)
        assert watch.wait() == 0  # noqa: S101
        self._stop()
        return _row(done / took, [one / done for one in spent])

    def _between(self, reached: Any) -> tuple[float, int, list[float]]:
        """Return seconds, tasks and processor seconds of each group between two shares."""
        began, first = reached(FIRST)
        before = self._spent()
        ended, last = reached(LAST)
        spent = [now - then for now, then in zip(self._spent(), before, strict=True)]
        return ended - began, last - first, spent

    def _await_queue(self, n_tasks: int, share: float) -> tuple[float, int]:
        import redis

        server = redis.Redis(unix_socket_path=str(Broker(self.home).socket))
        while (done := n_tasks - int(server.llen("nothing"))) < share * n_tasks:
            time.sleep(0.005)
        return time.time(), done

    def _queue(self, n_trials: int) -> str:
        """Queue a study no other has had: its chunks take nothing over."""
        path = self.home / "study.json"
        spec = _spec(n_trials, capital=1000.0 + time.time() % 1e6)
        path.write_text(json.dumps(spec))
        return str(json.loads(self._run("manage.py", "run", str(path), "--json"))["id"])

    def _start(self, n: int, queues: str, **more: str) -> None:
        words = ("--queues", queues, "--concurrency", str(n), "--hostname", "w@%h")
        self.worker = self._celery(*words, **more)

    def _stop(self) -> None:
        assert self.worker  # noqa: S101
        self.worker.terminate()
        self.worker.wait()
        self.worker = None

    def _celery(self, *words: str, **more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*CELERY, *words, *QUIET, *LOADED], env=self.environment | more,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words], env=self.environment, check=False, capture_output=True,
            text=True,
        )  # fmt: skip
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return done.stdout

    def _spent(self, workers: list[subprocess.Popen[str]] | None = None) -> list[float]:
        """Return the processor seconds so far of workers, PostgreSQL and broker."""
        pids = [one.pid for one in workers] if workers else [self.worker.pid if self.worker else 0]
        groups = [pids, [Postgres(self.home).pid()], [Broker(self.home).pid()]]
        return [sum(_cpu(pid) for pid in group if pid) for group in groups]

    def close(self) -> None:
        for process in (self.worker, self.holder):
            if process is not None:
                process.terminate()
                process.wait()
        deadline = time.monotonic() + 30.0  # the embedded servers stop with their last user
        servers = Postgres(self.home), Broker(self.home)
        while any(server.pid() for server in servers) and time.monotonic() < deadline:
            time.sleep(0.2)


def _cpu(pid: int) -> float:
    """Return the processor seconds of a process and its children, ended ones included."""
    total = 0.0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for one in family:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _say(*cells: str) -> None:
    """Print a row at once: the next one takes a minute."""
    print("  ".join(f"{cell:<16}" for cell in cells).rstrip(), flush=True)


def _row(rate: float, each: list[float]) -> tuple[str, ...]:
    return f"{rate:,.0f}", *(f"{1000 * seconds:.2f}" for seconds in each)


def _spec(n_trials: int, capital: float) -> dict[str, Any]:
    """Return a sweep of so many trials of an account of its own."""
    fast = max(1, round(n_trials**0.5))
    slow = n_trials // fast
    assert fast * slow == n_trials, "a number of tasks with two factors of like size"  # noqa: S101
    return {
        "kind": "sweep", "dataset": "daily", "capital": capital,
        "strategy": {
            "signals": [{"kind": "moving_average_cross", "fast_bars": 1, "slow_bars": 900}],
            "portfolio": {"kind": "equal_weight", "rebalance": {"kind": "on_change"}},
        },
        "start": "2024-01-01",
        "search": {
            "kind": "grid",
            "over": {
                "signals.0.fast_bars": {"low": 1, "high": fast, "step": 1},
                "signals.0.slow_bars": {"low": fast + 1, "high": fast + slow, "step": 1},
            },
        },
    }  # fmt: skip


if __name__ == "__main__":
    main()
