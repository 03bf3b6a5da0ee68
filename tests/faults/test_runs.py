"""Whatever is killed while a run is at work, it ends once, with the result it would have had."""

import os
import signal

import pytest

from tests.crowetrade_site.embedded.faults import wait_until
from tests.faults.installation import PATIENCE

pytestmark = pytest.mark.faults


@pytest.fixture
def at_work(busy):
    """A long run, caught in the middle."""
    site, spec, _ = busy
    run_id = site.queue(spec)
    site.await_work(run_id)
    yield run_id
    if site.started["worker"].poll() is not None:
        site.start_worker()


def ended_once(busy, run_id) -> dict:
    """Return the row of a run that has ended as an undisturbed one does."""
    site, _, digest = busy
    run = site.await_end(run_id)
    verbs = site.verbs(run_id)
    assert (run["status"], run["result_digest"]) == ("succeeded", digest), run
    assert verbs[0] == "queued"
    assert verbs[-1] == "succeeded"
    assert verbs.count("succeeded") == 1
    assert verbs.count("started") == run["attempt"]
    assert verbs.count("requeued") == run["attempt"] - 1
    assert site.trail_holds()
    return run


class TestInterruptedRun:
    """One class, so that parallel test processes share one installation."""

    def test_is_done_again_when_the_workers_child_is_killed(self, busy, at_work):
        site, *_ = busy
        (child,) = site.children("worker")

        os.kill(child, signal.SIGKILL)

        assert ended_once(busy, at_work)["attempt"] == 2

    def test_is_left_to_the_next_worker_when_the_whole_group_is_killed(self, busy, at_work):
        site, *_ = busy
        os.killpg(site.started["worker"].pid, signal.SIGKILL)
        site.started["worker"].wait()
        site.start_worker()

        assert ended_once(busy, at_work)["attempt"] == 2

    def test_is_finished_first_when_the_worker_is_asked_to_end(self, busy, at_work):
        site, *_ = busy
        worker = site.started["worker"]

        worker.terminate()
        run = ended_once(busy, at_work)

        assert run["attempt"] == 1
        assert worker.wait(timeout=PATIENCE) == 0

    @pytest.mark.parametrize("server", ["postgres", "broker"])
    def test_ends_although_a_server_is_killed(self, busy, at_work, server):
        site, *_ = busy

        site.kill_server(server)

        assert ended_once(busy, at_work)["attempt"] in {1, 2}

    @pytest.mark.long
    def test_is_not_lost_when_queued_while_the_broker_is_away(self, busy):
        site, spec, _ = busy
        site.kill_server("broker")

        run_id = site.queue(spec)

        assert ended_once(busy, run_id)["attempt"] == 1

    @pytest.mark.long
    def test_is_done_once_however_many_messages_speak_of_it(self, busy):
        site, spec, _ = busy
        run_id = site.queue(spec)

        sender = site.python(
            f"""
            from backtests import tasks
            for _ in range(5):
                tasks.execute_run.delay(run_id="{run_id}")
            """
        )
        sender.communicate(timeout=PATIENCE)
        run = ended_once(busy, run_id)
        wait_until(lambda: site.run(run_id) == run, 2)

        assert run["attempt"] == 1

    def test_is_cancelled_in_less_than_two_seconds(self, busy):
        site, spec, _ = busy
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
        run_id = site.queue(spec)
        site.await_work(run_id)

        canceller.communicate(f"{run_id}\n", timeout=PATIENCE)
        run = site.await_end(run_id)

        assert run["status"] == "cancelled"
        assert run["result_digest"] == ""
        assert (run["finished_at"] - run["cancel_requested_at"]).total_seconds() < 2
        assert site.verbs(run_id) == ["queued", "started", "cancel_requested", "cancelled"]
        assert site.trail_holds()
