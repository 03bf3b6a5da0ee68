"""The lease of a run: renewed while it works, or lost, and a cancellation that it brings."""

import threading

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from backtests import jobs, services
from backtests.jobs import artifacts, backtest, lease
from backtests.jobs.lease import Lease, claim
from backtests.lifecycle import RunStatus
from backtests.models import Run
from tests.factories.backtests import bars_dataset, queued
from tests.factories.working import execute, take_over, verbs

# the heartbeat has a connection of its own, so rows must be committed
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def data(transactional_db, owner, tmp_path):
    """A real dataset that other connections see."""
    return bars_dataset(tmp_path, owner)


@pytest.fixture
def slow(data, monkeypatch, settings):
    """Make the store wait inside a run until the test has done its part."""
    settings.RUN_LEASE_SECONDS = 2
    inside, go_on = threading.Event(), threading.Event()
    put = artifacts.store

    def store(*given, **named):
        inside.set()
        assert go_on.wait(20)
        return put(*given, **named)

    monkeypatch.setattr(artifacts, "store", store)
    return inside, go_on


def in_thread(run) -> threading.Thread:
    def work():
        try:
            jobs.execute_run(run_id=run.public_id, worker="w1")
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


class TestLease:
    def test_is_renewed_while_the_work_lasts(self, slow, owner):
        inside, go_on = slow
        run = queued(owner)
        thread = in_thread(run)
        assert inside.wait(30)
        first = Run.objects.get(pk=run.pk).lease_expires_at

        threading.Event().wait(2.5)  # longer than the lease
        run.refresh_from_db()
        expired = Run.objects.lease_expired(timezone.now()).exists()
        go_on.set()
        thread.join()

        assert run.lease_expires_at > first
        assert not expired
        assert run.phase == "recording"
        assert (run.progress_done, run.progress_total) == (56, 56)  # from the first decision on
        run.refresh_from_db()
        assert (run.status, run.phase) == (RunStatus.SUCCEEDED, "")

    def test_once_lost_lets_the_first_attempt_write_nothing(self, slow, owner):
        inside, go_on = slow
        run = queued(owner)
        thread = in_thread(run)
        assert inside.wait(30)

        take_over(run)
        before = Run.objects.values().get(pk=run.pk)
        go_on.set()
        thread.join()

        assert Run.objects.values().get(pk=run.pk) == before
        assert (before["status"], before["attempt"], before["worker"]) == ("running", 2, "w2")
        assert verbs(run) == ["queued", "started", "requeued", "started"]

    def test_surfaces_a_cancellation_between_slices(self, data, owner, at, settings):
        settings.RUN_LEASE_SECONDS = 2
        run = claim(queued(owner).public_id, worker="w1")

        with Lease(run) as held:
            held.progress(1, 10)
            services.cancel_run(run_id=run.public_id, actor=owner, at=at)
            threading.Event().wait(1.0)

            with pytest.raises(lease.Cancelled):
                held.progress(2, 10)

    def test_surfaces_its_loss_between_slices(self, data, owner, settings):
        settings.RUN_LEASE_SECONDS = 2
        run = claim(queued(owner).public_id, worker="w1")

        with Lease(run) as held:
            take_over(run)
            threading.Event().wait(1.0)

            with pytest.raises(lease.LeaseLost):
                held.phase("deciding")

    def test_is_given_up_when_the_database_stays_away(self, data, owner, settings, monkeypatch):
        settings.RUN_LEASE_SECONDS = 2
        run = claim(queued(owner).public_id, worker="w1")

        def away(_):
            raise OperationalError

        monkeypatch.setattr(Lease, "_renew", away)

        with Lease(run) as held:
            threading.Event().wait(3.0)

            with pytest.raises(lease.LeaseLost):
                held.phase("deciding")


class TestCancellation:
    def test_ends_a_running_run_without_a_result(self, data, owner, at, settings, monkeypatch):
        settings.RUN_LEASE_SECONDS = 2
        simulate = backtest.simulate

        def cancelled_meanwhile(*given, **named):
            services.cancel_run(run_id=run.public_id, actor=owner, at=at)
            threading.Event().wait(1.0)  # a heartbeat sees it
            return simulate(*given, **named)

        monkeypatch.setattr(backtest, "simulate", cancelled_meanwhile)
        run = queued(owner)

        ended = execute(run)

        assert ended.status == RunStatus.CANCELLED
        assert (ended.result_digest, ended.artifacts, ended.problem) == ("", {}, None)
        assert verbs(run) == ["queued", "started", "cancel_requested", "cancelled"]

    def test_stops_before_the_next_file_is_written(self, data, owner, at, settings, monkeypatch):
        settings.RUN_LEASE_SECONDS = 2
        put, written = artifacts._put, []

        def cancelled_after_the_first(content):
            written.append(content)
            services.cancel_run(run_id=run.public_id, actor=owner, at=at)
            threading.Event().wait(1.0)
            return put(content)

        monkeypatch.setattr(artifacts, "_put", cancelled_after_the_first)
        run = queued(owner)

        assert execute(run).status == RunStatus.CANCELLED
        assert len(written) == 1
