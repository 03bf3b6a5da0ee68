"""Studies as workers do them: planned, computed in chunks, taken over, rescued, put together."""

import json
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from backtests import jobs, selectors, services
from backtests.jobs import chunks, evaluation, ledger, trials, walking
from backtests.jobs.collecting import Choice
from backtests.lifecycle import ChunkStatus, RunStatus
from backtests.models import Chunk, Run, TrialBatch
from backtests.validation import expected_maximum_sharpe
from crowetrade_site.core import storage
from crowetrade_site.core.errors import Conflict, InvalidInput, TooMuch
from tests.factories.backtests import AT, STRATEGY, bars_dataset, queued, spec

pytestmark = pytest.mark.django_db(transaction=True)

OVER = {"signals.0.fast_bars": [2, 3, 4], "signals.0.slow_bars": [5, 8]}
WIDE = {"signals.0.slow_bars": {"low": 5, "high": 40, "step": 1}}
GRID = {"kind": "grid", "over": OVER, "objective": "sharpe"}


@pytest.fixture
def data(transactional_db, owner, tmp_path):
    """A real dataset that other connections see."""
    trials._open.cache_clear()
    return bars_dataset(tmp_path, owner, n_days=120)


@pytest.fixture
def small(monkeypatch):
    """Chunks of two trials."""
    monkeypatch.setattr(evaluation, "MOST_TRIALS", 2)


def sweep(owner, search=None, **more) -> Run:
    return queued(owner, kind="sweep", search=search or GRID, **more)


def work(run: Run, *, until: int = 100) -> Run:
    """Do what workers do until the study is over, or so many chunks are done."""
    messages = jobs.execute_run(run_id=run.public_id, worker="w1")
    for _ in range(until):
        if not messages:
            break
        following = jobs.execute_chunk(chunk_id=messages.pop(0), worker="w1")
        messages += following.chunks
        if following.study is not None:
            messages += jobs.execute_run(run_id=following.study, worker="w1")
    return Run.objects.get(pk=run.pk)


def table_of(run: Run):
    return pq.read_table(storage.locate(run.artifacts["trials.parquet"]["digest"]))


