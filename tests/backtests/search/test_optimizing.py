"""The methods that learn find better places than chance, at equal budget, with fixed seeds."""

import math
import statistics

import pytest

from backtests.search import plan

SEEDS = range(5)
BRANIN_LEAST = 0.39788735772973816


def branin(p):
    x, y = p["x"], p["y"]
    valley = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def sphere(p):
    return sum((value - 0.3) ** 2 for value in p.values())


def mixed(p):
    """Least, and 0, at kind b, n 37, rate 0.01."""
    penalty = {"a": 1.0, "b": 0.0, "c": 2.0}[p["kind"]]
    return penalty + abs(p["n"] - 37) / 50 + abs(math.log10(p["rate"]) + 2)


def whole(p):
    """Least, and 0, at m 411, k 6, x 0.25."""
    return abs(p["m"] - 411) / 100 + abs(p["k"] - 6) + abs(p["x"] - 0.25)


def conditional(p):
    """Each kind has a valley of its own; that of b is the deepest."""
    if p["kind"] == "a":
        return 1.0 + (p["x"] - 0.2) ** 2
    if p["kind"] == "b":
        return (p["y"] - 0.7) ** 2 + (p["z"] - 0.4) ** 2
    return 2.0


BRANIN = {"x": {"low": -5.0, "high": 10.0}, "y": {"low": 0.0, "high": 15.0}}
SPHERE = {f"x{i}": {"low": -2.0, "high": 2.0} for i in range(5)}
MIXED = {
    "kind": ["a", "b", "c"],
    "n": {"low": 1, "high": 200, "step": 1},
    "rate": {"low": 1e-4, "high": 1.0, "log": True},
}
WHOLE = {
    "m": {"low": 1, "high": 1000, "step": 1},
    "k": {"low": 0, "high": 40, "step": 2},
    "x": {"low": 0.0, "high": 1.0},
}
CONDITIONAL = {
    "kind": ["a", "b", "c"],
    "x": {"low": 0.0, "high": 1.0, "when": {"kind": "a"}},
    "y": {"low": 0.0, "high": 1.0, "when": {"kind": "b"}},
    "z": {"low": 0.0, "high": 1.0, "when": {"kind": "b"}},
}


def minimized(function, document):
    search = plan(document | {"objective": {"minimize": "loss"}}, metrics=["loss"])
    while trials := search.ask():
        search.tell([search.judge(trial, {"loss": function(trial.parameters)}) for trial in trials])
    return search


def median_loss(function, document):
    losses = [minimized(function, document | {"seed": seed}).best.values[0] for seed in SEEDS]
    return statistics.median(losses)


class TestLearningMethods:
    @pytest.mark.parametrize(
        ("document", "function", "n_trials", "factor"),
        [
            ({"kind": "tpe", "over": BRANIN}, branin, 96, 2),
            ({"kind": "cma_es", "over": BRANIN}, branin, 256, 10),
            ({"kind": "genetic", "over": BRANIN}, branin, 192, 2),
            ({"kind": "tpe", "over": SPHERE}, sphere, 128, 3),
            ({"kind": "cma_es", "over": SPHERE}, sphere, 256, 30),
            ({"kind": "genetic", "over": SPHERE}, sphere, 640, 10),
            ({"kind": "tpe", "over": MIXED}, mixed, 96, 1.5),
            ({"kind": "genetic", "over": MIXED}, mixed, 160, 1.5),
            ({"kind": "cma_es", "over": WHOLE}, whole, 192, 2),
            ({"kind": "genetic", "over": WHOLE}, whole, 192, 2),
            ({"kind": "tpe", "over": CONDITIONAL}, conditional, 96, 3),
            ({"kind": "genetic", "over": CONDITIONAL}, conditional, 192, 3),
        ],
        ids=lambda part: part["kind"] if isinstance(part, dict) else getattr(part, "__name__", ""),
    )
    def test_beat_chance(self, document, function, n_trials, factor):
        least = BRANIN_LEAST if function is branin else 0.0
        chance = {"kind": "random", "over": document["over"], "n_trials": n_trials}

        learned = median_loss(function, document | {"n_trials": n_trials}) - least

        assert learned * factor < median_loss(function, chance) - least

    @pytest.mark.parametrize("kind", ["tpe", "cma_es", "genetic"])
    def test_find_the_best_place_that_the_constraints_allow(self, kind):
        document = {
            "kind": kind, "over": {"x": {"low": 0.0, "high": 1.0}, "y": {"low": 0.0, "high": 1.0}},
            "n_trials": 160, "constraints": ["x + y > 0.5", "loss > 0.2"],
        }  # fmt: skip

        search = minimized(lambda p: p["x"] + p["y"] ** 2, document)

        # Without constraints it is 0; on x + y = 0.5 alone 0.25, which is above 0.2.
        assert 0.25 < search.best.values[0] < 0.4

    @pytest.mark.parametrize("kind", ["tpe", "cma_es", "genetic"])
    def test_leave_where_trials_fail(self, kind):
        search = plan(
            {"kind": kind, "over": {"x": {"low": 0.0, "high": 1.0}}, "n_trials": 96},
            metrics=["sharpe"],
        )
        while trials := search.ask():
            search.tell(
                search.judge(t, {"sharpe": t.parameters["x"] if t.parameters["x"] < 0.5 else None})
                for t in trials
            )

        failed = [result for result in search.results[48:] if result.values is None]
        assert len(failed) < 24
        assert search.best.values[0] > 0.4

    def test_learn_from_trials_already_known(self):
        known = minimized(sphere, {"kind": "cma_es", "over": SPHERE, "n_trials": 128}).results
        cold, warm = [], []
        for kind in ("tpe", "cma_es", "genetic"):
            for start, losses in (((), cold), (known, warm)):
                search = plan(
                    {"kind": kind, "over": SPHERE, "n_trials": 32, "seed": 7,
                     "objective": {"minimize": "loss"}},
                    known=start,
                )  # fmt: skip
                first = [sphere(trial.parameters) for trial in search.ask()]
                losses.append(statistics.median(first))

        assert all(w < c for w, c in zip(warm, cold, strict=True))


class TestSeveralObjectives:
    DOCUMENT = {
        "over": {f"x{i}": {"low": 0.0, "high": 1.0} for i in range(4)},
        "objective": [{"minimize": "f"}, {"minimize": "g"}],
    }  # fmt: skip

    def run(self, **more):
        search = plan(self.DOCUMENT | more, metrics=["f", "g"])
        while trials := search.ask():
            search.tell(search.judge(t, self.zdt1(list(t.parameters.values()))) for t in trials)
        return search

    def zdt1(self, x):
        """Zitzler, Deb and Thiele (2000), with its front at g = 1 - sqrt(f)."""
        height = 1 + 9 * sum(x[1:]) / (len(x) - 1)
        return {"f": x[0], "g": height * (1 - math.sqrt(x[0] / height))}

    def distance(self, search):
        return statistics.mean(r.values[1] - (1 - math.sqrt(r.values[0])) for r in search.front)

    @pytest.mark.parametrize(
        ("kind", "n_trials"), [("nsga2", 640), ("tpe", 192)], ids=["nsga2", "tpe"]
    )
    def test_find_a_front(self, kind, n_trials):
        search = self.run(kind=kind, n_trials=n_trials)

        chance = self.run(kind="random", n_trials=n_trials)

        assert self.distance(search) * 3 < self.distance(chance)
        firsts = [result.values[0] for result in search.front]
        assert len(firsts) >= 10
        assert max(firsts) - min(firsts) > 0.3
