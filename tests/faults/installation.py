"""A throw-away installation: embedded servers, workers and beat as processes of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from crowetrade_site.embedded import processes
from crowetrade_site.embedded.broker import Broker
from crowetrade_site.embedded.postgres import Postgres
from tests.crowetrade_site.embedded.conftest import leave_nothing
from tests.crowetrade_site.embedded.faults import wait_until
from tests.crowetrade_site.embedded.test_serve import group_members

PROJECT = Path(__file__).resolve().parents[2]
OURS = {"DATABASE_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE"}
LEASE_SECONDS = 3
PATIENCE = 110.0  # less than the store has, so that a run still waits
CELERY = (sys.executable, "-m", "celery", "-A", "crowetrade_site")
QUIET = ("--without-mingle", "--without-gossip", "--loglevel", "INFO")
COLUMNS = (
    "status", "phase", "attempt", "worker", "result_digest", "problem", "finished_at",
    "cancel_requested_at",
)  # fmt: skip
RUN = f"SELECT {', '.join(COLUMNS)} FROM backtests_run WHERE public_id = %s"  # noqa: S608 - constants
WARM_UP = "from backtests.jobs import warm_up; warm_up()"
SERVERS = {"postgres": Postgres, "broker": Broker}


class Installation:
    """Processes that share a home folder; nothing of it outlives `close`."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="ct-"))
        kept = {name: text for name, text in os.environ.items() if name not in OURS}
        self.environment = kept | {
            "CROWETRADE_HOME": str(self.home),
            "CROWETRADE_RUN_LEASE_SECONDS": str(LEASE_SECONDS),
        }
        self.started: dict[str, subprocess.Popen[bytes]] = {}
        self.manage("shell", "--no-imports", "-c", WARM_UP)

    def start(self, name: str, *argv: str) -> subprocess.Popen[bytes]:
        """Start a process in a group of its own, its output in a log."""
        with (self.home / f"{name}.out").open("ab") as log:
            self.started[name] = subprocess.Popen(
                argv,
                cwd=PROJECT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.started[name]

    def start_worker(self) -> None:
        """Start the worker that computes."""
        queues = ("--queues", "interactive", "--concurrency", "1", "--hostname", "runs@%h")
        self.start("worker", *CELERY, "worker", *queues, *QUIET)

    def start_all(self) -> None:
        """Start worker, upkeep and beat."""
        self.start_worker()
        upkeep = ("--queues", "upkeep", "--pool", "solo", "--hostname", "upkeep@%h")
        self.start("upkeep", *CELERY, "worker", *upkeep, *QUIET)
        schedule = str(self.home / "celerybeat-schedule")
        self.start("beat", *CELERY, "beat", "--schedule", schedule, "--pidfile", "")

    def manage(self, *words: str, code: int = 0) -> str:
        """Run a command to its end and return what it printed."""
        ended = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert ended.returncode == code, (ended.stdout, ended.stderr)
        return ended.stdout

    def python(self, code: str) -> subprocess.Popen[str]:
        """Start Django code in a process of its own, which says when it is ready."""
        prelude = "import django; django.setup(); import sys; print('ready', flush=True)\n"
        process = subprocess.Popen(
            [sys.executable, "-c", prelude + textwrap.dedent(code)],
            cwd=PROJECT,
            env=self.environment | {"DJANGO_SETTINGS_MODULE": "crowetrade_site.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the embedded database past all our code."""
        reach = Postgres(self.home).connection()
        with psycopg.connect(
            host=reach["HOST"], port=reach["PORT"], user=reach["USER"], dbname=reach["NAME"]
        ) as server:
            return server.execute(sql, values).fetchall()

    def queue(self, spec: Path) -> str:
        """Queue a run and return its id."""
        return str(json.loads(self.manage("run", str(spec), "--json"))["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """Return what the run's row says; empty while the database is away."""
        try:
            ((*values,),) = self.query(RUN, run_id)
        except psycopg.OperationalError:
            return {"status": "", "phase": ""}
        return dict(zip(COLUMNS, values, strict=True))

    def await_work(self, run_id: str, phase: str = "recording") -> None:
        """Wait until a worker is in the middle of a run."""
        wait_until(lambda: self.run(run_id)["phase"] == phase, PATIENCE)

    def await_end(self, run_id: str) -> dict[str, Any]:
        """Wait until a run is over and return its row."""
        over = {"succeeded", "failed", "cancelled"}
        wait_until(lambda: self.run(run_id)["status"] in over, PATIENCE)
        return self.run(run_id)

    def verbs(self, run_id: str) -> list[str]:
        """Return what the audit trail tells of a run, in order."""
        sql = "SELECT verb FROM core_auditevent WHERE object_id = %s ORDER BY id"
        return [verb.removeprefix("backtests.run.") for (verb,) in self.query(sql, run_id)]

    def trail_holds(self) -> bool:
        """Return whether the audit trail verifies."""
        return bool(json.loads(self.manage("verify_audit", "--json"))["holds"])

    def children(self, name: str) -> list[int]:
        """Return the processes a process has started."""
        pid = self.started[name].pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in listed]

    def kill_server(self, name: str) -> None:
        """Kill an embedded server without a warning."""
        server = SERVERS[name](self.home)
        pid = server.pid()
        assert pid in processes.serving(server.program, server.folder)
        os.kill(pid, signal.SIGKILL)

    def members(self) -> list[int]:
        """Return every process of this installation."""
        servers = [
            pid
            for kind in SERVERS.values()
            for pid in processes.serving(kind.program, self.home / kind.name)
        ]
        return [*group_members(self.home), *servers]

    def close(self) -> None:
        """End what was started, the gentle way first."""
        for process in self.started.values():
            process.terminate()
        for process in self.started.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
        for pid in group_members(self.home):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.started.values():
            process.wait()
        leave_nothing(self.home)
        shutil.rmtree(self.home)
