"""Runs as a worker does them: claimed once, ended once, rescued when their worker is lost."""

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from backtests import jobs, tasks
from backtests.jobs import backtest, lease, runs
from backtests.jobs.lease import claim, finish
from backtests.lifecycle import RunStatus
from backtests.models import Run
from crowetrade_site.core import provenance, storage
from tests.factories.backtests import bars_dataset, dataset_row, queued, run_row
from tests.factories.working import execute, verbs

# the heartbeat has a connection of its own, so rows must be committed
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def data(transactional_db, owner, tmp_path):
    """A real dataset that other connections see."""
    return bars_dataset(tmp_path, owner)


@pytest.fixture
def row(owner):
    """A dataset row without arrays."""
    return dataset_row(owner)


class TestClaim:
    def test_takes_a_queued_run(self, row, owner):
        run = run_row(row, owner)

        mine = claim(run.public_id, worker="w1")

        assert (mine.status, mine.attempt, mine.worker) == (RunStatus.RUNNING, 1, "w1")
        assert mine.lease_expires_at > timezone.now()
        assert verbs(run) == ["started"]

    @pytest.mark.parametrize("status", ["running", "succeeded", "failed", "cancelled"])
    def test_leaves_any_other(self, row, owner, status):
        run = run_row(row, owner, status)

        assert claim(run.public_id, worker="w1") is None
        assert verbs(run) == []

    def test_lets_one_of_two_racing_workers_win(self, row, owner):
        run = run_row(row, owner)
        start, won = threading.Barrier(8), []

        def race(name):
            start.wait()
            try:
                won.append(claim(run.public_id, worker=name))
            finally:
                connection.close()

        workers = [threading.Thread(target=race, args=(f"w{n}",)) for n in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

        assert len(won) == 8
        assert [mine.attempt for mine in won if mine] == [1]
        assert verbs(run) == ["started"]


class TestExecuteRun:
    def test_records_result_artifacts_and_provenance(self, data, owner):
        run = execute(queued(owner))

        assert run.status == RunStatus.SUCCEEDED
        assert len(run.result_digest) == 64
        assert run.code_digest == provenance.code_digest()
        assert run.environment["numba"]
        assert set(run.artifacts) == {
            "curves.parquet", "fills.parquet", "metrics.json", "orders.parquet",
            "positions.parquet", "trades.parquet",
        }  # fmt: skip
        assert all(storage.exists(entry["digest"]) for entry in run.artifacts.values())
        assert run.summary["n_bars"] == 56
        assert run.summary["n_fills"] > 0
        assert (run.progress_done, run.progress_total, run.phase) == (56, 56, "")
        assert verbs(run) == ["queued", "started", "succeeded"]

    def test_changes_nothing_when_asked_again(self, data, owner):
        run = queued(owner)
        first = execute(run)
        before = Run.objects.values().get(pk=run.pk)

        execute(run)

        assert Run.objects.values().get(pk=run.pk) == before
        assert verbs(first) == ["queued", "started", "succeeded"]

    def test_gives_the_same_digest_for_the_same_spec(self, data, owner):
        first, second = execute(queued(owner)), execute(queued(owner))

        assert first.result_digest == second.result_digest
        assert first.artifacts == second.artifacts

    def test_gives_another_digest_for_other_costs(self, data, owner):
        plain, costly = (
            execute(queued(owner)),
            execute(queued(owner, costs={"commission_bps": 5})),
        )

        assert plain.result_digest != costly.result_digest

    def test_trades_the_days_and_instruments_asked_for(self, data, owner):
        wanted = {"start": "2024-02-01", "end": "2024-02-29", "instruments": ["BBB"]}

        run = execute(queued(owner, **wanted))

        assert (run.summary["n_bars"], run.summary["n_instruments"]) == (21, 1)

    def test_measures_against_a_benchmark(self, data, owner):
        run = execute(queued(owner, benchmark="tiny/AAA"))

        assert run.summary["metrics"]["beta"]["value"] is not None

    def test_fails_with_the_problem_of_the_domain(self, data, owner):
        weekend = {"start": "2024-01-06", "end": "2024-01-07"}

        run = execute(queued(owner, **weekend))

        assert run.status == RunStatus.FAILED
        assert run.problem["detail"].startswith("The dataset has no bar between 2024-01-06")
        assert (run.result_digest, run.artifacts) == ("", {})
        assert verbs(run) == ["queued", "started", "failed"]

    def test_fails_when_an_array_is_corrupted(self, data, owner, settings):
        from backtests.jobs import datasets

        datasets._panels._panels.clear()
        digest = data.manifest["content"]["fields"]["close"]["sha256"]
        path = settings.ARTIFACT_ROOT / digest[:2] / digest[2:4] / digest
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-8] + b"tampered")

        run = execute(queued(owner))

        assert run.status == RunStatus.FAILED
        assert run.problem["type"] == "urn:crowetrade:problem:corrupted"

    def test_stores_and_raises_what_nobody_foresaw(self, data, owner, monkeypatch):
        def crash(*_):
            raise ZeroDivisionError("by\0 zero")

        monkeypatch.setattr(backtest, "compute", crash)
        run = queued(owner)

        with pytest.raises(ZeroDivisionError):
            execute(run)

        run.refresh_from_db()
        assert run.status == RunStatus.FAILED
        assert run.problem["title"] == "The run failed unexpectedly"
        assert run.problem["detail"] == "ZeroDivisionError: by� zero"
        assert verbs(run) == ["queued", "started", "failed"]

    def test_leaves_the_run_to_the_reaper_when_the_database_goes_away(
        self, data, owner, monkeypatch
    ):
        def away(*_):
            raise OperationalError("server closed the connection")

        monkeypatch.setattr(backtest, "compute", away)
        run = queued(owner)

        with pytest.raises(OperationalError):
            execute(run)

        run.refresh_from_db()
        assert run.status == RunStatus.RUNNING
        assert verbs(run) == ["queued", "started"]


