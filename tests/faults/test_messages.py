"""Messages that come twice, late, or after all is over change nothing: the rows decide."""

import json
from pathlib import Path

import psycopg
import pytest
import redis

from crowetrade_site.embedded.broker import Broker
from tests.crowetrade_site.embedded.faults import wait_until
from tests.faults.installation import CELERY, QUIET, Installation
from tests.faults.studying import (
    LONG,
    await_study,
    chunks,
    column,
    forget_chunks,
    furnish_minutes,
    ledger,
    spec,
)

pytestmark = pytest.mark.faults

GENERATIONS = ("  kind: grid", "  kind: genetic\n  n_trials: 48\n  generation: 16")


def start(site: Installation, queue: str) -> None:
    """Start a worker of one queue."""
    words = ("--queues", queue, "--concurrency", "1", "--hostname", f"{queue}@%h")
    site.start(f"only-{queue}", *CELERY, "worker", *words, *QUIET)


def stop(site: Installation, queue: str) -> None:
    worker = site.started[f"only-{queue}"]
    worker.terminate()
    worker.wait(timeout=60)


def learning(site: Installation) -> Path:
    """Return the spec of a study in generations."""
    path = site.home / "genetic.yaml"
    path.write_text(spec(site).read_text().replace(*GENERATIONS))
    return path


def named(message: bytes) -> str:
    """Return which chunk a message speaks of."""
    return str(json.loads(message)["headers"]["kwargsrepr"])


class Mail:
    """The messages of a queue, seen and sent past all our code."""

    def __init__(self, site: Installation) -> None:
        self.server = redis.Redis(unix_socket_path=str(Broker(site.home).socket))

    def waiting(self, queue: str) -> list[bytes]:
        return self.server.lrange(queue, 0, -1)

    def send(self, queue: str, messages: list[bytes]) -> None:
        """Deliver messages as they once were, the last one first."""
        self.server.lpush(queue, *messages)


def answers(site: Installation) -> bool:
    try:
        return bool(site.query("SELECT 1"))
    except psycopg.OperationalError:
        return False


@pytest.fixture(scope="module")
def site(install):
    made = install()
    furnish_minutes(made)
    made.start_all()  # its worker plans and concludes; chunks wait for one of their own
    wait_until(lambda: answers(made), LONG)
    return made


@pytest.fixture
def planned(site):
    """Return a study that waits for its chunks, and their messages."""

    def plan(path: Path, letter: str) -> tuple[str, list[bytes]]:
        if "only-batch" in site.started and site.started["only-batch"].poll() is None:
            stop(site, "batch")
        forget_chunks(site, letter)
        run_id = site.queue(path)
        wait_until(lambda: site.run(run_id)["phase"] == "computing", LONG)
        n_chunks = len(column(site, run_id, "first"))
        mail = Mail(site)  # the beat may have sent some of them too
        wait_until(lambda: len(set(map(named, mail.waiting("batch")))) == n_chunks, LONG)
        return run_id, mail.waiting("batch")

    return plan


class TestMessages:
    """One class, so that parallel test processes share one installation."""

    @pytest.mark.parametrize("path_of", [spec, pytest.param(learning, marks=pytest.mark.long)])
    def test_that_come_several_times_count_once(self, site, planned, path_of):
        run_id, _ = planned(path_of(site), "m")
        start(site, "batch")
        first = await_study(site, run_id)
        counted = ledger(site)

        again, messages = planned(path_of(site), "n")
        mail = Mail(site)
        mail.send("batch", messages)
        mail.send("batch", messages[::-1])
        start(site, "batch")
        wait_until(lambda: chunks(site, again).get("done", 0) > 1, LONG)
        mail.send("batch", messages)  # of a study in generations: when it has moved on
        second = await_study(site, again)
        wait_until(lambda: not mail.waiting("batch"), LONG)

        assert first["status"] == second["status"] == "succeeded", second["problem"]
        assert second["result_digest"] == first["result_digest"]
        assert ledger(site) == counted
        assert set(column(site, again, "attempt")) == {1}
        assert site.verbs(again).count("succeeded") == 1
        assert site.trail_holds()

    @pytest.mark.long
    def test_that_come_after_the_end_change_nothing(self, site, planned):
        run_id, messages = planned(spec(site), "o")
        start(site, "batch")
        run = await_study(site, run_id)
        before = [column(site, run_id, name) for name in ("status", "attempt", "artifact")]
        counted, verbs = ledger(site), site.verbs(run_id)

        mail = Mail(site)
        mail.send("batch", messages)
        sender = site.python(
            f"""
            from backtests import tasks
            for _ in range(3):
                tasks.execute_run.delay(run_id="{run_id}")
            """
        )
        sender.communicate(timeout=60)
        wait_until(lambda: not mail.waiting("batch") and not mail.waiting("interactive"), LONG)
        probe = json.loads(site.manage("run", str(spec(site)), "--wait", "--json"))

        assert probe["status"] == "succeeded"  # the workers have gone on to other work
        assert site.run(run_id) == run
        after = [column(site, run_id, name) for name in ("status", "attempt", "artifact")]
        assert after == before
        assert site.verbs(run_id) == verbs
        assert ledger(site) == counted

    def test_of_a_cancelled_study_compute_nothing(self, site, planned):
        run_id, messages = planned(spec(site), "p")
        canceller = site.python(
            f"""
            from django.utils import timezone
            from backtests import services
            from crowetrade_site.core.services import console_user
            services.cancel_run(run_id="{run_id}", actor=console_user(), at=timezone.now())
            """
        )
        canceller.communicate(timeout=60)
        counted = ledger(site)

        start(site, "batch")
        Mail(site).send("batch", messages)
        wait_until(lambda: not Mail(site).waiting("batch"), LONG)

        assert site.run(run_id)["status"] == "cancelled"
        assert set(chunks(site, run_id)) == {"cancelled"}
        assert set(column(site, run_id, "attempt")) == {0}
        assert ledger(site) == counted
