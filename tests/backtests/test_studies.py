"""Studies as workers do them: planned, computed in chunks, taken over, rescued, put together."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from backtests import jobs, search, services
from backtests.jobs import evaluation
from backtests.lifecycle import RunStatus
from backtests.models import Run
from backtests.runspec.study import as_backtest
from backtests.selectors.tearsheet import get_tearsheet
from backtests.validation import expected_maximum_sharpe
from crowetrade_site.core import storage
from crowetrade_site.core.errors import Conflict, InvalidInput, TooMuch
from tests.factories.backtests import AT, STRATEGY, queued, spec
from tests.factories.studies import GRID, OVER, sweep, table_of
from tests.factories.working import work

pytestmark = pytest.mark.django_db(transaction=True)


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

    def test_says_by_which_bars_a_backtest_of_the_best_differs(self, data, owner):
        study = work(sweep(owner))
        best = search.apply(
            as_backtest(study.spec), study.summary["study"]["leaders"][0]["parameters"]
        )
        later = work(queued(owner, strategy=best["strategy"]))
        opened, first = later.summary["opening"], study.summary["opening"]["data_from"][:10]
        alike = work(queued(owner, strategy=best["strategy"], start=first))

        sharpe = {run: run.summary["metrics"]["sharpe"]["value"] for run in (study, later, alike)}
        kept = study.summary["opening"]
        assert (kept["n_bars_before"], opened["n_bars_idle"]) == (0, 0)
        assert kept["n_bars_idle"] == opened["n_bars_before"] > 0
        assert kept["decided_at"] == opened["decided_at"] == opened["opened_at"]
        assert kept["sharpe_from_decision"] == pytest.approx(sharpe[later], rel=1e-9)
        assert sharpe[study] == sharpe[alike] != sharpe[later]
        (idle,) = (one for one in study.summary["caveats"] if one["code"] == "idle_start")
        assert f"From that decision on the Sharpe ratio is {sharpe[later]:.3f}" in idle["text"]
        said = get_tearsheet(later).opening
        assert f"the {opened['n_bars_before']} bars of data before are warm-up" in said
        assert f"with start: {first} they are alike" in said
        assert get_tearsheet(alike).opening == get_tearsheet(study).opening == ""

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
        ("kind", "axis", "cure"),
        [
            ({"kind": "random", "n_trials": 5}, {"low": 20, "high": 200}, "add step: 1."),
            ({"kind": "grid"}, {"values": [20.5, 40.5]}, "write them without a decimal point."),
        ],
    )
    def test_names_the_axis_that_gives_fractions_for_whole_numbers(
        self, data, owner, kind, axis, cure
    ):
        search = {"objective": "sharpe", "over": {"signals.0.slow_bars": axis}} | kind

        with pytest.raises(InvalidInput) as refusal:
            sweep(owner, search)

        expected = f"search: signals.0.slow_bars needs whole numbers; {cure}"
        assert refusal.value.detail == expected

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
