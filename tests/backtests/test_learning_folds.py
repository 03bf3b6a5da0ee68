"""Methods that learn inside the folds of a walk-forward or a cross-validation."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from backtests import jobs, services
from backtests.jobs import evaluation, trials
from backtests.lifecycle import RunStatus
from backtests.models import Chunk, Run, TrialBatch
from backtests.search import Trial
from backtests.selectors import searches
from crowetrade_site.core import storage
from crowetrade_site.core.errors import InvalidInput
from tests.factories.backtests import STRATEGY, bars_dataset, queued, spec
from tests.factories.backtests import work_off as work
from tests.factories.studies import table_of

pytestmark = pytest.mark.django_db(transaction=True)

WIDE = {
    "signals.0.fast_bars": {"low": 2, "high": 6, "step": 1},
    "signals.0.slow_bars": {"low": 7, "high": 30, "step": 1},
}
LEARNING = [
    {"kind": "tpe", "n_trials": 8, "generation": 4, "startup": 4},
    {"kind": "cma_es", "n_trials": 8, "generation": 4},
    {"kind": "genetic", "n_trials": 8, "generation": 4},
    {"kind": "halving", "n_trials": 6, "eta": 2, "min_budget": 0.5},
    {"kind": "nsga2", "n_trials": 8, "generation": 4, "objective": ["sharpe", "total_return"]},
]


class TestLearningInsideFolds:
    SECTION = {"train_days": 40, "test_days": 20, "purge_days": 2}

    def walk(self, owner, search, dataset="tiny") -> Run:
        section = self.SECTION | {"search": {"over": WIDE, "seed": 7} | search}
        return queued(owner, dataset, kind="walk_forward", walk_forward=section)

    @pytest.mark.parametrize("search", LEARNING, ids=lambda search: search["kind"])
    def test_chooses_for_each_fold_among_its_own_trials(self, data, owner, search):
        run = work(self.walk(owner, search))
        rows = table_of(run)

        assert run.status == RunStatus.SUCCEEDED, run.problem
        walk = run.summary["study"]["walk"]
        assert len(walk["folds"]) == 4
        n_per_fold = walk["n_per_fold"]
        fold = rows["number"].to_numpy() // n_per_fold
        for number, chosen in enumerate(walk["folds"]):
            train = rows[f"train_{number}"].to_numpy()
            assert np.isnan(train[fold != number]).all()
            at = int(np.nanargmax(train))
            assert json.loads(rows["parameters"][at].as_py()) == chosen["parameters"]
            assert chosen["train_value"] == train[at] == rows["told_0"][at].as_py()
        assert len(set(run.chunks.values_list("generation", flat=True))) == 2
        counted = TrialBatch.objects.filter(run=run).values_list("n_trials", flat=True)
        asked = [json.dumps(one) for chunk in run.chunks.all() for one in chunk.parameters]
        assert len(asked) == run.summary["study"]["n_trials"] == rows.num_rows
        assert sum(counted) == len(set(asked)), "with budget and fold; what is asked twice is one"

    @pytest.mark.parametrize("search", LEARNING[:4:3], ids=lambda search: search["kind"])
    def test_does_not_depend_on_the_order_of_the_work(self, data, owner, search, monkeypatch):
        straight = work(self.walk(owner, search))
        again = self.walk(owner, search)
        Chunk.objects.all().update(content="0" * 64)  # nothing is taken over
        monkeypatch.setattr(evaluation, "MOST_TRIALS", 3)
        messages = jobs.execute_run(run_id=again.public_id, worker="w1")
        while messages:  # the last one first
            following = jobs.execute_chunk(chunk_id=messages.pop(), worker="w2")
            messages += following.chunks
            if following.study is not None:
                messages += jobs.execute_run(run_id=following.study, worker="w3")
        again.refresh_from_db()

        assert again.chunks.count() > straight.chunks.count()
        assert not again.chunks.filter(is_reused=True).exists()
        assert again.result_digest == straight.result_digest

    def test_does_not_look_ahead(self, owner, transactional_db, tmp_path):
        """Neither what a fold's search tries nor what it chooses knows what comes after."""
        trials._open.cache_clear()
        bars_dataset(tmp_path, owner, "long", n_days=120)
        bars_dataset(tmp_path, owner, "short", n_days=85)
        long, short = (work(self.walk(owner, LEARNING[0], name)) for name in ("long", "short"))
        one, other = table_of(long).to_pylist(), table_of(short).to_pylist()
        n_same = 2 * 8  # the short one's last test is cut off

        assert [row["parameters"] for row in one[:n_same]] == [
            row["parameters"] for row in other[:n_same]
        ]
        assert [row["told_0"] for row in one[:n_same]] == pytest.approx(
            [row["told_0"] for row in other[:n_same]], rel=1e-12, nan_ok=True
        )

    def test_gives_a_trial_a_share_of_its_own_training(self, data, owner):
        run = work(self.walk(owner, LEARNING[3]))
        rows = table_of(run)
        place = rows["number"].to_numpy() % run.summary["study"]["walk"]["n_per_fold"]
        is_whole = place >= 6  # the second rung

        train = np.column_stack([rows[f"train_{fold}"].to_numpy() for fold in range(4)])
        assert np.isnan(train[~is_whole]).all()
        assert (~np.isnan(train[is_whole])).any(axis=1).all()
        assert not np.isnan(rows["told_0"].to_numpy()[~is_whole]).all()  # short as it is
        leaders = [leader["number"] for leader in run.summary["study"]["leaders"]]
        assert set(leaders) == set(rows["number"].to_numpy()[is_whole])

    def test_simulates_no_more_than_the_share_of_the_training(self, data, owner):
        run = self.walk(owner, LEARNING[3])
        bench = trials.Bench.of(run)
        trial = Trial(0, {}, budget=0.5, fold=3)
        (training,) = bench.folds[3].train_ranges

        within = bench._within(trial)

        assert training.start > 0, "a fold that does not begin with the data"
        assert within.bars.n_bars == 1 + 20, "half of 40 days, and the bar that decides"
        ts = bench.bars.ts[training.start - 1 : training.start + 20]
        np.testing.assert_array_equal(within.bars.ts, ts)
        assert within.folds[3].train_ranges == ((1, 21),)

    def test_tells_what_those_bars_alone_give(self, data, owner):
        """A rung of a later fold is the backtest that begins with it, the past known to signals."""
        run = self.walk(owner, LEARNING[3] | {"objective": "total_return"})
        bench = trials.Bench.of(run)
        (messages,) = [jobs.execute_run(run_id=run.public_id, worker="w")]
        chunk = max(run.chunks.all(), key=lambda chunk: chunk.parameters[0]["fold"])
        found = evaluation.search_for(run, n_folds=len(bench.folds))
        asked = evaluation.trials_of(chunk, found)
        assert (asked[0].fold, asked[0].budget) == (3, 0.5)
        jobs.execute_chunk(chunk_id=chunk.pk, worker="w")
        chunk.refresh_from_db()
        told = pq.read_table(storage.locate(chunk.artifact))["told_0"].to_pylist()

        start = bench.folds[3].train_ranges[0].start
        first, last = (
            np.datetime64(int(bench.bars.ts[at]) - 1, "ns").astype("M8[D]")
            for at in (start - 1, start + 19)
        )
        for trial, value in zip(asked, told, strict=True):
            signal = {"kind": "moving_average_cross"} | {
                path.rsplit(".", 1)[1]: n for path, n in trial.parameters.items()
            }
            strategy = STRATEGY | {"signals": [signal]}
            alone = work(queued(owner, strategy=strategy, start=str(first), end=str(last)))
            assert value == pytest.approx(
                alone.summary["metrics"]["total_return"]["value"], rel=1e-12
            )
        assert len(set(told)) > 1
        assert messages

    def test_judges_constraints_by_the_training(self, data, owner):
        free = work(self.walk(owner, LEARNING[2]))
        bound = work(self.walk(owner, LEARNING[2] | {"constraints": ["n_fills > 3"]}))
        rows = table_of(bound)

        assert free.status == bound.status == RunStatus.SUCCEEDED
        broken = rows["told_violation"].to_numpy() > 0
        train = np.column_stack([rows[f"train_{fold}"].to_numpy() for fold in range(4)])
        assert broken.any()
        assert np.isnan(train[broken]).all()
        assert "n_fills" in rows["told_reason"].to_pylist()[int(np.flatnonzero(broken)[0])]

    def test_covers_the_paths_of_a_cross_validation(self, data, owner):
        section = {"n_groups": 4, "n_test_groups": 2, "search": {"over": WIDE} | LEARNING[0]}
        run = work(queued(owner, kind="cross_validation", cross_validation=section))

        assert run.status == RunStatus.SUCCEEDED, run.problem
        assert len(run.summary["study"]["walk"]["folds"]) == 6
        assert len(run.summary["study"]["paths"]) == 3
        assert run.summary["study"]["n_trials"] == 6 * 8

    def test_is_estimated_with_all_its_folds(self, data, owner):
        section = self.SECTION | {"search": {"over": WIDE} | LEARNING[0]}
        document = spec(kind="walk_forward", walk_forward=section)

        assert services.estimate_run(document=document, actor=owner).n_trials == 4 * 8

    def test_has_no_folds_to_share_out(self, data, owner):
        with pytest.raises(InvalidInput, match="say bars"):
            self.walk(owner, LEARNING[3] | {"resource": "folds"})

    def test_is_refused_in_more_folds_than_it_can_search(self, data, owner):
        section = {"n_groups": 20, "n_test_groups": 5, "search": {"over": WIDE} | LEARNING[0]}
        with pytest.raises(InvalidInput, match=r"15,504 .* grid"):
            queued(owner, kind="cross_validation", cross_validation=section)

    def test_is_refused_in_a_longer_walk_than_it_can_search(self, owner, tmp_path):
        bars_dataset(tmp_path, owner, "long", symbols=("AAA",), n_days=1_100)
        section = {"train_days": 40, "test_days": 1, "search": {"over": WIDE} | LEARNING[2]}

        with pytest.raises(InvalidInput, match=r"1,0\d\d of them, more than 1,000; .*longer tests"):
            queued(owner, "long", kind="walk_forward", walk_forward=section)

    def test_is_refused_by_the_worker_that_counts_the_folds(self, data, owner, monkeypatch):
        run = self.walk(owner, LEARNING[2])
        monkeypatch.setattr(searches, "MOST_SEARCHES", 3)
        run = work(run)

        assert run.status == RunStatus.FAILED
        assert "there are 4 of them, more than 3" in run.problem["detail"]
        assert not run.chunks.exists()

    @pytest.mark.parametrize("method", ["random", "genetic"])
    def test_is_refused_with_more_trials_and_folds_than_memory_holds(
        self, data, owner, method, monkeypatch
    ):
        monkeypatch.setattr(searches, "MOST_IN_FOLDS", 100)
        search = {"random": {"kind": "random", "n_trials": 30}, "genetic": LEARNING[2]}[method]

        with pytest.raises(InvalidInput, match=r"4 folds are \d+ pairs, more than 100"):
            self.walk(owner, search)
