"""Successive halving's schedule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.search import Goals, Result, ResultsError, Rung, Trial, plan, schedule, survivors

GOALS = Goals((True,))


def results(values):
    return [
        Result(i, {"x": i}, None if value is None else (value,)) for i, value in enumerate(values)
    ]


class TestSchedule:
    def test_matches_one_worked_by_hand(self):
        rungs = schedule(n_trials=27, eta=3, min_budget=0.1)

        assert [rung.n_trials for rung in rungs] == [27, 9, 3]
        assert [rung.budget for rung in rungs] == pytest.approx([1 / 9, 1 / 3, 1])

    @given(st.integers(1, 10_000), st.floats(1.5, 10.0), st.floats(0.001, 1.0))
    def test_begins_with_all_and_ends_with_everything(self, n_trials, eta, min_budget):
        rungs = schedule(n_trials=n_trials, eta=eta, min_budget=min_budget)

        assert rungs[0].n_trials == n_trials
        assert rungs[0].budget >= min_budget * (1 - 1e-9)
        assert rungs[-1].budget == 1.0
        sizes = [rung.n_trials for rung in rungs]
        assert sizes == sorted(sizes, reverse=True)
        assert min(sizes) >= 1

    def test_is_one_rung_where_everything_is_the_least(self):
        assert schedule(n_trials=8, eta=2, min_budget=1.0) == (Rung(1.0, 8),)


class TestBudget:
    @pytest.mark.parametrize(
        ("budget", "total", "units"), [(1 / 9, 9, 1), (1 / 3, 10, 4), (1.0, 7, 7), (0.01, 5, 1)]
    )
    def test_counts_bars_or_folds(self, budget, total, units):
        assert Trial(0, {}, budget).units(total) == units


class TestSurvivors:
    def test_are_the_best_with_ties_by_number(self):
        kept = survivors(results([1.0, 3.0, 3.0, None, 2.0]), 3, GOALS)

        assert [result.number for result in kept] == [1, 2, 4]

    def test_never_include_what_has_no_value(self):
        assert len(survivors(results([None, 1.0, None]), 3, GOALS)) == 1

    def test_prefer_what_breaks_no_constraint(self):
        broken = Result(0, {"x": 0}, (9.0,), violation=0.1)

        kept = survivors([broken, *results([1.0, 2.0])[1:]], 1, GOALS)

        assert [result.number for result in kept] == [1]


class TestHalving:
    DOCUMENT = {
        "kind": "halving", "over": {"x": {"low": 0.0, "high": 1.0}}, "n_trials": 27, "eta": 3,
        "min_budget": 0.1,
    }  # fmt: skip

    def run(self, judge):
        search, asked = plan(self.DOCUMENT, metrics=["sharpe"]), []
        while trials := search.ask():
            asked.append(trials)
            search.tell([judge(search, trial) for trial in trials])
        return search, asked

    def test_goes_from_many_on_little_to_few_on_all(self):
        search, asked = self.run(lambda s, t: s.judge(t, {"sharpe": t.parameters["x"]}))

        assert [len(trials) for trials in asked] == [27, 9, 3]
        assert [trials[0].budget for trials in asked] == pytest.approx([1 / 9, 1 / 3, 1])
        assert [trial.number for trials in asked for trial in trials] == list(range(39))
        assert search.n_trials == 39
        assert search.cost == pytest.approx(9)
        assert search.best.parameters["x"] == max(t.parameters["x"] for t in asked[0])

    def test_waits_for_a_whole_rung(self):
        search = plan(self.DOCUMENT)
        search.tell(search.failed(trial, "no bars") for trial in search.ask()[:5])

        with pytest.raises(ResultsError, match="5 results of this rung are told; it has 27"):
            search.ask()

    def test_ends_where_nothing_has_a_value(self):
        search, asked = self.run(lambda s, t: s.failed(t, "no bars"))

        assert [len(trials) for trials in asked] == [27]
        assert search.best is None

    def test_goes_on_with_fewer_where_many_fail(self):
        def judge(search, trial):
            if trial.number % 5:
                return search.failed(trial, "no bars")
            return search.judge(trial, {"sharpe": 1.0})

        _, asked = self.run(judge)

        assert [len(trials) for trials in asked] == [27, 6, 1]
