"""Kernels in the background: who waits for them, who does not, and what is said meanwhile."""

import fcntl
import sys
import threading

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher

from backtests import services
from backtests.jobs import warming
from backtests.jobs.lease import Cancelled, Lease, claim
from backtests.jobs.warming import Kernels
from backtests.models import Run
from backtests.runspec import ReplaySpec
from tests.factories.backtests import bars_dataset, queued
from tests.factories.working import execute

# the heartbeat has a connection of its own, so rows must be committed
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(transactional_db, owner, tmp_path, settings):
    """A run on a real dataset that other connections see."""
    settings.RUN_LEASE_SECONDS = 2
    bars_dataset(tmp_path, owner)
    return queued(owner)


@pytest.fixture
def new_version(tmp_path, monkeypatch):
    """Machine code of nobody's yet, and a process that has only just begun."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    monkeypatch.setattr(warming, "_directory", lambda: folder)
    monkeypatch.setattr(warming, "_failures", warming.Failures())
    warming._begun.cache_clear()
    yield folder
    warming.begin().join(120)
    warming._begun.cache_clear()


@pytest.fixture
def another_compiles(new_version):
    """Another process of this machine that compiles until the test lets it go."""
    with (new_version / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


@pytest.fixture
def replays_fail(new_version):
    """A machine on which the mark of the replays' kernels cannot be made."""
    mark = new_version / Kernels.REPLAYS
    mark.symlink_to(new_version / "nowhere" / "mark")
    return mark


class TestBegin:
    def test_tells_which_went_wrong_and_makes_the_others_ready(self, replays_fail, caplog):
        begun = warming.begin()
        begun.join(120)

        assert [(one.levelname, one.kernels) for one in caplog.records] == [("ERROR", "replays")]
        assert "complete-replays" in caplog.text
        assert begun.ready[Kernels.ENGINE].is_set()
        assert not begun.ready[Kernels.REPLAYS].is_set()
        assert warming.begin() is begun


class TestFailures:
    def test_are_tried_again_after_pauses_that_grow(self):
        failures, at = warming.Failures(), 1000.0
        pauses = []

        for _ in range(10):
            failures.note(Kernels.REPLAYS, at)
            due = next(
                at + wait for wait in range(4000) if failures.take_due(Kernels.REPLAYS, at + wait)
            )
            pauses.append(due - at)
            at = due

        assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]

    def test_are_tried_by_one_of_those_who_ask(self):
        failures = warming.Failures()
        failures.note(Kernels.ENGINE, 0.0)

        assert [failures.take_due(Kernels.ENGINE, 31.0) for _ in range(3)] == [True, False, False]

    def test_are_of_one_kind(self):
        failures = warming.Failures()
        failures.note(Kernels.REPLAYS, 0.0)

        assert not failures.take_due(Kernels.ENGINE, 1e9)

    def test_begin_anew_once_it_was_ready(self):
        failures = warming.Failures()
        for _ in range(5):
            failures.note(Kernels.ENGINE, 0.0)

        failures.forget(Kernels.ENGINE)

        assert not failures.take_due(Kernels.ENGINE, 1e9)
        failures.note(Kernels.ENGINE, 0.0)
        assert failures.take_due(Kernels.ENGINE, 30.0)


