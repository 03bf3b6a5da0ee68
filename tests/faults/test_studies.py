"""Whatever is killed while a study is at work, it ends with the same trials and the same digest."""

import json
import os
import signal
import time

import pytest

from tests.crowetrade_site.embedded.faults import wait_until
from tests.faults.studying import (
    LONG,
    await_study,
    chunks,
    forget_chunks,
    ledger,
    spec,
    start_workers,
    stop_workers,
    undisturbed,
)

pytestmark = pytest.mark.faults

KILLS = 4
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


@pytest.fixture(scope="module")
def studies(install):
    """An installation whose studies have many small chunks, and what one gives undisturbed."""
    # more attempts than kills: the innocent chunk may be hit by each of them
    site = install(CROWETRADE_CHUNK_MAX_ATTEMPTS=str(KILLS + 3))
    hook = site.home / "hook"
    hook.mkdir()
    (hook / "poison.py").write_text(POISON)
    site.environment["PYTHONPATH"] = str(hook)
    return site, *undisturbed(site)


class TestInterruptedStudy:
    """One class, so that parallel test processes share one installation."""

    def test_ends_the_same_though_workers_and_servers_are_killed(self, studies):
        site, digest, counted = studies
        # nothing may be taken over from the undisturbed one
        forget_chunks(site, "x")
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

    @pytest.mark.long
    def test_survives_a_chunk_that_kills_its_worker(self, studies):
        site, *_ = studies
        stop_workers(site)
        start_workers(site, 2, "--include", "poison")
        forget_chunks(site, "y")
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
        stop_workers(site)
        start_workers(site)
        forget_chunks(site, "z")
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

    @pytest.mark.long
    def test_of_one_user_does_not_wait_for_that_of_another(self, studies):
        site, *_ = studies
        stop_workers(site)
        forget_chunks(site, "v")
        site.manage("create_user", "bea", "--role", "researcher")
        long = site.queue(spec(site))
        wait_until(lambda: site.run(long)["phase"] == "computing", LONG)
        answer = site.manage("run", str(spec(site, most=5)), "--json", "--actor", "bea")
        short = str(json.loads(answer)["id"])
        wait_until(lambda: site.run(short)["phase"] == "computing", LONG)

        start_workers(site, 1)
        wait_until(lambda: set(chunks(site, short)) == {"done"}, LONG)
        left = chunks(site, long).get("queued", 0)
        ended, other = await_study(site, short), await_study(site, long)

        assert (ended["status"], other["status"]) == ("succeeded", "succeeded")
        assert left > 5, "the chunks that were in the queue before were not all computed first"