class TestSweep:
    def test_ends_with_a_row_for_every_trial(self, data, owner):
        run = work(sweep(owner))

        assert run.status == RunStatus.SUCCEEDED, run.problem
        rows = table_of(run)
        assert rows["number"].to_pylist() == list(range(6))
        assert [json.loads(text) for text in rows["parameters"].to_pylist()] == [
            {"signals.0.fast_bars": fast, "signals.0.slow_bars": slow}
            for fast in OVER["signals.0.fast_bars"]
            for slow in OVER["signals.0.slow_bars"]
        ]
        assert (run.progress_done, run.progress_total) == (6, 6)

    def test_gives_each_trial_the_figures_of_its_own_backtest(self, data, owner):
        start = "2024-01-01"
        rows = table_of(work(sweep(owner, start=start)))
        at = (
            rows["parameters"]
            .to_pylist()
            .index('{"signals.0.fast_bars": 3, "signals.0.slow_bars": 8}')
        )
        strategy = STRATEGY | {
            "signals": [{"kind": "moving_average_cross", "fast_bars": 3, "slow_bars": 8}]
        }
        alone = work(queued(owner, strategy=strategy, start=start))

        for name in ("total_return", "sharpe", "max_drawdown", "turnover", "n_trades"):
            assert rows[name][at].as_py() == alone.summary["metrics"][name]["value"], name
        assert rows["final_equity"][at].as_py() == alone.summary["final_equity"]

    def test_shows_the_best_trial_as_a_backtest_and_says_of_how_many(self, data, owner):
        run = work(sweep(owner))
        study = run.summary["study"]
        values = table_of(run)["objective_0"].to_numpy()

        assert study["n_trials"] == 6
        assert study["leaders"][0]["values"] == [values.max()]
        assert run.summary["metrics"]["sharpe"]["value"] == values.max()
        assert study["ledger"] == {"n_on_this_data": 6, "n_of_this_family": 6}
        assert study["selection"]["n_trials"] == 6
        assert study["selection"]["figures"]["holm_p_value"]["value"] is not None
        assert "curves.parquet" in run.artifacts

    def test_gives_the_same_digest_whatever_the_size_of_its_chunks(self, data, owner, monkeypatch):
        whole = work(sweep(owner))
        monkeypatch.setattr(evaluation, "MOST_TRIALS", 2)
        parts = work(sweep(owner))

        assert parts.chunks.count() == 3
        assert parts.result_digest == whole.result_digest
        assert parts.artifacts["trials.parquet"]["digest"] != ""

    def test_takes_over_chunks_that_were_computed_before(self, data, owner, small):
        first, second = work(sweep(owner)), work(sweep(owner))

        assert list(first.chunks.values_list("is_reused", flat=True)) == [False] * 3
        assert list(second.chunks.values_list("is_reused", flat=True)) == [True] * 3
        assert second.result_digest == first.result_digest

    def test_takes_over_no_rows_that_lack_an_axis(self, data, owner, small):
        """The same parameters in a chunk, of a dimension that is not one of numbers throughout."""
        mixed = OVER | {"signals.0.fast_bars": [2, "many"]}
        first, second = work(sweep(owner, GRID | {"over": mixed})), work(sweep(owner))

        assert first.summary["study"]["n_infeasible"] == 2
        assert first.summary["study"]["surface"] is None
        assert second.status == RunStatus.SUCCEEDED, second.problem
        labels = [[2.0, 3.0, 4.0], [5.0, 8.0]]
        assert second.summary["study"]["surface"]["labels"] == labels

    def test_is_planned_without_a_look_at_any_trial(self, data, owner, monkeypatch):
        run = sweep(owner)

        def look(*_):
            raise AssertionError("a trial was looked at")

        monkeypatch.setattr("backtests.search.grid.Grid.at", look)
        jobs.execute_run(run_id=run.public_id, worker="w1")

        assert sum(run.chunks.values_list("n_trials", flat=True)) == 6
        assert set(run.chunks.values_list("content", flat=True)) == {""}

    def test_walks_through_a_grid_with_constraints_once(self, data, owner, small, monkeypatch):
        from backtests.search.grid import Grid

        walks = []
        walk = Grid._walk
        monkeypatch.setattr(Grid, "_walk", lambda *given: walks.append(1) or walk(*given))
        run = sweep(owner, GRID | {"constraints": ["fast_bars < slow_bars - 1"]})
        walks.clear()
        evaluation._planned.cache_clear()

        run = work(run)

        assert run.chunks.count() == 3
        assert len(walks) == 1
        assert run.summary["study"]["n_trials"] == 5

    def test_searches_beside_the_strategy_too(self, data, owner):
        over = {"costs.commission_bps": [0, 50], "signals.0.fast_bars": [3]}
        rows = table_of(work(sweep(owner, GRID | {"over": over, "objective": "total_return"})))

        cheap, dear = rows["average_cost_bps"].to_pylist()
        assert dear == pytest.approx(cheap + 50.0)
        assert rows["objective_0"].to_pylist()[0] > rows["objective_0"].to_pylist()[1]

    def test_keeps_a_parameter_set_the_strategy_refuses_and_says_why(self, data, owner):
        over = {"signals.0.fast_bars": [2, 9], "signals.0.slow_bars": [5]}
        run = work(sweep(owner, GRID | {"over": over}))

        assert run.summary["study"]["n_infeasible"] == 1
        assert "must be smaller than slow_bars" in run.summary["study"]["reasons"][0]["reason"]
        assert table_of(run)["objective_0"].to_pylist()[1] is None

    def test_judges_the_trial_that_it_shows(self, data, owner):
        every = work(sweep(owner))
        winner = every.summary["study"]["leaders"][0]["number"]
        most = table_of(every)["total_return"][winner].as_py()

        limited = GRID | {"constraints": [f"total_return < {most!r}"]}
        study = work(sweep(owner, limited)).summary["study"]

        shown = study["leaders"][0]
        assert shown["number"] != winner
        judged = study["selection"]["figures"]["best_sharpe"]["value"]
        assert judged == pytest.approx(shown["values"][0], rel=1e-9)

    def test_ends_without_a_best_where_no_trial_is_feasible(self, data, owner):
        run = work(sweep(owner, GRID | {"constraints": ["max_drawdown < 0"]}))

        assert run.status == RunStatus.SUCCEEDED
        assert run.summary["study"]["leaders"] == []
        assert run.summary["study"]["selection"] is None
        assert set(run.artifacts) == {"trials.parquet"}

    @pytest.mark.parametrize(
        "search",
        [
            {"kind": "random", "n_trials": 5},
            {"kind": "tpe", "n_trials": 8, "generation": 4, "startup": 4},
            {"kind": "genetic", "n_trials": 8, "generation": 4},
            {"kind": "halving", "n_trials": 4, "eta": 2, "min_budget": 0.5},
        ],
        ids=lambda search: search["kind"],
    )
    def test_searches_by_every_kind_the_same_way_twice(self, data, owner, search):
        over = {
            "signals.0.fast_bars": {"low": 2, "high": 6, "step": 1},
            "signals.0.slow_bars": {"low": 7, "high": 30, "step": 1},
        }
        one, other = (work(sweep(owner, search | {"over": over, "seed": 7})) for _ in range(2))

        assert one.status == RunStatus.SUCCEEDED, one.problem
        assert one.result_digest == other.result_digest
        assert len(set(one.chunks.values_list("generation", flat=True))) >= 1


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


