"""Walk-forwards and cross-validations whose trials serve all folds."""

import json

import numpy as np
import pytest

from backtests import selectors
from backtests.jobs import evaluation, trials, walking
from backtests.jobs.collecting import Choice
from backtests.jobs.imports import import_file_as
from backtests.lifecycle import RunStatus
from backtests.marketdata.options import ImportOptions
from crowetrade_site.core.errors import InvalidInput
from tests.factories.backtests import BARS, STRATEGY, bars_dataset, queued, write_bars
from tests.factories.studies import GRID, sweep, table_of
from tests.factories.working import work

pytestmark = pytest.mark.django_db(transaction=True)


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

    def test_weighs_folds_by_the_bars_of_their_tests(self, data, owner):
        run = work(queued(owner, kind="walk_forward", walk_forward=self.SECTION))
        bench = trials.Bench.of(run)
        bars = [sum(r.stop - r.start for r in fold.test_ranges) for fold in bench.folds]
        found = evaluation.search_for(run, n_folds=len(bars))
        values = [1.0] * (len(bars) - 1) + [50.0]
        chosen = [Choice(at, 0, 2.0, value, 0.5) for at, value in enumerate(values)]

        walk = walking.summary_of_walk(bench, found, chosen, [{}] * len(bars))

        assert walk["mean_test"] == pytest.approx(np.dot(values, bars) / sum(bars))
        assert walk["mean_train"] == pytest.approx(2.0)

    def test_of_more_days_than_chosen_instruments_have_is_refused_by_the_worker(
        self, owner, transactional_db, tmp_path
    ):
        """The days of all are counted before; those of one are in its closes."""
        trials._open.cache_clear()
        rows = (tmp_path / "one.csv", tmp_path / "all.csv")
        for path, symbols, n_days in zip(rows, (("AAA",), ("BBB",)), (50, 120), strict=True):
            write_bars(path, symbols=symbols, n_days=n_days)
        rows[1].write_text(rows[1].read_text() + rows[0].read_text().split("\n", 1)[1])
        stated = ImportOptions.from_mapping(BARS | {"accept": ["out_of_order"]})
        import_file_as(path=rows[1], name="tiny", options=stated, actor=owner)

        run = queued(
            owner, kind="walk_forward", walk_forward=self.SECTION | {"train_days": 60},
            instruments=["AAA"],
        )  # fmt: skip
        run = work(run)

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
