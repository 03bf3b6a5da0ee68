"""Chunks of a study: planned, claimed, computed again, given up."""

from datetime import timedelta

import pytest
from django.utils import timezone

from backtests import jobs, services
from backtests.jobs import chunks, evaluation, trials
from backtests.lifecycle import ChunkStatus, RunStatus
from backtests.models import Chunk
from tests.factories.studies import sweep, table_of
from tests.factories.working import work

pytestmark = pytest.mark.django_db(transaction=True)


class TestPlan:
    @pytest.mark.parametrize(("n_trials", "most"), [(1, 5000), (6, 2), (160, 10), (163, 10)])
    def test_covers_every_trial_once_and_ends_small(self, data, owner, monkeypatch, n_trials, most):
        run = sweep(owner)
        monkeypatch.setattr(evaluation, "MOST_TRIALS", most)
        monkeypatch.setattr(evaluation, "LEAST_SECONDS", 0.0)

        evaluation.plan(run, trials.Bench.of(run), n_trials)

        planned = list(run.chunks.order_by("first").values_list("first", "n_trials"))
        numbers = [number for first, n in planned for number in range(first, first + n)]
        assert numbers == list(range(n_trials))
        assert max(n for _, n in planned) <= most
        if n_trials >= 160:
            assert [n for _, n in planned[:12]] == [10] * 12
            assert max(n for _, n in planned[12:]) == 2


class TestChunks:
    def test_are_claimed_once(self, data, owner, small):
        run = sweep(owner)
        chunk, *_ = jobs.execute_run(run_id=run.public_id, worker="w1")

        assert chunks._claim(chunk, worker="w1") is not None
        assert chunks._claim(chunk, worker="w2") is None

    def test_are_computed_again_when_their_worker_is_lost(self, data, owner, small):
        undisturbed = work(sweep(owner))
        Chunk.objects.update(content="x" * 64)  # nothing to take over
        run = sweep(owner)
        first, *_ = jobs.execute_run(run_id=run.public_id, worker="w1")
        chunks._claim(first, worker="w1")
        expired = timezone.now() - timedelta(seconds=1)
        Chunk.objects.filter(pk=first).update(lease_expires_at=expired)

        messages, _ = jobs.reap_chunks()
        assert first in messages
        for chunk in messages:
            following = jobs.execute_chunk(chunk_id=chunk, worker="w2")
        jobs.execute_run(run_id=following.study, worker="w2")
        run.refresh_from_db()

        assert Chunk.objects.get(pk=first).attempt == 2
        assert run.result_digest == undisturbed.result_digest

    def test_that_kill_their_worker_are_given_up_and_the_rest_is_kept(
        self, data, owner, small, settings
    ):
        settings.CHUNK_MAX_ATTEMPTS = 2
        run = sweep(owner)
        poison, *others = jobs.execute_run(run_id=run.public_id, worker="w1")
        for _ in range(2):
            chunks._claim(poison, worker="w1")
            expired = timezone.now() - timedelta(seconds=1)
            Chunk.objects.filter(pk=poison).update(lease_expires_at=expired)
            jobs.reap_chunks()
        for chunk in others:
            following = jobs.execute_chunk(chunk_id=chunk, worker="w2")
        jobs.execute_run(run_id=following.study, worker="w2")
        run.refresh_from_db()

        assert Chunk.objects.get(pk=poison).status == ChunkStatus.QUARANTINED
        assert run.status == RunStatus.FAILED
        assert (
            "1 of 3 chunks were given up, the first of them trials 0 to 1"
            in (run.problem["detail"])
        )
        assert table_of(run)["number"].to_pylist() == [2, 3, 4, 5]
        assert run.summary["study"]["n_trials"] == 4

    def test_that_are_given_up_end_a_search_that_learns(self, data, owner, small):
        """What the first generation said is known to the conclusion, though none follows."""
        over = {"signals.0.slow_bars": {"low": 5, "high": 40, "step": 1}}
        tpe = {"kind": "tpe", "n_trials": 8, "generation": 4, "startup": 4, "over": over, "seed": 1}
        run = sweep(owner, tpe)
        poison, other = jobs.execute_run(run_id=run.public_id, worker="w1")
        Chunk.objects.filter(pk=poison).update(
            status=ChunkStatus.QUARANTINED, problem={"detail": "It was lost."}
        )
        following = jobs.execute_chunk(chunk_id=other, worker="w2")
        jobs.execute_run(run_id=following.study, worker="w2")
        run.refresh_from_db()

        assert (run.status, run.chunks.count()) == (RunStatus.FAILED, 2)
        assert run.problem["title"] == "A part of the study could not be computed"
        assert set(run.summary["study"]["leading"]["numbers"]) == {2, 3}

    def test_of_a_cancelled_study_are_not_begun(self, data, owner, small):
        run = sweep(owner)
        first, second, _ = jobs.execute_run(run_id=run.public_id, worker="w1")
        jobs.execute_chunk(chunk_id=first, worker="w1")

        services.cancel_run(run_id=run.public_id, actor=owner, at=timezone.now())
        following = jobs.execute_chunk(chunk_id=second, worker="w1")
        run.refresh_from_db()

        assert following == chunks.Next()
        assert run.status == RunStatus.CANCELLED
        statuses = set(run.chunks.values_list("status", flat=True))
        assert statuses == {ChunkStatus.DONE, ChunkStatus.CANCELLED}

    def test_enter_the_queue_a_few_at_a_time(self, data, owner, small, settings):
        settings.STUDY_CHUNKS_IN_FLIGHT = 2
        run = sweep(owner)
        messages = jobs.execute_run(run_id=run.public_id, worker="w1")
        Chunk.objects.filter(pk__in=messages).update(published_at=timezone.now())

        following = jobs.execute_chunk(chunk_id=messages[0], worker="w1")

        assert len(messages) == 2
        assert len(following.chunks) == 1

    def test_send_the_study_on_once_though_the_last_message_comes_twice(self, data, owner):
        run = sweep(owner)
        (only,) = jobs.execute_run(run_id=run.public_id, worker="w1")

        first = jobs.execute_chunk(chunk_id=only, worker="w1")
        second = jobs.execute_chunk(chunk_id=only, worker="w2")

        assert (first.study, second.study) == (run.public_id, None)