class TestHalving:
    def test_shows_only_what_ran_through_all_of_the_time(self, data, owner):
        search = {"kind": "halving", "n_trials": 12, "eta": 2, "min_budget": 0.25, "seed": 7}
        over = {"signals.0.slow_bars": {"low": 5, "high": 40, "step": 1}}
        run = work(sweep(owner, search | {"over": over}))
        rows, study = table_of(run), run.summary["study"]

        whole = rows["number"].to_numpy() >= 12 + 6
        assert (study["n_trials"], whole.sum()) == (12 + 6 + 3, 3)
        assert {leader["number"] for leader in study["leaders"]} == {18, 19, 20}
        assert sum(study["distribution"]["counts"]) == 3
        mean, deviation = (rows[name].to_numpy() for name in ("mean_return", "std_return"))
        n = rows["n_returns"].to_numpy()
        deviation = np.where(deviation > 0.0, deviation, np.nan)  # some never traded
        scaled = mean / deviation * np.sqrt(n / n.max())
        figures = study["selection"]["figures"]
        by_luck = figures["expected_maximum"]["value"]
        year = 252**0.5
        survivors = expected_maximum_sharpe(21, np.var(scaled[whole], ddof=1)) * year
        assert by_luck == pytest.approx(
            expected_maximum_sharpe(21, np.nanvar(scaled, ddof=1)) * year
        )
        assert by_luck > survivors


class TestSearchDocument:
    @pytest.mark.parametrize(
        ("search", "message"),
        [
            ({"kind": "grit", "over": OVER}, "grid"),
            (GRID | {"over": {"signals.1.fast_bars": [2]}}, "signals"),
            (GRID | {"objective": "sharp"}, "sharpe"),
            (GRID | {"over": {"signals.0.fast_bars": [9], "signals.0.slow_bars": [5]}}, "refuses"),
        ],
    )
    def test_is_refused_before_anything_is_queued(self, data, owner, search, message):
        with pytest.raises(InvalidInput, match=message):
            sweep(owner, search)

        assert not Run.objects.exists()

    @pytest.mark.parametrize(
        ("path", "values"),
        [
            ("instruments", [["AAA"], ["BBB"]]),
            ("instruments.0", ["AAA", "BBB"]),
            ("start", ["2024-01-02", "2024-02-01"]),
            ("end", ["2024-03-01", "2024-04-01"]),
            ("dataset", ["tiny", "other"]),
            ("benchmark", [None, "tiny/AAA"]),
            ("currency", ["USD", "EUR"]),
            ("seed", [1, 2]),
            ("search.seed", [1, 2]),
        ],
    )
    def test_cannot_search_what_all_trials_share(self, data, owner, path, values):
        with pytest.raises(InvalidInput, match=f"{path} is one for all trials .* queue a study"):
            sweep(owner, GRID | {"over": {path: values}})

    @pytest.mark.parametrize(
        ("path", "values"),
        [
            ("strategy.signals.0.fast_bars", [2, 3]),
            ("portfolio.rebalance", [{"kind": "on_change"}, {"kind": "once"}]),
            ("fills.latency_bars", [0, 2]),
            ("costs", [{"half_spread_bps": 1}, {"half_spread_bps": 30}]),
            ("account.cash_rate", [0.0, 0.2]),
            ("capital", [1e6, 2e6]),
        ],
    )
    def test_searches_what_each_trial_has_of_its_own(self, data, owner, path, values):
        run = work(sweep(owner, GRID | {"over": {path: values}}))

        assert run.status == RunStatus.SUCCEEDED, run.problem
        one, other = table_of(run)["final_equity"].to_pylist()
        assert one is not None
        assert other is not None
        assert one != other

    def test_is_what_a_sweep_needs_and_a_backtest_has_not(self, data, owner):
        with pytest.raises(InvalidInput, match="a sweep needs search"):
            queued(owner, kind="sweep")
        with pytest.raises(InvalidInput, match="a backtest has no search"):
            queued(owner, search=GRID)


