"""Work that meets no artefact store, as far as it can be seen in one process."""

import errno
from datetime import timedelta

import pytest
from django.utils import timezone

from backtests import jobs
from backtests.jobs import chunks, evaluation, lease, trials
from backtests.lifecycle import ChunkStatus, RunStatus
from backtests.models import Chunk, Run
from crowetrade_site.core import storage
from crowetrade_site.core.models import AuditEvent
from tests.factories.backtests import bars_dataset, queued, swept, work_off

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def data(transactional_db, owner, tmp_path, monkeypatch):
    trials._open.cache_clear()
    monkeypatch.setattr(evaluation, "MOST_TRIALS", 4)
    return bars_dataset(tmp_path, owner, n_days=120)


def away(monkeypatch):
    """Have every file be too large for the disk."""

    def full(_spool):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage, "_force", full)


def lapse(rows) -> None:
    rows.update(lease_expires_at=timezone.now() - timedelta(seconds=1))


class TestChunkThatMeetsNoStore:
    def test_is_queued_again_without_an_attempt_being_counted(self, data, owner, monkeypatch):
        run = swept(owner)
        first, *_ = jobs.execute_run(run_id=run.public_id, worker="w")
        with monkeypatch.context() as patch:
            away(patch)
            for _ in range(8):  # more often than a chunk may be begun
                assert chunks.execute_chunk(chunk_id=first, worker="w") == chunks.Next()
                lapse(Chunk.objects.filter(pk=first))
                jobs.reap_chunks()

        chunk = Chunk.objects.get(pk=first)
        assert (chunk.status, chunk.attempt, chunk.resumptions) == (ChunkStatus.QUEUED, 8, 8)
        assert Run.objects.get(pk=run.pk).store_away_since is not None

        jobs.execute_chunk(chunk_id=first, worker="w")
        run.refresh_from_db()
        assert Chunk.objects.get(pk=first).status == ChunkStatus.DONE
        assert run.store_away_since is None, "patience begins anew"

    def test_ends_its_study_once_patience_is_over(self, data, owner, monkeypatch, settings):
        run = swept(owner)
        first, second, *_ = jobs.execute_run(run_id=run.public_id, worker="w")
        jobs.execute_chunk(chunk_id=first, worker="w")
        with monkeypatch.context() as patch:
            away(patch)
            jobs.execute_chunk(chunk_id=second, worker="w")
            lapse(Chunk.objects.filter(pk=second))
            jobs.reap_chunks()
            long_ago = timezone.now() - timedelta(seconds=settings.STORE_PATIENCE_SECONDS + 1)
            Run.objects.filter(pk=run.pk).update(store_away_since=long_ago)
            jobs.execute_chunk(chunk_id=second, worker="w")

        run.refresh_from_db()
        assert run.status == RunStatus.FAILED
        assert run.problem["status"] == 507
        assert "Queue it again" in run.problem["detail"]
        assert AuditEvent.objects.filter(
            object_id=str(run.public_id), verb="backtests.run.failed"
        ).exists()
        states = run.chunks.order_by("first").values_list("status", flat=True)
        assert list(states[:2]) == [ChunkStatus.DONE, ChunkStatus.QUARANTINED]
        assert set(states[2:]) == {ChunkStatus.CANCELLED}

        again = work_off(swept(owner))
        assert again.status == RunStatus.SUCCEEDED
        assert again.chunks.order_by("first").first().is_reused

    def test_is_cancelled_if_its_study_ended_meanwhile(self, data, owner, monkeypatch):
        run = swept(owner)
        first, *_ = jobs.execute_run(run_id=run.public_id, worker="w")
        with monkeypatch.context() as patch:
            away(patch)
            jobs.execute_chunk(chunk_id=first, worker="w")
        Run.objects.filter(pk=run.pk).update(
            status=RunStatus.CANCELLED, finished_at=timezone.now(), waits_for_chunks=False
        )
        lapse(Chunk.objects.filter(pk=first))

        jobs.reap_chunks()

        assert Chunk.objects.get(pk=first).status == ChunkStatus.CANCELLED


class TestRunThatMeetsNoStore:
    def test_is_queued_again_and_gives_the_same(self, data, owner, monkeypatch):
        undisturbed = work_off(queued(owner))
        run = queued(owner)
        with monkeypatch.context() as patch:
            away(patch)
            for _ in range(8):
                jobs.execute_run(run_id=run.public_id, worker="w")
                lapse(Run.objects.filter(pk=run.pk))
                jobs.reap_runs()

        run = work_off(run)
        assert run.status == RunStatus.SUCCEEDED
        assert run.result_digest == undisturbed.result_digest
        reasons = AuditEvent.objects.filter(
            object_id=str(run.public_id), verb="backtests.run.requeued"
        ).values_list("reason", flat=True)
        assert list(reasons) == ["the artefact store was away"] * 8

    def test_fails_once_patience_is_over(self, data, owner, monkeypatch, settings):
        run = queued(owner)
        with monkeypatch.context() as patch:
            away(patch)
            jobs.execute_run(run_id=run.public_id, worker="w")
            long_ago = timezone.now() - timedelta(seconds=settings.STORE_PATIENCE_SECONDS + 1)
            Run.objects.filter(pk=run.pk).update(store_away_since=long_ago)
            lapse(Run.objects.filter(pk=run.pk))
            jobs.reap_runs()
            jobs.execute_run(run_id=run.public_id, worker="w")

        run.refresh_from_db()
        assert run.status == RunStatus.FAILED
        assert "no room left" in run.problem["detail"]


