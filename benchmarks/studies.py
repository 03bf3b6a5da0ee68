"""Sweeps through the platform beside the same trials in bare processes.

    python -m benchmarks studies                   10,000 pairs of averages, then 60,000
    python -m benchmarks studies --trials 1000000  as many as asked, without bare processes

Everything runs on a throw-away home folder with the embedded servers: two workers of one process
each, an upkeep worker with the beat, a web server. The bare processes evaluate the same chunks and
write the same Parquet, without a database, a broker or leases. Platform and bare processes take
turns, each alone, and of several rounds the least counts; every round has another commission, so
that no chunk is taken over.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import free_port, table
from benchmarks.peers.workloads import reference_workloads

ADDRESS = f"127.0.0.1:{free_port()}"
MOST_BARE = 200_000  # trials that bare processes repeat
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
began, cpu = time.perf_counter(), time.process_time()
for chunk in mine:
    rows = bench.evaluate(found, evaluation.trials_of(chunk, found), Nobody())
    pq.write_table(rows, io.BytesIO(), **evaluation.STORED)
print(time.perf_counter() - began, time.process_time() - cpu, flush=True)
"""


class Round(NamedTuple):
    """Seconds of one study, and of bare processes with the same chunks.

    `spread` ends when the last chunk is recorded: as far as the bare processes go, which neither
    rank trials nor judge how many there were. Those of processors (`cpu`) tell what the platform
    needs on a machine that has others to serve.
    """

    wall: float
    spread: float
    chunks: float
    cpu: float
    one: float | None = None
    two: float | None = None
    bare_cpu: float | None = None


def main() -> None:
    """Print seconds, trials a second, memory and the time of requests."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks studies", description=__doc__)
    parser.add_argument("--trials", type=int, nargs="*", default=[10_000, 60_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bars", type=int, default=2_520)
    asked = parser.parse_args(sys.argv[2:] if sys.argv[1:2] == ["studies"] else sys.argv[1:])
    try:
        data = reference_workloads()
    except FileNotFoundError as missing:
        print(f"{missing} Set CROWETRADE_DATA.")
        return
    rows: list[tuple[str, ...]] = [
        ("trials", "chunks", "wall s", "to last chunk s", "sum of chunks s", "trials/s", "CPU s",
         "bare CPU s", "bare, 1 s", "bare, 2 s", "over bare 2", "of bare 2",
         "of bare 2, to last chunk", "CPU over bare")
    ]  # fmt: skip
    seen: list[tuple[str, ...]] = [("trials", "what", "", "")]
    with tempfile.TemporaryDirectory(prefix="ct-bench-") as folder:
        site = _Site(Path(folder))
        try:
            site.furnish({name: values[: asked.bars] for name, values in data.daily().items()})
            for n_trials in asked.trials:
                row, looks = site.measure(n_trials, asked.rounds)
                rows.append(row)
                seen += [(f"{n_trials:,}", *look) for look in looks]
        finally:
            site.close()
            table(rows)
            print()
            table(seen)


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
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

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
        beat = ("--beat", "--schedule", str(self.home / "beat"))
        self._start("worker 1", *CELERY, *_queues("interactive,batch", 1))
        self._start("worker 2", *CELERY, *_queues("interactive,batch", 2))
        self._start("upkeep", *CELERY, *_queues("upkeep", 3), *beat)
        self._start(
            "web", sys.executable, "-m", "gunicorn", "crowetrade_site.wsgi:application", "--bind",
            ADDRESS, "--worker-class", "crowetrade_site.web.BalancedWorker", "--threads", "4",
            "--no-control-socket",
        )  # fmt: skip
        self.run(_spec(100, 0))  # whoever comes first compiles
        self.run(_spec(2_000, 0))

    def _start(self, name: str, *argv: str) -> None:
        more = {"CROWETRADE_WARM_UP": "0"} if name == "upkeep" else {}
        self.processes[name] = subprocess.Popen(
            argv, env=self.environment | more, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

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
        watch = subprocess.Popen(
            [sys.executable, "-c", WATCH], env=self.environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert watch.stdout  # noqa: S101
        watch.stdout.readline()  # it is there before the study: its start would take from workers
        run_id = json.loads(self.manage("run", str(path), "--json"))["id"]
        seconds, _ = watch.communicate(f"{run_id}\n")
        if watch.returncode:
            sys.exit("The study did not succeed.")
        return run_id, float(seconds)

    def python(self, code: str, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *words], env=self.environment, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    def measure(
        self, n_trials: int, n_rounds: int
    ) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return one row of the table, and what was seen of memory and requests."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                sys.exit(f"The process {name!r} has ended.")
        rounds = []
        for number in range(n_rounds if n_trials <= MOST_BARE else 1):
            spent = self._cpu()
            run_id, wall = self.run(_spec(n_trials, number))
            spent = self._cpu() - spent
            n_chunks, spread, seconds, *session = json.loads(self.python(FIGURES, run_id))
            bare: tuple[float, ...] = ()
            if n_trials <= MOST_BARE:
                two, bare_cpu = self._bare(run_id, 2)
                bare = (self._bare(run_id, 1)[0], two, bare_cpu)
            rounds.append(Round(wall, spread, seconds, spent, *bare))
            print(f"  {n_trials:,} trials, load {os.getloadavg()[0]:.1f}: {rounds[-1]}", flush=True)
        wall, spread, cpu = (
            min(getattr(one, name) for one in rounds) for name in ("wall", "spread", "cpu")
        )
        row = (
            f"{n_trials:,}", f"{n_chunks}", f"{wall:.1f}", f"{spread:.1f}",
            f"{min(one.chunks for one in rounds):.1f}", f"{n_trials / wall:,.0f}", f"{cpu:.1f}",
            *_beside(rounds, wall, spread, cpu),
        )  # fmt: skip
        looks: list[tuple[str, ...]] = [
            (name, f"{_peak(process.pid):,.0f} MB", "at most")
            for name, process in self.processes.items()
        ]
        return row, [*looks, *self._requests(run_id, *session)]

    def _requests(self, run_id: str, key: int, session: str) -> list[tuple[str, ...]]:
        """Return the times of requests that a person or a program makes of a study."""
        trials = f"/api/v1/runs/{run_id}/trials/"
        paths = {
            "result page": f"/admin/backtests/run/{key}/change/",
            "run over REST": f"/api/v1/runs/{run_id}/",
            "50 trials by number": trials,
            "50 best trials": f"{trials}?order=-sharpe&feasible=true",
            "500 best trials, all columns": f"{trials}?order=-sharpe&limit=500&columns=all",
            "50 trials from the middle": f"{trials}?order=turnover&offset=5000",
        }
        found: list[tuple[str, ...]] = []
        for name, path in paths.items():
            times = [_seconds_of(path, session) for _ in range(6)]
            found.append(
                (name, f"{1000 * min(times[1:]):.0f} ms", f"first {1000 * times[0]:.0f} ms")
            )
        return found

    def _cpu(self) -> float:
        """Return the seconds of processors that workers and upkeep have used so far."""
        ticks = 0
        for name, process in self.processes.items():
            if name != "web":
                fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
                ticks += sum(int(field) for field in fields[11:15])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _bare(self, run_id: str, n: int) -> tuple[float, float]:
        """Return the seconds of n bare processes side by side, and those of processors in all."""
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
        said = [process.communicate()[0].split() for process in processes]
        return max(float(one[0]) for one in said), sum(float(one[1]) for one in said)

    def close(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait()
        time.sleep(1.0)  # the embedded servers stop with their last user


def _queues(queues: str, number: int) -> tuple[str, ...]:
    return ("--queues", queues, "--pool", "solo", *QUIET, "--hostname", f"w{number}@%h")


def _beside(rounds: list[Round], wall: float, spread: float, cpu: float) -> tuple[str, ...]:
    """Return the least of the bare processes, and the platform beside them."""
    bare = [(one.one, one.two, one.bare_cpu) for one in rounds]
    known = [(one, two, used) for one, two, used in bare if one and two and used]
    if not known:
        return ("–",) * 7
    one, two, bare_cpu = (min(seconds) for seconds in zip(*known, strict=True))
    return (
        f"{bare_cpu:.1f}", f"{one:.1f}", f"{two:.1f}", f"{wall / two - 1:+.0%}",
        f"{two / wall:.2f}", f"{two / spread:.2f}", f"{cpu / bare_cpu - 1:+.0%}",
    )  # fmt: skip


def _seconds_of(path: str, session: str) -> float:
    """Return the seconds until a page is there whole."""
    request = Request(f"http://{ADDRESS}{path}", headers={"Cookie": f"sessionid={session}"})
    began = time.perf_counter()
    with urlopen(request, timeout=60) as answer:  # noqa: S310
        answer.read()
    return time.perf_counter() - began


WATCH = """
import django; django.setup()
import time
from backtests.models import Run
print("ready", flush=True)
over = Run.objects.filter(public_id=input(), finished_at__isnull=False)
while not over.exists():
    time.sleep(0.25)  # the row says when; looking more often would take from the workers
