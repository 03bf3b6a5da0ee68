"""Asking and telling: the same results give the same trials, anywhere and in any order."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtests.search import Result, ResultsError, SpaceError, Trial, UnsatisfiableError, plan

OVER = {
    "kind": ["trend", "momentum", "hold"],
    "fast": {"low": 2, "high": 60, "step": 1, "when": {"kind": "trend"}},
    "slow": {"low": 2, "high": 200, "step": 1, "when": {"kind": "trend"}},
    "lookback": {"values": [21, 63, 126, 252], "when": {"kind": ["momentum"]}},
    "gross": {"low": 0.5, "high": 2.0},
    "decay": {"low": 0.001, "high": 1.0, "log": True},
}
NUMBERS = {path: OVER[path] for path in ("gross", "decay")} | {
    "bars": {"low": 1, "high": 500, "step": 1, "log": True},
    "window": [5, 10, 20, 40, 80],
    "lag": {"low": 0, "high": 9, "step": 1},
}
BOTH = ["sharpe", {"minimize": "turnover"}]
DOCUMENTS = {
    "grid": {"kind": "grid", "over": {"a": [1, 2, 3], "b": {"low": 0, "high": 9, "step": 1}}},
    "random": {"kind": "random", "over": OVER, "n_trials": 40, "seed": 3},
    "latin_hypercube": {"kind": "latin_hypercube", "over": OVER, "n_trials": 40, "seed": 3},
    "tpe": {"kind": "tpe", "over": OVER, "n_trials": 44, "generation": 8, "startup": 8,
            "constraints": ["fast < slow", "max_drawdown < 0.3"]},
    "tpe of numbers": {"kind": "tpe", "over": NUMBERS, "n_trials": 24, "generation": 8,
                       "startup": 8, "seed": 1},
    "tpe of two": {"kind": "tpe", "over": OVER, "n_trials": 24, "generation": 8, "startup": 8,
                   "objective": BOTH},
    "cma_es": {"kind": "cma_es", "over": NUMBERS, "n_trials": 44, "generation": 8, "seed": 2**62,
               "constraints": ["lag < window"]},
    "nsga2": {"kind": "nsga2", "over": OVER, "n_trials": 44, "generation": 8, "objective": BOTH,
              "constraints": ["fast < slow"]},
    "genetic": {"kind": "genetic", "over": OVER, "n_trials": 44, "generation": 8, "seed": 5,
                "constraints": ["fast < slow"]},
    "halving": {"kind": "halving", "over": OVER, "n_trials": 20, "eta": 2},
}  # fmt: skip
METRICS = ("sharpe", "turnover", "max_drawdown")


def measure(parameters):
    """Return metrics that depend on all parameters; some are not computed."""
    level = sum(
        float(value) if isinstance(value, int | float) else len(value)
        for value in parameters.values()
    )
    if level % 7 < 0.5:
        return {"sharpe": None, "turnover": 1.0, "max_drawdown": 0.1}
    return {
        "sharpe": -(((level % 10) - 4.0) ** 2),
        "turnover": level % 3,
        "max_drawdown": (level % 5) / 10,
    }


def judged(search, trials):
    return [search.judge(trial, measure(trial.parameters)) for trial in trials]


def play(document, *, reorder=list, **more):
    """Return every generation asked."""
    search, generations = plan(document, metrics=METRICS, **more), []
    while trials := search.ask():
        generations.append(trials)
        search.tell(reorder(judged(search, trials)))
    return search, generations


@pytest.mark.parametrize("name", DOCUMENTS)
class TestAnyMethod:
    def test_asks_as_many_trials_as_it_said(self, name):
        search, generations = play(DOCUMENTS[name])

        asked = [trial for trials in generations for trial in trials]
        assert [trial.number for trial in asked] == list(range(search.n_trials))
        assert all(search.space.canonical(t.parameters) == t.parameters for t in asked)
        assert all(search.space.broken(t.parameters) is None for t in asked)

    def test_does_not_depend_on_the_order_of_arrival(self, name):
        _, straight = play(DOCUMENTS[name])

        _, turned = play(DOCUMENTS[name], reorder=lambda results: results[::-1])

        assert turned == straight

    def test_answers_the_same_until_told(self, name):
        search = plan(DOCUMENTS[name], metrics=METRICS)

        assert search.ask() == search.ask()

    def test_goes_on_from_the_results_alone(self, name):
        search, generations = play(DOCUMENTS[name])
        told = search.results

        begin = 0
        for trials in generations:
            resumed = plan(DOCUMENTS[name], metrics=METRICS, told=told[:begin][::-1])
            assert resumed.ask() == trials
            begin += len(trials)

    def test_depends_on_the_seed_if_it_has_one(self, name):
        seeds = {} if name == "grid" else {"seed": 99}

        _, one = play(DOCUMENTS[name])
        _, other = play(DOCUMENTS[name] | seeds)

        assert (one[0] != other[0]) is (name != "grid")

    def test_takes_parameters_that_went_through_json(self, name):
        search, generations = play(DOCUMENTS[name])
        stored = json.loads(json.dumps([vars(result) | {"digest": 0} for result in search.results]))
        told = [
            Result(row["number"], row["parameters"], row["values"], row["violation"],
                   budget=row["budget"])
            for row in stored
        ]  # fmt: skip

        last = len(generations[-1])
        assert plan(DOCUMENTS[name], told=told[:-last]).ask() == generations[-1]


class TestLearning:
    @settings(max_examples=15, deadline=None)
    @given(
        values=st.lists(st.none() | st.floats(-10, 10), min_size=16, max_size=16),
        order=st.permutations(range(8)),
        kind=st.sampled_from(["tpe of numbers", "cma_es", "genetic"]),
    )
    def test_depends_on_the_results_alone(self, values, order, kind):
        one, other = plan(DOCUMENTS[kind]), plan(DOCUMENTS[kind])
        for begin in (0, 8):
            trials = one.ask()
            results = [
                Result(t.number, t.parameters, None if v is None else (v,))
                for t, v in zip(trials, values[begin : begin + 8], strict=True)
            ]

            assert other.ask() == trials
            one.tell(results)
            other.tell([results[i] for i in order])

        assert other.ask() == one.ask()

    def test_is_the_same_in_a_fresh_process(self):
        program = (
            "import json, sys\n"
            "from backtests.search import Result, plan\n"
            "for document, told in json.load(sys.stdin):\n"
            "    rows = [Result(n, p, v, x, budget=b) for n, p, v, x, b in told]\n"
            "    trials = plan(document, told=rows).ask()\n"
            "    print(json.dumps([[t.number, t.parameters, t.budget] for t in trials]))\n"
        )
        questions, expected = [], []
        for document in DOCUMENTS.values():
            search, generations = play(document)
            n_told = len(search.results) - len(generations[-1])
            told = [
                (r.number, r.parameters, r.values, r.violation, r.budget)
                for r in search.results[:n_told]
            ]
            questions.append((document, told))
            expected.append([[t.number, t.parameters, t.budget] for t in generations[-1]])

        for hash_seed in ("1", "2"):
            answer = subprocess.run(
                [sys.executable, "-c", program], input=json.dumps(questions), text=True,
                capture_output=True, check=True, timeout=120,
                env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."},
            )  # fmt: skip
            assert [json.loads(line) for line in answer.stdout.splitlines()] == expected

    @pytest.mark.parametrize("name", ["tpe", "genetic", "nsga2"])
    def test_tries_nothing_twice_where_there_is_more(self, name):
        search, _ = play(DOCUMENTS[name])

        assert len({result.digest for result in search.results}) == search.n_trials

    @pytest.mark.parametrize("kind", ["tpe", "genetic"])
    def test_repeats_itself_in_a_space_that_is_used_up(self, kind):
        document = {"kind": kind, "over": {"a": [1, 2, 3]}, "n_trials": 12, "generation": 4}

        search, _ = play(document)

        assert {result.parameters["a"] for result in search.results} == {1, 2, 3}

    @pytest.mark.parametrize("kind", ["random", "latin_hypercube", "tpe", "genetic", "halving"])
    def test_says_when_nothing_meets_the_constraints(self, kind):
        document = {
            "kind": kind, "over": {"a": {"low": 0.0, "high": 1.0}}, "n_trials": 8,
            "constraints": ["a > 2"],
        }  # fmt: skip

        with pytest.raises(UnsatisfiableError, match="'a > 2' alone refused"):
            plan(document).ask()

    @pytest.mark.parametrize("name", ["tpe", "tpe of two", "cma_es", "nsga2", "genetic"])
    def test_begins_from_what_is_known(self, name):
        known = play(DOCUMENTS[name])[0].results

        cold = plan(DOCUMENTS[name] | {"seed": 8}, metrics=METRICS).ask()
        warm = plan(DOCUMENTS[name] | {"seed": 8}, metrics=METRICS, known=known[::-1]).ask()

        doubled = plan(DOCUMENTS[name] | {"seed": 8}, metrics=METRICS, known=[*known, *known]).ask()

        assert warm != cold
        assert len(doubled) == 8
        assert warm == plan(DOCUMENTS[name] | {"seed": 8}, metrics=METRICS, known=known).ask()
        assert [trial.number for trial in warm] == list(range(8))


class TestIndexed:
    @pytest.mark.parametrize("name", ["grid", "random", "latin_hypercube"])
    def test_finds_any_trial_by_its_number(self, name):
        search, generations = play(DOCUMENTS[name])

        asked = [trial for trials in generations for trial in trials]
        assert search.is_indexed
        assert [search.trial(number) for number in range(search.n_trials)] == asked

    def test_takes_generations_of_any_size(self):
        search = plan(DOCUMENTS["random"])

        assert search.ask(5) == search.ask(7)[:5]

    def test_is_not_what_learns(self):
        search = plan(DOCUMENTS["tpe"], metrics=METRICS)

        assert not search.is_indexed
        with pytest.raises(ResultsError, match="depend on the results"):
            search.trial(0)


class TestTell:
    def search(self):
        return plan(DOCUMENTS["genetic"], metrics=METRICS)

    def test_refuses_a_trial_twice(self):
        search = self.search()
        results = judged(search, search.ask())
        search.tell(results)

        with pytest.raises(ResultsError, match="Trial 0 is told twice"):
            search.tell(results[:1])

    def test_waits_for_a_whole_generation(self):
        search = self.search()
        results = judged(search, search.ask())

        search.tell(results[:3])
        with pytest.raises(ResultsError, match="3 results are told; a generation has 8"):
            search.ask()
        search.tell(results[4:])
        with pytest.raises(ResultsError, match="Trial 3 is not told yet"):
            search.ask()
        search.tell(results[3:4])

        assert [trial.number for trial in search.ask()] == list(range(8, 16))

    def test_asks_for_whole_generations(self):
        with pytest.raises(ResultsError, match="The next generation has 8 trials, not 5"):
            self.search().ask(5)

    @pytest.mark.parametrize(
        ("result", "error", "sentence"),
        [
            (Result(99, {}, (1.0,)), ResultsError, "none has number 99"),
            (Result(0, {}, (1.0,)), SpaceError, "'kind' is missing"),
            (Result(0, {}, (1.0, 2.0)), ResultsError, "2 values for 1 objectives"),
        ],
    )
    def test_refuses_what_does_not_belong(self, result, error, sentence):
        with pytest.raises(error, match=sentence):
            self.search().tell([result])

    @pytest.mark.parametrize("values", [(float("nan"),), (float("inf"),)])
    def test_takes_no_infinite_values(self, values):
        with pytest.raises(ResultsError, match="not finite"):
            Result(0, {}, values)


class TestJudge:
    DOCUMENT = {
        "kind": "random", "over": {"a": [1, 2], "b": {"values": [5], "when": {"a": 2}}},
        "n_trials": 4, "objective": ["sharpe - 0.5 * turnover", {"minimize": "a * turnover"}],
        "constraints": ["max_drawdown < 0.3", "turnover < b"],
    }  # fmt: skip

    def judge(self, metrics, parameters=None, **more):
        search = plan(self.DOCUMENT, metrics=METRICS)
        return search.judge(Trial(0, parameters or {"a": 1}), metrics, **more)

    def test_works_out_the_objectives(self):
        result = self.judge({"sharpe": 2.0, "turnover": 1.0, "max_drawdown": 0.1})

        assert result == Result(0, {"a": 1}, (1.5, 1.0))
        assert result.is_feasible

    def test_measures_broken_constraints(self):
        result = self.judge({"sharpe": 2.0, "turnover": 9.0, "max_drawdown": 0.5}, {"a": 2, "b": 5})

        assert result.values == (-2.5, 18.0)
        assert result.violation == pytest.approx(4.2)
        assert result.reason == "It breaks max_drawdown < 0.3 and turnover < b."
        assert not result.is_feasible

    @pytest.mark.parametrize("metric", METRICS)
    def test_makes_a_trial_infeasible_where_a_metric_is_missing(self, metric):
        metrics = {"sharpe": 2.0, "turnover": 1.0, "max_drawdown": 0.1} | {metric: None}

        result = self.judge(metrics, reasons={metric: "not computed, because of a test"})

        assert result.values is None
        assert result.reason == f"{metric}: not computed, because of a test."


class TestBest:
    def told(self, document, rows):
        search = plan(document)
        search.tell(
            Result(number, search.trial(number).parameters, *row) for number, row in enumerate(rows)
        )
        return search

    def test_is_feasible_and_the_first_of_equals(self):
        search = self.told(
            {"kind": "grid", "over": {"a": [1, 2, 3, 4, 5]}},
            [(None,), ((1.0,),), ((9.0,), 0.1), ((2.0,),), ((2.0,),)],
        )

        assert search.best.number == 3

    def test_is_none_where_nothing_is_feasible(self):
        search = self.told({"kind": "grid", "over": {"a": [1]}}, [(None,)])

        assert search.best is None
        assert search.front == []

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30))
    def test_front_is_what_nobody_beats(self, rows):
        search = self.told(
            {"kind": "grid", "over": {"a": list(range(len(rows)))}, "objective": BOTH},
            [(row,) for row in rows],
        )

        beaten = {
            i for i, (s, t) in enumerate(rows)
            if any(x >= s and y <= t and (x, y) != (s, t) for x, y in rows)
        }  # fmt: skip
        assert {result.number for result in search.front} == set(range(len(rows))) - beaten