class TestFairUse:
    def test_estimates_before_anything_is_queued(self, data, owner):
        document = spec(kind="sweep", search=GRID)
        before = services.estimate_run(document=document, actor=owner)
        work(sweep(owner))
        after = services.estimate_run(document=document, actor=owner)

        assert (before.n_trials, before.is_measured) == (6, False)
        assert (after.n_trials, after.is_measured) == (6, True)
        assert after.seconds > 0

    def test_counts_reproductions_among_them(self, data, owner, settings):
        settings.RUN_MAX_ACTIVE_PER_USER = 1
        run = work(sweep(owner))
        services.reproduce_run(run_id=run.public_id, actor=owner, at=AT)

        with pytest.raises(TooMuch, match="1 runs queued"):
            services.reproduce_run(run_id=run.public_id, actor=owner, at=AT)

    def test_refuses_more_than_one_may_have_in_the_queue(self, data, owner, settings):
        settings.RUN_MAX_ACTIVE_PER_USER = 2
        sweep(owner)
        sweep(owner)

        with pytest.raises(TooMuch, match="2 runs queued"):
            sweep(owner)


class TestLedger:
    def test_counts_a_parameter_set_once(self, data, owner):
        work(sweep(owner))
        work(sweep(owner))

        assert TrialBatch.objects.all().count_trials() == 6

    @pytest.mark.parametrize(
        "search",
        [GRID, {"kind": "halving", "n_trials": 8, "eta": 2, "min_budget": 0.5, "over": WIDE}],
        ids=lambda search: search["kind"],
    )
    @pytest.mark.parametrize("most_blocks", [4096, 3], ids=["single", "in blocks"])
    def test_does_not_know_the_size_of_chunks(self, data, owner, monkeypatch, search, most_blocks):
        monkeypatch.setattr(ledger, "MOST_BLOCKS", most_blocks)
        run = work(sweep(owner, search))
        counted = TrialBatch.objects.count()
        for most in (1, 5):
            monkeypatch.setattr(evaluation, "MOST_TRIALS", most)
            work(sweep(owner, search))

        assert TrialBatch.objects.count() == counted
        assert TrialBatch.objects.count_trials() == run.progress_total

    def test_counts_the_same_parameters_in_another_grid_once(self, data, owner):
        work(sweep(owner))
        work(sweep(owner, GRID | {"over": OVER | {"signals.0.fast_bars": [3, 4, 6]}}))

        assert TrialBatch.objects.count_trials() == 8

    def test_counts_every_trial_of_every_fold(self, data, owner):
        over = {"signals.0.fast_bars": [2, 3]}
        search = {"kind": "halving", "n_trials": 2, "eta": 2, "min_budget": 0.5, "over": over}
        section = {"train_days": 40, "test_days": 20, "search": search | {"seed": 7}}
        run = work(queued(owner, kind="walk_forward", walk_forward=section))

        assert run.status == RunStatus.SUCCEEDED, run.problem
        assert run.summary["study"]["n_trials"] == 12
        assert run.summary["study"]["ledger"]["n_on_this_data"] == 12

    @pytest.mark.parametrize(
        ("n_trials", "size"), [(1, 1), (4096, 1), (4097, 2), (8193, 4), (10**6, 256), (10**9, 1024)]
    )
    def test_needs_few_rows_for_many_trials(self, n_trials, size):
        assert ledger.size_of_block(n_trials) == size

    def test_counts_overlapping_trials_under_whatever_name(self, data, owner, tmp_path):
        work(sweep(owner))
        again = bars_dataset(tmp_path, owner, "renamed", n_days=80, seed=4)
        run = work(queued(owner, again.name, kind="sweep", search=GRID))

        assert run.summary["study"]["ledger"]["n_on_this_data"] == 12

    def test_knows_a_family_by_its_strategy_without_numbers(self, data, owner):
        """What is searched, and what the spec has in its place, makes no other family."""
        cross = {"kind": "moving_average_cross", "fast_bars": 3, "slow_bars": 9}
        work(queued(owner, strategy=STRATEGY | {"signals": [cross]}))
        work(queued(owner, strategy="buy_and_hold"))
        run = work(sweep(owner))

        assert run.summary["study"]["ledger"] == {"n_on_this_data": 8, "n_of_this_family": 7}

    def test_books_compared_strategies_under_all_of_them(self, data, owner):
        section = {"strategies": {"cross": STRATEGY, "hold": "buy_and_hold"}}
        work(sweep(owner))
        run = work(queued(owner, kind="comparison", comparison=section))

        assert run.summary["study"]["ledger"] == {"n_on_this_data": 8, "n_of_this_family": 2}

    def test_does_not_count_trials_on_other_instruments(self, data, owner, tmp_path):
        work(sweep(owner))
        other = bars_dataset(tmp_path, owner, "other", symbols=("XXX", "YYY"))
        run = work(queued(owner, other.name, kind="sweep", search=GRID))

        assert run.summary["study"]["ledger"]["n_on_this_data"] == 6

    def test_counts_a_single_backtest(self, data, owner):
        work(queued(owner))

        assert TrialBatch.objects.get().n_trials == 1

    @pytest.mark.parametrize("sql", ["UPDATE {} SET n_trials = 0", "DELETE FROM {}", "TRUNCATE {}"])
    def test_cannot_be_changed(self, data, owner, sql):
        work(queued(owner))

        with (
            pytest.raises(DatabaseError, match="append-only"), transaction.atomic(),
            connection.cursor() as cursor,
        ):  # fmt: skip
            cursor.execute(sql.format("backtests_trialbatch"))


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


