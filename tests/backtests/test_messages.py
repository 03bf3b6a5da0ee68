"""A study between its plan and its chunks, and the messages that speak of them."""

from datetime import timedelta

import pytest
from celery import current_app
from django.utils import timezone
from kombu.exceptions import OperationalError

from backtests import jobs, services, tasks
from backtests.jobs import chunks, evaluation, lease, studies, trials
from backtests.lifecycle import ChunkStatus, RunStatus
from backtests.models import Run
from tests.factories.backtests import AT, bars_dataset, swept, work_off

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def data(transactional_db, owner, tmp_path):
    """A real dataset that other connections see."""
    trials._open.cache_clear()
    return bars_dataset(tmp_path, owner, n_days=120)


@pytest.fixture
def small(monkeypatch):
    """Chunks of two trials: six of a sweep."""
    monkeypatch.setattr(evaluation, "MOST_TRIALS", 2)


class TestPlannedStudy:
    """A study whose worker or database is lost between its plan and its waiting."""

    @pytest.fixture
    def planned(self, data, owner, small):
        run = swept(owner)
        claimed = lease.claim(run.public_id, worker="lost")
        studies.advance(claimed, lease.Lease(claimed))
        Run.objects.filter(pk=run.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        return run

    def test_waits_for_the_chunks_that_were_planned(self, planned):
        jobs.reap_runs()

        run = work_off(planned)

        assert run.status == RunStatus.SUCCEEDED, run.problem
        assert run.chunks.count() == 6
        assert run.summary["study"]["n_trials"] == 12

    def test_leaves_no_chunk_behind_when_it_was_asked_to_stop(self, planned, owner):
        services.cancel_run(run_id=planned.public_id, actor=owner, at=AT)

        jobs.reap_runs()

        planned.refresh_from_db()
        assert planned.status == RunStatus.CANCELLED
        assert set(planned.chunks.values_list("status", flat=True)) == {ChunkStatus.CANCELLED}

    def test_stops_instead_of_waiting_when_it_was_asked_to_while_it_planned(
        self, data, owner, small, monkeypatch
    ):
        run = swept(owner)
        plan = evaluation.plan

        def plan_and_ask(*given):
            plan(*given)
            services.cancel_run(run_id=run.public_id, actor=owner, at=AT)

        monkeypatch.setattr(evaluation, "plan", plan_and_ask)

        assert jobs.execute_run(run_id=run.public_id, worker="w1") == []
        run.refresh_from_db()
        assert (run.status, run.waits_for_chunks) == (RunStatus.CANCELLED, False)
        assert set(run.chunks.values_list("status", flat=True)) == {ChunkStatus.CANCELLED}

    def test_ends_at_once_when_asked_again_while_it_waits(self, data, owner, small):
        run = swept(owner)
        jobs.execute_run(run_id=run.public_id, worker="w1")
        Run.objects.filter(pk=run.pk).update(cancel_requested_at=AT)

        services.cancel_run(run_id=run.public_id, actor=owner, at=AT)

        run.refresh_from_db()
        assert run.status == RunStatus.CANCELLED
        assert set(run.chunks.values_list("status", flat=True)) == {ChunkStatus.CANCELLED}


class TestMessages:
    """A message is a turn: one too many brings another with it for as long as there is work."""

    @pytest.fixture
    def sent(self, monkeypatch):
        keys = []
        monkeypatch.setattr(tasks.execute_chunk, "delay", lambda **given: keys.append(given))
        return keys

    @pytest.fixture
    def waiting(self, data, owner, small):
        """A study whose six chunks were sent two minutes ago."""
        run = swept(owner)
        jobs.execute_run(run_id=run.public_id, worker="w1")
        run.chunks.update(published_at=timezone.now() - timedelta(minutes=2))
        return run

    def test_are_one_for_a_chunk_however_many_ask_for_it(self, data, owner, small, sent):
        run = swept(owner)
        chunk, *_ = jobs.execute_run(run_id=run.public_id, worker="w1")

        tasks.publish_chunk(chunk)
        tasks.publish_chunk(chunk)

        assert sent == [{"chunk_id": chunk}]
        assert run.chunks.filter(published_at__isnull=False).count() == 1

    def test_are_none_for_a_chunk_that_a_worker_is_at(self, data, owner, small, sent):
        chunk, *_ = jobs.execute_run(run_id=swept(owner).public_id, worker="w1")
        chunks._claim(chunk, worker="w1")

        tasks.publish_chunk(chunk)

        assert sent == []

    def test_leave_the_row_to_the_beat_while_the_broker_is_away(
        self, data, owner, small, monkeypatch
    ):
        def away(**_):
            raise OperationalError("no broker")

        monkeypatch.setattr(tasks.execute_chunk, "delay", away)
        run = swept(owner)
        chunk, *_ = jobs.execute_run(run_id=run.public_id, worker="w1")

        tasks.publish_chunk(chunk)

        assert chunk in jobs.reap_chunks()[0]

    @pytest.mark.parametrize(("n_messages", "n_again"), [(6, 0), (5, 1), (0, 6), (None, 0), (9, 0)])
    def test_are_sent_again_only_as_far_as_the_queue_lacks_them(self, waiting, n_messages, n_again):
        again, _ = jobs.reap_chunks(n_messages=n_messages)

        assert len(set(again)) == n_again

    def test_are_counted_in_the_queue_by_the_beat(self, waiting, sent):
        with current_app.connection_for_write() as connection:
            queue = connection.SimpleQueue("batch")
            for _ in range(6):
                queue.put("a turn")
            tasks.reap_runs()
            assert sent == []

            queue.clear()
            tasks.reap_runs()
            assert len(sent) == 6
            tasks.reap_runs()
            assert len(sent) == 6, "sent again a moment ago"
