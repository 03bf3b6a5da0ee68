"""Whose chunk a worker computes: no user waits behind all the work of another."""

from collections import Counter

import pytest

from backtests import jobs, services
from backtests.jobs import evaluation, sharing, trials
from backtests.lifecycle import ChunkStatus, Priority, RunStatus
from backtests.models import Chunk, Run
from crowetrade_site.core.errors import Conflict, Forbidden
from crowetrade_site.core.models import AuditEvent
from tests.factories.accounts import account
from tests.factories.backtests import AT, bars_dataset, dataset_row, run_row, swept

LONG = {
    "kind": "grid",
    "over": {"signals.0.fast_bars": {"low": 2, "high": 41, "step": 1}},
}


def studied(run, user, n_running=0, n_ready=1, priority=Priority.NORMAL) -> dict:
    return {
        "run": run, "run__requested_by": user, "run__priority": priority,
        "n_running": n_running, "n_ready": n_ready,
    }  # fmt: skip


def drawn(studies, n: int = 2000) -> Counter:
    return Counter(sharing.next_study(studies) for _ in range(n))


class TestNextStudy:
    def test_is_of_the_user_with_the_fewest_workers(self):
        busy, idle = studied(1, 1, n_running=3, n_ready=500), studied(2, 2, n_running=1)

        assert drawn([busy, idle], 20) == {2: 20}

    def test_counts_the_workers_of_all_studies_of_a_user(self):
        several = [studied(number, 1, n_running=1) for number in range(3)]

        assert drawn([*several, studied(9, 2, n_running=2)], 20) == {9: 20}

    def test_is_drawn_where_users_are_equal(self):
        many = [studied(number, 1) for number in range(10)]

        found = drawn([*many, studied(99, 2)])

        assert 850 < found[99] < 1150, "a share of a half, though of one study in eleven"

    @pytest.mark.parametrize(
        ("priority", "low", "high"), [(Priority.HIGH, 0.75, 0.85), (Priority.LOW, 0.15, 0.25)]
    )
    def test_is_drawn_by_priority(self, priority, low, high):
        found = drawn([studied(1, 1, priority=priority), studied(2, 2)])

        assert low < found[1] / 2000 < high

    def test_has_four_workers_for_one_of_the_next_priority(self):
        studies = [studied(1, 1, n_running=7, priority=Priority.HIGH), studied(2, 2, n_running=2)]

        assert drawn(studies, 20) == {1: 20}

    def test_is_none_where_nothing_is_ready(self):
        assert sharing.next_study([studied(1, 1, n_ready=0)]) is None


class Broker:
    """One queue, first in first out, and one worker."""

    def __init__(self, runs):
        self.queue = [("run", run.public_id) for run in runs]
        self.ended: list[int] = []

    def work(self):
        while self.queue:
            kind, key = self.queue.pop(0)
            if kind == "run":
                self.send(jobs.execute_run(run_id=key, worker="w"))
                continue
            done = set(Chunk.objects.done().values_list("pk", flat=True))
            following = jobs.execute_chunk(chunk_id=key, worker="w")
            self.ended += Chunk.objects.done().exclude(pk__in=done).values_list("run", flat=True)
            self.send(following.chunks)
            if following.study is not None:
                self.queue.append(("run", following.study))

    def send(self, chunks):
        Chunk.objects.filter(pk__in=chunks).update(published_at=AT)
        self.queue += [("chunk", chunk) for chunk in chunks]


@pytest.mark.django_db(transaction=True)
class TestTwoUsers:
    @pytest.fixture
    def data(self, owner, tmp_path, monkeypatch):
        trials._open.cache_clear()
        monkeypatch.setattr(evaluation, "MOST_TRIALS", 1)
        return bars_dataset(tmp_path, owner, n_days=120)

    def test_share_a_worker_though_the_messages_of_one_were_first(self, data, owner):
        long = swept(owner, search=LONG)
        other = account("researcher")
        short = swept(other, search=LONG | {"over": {"signals.0.fast_bars": [2, 3, 4, 5, 6]}},
                      costs={"commission_bps": 1})  # fmt: skip
        broker = Broker([long, short])

        broker.work()

        assert set(Run.objects.values_list("status", flat=True)) == {RunStatus.SUCCEEDED}
        assert Counter(broker.ended) == {long.pk: 40, short.pk: 5}
        last = max(at for at, run in enumerate(broker.ended) if run == short.pk)
        # five of a fair coin by the 30th throw, but for one time in 33,000
        assert last < 30, "the 40 messages before its own were not all worked off first"

    def test_leave_no_chunk_behind_though_each_message_may_bring_another(self, data, owner):
        runs = [
            swept(user, search=LONG, costs={"commission_bps": cost})
            for cost, user in enumerate([owner, account("researcher"), owner])
        ]

        Broker(runs).work()

        assert set(Chunk.objects.values_list("status", flat=True)) == {ChunkStatus.DONE}
        assert set(Chunk.objects.values_list("attempt", flat=True)) == {1}

    def test_take_what_is_named_where_there_is_one_study(
        self, data, owner, django_assert_num_queries
    ):
        run = swept(owner, search=LONG)
        chunks = jobs.execute_run(run_id=run.public_id, worker="w")

        with django_assert_num_queries(1):
            assert next(sharing.whose_turn(chunks[7])) == chunks[7]


@pytest.mark.django_db
class TestPrioritizeRun:
    @pytest.fixture
    def run(self, owner):
        return run_row(dataset_row(owner), owner, RunStatus.RUNNING)

    def move(self, run, actor, priority):
        return services.prioritize_run(
            run_id=run.public_id, priority=priority, actor=actor, at=AT, reason="the deadline"
        )

    def test_lets_an_operator_raise_it_and_says_so_in_the_trail(self, run):
        operator = account("operator")

        self.move(run, operator, Priority.HIGH)

        event = AuditEvent.objects.get(verb="backtests.run.prioritized")
        assert (event.actor, event.reason) == (operator.username, "the deadline")
        run.refresh_from_db()
        assert run.priority == Priority.HIGH

    def test_lets_the_owner_give_way(self, run, owner):
        assert self.move(run, owner, Priority.LOW).priority == Priority.LOW

    @pytest.mark.parametrize("role", ["researcher", "validator"])
    def test_refuses_high_to_others_than_operators(self, run, owner, role):
        with pytest.raises(Forbidden, match="runs:operate"):
            self.move(run, account(role), Priority.HIGH)

    def test_refuses_to_lower_what_an_operator_has_raised(self, run, owner):
        self.move(run, account("operator"), Priority.HIGH)

        with pytest.raises(Forbidden):
            self.move(run, owner, Priority.NORMAL)

    def test_refuses_the_run_of_another(self, run):
        with pytest.raises(Forbidden, match="their own"):
            self.move(run, account("researcher"), Priority.LOW)

    def test_refuses_a_run_that_is_over(self, owner):
        over = run_row(dataset_row(owner), owner, RunStatus.CANCELLED)

        with pytest.raises(Conflict, match="cancelled"):
            self.move(over, owner, Priority.LOW)

    def test_is_refused_to_a_researcher_when_queued(self, owner):
        with pytest.raises(Forbidden, match="runs:operate"):
            services.queue_run(document={}, actor=owner, at=AT, priority=Priority.HIGH)