class TestWalkForward:
    SECTION = {"train_days": 40, "test_days": 20, "purge_days": 2, "search": GRID}

    def test_stitches_what_each_fold_chose_out_of_sample(self, data, owner):
        run = work(queued(owner, kind="walk_forward", walk_forward=self.SECTION))
        walk = run.summary["study"]["walk"]
        rows = table_of(run)

        assert run.status == RunStatus.SUCCEEDED, run.problem
        assert len(walk["folds"]) == 4
        for number, fold in enumerate(walk["folds"]):
            train = rows[f"train_{number}"].to_numpy()
            at = int(np.nanargmax(train))
            assert fold["train_value"] == train[at]
            assert fold["test_value"] == rows[f"test_{number}"][at].as_py()
            assert json.loads(rows["parameters"][at].as_py()) == fold["parameters"]
        first_test = walk["folds"][0]["test"][0][0]
        assert run.summary["first_at"].startswith(first_test)

    def test_of_a_single_parameter_set_is_that_strategy(self, data, owner):
        """With nothing to choose the stitched account is the backtest of the tests' stretch."""
        over = {"signals.0.fast_bars": [3], "signals.0.slow_bars": [8]}
        section = self.SECTION | {"search": GRID | {"over": over}}
        run = work(queued(owner, kind="walk_forward", walk_forward=section))
        strategy = STRATEGY | {
            "signals": [{"kind": "moving_average_cross", "fast_bars": 3, "slow_bars": 8}]
        }
        start = run.summary["first_at"][:10]
        alone = work(queued(owner, strategy=strategy, start=start))

        assert run.summary["n_bars"] == alone.summary["n_bars"]
        assert run.summary["final_equity"] == pytest.approx(alone.summary["final_equity"], rel=1e-2)

    def test_does_not_look_ahead(self, owner, transactional_db, tmp_path):
        """What comes after a fold's training changes neither its choice nor its figure."""
        trials._open.cache_clear()
        bars_dataset(tmp_path, owner, "long", n_days=120)
        bars_dataset(tmp_path, owner, "short", n_days=85)
        long, short = (
            work(queued(owner, name, kind="walk_forward", walk_forward=self.SECTION))
            for name in ("long", "short")
        )
        n = len(short.summary["study"]["walk"]["folds"]) - 1
        for number in range(n):
            one, other = (r.summary["study"]["walk"]["folds"][number] for r in (long, short))
            assert one["parameters"] == other["parameters"]
            assert one["train_value"] == pytest.approx(other["train_value"], rel=1e-12)

    @pytest.mark.parametrize("path", ["costs.half_spread_bps", "fills", "account", "capital"])
    def test_does_not_search_what_its_one_account_has_once(self, data, owner, path):
        values = {
            "fills": [{"latency_bars": 0}, {"latency_bars": 1}],
            "account": [{"cash_rate": 0.0}, {"cash_rate": 0.1}],
        }
        search = GRID | {"over": {path: values.get(path, [50, 60])}}
        with pytest.raises(InvalidInput, match=f"does not search {path}.* cross_validation"):
            queued(owner, kind="walk_forward", walk_forward=self.SECTION | {"search": search})

    def test_says_no_share_was_kept_of_what_is_minimized(self, data, owner):
        search = GRID | {"objective": {"minimize": "max_drawdown"}}
        run = work(
            queued(owner, kind="walk_forward", walk_forward=self.SECTION | {"search": search})
        )
        walk = run.summary["study"]["walk"]

        assert walk["efficiency"] is None
        assert walk["mean_test"] is not None
        said = selectors.get_study(run).walk.summary
        assert "where less is better" in said
        assert "was kept" not in said

    def test_has_both_means_over_the_same_folds(self, data, owner):
        run = work(queued(owner, kind="walk_forward", walk_forward=self.SECTION))
        bench = trials.Bench.of(run)
        found = evaluation.search_for(run, n_folds=len(bench.folds))
        chosen = [Choice(0, 0, 9.0, np.nan, np.nan), Choice(1, 0, 2.0, 1.0, 0.5)]

        walk = walking.summary_of_walk(bench, found, chosen, [{}, {}])

        assert (walk["mean_train"], walk["mean_test"], walk["efficiency"]) == (2.0, 1.0, 0.5)
        assert walk["n_without_test"] == 1

    def test_with_too_few_days_is_refused_by_the_worker(self, data, owner):
        section = self.SECTION | {"train_days": 4000}
        run = work(queued(owner, kind="walk_forward", walk_forward=section))

        assert run.status == RunStatus.FAILED
        assert "too few" in run.problem["detail"]