run = over.get()
assert run.status == "succeeded", run.problem
print((run.finished_at - run.created_at).total_seconds())
"""
FIGURES = """
import django; django.setup()
import json, sys
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.db.models import Sum
from django.conf import settings
from backtests.models import Run
run = Run.objects.get(public_id=sys.argv[1])
users = get_user_model().objects
user = users.filter(is_superuser=True).first() or users.create_superuser("bench")
session = SessionStore()
session[SESSION_KEY] = str(user.pk)
session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
session[HASH_SESSION_KEY] = user.get_session_auth_hash()
session.save()
seconds = run.chunks.aggregate(s=Sum("seconds"))["s"]
spread = (run.queued_at - run.created_at).total_seconds()  # queued again by its last chunk
print(json.dumps([run.chunks.count(), spread, seconds, run.pk, session.session_key]))
"""


def _peak(pid: int) -> float:
    """Return the most memory that a process, or one of its children, has held [MB]."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    peaks = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return max(peaks + [_peak(int(child)) for child in children])


def _spec(n_trials: int, number: int) -> dict[str, Any]:
    """Return a sweep over as many pairs of averages, the same work in every round."""
    n_gross = 10 if n_trials > MOST_BARE else 1
    n_pairs = -(-n_trials // n_gross)
    fast = max(1, min(320, round(n_pairs**0.5)))
    slow = -(-n_pairs // fast)
    least = max(260, fast + 2)
    over: dict[str, Any] = {
        "signals.0.fast_bars": {"low": 2, "high": 1 + fast, "step": 1},
        "signals.0.slow_bars": {"low": least, "high": least + slow - 1, "step": 1},
    }
    if n_gross > 1:
        over["portfolio.gross"] = {"low": 0.1, "high": 1.0, "step": 0.1}
    return {
        "kind": "sweep",
        "dataset": "daily",
        "costs": {"commission_bps": 5 + number / 100, "slippage_bps": 2},
        "strategy": {
            "signals": [{"kind": "moving_average_cross", "fast_bars": 2, "slow_bars": 900}],
            "portfolio": {"kind": "equal_weight", "rebalance": {"kind": "on_change"}},
        },
        "search": {"kind": "grid", "over": over},
    }


if __name__ == "__main__":
    main()