class TestFinish:
    @pytest.fixture
    def held(self, row, owner):
        return claim(run_row(row, owner).public_id, worker="w1")

    def test_records_an_end_once(self, held):
        assert finish(held, RunStatus.CANCELLED)
        assert not finish(held, RunStatus.CANCELLED)
        assert verbs(held) == ["started", "cancelled"]

    def test_waits_for_a_database_that_comes_back(self, held, monkeypatch):
        once, faults = lease._finish_once, [OperationalError("gone"), OperationalError("gone")]

        def shaky(*given):
            if faults:
                raise faults.pop()
            return once(*given)

        monkeypatch.setattr(lease, "_finish_once", shaky)

        assert finish(held, RunStatus.CANCELLED)
        assert verbs(held) == ["started", "cancelled"]

    def test_gives_up_when_the_lease_cannot_be_ours_any_more(self, held, monkeypatch, settings):
        settings.RUN_LEASE_SECONDS = 0

        def away(*_):
            raise OperationalError("gone")

        monkeypatch.setattr(lease, "_finish_once", away)

        with pytest.raises(OperationalError):
            finish(held, RunStatus.CANCELLED)

    def test_writes_nothing_without_its_audit_entry(self, held, monkeypatch):
        def refuse(*_, **__):
            raise RuntimeError("the trail is full")

        monkeypatch.setattr(lease.audit, "record", refuse)

        with pytest.raises(RuntimeError):
            finish(held, RunStatus.CANCELLED)
        held.refresh_from_db()
        assert held.status == RunStatus.RUNNING


class TestReapRuns:
    def test_queues_a_lost_run_again(self, row, owner):
        run = run_row(row, owner, RunStatus.RUNNING)  # its lease ran out long ago

        jobs.reap_runs()

        run.refresh_from_db()
        assert (run.status, run.attempt, run.published_at) == (RunStatus.QUEUED, 1, None)
        assert verbs(run) == ["requeued"]

    def test_leaves_a_living_one(self, row, owner):
        alive = timezone.now() + timedelta(seconds=5)
        run = run_row(row, owner, RunStatus.RUNNING, lease_expires_at=alive)

        jobs.reap_runs()

        assert Run.objects.get().status == RunStatus.RUNNING
        assert verbs(run) == []

    def test_fails_one_whose_attempts_are_used_up(self, row, owner, settings):
        run = run_row(row, owner, RunStatus.RUNNING, attempt=settings.RUN_MAX_ATTEMPTS, worker="w9")

        jobs.reap_runs()

        run.refresh_from_db()
        assert run.status == RunStatus.FAILED
        assert run.problem["title"] == "The worker was lost"
        assert "lost 5 times, the last one being w9" in run.problem["detail"]
        assert verbs(run) == ["failed"]

    def test_cancels_one_that_was_asked_to_stop(self, row, owner):
        run = run_row(row, owner, RunStatus.RUNNING, cancel_requested_at=timezone.now())

        jobs.reap_runs()

        run.refresh_from_db()
        assert run.status == RunStatus.CANCELLED
        assert verbs(run) == ["cancelled"]

    def test_writes_nothing_for_a_run_that_was_taken_meanwhile(self, row, owner):
        run = run_row(row, owner, RunStatus.RUNNING)
        stale = Run.objects.get(pk=run.pk)
        Run.objects.filter(pk=run.pk).update(attempt=2)

        runs._rescue(stale)

        run.refresh_from_db()
        assert (run.status, verbs(run)) == (RunStatus.RUNNING, [])

    def test_names_what_no_message_speaks_of(self, row, owner):
        now = timezone.now()
        old, long_ago = now - timedelta(seconds=5), now - timedelta(seconds=90)
        silent = run_row(row, owner, queued_at=old)
        stale = run_row(row, owner, queued_at=long_ago, published_at=long_ago)
        run_row(row, owner, queued_at=now)  # its request is just committing
        run_row(row, owner, queued_at=long_ago, published_at=old)

        assert jobs.reap_runs() == [stale.public_id, silent.public_id]

    def test_is_published_by_the_task(self, row, owner):
        run = run_row(row, owner, queued_at=timezone.now() - timedelta(seconds=5))

        tasks.reap_runs()

        run.refresh_from_db()
        assert run.published_at is not None