class TestCrossValidation:
    def test_gives_every_path(self, data, owner):
        section = {"n_groups": 6, "n_test_groups": 2, "purge_days": 2, "search": GRID}
        run = work(queued(owner, kind="cross_validation", cross_validation=section))
        study = run.summary["study"]

        assert run.status == RunStatus.SUCCEEDED, run.problem
        assert len(study["walk"]["folds"]) == 15
        assert len(study["paths"]) == 5
        assert all(path["sharpe"] is not None for path in study["paths"])

    def test_measures_a_trial_by_its_own_capital(self, data, owner):
        search = GRID | {"over": {"capital": [1e6, 2e6]}, "objective": "total_return"}
        section = {"n_groups": 4, "n_test_groups": 2, "search": search}
        run = work(queued(owner, kind="cross_validation", cross_validation=section))
        rows = table_of(run)

        assert run.status == RunStatus.SUCCEEDED, run.problem
        for number in range(6):
            for side in ("train", "test"):
                one, other = rows[f"{side}_{number}"].to_pylist()
                assert other == pytest.approx(one, abs=1e-6)

    def test_keeps_folds_and_paths_where_no_trial_is_feasible_in_all_of_the_time(self, data, owner):
        free = work(sweep(owner))
        fewest = min(table_of(free)["n_fills"].to_pylist())
        search = GRID | {"constraints": [f"n_fills < {fewest}"]}
        section = {"n_groups": 6, "n_test_groups": 4, "search": search}
        run = work(queued(owner, kind="cross_validation", cross_validation=section))
        study = run.summary["study"]

        assert run.status == RunStatus.SUCCEEDED, run.problem
        assert study["leaders"] == []
        assert len(study["walk"]["folds"]) == 15
        assert len(study["paths"]) == 10
        shown = selectors.get_study(run)
        assert shown.walk is not None
        assert shown.paths is not None
        report = selectors.render_report(run)
        assert "None of 6 trials is feasible" in report


