"""The ledger of trials: every trial once, under whatever name."""

import pytest
from django.db import DatabaseError, connection, transaction

from backtests.jobs import evaluation, ledger
from backtests.lifecycle import RunStatus
from backtests.models import TrialBatch
from tests.factories.backtests import STRATEGY, bars_dataset, queued
from tests.factories.studies import GRID, OVER, sweep
from tests.factories.working import work

pytestmark = pytest.mark.django_db(transaction=True)

WIDE = {"signals.0.slow_bars": {"low": 5, "high": 40, "step": 1}}


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
        other = bars_dataset(tmp_path, owner, "other", symbols=("OTHER", "ANOTHER"))
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
