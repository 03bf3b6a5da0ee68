"""How often a difference is found where there is none, of units that report again and again.

``python -m benchmarks.simulate_units [--experiments 1000]`` prints the table of
docs/experiments.md: A/A experiments of 80 periods, by the intervals of a plan that looks after
every period from the 10th on, and of one that looks once at the end.
"""

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import table
from experiments.plans import ExperimentPlan
from experiments.plans.units import clustered_sequence
from experiments.statistics.clusters import UnitTable
from experiments.statistics.summaries import PeriodTable

Floats = NDArray[np.float64]

N_PERIODS, N_UNITS, CONFIDENCE = 80, 100, 0.95
METHODS = ("planned_sequence", "fixed_horizon")
PLANS = {
    method: ExperimentPlan.model_validate(
        {
            "name": "aa",
            "hypothesis": "Nothing differs.",
            "design": "assigned",
            "arms": [{"name": "a", "control": True}, {"name": "b"}],
            "metrics": [{"name": "y", "role": "primary"}],
            "analysis": {"horizon_periods": N_PERIODS, "batch_periods": 1, "method": method},
        }
    )
    for method in METHODS
}


@dataclass(frozen=True, slots=True)
class World:
    """What units are like.

    Attributes
    ----------
    level, shock, effect : float
        Standard deviations, in those of an outcome: of what units differ by, of what the outcomes
        of a period share, and of the effect, which varies with the period around nothing.
    legs : float
        What the two outcomes of a cell are above and below half of it; 0 where it has one.
    heavy : float
        Tail index of how often units report; 0 where that is a gamma law's.
    late : float
        Share of cells whose second leg comes after newer outcomes of its unit.
    enters : str
        ``""`` where all are there from the start; ``evenly``, or ``ever more``.
    n_other, share : int, float
        Units that are there besides, in another context, and the challenger's share of them.
    apart : float
        What the challenger makes more in one context; it makes less in the other so that all in
        all nothing differs.
    """

    level: float = 0.0
    shock: float = 0.0
    effect: float = 0.0
    legs: float = 0.0
    heavy: float = 0.0
    late: float = 0.0
    enters: str = ""
    n_other: int = 0
    share: float = 0.5
    apart: float = 0.0


WORLDS = {
    "differ by one standard deviation of an outcome": World(1.0),
    "by three": World(3.0),
    "not at all": World(),
    "by one, and come one after the other": World(1.0, enters="evenly"),
    "by one, and periods have shocks of one": World(1.0, shock=1.0),
    "by one, and the effect itself varies by half with the period": World(1.0, effect=0.5),
    "by one, and some report a hundred times as often as others": World(1.0, heavy=1.5),
    "not at all, and ever more of them come": World(enters="ever more"),
    "by one; two legs a period offset each other": World(1.0, legs=10.0),
    "not at all; two legs a period offset each other": World(legs=10.0),
    "by 0.1, the effect varies by 0.17; two legs offset each other": World(
        0.1, effect=0.17, legs=0.7
    ),
    "the same, and a second leg of ten comes late": World(0.1, effect=0.17, legs=0.7, late=0.1),
    "by one; 50 more in a context where the challenger has half": World(1.0, n_other=50),
    "by one; 100 more, of whom it has 15 %": World(1.0, n_other=100, share=0.15),
    "by one; 50 more, of whom it has 2 %": World(1.0, n_other=50, share=0.02),
    "by one; 100 in either context, where effects are 1 and −1": World(1.0, n_other=100, apart=1.0),
}