class TestStoreThatComesBack:
    LONG_AGO = timedelta(seconds=700)

    def test_has_a_run_wait_anew(self, data, owner, monkeypatch, settings):
        """Away for a moment, back for 700 s, and away again for a moment."""
        run = queued(owner)
        with monkeypatch.context() as patch:
            away(patch)
            jobs.execute_run(run_id=run.public_id, worker="w")
        self.age(run)
        self.meet_none_while_computing(run, monkeypatch)

        run.refresh_from_db()
        assert run.status == RunStatus.RUNNING, run.problem
        assert timezone.now() - run.store_away_since < timedelta(seconds=60)
        lapse(Run.objects.filter(pk=run.pk))
        jobs.reap_runs()
        assert work_off(run).status == RunStatus.SUCCEEDED

    def test_is_no_reason_to_go_round_for_ever(self, data, owner, monkeypatch, settings):
        """A store that takes a few bytes but no results."""
        settings.RUN_MAX_ATTEMPTS = 3
        run = queued(owner)
        for _ in range(6):
            if Run.objects.get(pk=run.pk).status == RunStatus.QUEUED:
                self.meet_none_while_computing(run, monkeypatch)
                lapse(Run.objects.filter(pk=run.pk))
                jobs.reap_runs()

        run.refresh_from_db()
        assert (run.status, run.attempt) == (RunStatus.FAILED, 4)
        assert "no room" in run.problem["detail"]

    def test_is_not_blamed_for_a_worker_that_is_lost(self, data, owner, monkeypatch):
        run = queued(owner)
        with monkeypatch.context() as patch:
            away(patch)
            jobs.execute_run(run_id=run.public_id, worker="w")
        lapse(Run.objects.filter(pk=run.pk))
        jobs.reap_runs()
        lease.claim(run.public_id, worker="lost")
        lapse(Run.objects.filter(pk=run.pk))
        jobs.reap_runs()

        reasons = AuditEvent.objects.filter(verb="backtests.run.requeued").order_by("id")
        assert list(reasons.values_list("reason", flat=True)) == [
            "the artefact store was away", "the worker was lost",
        ]  # fmt: skip

    def test_has_a_study_wait_anew_though_no_chunk_is_done(self, data, owner, monkeypatch):
        run = swept(owner)
        first, *_ = jobs.execute_run(run_id=run.public_id, worker="w")
        with monkeypatch.context() as patch:
            away(patch)
            jobs.execute_chunk(chunk_id=first, worker="w")
        Run.objects.filter(pk=run.pk).update(store_away_since=timezone.now() - self.LONG_AGO)
        lapse(Chunk.objects.filter(pk=first))
        jobs.reap_chunks()
        with monkeypatch.context() as patch:
            patch.setattr(evaluation, "compute", self.away_at_last)
            jobs.execute_chunk(chunk_id=first, worker="w")

        run.refresh_from_db()
        assert run.status == RunStatus.RUNNING, run.problem
        assert timezone.now() - run.store_away_since < timedelta(seconds=60)
        assert work_off_chunks(run).status == RunStatus.SUCCEEDED

    def age(self, run):
        Run.objects.filter(pk=run.pk).update(store_away_since=timezone.now() - self.LONG_AGO)
        lapse(Run.objects.filter(pk=run.pk))
        jobs.reap_runs()

    def away_at_last(self, *_):
        raise storage.StoreFull("There is no room left for files.")

    def meet_none_while_computing(self, run, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr("backtests.jobs.backtest.compute", self.away_at_last)
            jobs.execute_run(run_id=run.public_id, worker="w")


def work_off_chunks(run) -> Run:
    """Do what workers and the beat do of a study that waits."""
    while run.status == RunStatus.RUNNING:
        lapse(Chunk.objects.filter(run=run, status=ChunkStatus.RUNNING))
        messages, _ = jobs.reap_chunks()
        for chunk in messages:
            jobs.execute_chunk(chunk_id=chunk, worker="w")
        run.refresh_from_db()
        if run.status == RunStatus.QUEUED:
            jobs.execute_run(run_id=run.public_id, worker="w")
            run.refresh_from_db()
    return run


class TestChunkThatWasComputedBefore:
    def test_is_computed_again_where_its_rows_have_rotted(self, data, owner, settings):
        first = work_off(swept(owner))
        digests = list(first.chunks.values_list("artifact", flat=True))
        for digest in digests:
            path = storage.locate(digest)
            path.chmod(0o600)
            path.write_bytes(b"rotten" * 100)

        second = work_off(swept(owner))

        assert second.status == RunStatus.SUCCEEDED, second.problem
        assert set(second.chunks.values_list("is_reused", flat=True)) == {False}
        assert second.result_digest == first.result_digest
        assert all(storage.locate(digest) for digest in digests), "they are whole again"

    def test_is_computed_again_where_its_rows_are_lost(self, data, owner, settings):
        first = work_off(swept(owner))
        for digest in first.chunks.values_list("artifact", flat=True):
            storage.remove(digest)

        second = work_off(swept(owner))

        assert second.status == RunStatus.SUCCEEDED
        assert set(second.chunks.values_list("is_reused", flat=True)) == {False}
        assert second.result_digest == first.result_digest
