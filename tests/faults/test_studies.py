"""Whatever is killed while a study is at work, it ends with the same trials and the same digest."""

import os
import signal
import time
from pathlib import Path

import psycopg
import pytest

from tests.crowetrade_site.embedded.faults import wait_until
from tests.faults.conftest import write_minutes
from tests.faults.installation import CELERY, QUIET, Installation

pytestmark = pytest.mark.faults

SWEEP = """
kind: sweep
dataset: minutes
costs: {{commission_bps: 1, half_spread_bps: 1}}
strategy:
  signals: [{{kind: moving_average_cross, fast_bars: 2, slow_bars: 5}}]
  portfolio: {{kind: equal_weight, rebalance: {{kind: on_change}}}}
search:
  kind: grid
  over:
    signals.0.fast_bars: {{low: 2, high: {most}, step: 1}}
    signals.0.slow_bars: {{low: 41, high: 60, step: 1}}
  objective: {objective}
"""
N_BARS = 20_000
KILLS = 4
LONG = 240.0
# In a worker that loads this, a trial of seven fast bars kills the process.
POISON = """
import os, signal
from backtests.jobs import trials

run = trials.Bench._run

def _run(bench, trial):
    if trial.parameters["signals.0.fast_bars"] == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(bench, trial)

trials.Bench._run = _run
"""


def start_workers(site: Installation, n: int = 2, *more: str) -> None:
    """Start those that are not there."""
    for number in range(n):
        name = f"study{number}"
        if name in site.started and site.started[name].poll() is None:
            continue
        queues = ("--queues", "interactive,batch", "--concurrency", "1", "--hostname", f"{name}@%h")
        site.start(name, *CELERY, "worker", *queues, *QUIET, *more)


def spec(site: Installation, *, most: int = 40, objective: str = "sharpe") -> Path:
    path = site.home / f"sweep-{most}-{len(objective)}.yaml"
    path.write_text(SWEEP.format(most=most, objective=objective))
    return path


def await_study(site: Installation, run_id: str) -> dict:
    over = {"succeeded", "failed", "cancelled"}
    wait_until(lambda: site.run(run_id)["status"] in over, LONG)
    return site.run(run_id)


def chunks(site: Installation, run_id: str) -> dict[str, int]:
    sql = (
        "SELECT c.status, count(*) FROM backtests_chunk c JOIN backtests_run r ON r.id = c.run_id "
        "WHERE r.public_id = %s GROUP BY 1"
    )
    try:
        return dict(site.query(sql, run_id))
    except psycopg.OperationalError:
        return {}


def ledger(site: Installation) -> int:
    ((count,),) = site.query("SELECT coalesce(sum(n_trials), 0) FROM backtests_trialbatch")
    return int(count)


@pytest.fixture(scope="module")
def studies():
    """An installation whose studies have many small chunks, and what one gives undisturbed."""
    site = Installation()
    # more attempts than kills: the innocent chunk may be hit by each of them
    site.environment |= {
        "CROWETRADE_CHUNK_MILLISECONDS": "60", "CROWETRADE_CHUNK_MAX_ATTEMPTS": str(KILLS + 3),
    }  # fmt: skip
    hook = site.home / "hook"
    hook.mkdir()
    (hook / "poison.py").write_text(POISON)
    site.environment["PYTHONPATH"] = str(hook)
    try:
        prices = write_minutes(site.home / "prices.parquet", n_bars=N_BARS, n_assets=1)
        stated = ["--kind", "bars", "--layout", "wide", "--bar", "1m", "--stamp", "start"]
        site.manage(
            "import_bars", str(prices), "--dataset", "minutes", "--currency", "USD", *stated
        )
        site.start_all()
        start_workers(site)
        run = await_study(site, site.queue(spec(site)))
        assert run["status"] == "succeeded", run["problem"]
        yield site, run["result_digest"], ledger(site)
    finally:
        site.close()


class TestInterruptedStudy:
    """One class, so that parallel test processes share one installation."""

    def test_ends_the_same_though_workers_and_servers_are_killed(self, studies):
        site, digest, counted = studies
        # nothing may be taken over from the undisturbed one
        site.query("UPDATE backtests_chunk SET content = repeat('x', 64) RETURNING id")
        run_id = site.queue(spec(site))
        wait_until(lambda: chunks(site, run_id).get("done", 0) > 3, LONG)

        killed = 0
        for number in range(KILLS):
            name = f"study{number % 2}"
            os.killpg(site.started[name].pid, signal.SIGKILL)
            site.started[name].wait()
            killed += site.run(run_id)["status"] == "running"
            if number == 1:
                site.kill_server("broker")
            if number == 2:
                site.kill_server("postgres")
            time.sleep(1.5)
            start_workers(site)
            time.sleep(1.5)

        run = await_study(site, run_id)
        assert killed > 1
        assert (run["status"], run["result_digest"]) == ("succeeded", digest), run
        assert ledger(site) == counted
        assert set(chunks(site, run_id)) == {"done"}
        assert site.trail_holds()

    def test_survives_a_chunk_that_kills_its_worker(self, studies):
        site, *_ = studies
        for name in ("study0", "study1"):
            os.killpg(site.started[name].pid, signal.SIGKILL)
            site.started[name].wait()
        start_workers(site, 2, "--include", "poison")
        site.query("UPDATE backtests_chunk SET content = repeat('y', 64) RETURNING id")
        run_id = site.queue(spec(site, most=10, objective="total_return"))

        run = await_study(site, run_id)
        found = chunks(site, run_id)

        assert run["status"] == "failed"
        assert "given up" in run["problem"]["detail"]
        assert found["quarantined"] >= 1
        assert found["done"] >= 1
        ((kept,),) = site.query(
            "SELECT summary->'study'->>'n_trials' FROM backtests_run WHERE public_id = %s", run_id
        )
        assert 0 < int(kept) < 180

    def test_is_cancelled_in_bounded_time(self, studies):
        site, *_ = studies
        for name in ("study0", "study1"):
            os.killpg(site.started[name].pid, signal.SIGKILL)
            site.started[name].wait()
        start_workers(site)
        site.query("UPDATE backtests_chunk SET content = repeat('z', 64) RETURNING id")
        canceller = site.python(
            """
            from django.utils import timezone
            from backtests import services
            from crowetrade_site.core.services import console_user
            services.cancel_run(
                run_id=sys.stdin.readline().strip(), actor=console_user(), at=timezone.now()
            )
            """
        )
        run_id = site.queue(spec(site))
        wait_until(lambda: chunks(site, run_id).get("done", 0) > 1, LONG)

        canceller.communicate(f"{run_id}\n", timeout=60)
        run = await_study(site, run_id)

        assert run["status"] == "cancelled"
        wait_until(lambda: not {"queued", "running"} & set(chunks(site, run_id)), 10)