class TestAwaitKernels:
    def test_says_that_it_compiles_and_heeds_a_cancellation(self, run, owner, at, another_compiles):
        claimed = claim(run.public_id, worker="w1")

        with Lease(claimed) as lease:
            services.cancel_run(run_id=run.public_id, actor=owner, at=at)
            with pytest.raises(Cancelled):
                warming.await_kernels(lease)

        assert warming.begin().is_alive()  # it compiles for whoever comes next

    def test_is_seen_on_the_row(self, run, another_compiles):
        claimed = claim(run.public_id, worker="w1")

        with Lease(claimed) as lease:
            lease.phase("starting")
            waiting = threading.Thread(target=warming.await_kernels, args=[lease])
            waiting.start()
            threading.Event().wait(1.0)
            seen = Run.objects.get(pk=run.pk).phase
            fcntl.flock(another_compiles, fcntl.LOCK_UN)
            waiting.join(30)

        assert seen == warming.COMPILING
        assert len(seen) <= Run._meta.get_field("phase").max_length
        assert not waiting.is_alive()

    def test_notes_what_is_compiled_for_those_that_come_after(self, run, new_version):
        assert not warming.is_compiled()

        finished = execute(run)

        assert finished.status == "succeeded"
        assert warming.is_compiled()

    def test_compiles_for_itself_where_nothing_can_be_kept(self, run, new_version):
        new_version.rmdir()
        new_version.write_text("no folder")

        finished = execute(run)

        assert finished.status == "succeeded"
        assert not warming.is_compiled()

    def test_lets_a_backtest_go_while_those_of_replays_are_compiled(
        self, run, new_version, another_compiles
    ):
        (new_version / Kernels.ENGINE).touch()

        with Lease(claim(run.public_id, worker="w1")) as lease:
            warming.await_kernels(lease)
        begun = warming.begin()

        assert begun.is_alive()
        assert begun.ready[Kernels.ENGINE].is_set()
        assert not begun.ready[Kernels.REPLAYS].is_set()
        fcntl.flock(another_compiles, fcntl.LOCK_UN)
        begun.join(120)
        assert begun.ready[Kernels.REPLAYS].is_set()
        assert warming.is_compiled(Kernels.REPLAYS)

    def test_leaves_the_engine_alone_where_other_kernels_fail(
        self, run, replays_fail, caplog, monkeypatch
    ):
        monkeypatch.setattr(warming, "PAUSE_SECONDS", 0.0)
        begun = warming.begin()
        begun.join(120)

        with Lease(claim(run.public_id, worker="w1")) as lease:
            for _ in range(3):
                warming.await_kernels(lease)

        assert warming.begin() is begun
        assert len(caplog.records) == 1

    def test_tries_again_for_whoever_needs_what_failed(
        self, run, replays_fail, caplog, monkeypatch
    ):
        warming.begin().join(120)

        with Lease(claim(run.public_id, worker="w1")) as lease:
            warming.await_kernels(lease, Kernels.REPLAYS)  # within the pause
            assert len(caplog.records) == 1
            monkeypatch.setattr(warming, "PAUSE_SECONDS", 0.0)
            warming._failures.note(Kernels.REPLAYS, 0.0)
            warming.await_kernels(lease, Kernels.REPLAYS)
            assert len(caplog.records) == 2
            replays_fail.unlink()
            warming.await_kernels(lease, Kernels.REPLAYS)

        assert warming.is_compiled(Kernels.REPLAYS)
        assert len(caplog.records) == 2

    def test_starts_nothing_that_was_not_asked_for(self, run, new_version, settings):
        settings.WARM_UP = False
        (new_version / "complete").touch()

        with Lease(claim(run.public_id, worker="w1")) as lease:
            warming.await_kernels(lease)

        assert warming._begun.cache_info().currsize == 0


def machine_code() -> dict[str, int]:
    """Return for how many types each kernel of the experiments is there in this process."""
    found = {
        f"{name}.{key}": len(value.signatures)
        for name, module in list(sys.modules.items())
        if name.startswith("experiments.")
        for key, value in vars(module).items()
        if isinstance(value, CPUDispatcher)
    }
    assert found
    return found


class TestWarmUp:
    def test_leaves_the_first_replay_nothing_to_compile(self, transactional_db):
        from backtests.jobs.answering import answer, plan_of
        from backtests.jobs.pairing import Paired
        from experiments.bandits import make_policy
        from experiments.simulation import replay

        warming.warm_up()
        ready = machine_code()
        returns = np.random.default_rng(7).normal(0.0, 0.01, (90, 3))
        days = np.arange(1, 91) * 86_400_000_000_000
        usual = ReplaySpec(runs=dict.fromkeys("abc", "0" * 8)).asked_policies
        policies = {
            one["kind"]: make_policy(
                one["kind"], 3, **{k: v for k, v in one.items() if k != "kind"}
            )
            for one in usual
        }

        replay(returns, policies, repetitions=3)
        replay(returns, policies, repetitions=3, as_happened=True)
        paired = Paired({one: Run() for one in "abc"}, days, returns, 0, {})
        answer(plan_of({}, paired.labels, n_periods=90, seconds=86_400, seed=0), paired)

        assert machine_code() == ready