def main() -> None:
    """Print how often each kind of experiment finds a difference."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulate_units", description=__doc__
    )
    parser.add_argument("--experiments", type=int, default=1_000, help="of each kind")
    n_runs = parser.parse_args().experiments
    rows: list[tuple[str, ...]] = [("units", *METHODS, "no interval")]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name, world in WORLDS.items():
            found = np.array(list(pool.map(_Run(world), range(n_runs), chunksize=20)))
            rows.append((name, *(f"{rate:.1%}" for rate in found.mean(axis=0))))
    print()
    table(rows)
    print(f"\n{n_runs:,} experiments a row; of 5 % the standard error is "
          f"{np.sqrt(0.05 * 0.95 / n_runs):.1%}.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Run:
    """One experiment, by its number."""

    world: World

    def __call__(self, seed: int) -> list[bool]:
        given = drawn(self.world, np.random.default_rng([20261128, seed]))
        found = [_interval(method, *given) for method in METHODS]
        return [*(lower > 0.0 or upper < 0.0 for lower, upper in found), found[1][1] == np.inf]


def _interval(method: str, periods: PeriodTable, units: UnitTable) -> tuple[float, float]:
    """Return the largest lower and the least upper end of all looks."""
    plan = PLANS[method]
    contexts = {1: "one", 2: "other"} if np.any(units.allocation == 2) else None
    found = clustered_sequence(plan, plan.primary, periods, units, 1, CONFIDENCE, contexts)
    return float(found.sequence.lower.max()), float(found.sequence.upper.min())


def drawn(world: World, rng: np.random.Generator) -> tuple[PeriodTable, UnitTable]:
    """Return the sums of an experiment in which arms differ by nothing but chance."""
    n_units = (3 * N_UNITS if world.enters == "ever more" else N_UNITS) + world.n_other
    arm_of, context = rng.integers(0, 2, n_units), np.ones(n_units, dtype=np.int64)
    if world.n_other:
        context[N_UNITS:] = 2
        arm_of[N_UNITS:] = rng.random(world.n_other) < world.share
    if world.apart:
        context = rng.permutation(1 + np.arange(n_units) % 2)
    period, unit = _cells(world, n_units, rng)
    shocks = world.shock * rng.standard_normal(N_PERIODS)
    effects = world.effect * rng.standard_normal(N_PERIODS)
    values = (world.level * rng.standard_normal(n_units))[unit] + rng.standard_normal(unit.size)
    values += shocks[period] + effects[period] * arm_of[unit]
    values += world.apart * (3 - 2 * context[unit]) * arm_of[unit]
    counts_from = period
    if world.legs:
        values = np.stack([values / 2 + world.legs, values / 2 - world.legs], axis=1).ravel()
        is_late = np.stack(
            [np.zeros(period.size, dtype=bool), rng.random(period.size) < world.late], axis=1
        ).ravel()
        period, unit = np.repeat(period, 2), np.repeat(unit, 2)
        counts_from = np.minimum(period + is_late, N_PERIODS - 1)
    arm, number = arm_of[unit], context[unit]
    return (
        PeriodTable.of_outcomes(period, arm, values, allocation=number),
        UnitTable.of_outcomes(
            period, arm, unit, values, allocation=number, counts_from=counts_from
        ),
    )


def _cells(
    world: World, n_units: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the period and the unit of each outcome; where there are legs, of each cell."""
    rate = rng.pareto(world.heavy, n_units) if world.heavy else rng.gamma(2.0, 0.5, n_units)
    rate = rate * np.minimum(n_units / rate.sum(), 100.0)
    uniform = rng.uniform(0.0, 1.0, n_units)
    enters: Callable[[Floats], Floats] = {
        "": lambda one: 0.0 * one, "evenly": lambda one: N_PERIODS * (1.5 * one - 0.5),
        "ever more": lambda one: N_PERIODS * np.sqrt(np.maximum(1.5 * one - 0.5, 0.0)),
    }[world.enters]  # fmt: skip
    counts = rng.poisson(rate * (enters(uniform) <= np.arange(N_PERIODS)[:, np.newaxis]))
    if world.legs:
        counts = np.minimum(counts, 1)
    period, unit = (
        np.repeat(index, counts.ravel()) for index in map(np.ravel, np.indices(counts.shape))
    )
    return period, unit


if __name__ == "__main__":
    main()
