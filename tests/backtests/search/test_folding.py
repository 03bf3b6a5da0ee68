"""A search inside each fold, on made-up objectives: nothing but the fold's own results counts."""

import random

import pytest

from backtests.search import DocumentError, FoldedSearch, Result, ResultsError, plan, plan_in_folds

OVER = {"fast": {"low": 2, "high": 40, "step": 1}, "slow": {"low": 41, "high": 200, "step": 1}}
KINDS = {
    "tpe": {"kind": "tpe", "n_trials": 24, "generation": 8, "startup": 8},
    "cma_es": {"kind": "cma_es", "n_trials": 24, "generation": 8},
    "genetic": {"kind": "genetic", "n_trials": 24, "generation": 8},
    "halving": {"kind": "halving", "n_trials": 9, "eta": 3, "min_budget": 0.1},
}
METRICS = ("sharpe",)


def folded(kind: str, n_folds: int = 3, seed: int = 5):
    document = KINDS[kind] | {"over": OVER, "seed": seed}
    return plan_in_folds(document, n_folds, metrics=METRICS)


def judge(search, trial, best=(10.0, 40.0, 30.0)):
    """Each fold has its own best; the farther, the worse."""
    apart = abs(trial.parameters["fast"] - best[trial.fold]) + trial.parameters["slow"] / 100
    return search.judge(trial, {"sharpe": -apart * trial.budget})


def worked_off(search, *, shuffled: random.Random | None = None) -> list[Result]:
    while trials := search.ask():
        if shuffled is not None:
            shuffled.shuffle(trials)
        search.tell([judge(search, trial) for trial in trials])
    return search.results


class TestPlanInFolds:
    def test_is_the_plain_search_where_nothing_is_learned(self):
        document = {"kind": "random", "n_trials": 9, "over": OVER}

        search = plan_in_folds(document, 4, metrics=METRICS)

        assert not isinstance(search, FoldedSearch)
        assert search.ask() == plan(document, metrics=METRICS).ask()

    def test_refuses_to_share_out_folds(self):
        document = KINDS["halving"] | {"over": OVER, "resource": "folds"}

        with pytest.raises(DocumentError, match="use bars"):
            plan_in_folds(document, 3)


class TestFoldedSearch:
    @pytest.mark.parametrize("kind", KINDS)
    def test_is_the_same_whatever_the_order_of_the_results(self, kind):
        straight = worked_off(folded(kind))
        shuffled = worked_off(folded(kind), shuffled=random.Random(3))

        assert straight == shuffled
        assert len({result.number for result in straight}) == len(straight)

    @pytest.mark.parametrize("kind", KINDS)
    def test_asks_the_same_of_a_fold_however_many_follow(self, kind):
        few = worked_off(folded(kind, n_folds=1))
        many = worked_off(folded(kind, n_folds=3))

        assert many[: len(few)] == few

    @pytest.mark.parametrize("kind", KINDS)
    def test_gives_each_fold_random_numbers_of_its_own(self, kind):
        first = folded(kind).ask()
        by_fold = [[t.parameters for t in first if t.fold == fold] for fold in range(3)]

        assert by_fold[0] != by_fold[1] != by_fold[2]

    def test_does_not_learn_from_other_folds(self):
        one, other = folded("tpe"), folded("tpe")
        for search, elsewhere in ((one, 0.0), (other, 30.0)):
            for _ in range(2):
                search.tell([judge(search, t, (10.0, elsewhere, 5.0)) for t in search.ask()])

        own = [[t for t in search.ask() if t.fold == 0] for search in (one, other)]
        assert own[0] == own[1]

    def test_learns_within_each_fold(self):
        search = folded("genetic")
        worked_off(search)

        for fold, best in enumerate((10.0, 40.0, 30.0)):
            told = search.searches[fold].results
            early = [abs(r.parameters["fast"] - best) for r in told[:8]]
            late = [abs(r.parameters["fast"] - best) for r in told[-8:]]
            assert sum(late) < sum(early)

    def test_goes_on_from_what_was_told(self):
        whole = folded("cma_es")
        worked_off(whole)
        told = [r for r in whole.results if r.number % whole.n_per_fold < 8]
        again = folded("cma_es")
        again.tell(told)

        following = {t.number: t.parameters for t in again.ask()}
        assert following == {r.number: r.parameters for r in whole.results if r.number in following}

    def test_knows_the_trials_that_were_told(self):
        search = folded("halving")
        results = worked_off(search)

        for result in results:
            trial = search.trial(result.number)
            assert (trial.number, trial.parameters) == (result.number, result.parameters)
            assert trial.fold == search.fold_of(result.number)
        with pytest.raises(ResultsError, match="depend on the results"):
            folded("halving").trial(0)

    def test_counts_all_folds(self):
        assert folded("halving").n_trials == 3 * (9 + 3 + 1)
        assert folded("halving").cost == pytest.approx(3 * 3.0)
        with pytest.raises(ResultsError, match="none has number 72"):
            folded("tpe").tell([Result(72, {"fast": 2, "slow": 50}, (1.0,))])

    def test_is_asked_for_whole_generations(self):
        with pytest.raises(ResultsError, match="whole"):
            folded("tpe").ask(3)
