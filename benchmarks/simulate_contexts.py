"""Shares by context: what it is worth to see the regime, and that nothing is found by chance.

    python -m benchmarks.simulate_contexts                       all tables
    python -m benchmarks.simulate_contexts --experiments 100     few experiments

Decisions one by one are simulated by `experiments.simulation`; whole experiments by the pure core
that workers run: `next_weights` within each context, `analyze` of all that was seen.
"""

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulate_bandits import print_markdown
from experiments.bandits import LinearThompson, ThompsonGaussian
from experiments.plans import ExperimentPlan, Findings, Verdict
from experiments.plans.allocating import next_weights
from experiments.plans.analysis import analyze
from experiments.plans.decisions import decide
from experiments.plans.observed import Observed
from experiments.simulation import Regimes, compare_regimes
from experiments.statistics.summaries import PeriodTable

SEED = 20261128
DAY_NS = 86_400_000_000_000
VALUES = ("calm", "turbulent")
N_DECISIONS, N_WORLDS, N_REPETITIONS, N_LINEAR = 2_000, 20, 50, 5
N_PERIODS, N_DECIDED = 80, 20  # times that the policy decides
N_EXPERIMENTS = 1_000

Row = dict[str, str | float]
FloatArray = NDArray[np.float64]

# Means of two arms in calm and in turbulent times, and the chances to stay in each.
WORLDS: dict[str, tuple[list[list[float]], list[float]]] = {
    "the best arm depends on the regime": ([[0.0, 0.2], [0.2, 0.0]], [0.98, 0.98]),
    "it does, and turbulent times are a tenth": ([[0.0, 0.2], [0.2, 0.0]], [0.99, 0.91]),
    "one arm is the best in both": ([[0.0, 0.2], [0.0, 0.2]], [0.98, 0.98]),
    "it is, and turbulent times are a tenth": ([[0.0, 0.2], [0.0, 0.2]], [0.99, 0.91]),
}


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=N_EXPERIMENTS, help="a row")
    asked = parser.parse_args()
    begun = time.perf_counter()
    print(f"Seed {SEED}.\n")
    print(f"Regret of {N_DECISIONS:,} decisions between two arms, noise of 1; {N_WORLDS} paths of")
    print(f"regimes, {N_REPETITIONS} repetitions of each ({N_LINEAR} of the last column).\n")
    print_markdown(regret_rows())
    print(f"\n{asked.experiments:,} experiments of {N_PERIODS} periods of 60 units a row;")
    print(f"Thompson with a floor of 10 % and steps of 0.2 decides {N_DECIDED} times.\n")
    print_markdown(null_rows(asked.experiments))
    n_apart = max(2, asked.experiments // 5)
    print(f"\nThe same, {n_apart:,} experiments a row.\n")
    print_markdown(effect_rows(n_apart))
    print(f"\nPeriods of one regime, 60 units, effects of ±0.5 and of none, {n_apart:,} a row.\n")
    print_markdown(lasting_rows(n_apart))
    print(f"\n{time.perf_counter() - begun:.0f} s")


def regret_rows(n_worlds: int = N_WORLDS, repetitions: int = N_REPETITIONS) -> list[Row]:
    """Return the regret of Thompson sampling that does not see the regime, and that does."""
    rows: list[Row] = []
    for world, (means, stay) in WORLDS.items():
        unseen, seen, pooled = [], [], []
        for number in range(n_worlds):
            regimes = Regimes.switching(means, stay, N_DECISIONS, seed=SEED + number)
            found = compare_regimes(
                regimes, {"thompson": ThompsonGaussian(2)}, repetitions=repetitions,
                seed=SEED + number,
            )[0]  # fmt: skip
            unseen.append(found.unseen)
            seen.append(found.seen)
            pooled += [pooled_regret(regimes, number * N_LINEAR + one) for one in range(N_LINEAR)]
        rows.append(
            {
                "world": world,
                "one policy for all": with_error(unseen),
                "one a context": with_error(seen),
                "a pooled linear one": with_error(pooled),
            }
        )
    return rows


def pooled_regret(regimes: Regimes, seed: int) -> float:
    """Return the regret of linear Thompson sampling with a main effect and one of each regime."""
    policy = LinearThompson(2, 1 + len(VALUES), seed=seed)
    rng = np.random.default_rng([SEED, seed])
    features = np.hstack([np.ones((len(VALUES), 1)), np.eye(len(VALUES))])
    best, lost = regimes.means.max(axis=1), 0.0
    for regime, noise in zip(
        regimes.path.tolist(), rng.standard_normal(regimes.path.size).tolist(), strict=True
    ):
        arm = policy.choose(features[regime])
        policy.update(features[regime], arm, regimes.means[regime, arm] + regimes.scale * noise)
        lost += best[regime] - regimes.means[regime, arm]
    return float(lost)


@dataclass(frozen=True)
class Scene:
    """How units come, and what arms make of them.

    Attributes
    ----------
    effects : tuple of float
        What the challenger makes more in calm and in turbulent times.
    level : float
        What both make more in turbulent times.
    is_common : bool
        Whether a period's units all come in one regime; else three of ten are turbulent in every
        period.
    stay : int
        Of a common regime: periods for which it stays on average; 1 where it comes anew in each, 0
        where it changes once, at any time.
    n_units : int
        A period.
    n_periods, batch : int
        The horizon, and the plan's `batch_periods`.
    """

    effects: tuple[float, float] = (0.0, 0.0)
    level: float = 0.0
    is_common: bool = False
    stay: int = 10
    n_units: int = 60
    n_periods: int = N_PERIODS
    batch: int = 1


@dataclass(frozen=True)
class Outcome:
    """One experiment that was simulated: what was found and given up, and the effects."""

    findings: Findings
    regret: float
    effects: FloatArray  # of each period, in the mix that came in it


ALIKE = {
    "three units of ten are turbulent": Scene(),
    "the same, and these make one more": Scene(level=1.0),
    "periods have one regime, turbulent ones make one more": Scene(level=1.0, is_common=True),
}
APART = {
    "half better in calm, half worse in turbulent": Scene((0.5, -0.5), 1.0),
    "the same, and 20 units a period": Scene((0.5, -0.5), 1.0, n_units=20),
    "the same, 60 units, and periods have one regime": Scene((0.5, -0.5), 1.0, is_common=True),
    "3/14 better in calm, half worse in turbulent: nothing in all": Scene((1.5 / 7, -0.5)),
}

STAYS = {
    1: "comes anew in every period",
    10: "stays for 10 periods",
    100: "stays for 100",
    200: "stays for 200",
    0: "changes once",
}
LASTING = ((80, 1), (220, 10))  # horizon, batch


def null_rows(n_experiments: int) -> list[Row]:
    """Return how often a difference is found where arms are alike, and shares are by context."""
    rows: list[Row] = []
    for name, scene in ALIKE.items():
        found = [simulated(plan_of(is_seen=True), scene, seed) for seed in range(n_experiments)]
        rows.append(
            {
                "arms are alike": name,
                "a difference is found": rate([has_difference(one.findings) for one in found]),
                "within some context": rate([has_difference_within(one.findings) for one in found]),
                "target missed": rate([is_missed(one) for one in found]),
                "estimate": with_error([estimate_of(one) for one in found]),
            }
        )
    return rows


def effect_rows(n_experiments: int) -> list[Row]:
    """Return what is given up and what is estimated with shares by context, and without."""
    rows: list[Row] = []
    for name, scene in APART.items():
        for is_seen in (False, True):
            plan = plan_of(is_seen=is_seen)
            found = [simulated(plan, scene, seed) for seed in range(n_experiments)]
            rows.append(
                {
                    "the challenger is": name,
                    "shares": "by context" if is_seen else "one for all",
                    "regret": with_error([one.regret for one in found]),
                    "estimate": with_error([estimate_of(one) for one in found]),
                    "interval above 0": rate([is_better(one.findings) for one in found]),
                    "below 0": rate([is_worse(one.findings) for one in found]),
                    "target missed": rate([is_missed(one) for one in found]),
                    "nothing concluded": rate([is_withheld(one.findings) for one in found]),
                }
            )
    return rows


def lasting_rows(n_experiments: int) -> list[Row]:
    """Return how often intervals miss the average effect of what was seen, of regimes that last."""
    rows: list[Row] = []
    for n_periods, batch in LASTING:
        for stay, said in STAYS.items():
            scene = Scene(
                (0.5, -0.5), 1.0, is_common=True, stay=stay, n_periods=n_periods, batch=batch
            )
            alike = replace(scene, effects=(0.0, 0.0))
            plan = plan_of(is_seen=True, scene=scene)
            found = [simulated(plan, scene, seed) for seed in range(n_experiments)]
            none = [simulated(plan, alike, seed).findings for seed in range(n_experiments)]
            rows.append(
                {
                    "periods, batch": f"{n_periods}, {batch}",
                    "a regime": said,
                    "target missed": rate([is_missed(one) for one in found]),
                    "width": with_error([_width(one.findings) for one in found]),
                    "of arms alike: a winner": rate([has_winner(one) for one in none]),
                    "width of these": with_error([_width(one) for one in none]),
                }
            )
    return rows


def is_missed(one: Outcome) -> bool:
    """Return whether the interval of some look misses the average effect by then."""
    path = one.findings.primary.comparisons[0].path
    assert path is not None  # noqa: S101 - drawn of every experiment
    target = np.cumsum(one.effects) / np.arange(1, one.effects.size + 1)
    return any(
        lower is not None and upper is not None and not lower <= target[at // DAY_NS - 1] <= upper
        for at, lower, upper in zip(path.at, path.lower, path.upper, strict=True)
    )


def has_winner(found: Findings) -> bool:
    """Return whether the experiment would be concluded with a winner."""
    return decide(found, control="champion").verdict == Verdict.WINNER


def _width(found: Findings) -> float:
    one = found.primary.comparisons[0]
    return math.nan if one.lower is None or one.upper is None else one.upper - one.lower


def estimate_of(one: Outcome) -> float:
    """Return the overall difference; NaN where there is none."""
    estimate = one.findings.primary.comparisons[0].estimate
    return math.nan if estimate is None else estimate


def plan_of(*, is_seen: bool, scene: Scene | None = None) -> ExperimentPlan:
    """Return the plan, with shares by regime or the same for all units."""
    context = {"attribute": "regime", "values": list(VALUES)} if is_seen else None
    scene = scene or Scene()
    return ExperimentPlan.model_validate(
        {
            "name": "simulated",
            "hypothesis": "The challenger makes more.",
            "design": "assigned",
            "arms": [{"name": "champion", "control": True}, {"name": "challenger"}],
            "metrics": [{"name": "return", "role": "primary"}],
            "analysis": {"horizon_periods": scene.n_periods, "batch_periods": scene.batch},
            "allocation": {
                "policy": "thompson_normal", "floor": 0.1, "max_step": 0.2, "context": context,
            },
        }
    )  # fmt: skip


def simulated(plan: ExperimentPlan, scene: Scene, seed: int) -> Outcome:
    """Return one experiment, its shares decided from what was seen, as a worker does."""
    rng = np.random.default_rng([SEED, seed])
    regimes = _regimes(scene, rng)
    of = regimes if len(plan.contexts) > 1 else np.zeros_like(regimes)
    numbers = {at + 1: context for at, context in enumerate(plan.contexts)}
    in_force = list(numbers)
    weights = {number: list(plan.weights) for number in numbers}
    tables: list[PeriodTable] = []
    regret, effects = 0.0, np.array(scene.effects)
    for period in range(scene.n_periods):
        number = np.array(in_force)[of[period]]
        share = np.array([weights[one][1] for one in in_force])[of[period]]
        arm = (rng.random(scene.n_units) < share).astype(np.int64)
        effect = effects[regimes[period]]
        values = rng.standard_normal(scene.n_units) + effect * arm + scene.level * regimes[period]
        regret += float(np.sum(np.maximum(effect, 0.0) - effect * arm))
        at = np.full(scene.n_units, period * DAY_NS)
        tables.append(PeriodTable.of_outcomes(at, arm, values, allocation=number))
        if (period + 1) % (scene.n_periods // N_DECIDED) == 0:
            _decide(plan, tables[0].merged(*tables[1:]), numbers, in_force, weights)
    whole = tables[0].merged(*tables[1:])
    seen = Observed({"return": whole}, weights=weights, contexts=numbers)
    return Outcome(analyze(plan, seen), regret, effects[regimes].mean(axis=1))


def _regimes(scene: Scene, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the regime of each unit, shape (n_periods, n_units)."""
    if not scene.is_common:
        return (rng.random((scene.n_periods, scene.n_units)) < 0.3).astype(np.int64)
    if scene.stay == 0:
        leaves = np.arange(scene.n_periods) == rng.integers(scene.n_periods)
    else:
        leaves = rng.random(scene.n_periods) < (0.5 if scene.stay == 1 else 1.0 / scene.stay)
    return np.repeat((np.cumsum(leaves) % 2)[:, np.newaxis], scene.n_units, axis=1)


def _decide(
    plan: ExperimentPlan, table: PeriodTable, numbers: dict[int, str], in_force: list[int],
    weights: dict[int, list[float]],
) -> None:  # fmt: skip
    """Give each context the shares that the policy asks for, as allocations of their own."""
    for at, context in enumerate(plan.contexts):
        own = table.of_allocations([one for one, value in numbers.items() if value == context])
        before, number = weights[in_force[at]], len(numbers) + 1
        asked = next_weights(plan, own, before, number=number) if own.n_rows else before
        if asked != before:
            numbers[number], weights[number], in_force[at] = context, asked, number


def has_difference(found: Findings) -> bool:
    """Return whether the overall interval leaves 0 out."""
    one = found.primary.comparisons[0]
    return one.lower is not None and one.upper is not None and not one.lower <= 0.0 <= one.upper


def is_better(found: Findings) -> bool:
    """Return whether the challenger was shown to make more over all contexts."""
    one = found.primary.comparisons[0]
    return one.lower is not None and one.lower > 0.0


def is_worse(found: Findings) -> bool:
    """Return whether it was shown to make less."""
    one = found.primary.comparisons[0]
    return one.upper is not None and one.upper < 0.0


def is_withheld(found: Findings) -> bool:
    """Return whether nothing may be concluded."""
    return found.primary.comparisons[0].is_withheld


def has_difference_within(found: Findings) -> bool:
    """Return whether that of any context does."""
    return any(
        one.lower is not None and one.upper is not None and not one.lower <= 0.0 <= one.upper
        for each in found.contexts
        for one in each.comparisons
    )


def rate(happened: Sequence[bool]) -> str:
    """Return a share with its binomial error."""
    share = sum(happened) / len(happened)
    return f"{share:.1%} ± {math.sqrt(share * (1.0 - share) / len(happened)):.1%}"


def with_error(values: Sequence[float]) -> str:
    """Return a mean with its standard error."""
    each = np.array(values)
    return f"{np.nanmean(each):.3g} ± {np.nanstd(each, ddof=1) / math.sqrt(each.size):.2g}"


if __name__ == "__main__":
    main()