class TestComparison:
    def test_sets_strategies_side_by_side(self, data, owner):
        held = {
            "signals": [{"kind": "buy_and_hold"}],
            "portfolio": {"kind": "equal_weight", "rebalance": {"kind": "once"}},
        }
        less = held | {"portfolio": held["portfolio"] | {"gross": 0.5}}
        section = {"strategies": {"cross": STRATEGY, "hold": held, "half": less}}
        run = work(queued(owner, kind="comparison", comparison=section | {"benchmark": "hold"}))
        found = run.summary["study"]["comparison"]

        assert run.status == RunStatus.SUCCEEDED, run.problem
        cross, hold, half = (found["names"].index(name) for name in ("cross", "hold", "half"))
        assert found["correlation"][hold][half] == pytest.approx(1.0, abs=1e-3)
        assert found["overlap"][hold][half] == pytest.approx(0.5, abs=0.05)
        assert found["overlap"][cross][hold] < 1.0
        assert found["sharpe_p_values"][cross] is not None
        assert len(found["figures"]) == 3
        assert found["front"]
        assert run.summary["study"]["n_trials"] == 3

    def test_names_the_strategy_that_is_wrong(self, data, owner):
        section = {"strategies": {"a": STRATEGY, "b": {"signals": []}}}
        with pytest.raises(InvalidInput, match=r"comparison\.strategies\.b"):
            queued(owner, kind="comparison", comparison=section)


class TestReproduction:
    def test_of_a_backtest_and_of_a_study_is_identical(self, data, owner, small):
        for original in (work(queued(owner)), work(sweep(owner))):
            again = services.reproduce_run(run_id=original.public_id, actor=owner, at=AT)
            again = work(again)

            assert again.status == RunStatus.SUCCEEDED, again.problem
            assert again.result_digest == original.result_digest
            assert again.summary["reproduction"]["is_identical"]
            assert not any(again.chunks.values_list("is_reused", flat=True))

    def test_names_the_first_element_that_differs(self, data, owner):
        original = work(queued(owner))
        entry = original.artifacts["curves.parquet"]
        curves = pq.read_table(storage.locate(entry["digest"]))
        equity = curves["equity"].to_numpy().copy()
        equity[17] += 0.01
        import io

        import pyarrow as pa

        forged = curves.set_column(curves.column_names.index("equity"), "equity", pa.array(equity))
        buffer = io.BytesIO()
        pq.write_table(forged, buffer, compression="zstd", store_schema=False)
        artifacts = original.artifacts | {
            "curves.parquet": {"digest": storage.put(buffer.getvalue()), "bytes": 1}
        }
        Run.objects.filter(pk=original.pk).update(artifacts=artifacts, result_digest="d" * 64)

        again = work(services.reproduce_run(run_id=original.public_id, actor=owner, at=AT))
        found = again.summary["reproduction"]["first_difference"]

        assert again.status == RunStatus.FAILED
        assert (found["file"], found["array"], found["element"]) == ("curves.parquet", "equity", 17)
        assert "element 17" in again.problem["detail"]

    def test_of_what_has_no_result_is_refused(self, data, owner):
        with pytest.raises(Conflict, match="can be reproduced"):
            services.reproduce_run(run_id=queued(owner).public_id, actor=owner, at=AT)


def test_a_spec_of_a_backtest_is_stored_as_before(data, owner):
    run = queued(owner, costs={"commission_bps": 1})

    assert not {"search", "walk_forward", "cross_validation"} & set(run.spec)
    assert spec()["dataset"] == "tiny"
