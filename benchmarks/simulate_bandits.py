"""Bandits in simulated worlds: regret, drift, shadow against bandit, and inference afterwards.

Each function returns the rows of one table; `main` prints them all as markdown, with seeds and
repetitions: ``python -m benchmarks.simulate_bandits``.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiments.bandits import (
    KLUCB,
    UCB1,
    Exp3,
    Leader,
    Policy,
    ThompsonBeta,
    ThompsonGaussian,
    ThompsonNormal,
    Uniform,
)
from experiments.simulation import Comparison, Environment, collect, simulate

SEED = 20261128
PROBLEMS = {
    ".5 against nine at .4": [0.5] + [0.4] * 9,
    ".45 / .55": [0.45, 0.55],
    ".1, .05×3, .02×3, .01×3": [0.1] + [0.05] * 3 + [0.02] * 3 + [0.01] * 3,
}
N_REGRET, N_SLOPE, N_DRIFT, N_WORLDS, N_INFERENCE = 400, 400, 400, 200, 4_000
HORIZON, LONG = 10_000, 40_000

# Three arms of .5, .4 and .3 that change places at 2,500, 5,000 and 7,500.
ROTATING = [[0.5, 0.4, 0.3], [0.3, 0.5, 0.4], [0.4, 0.3, 0.5], [0.5, 0.4, 0.3]]
DISCOUNT, WINDOW, EXPLORATION = 0.997, 1_000, 0.6

# Ten arms over four years of days, their annual Sharpe ratios drawn from N(0, 1).
N_ARMS, N_DAYS, DAYS_A_YEAR = 10, 1_008, 252

Row = dict[str, str | float]
Rejects = Callable[[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]], bool]


def main() -> None:
    """Print every table."""
    begun = time.perf_counter()
    print(f"Seed {SEED}.\n")
    print(f"Regret at T = {HORIZON:,}, mean of {N_REGRET} repetitions (Monte-Carlo error); in")
    print("brackets the multiple of C ln T (Lai and Robbins).\n")
    print_markdown(regret_rows())
    print(f"\nThompson's slope per unit of ln t from {HORIZON:,} to {LONG:,}, over C; {N_SLOPE}")
    print("repetitions.\n")
    print_markdown(slope_rows())
    print(f"\nThree changes (.5, .4, .3 change places at 2,500, 5,000 and 7,500 of {HORIZON:,});")
    print(f"{N_DRIFT} repetitions.\n")
    print_markdown(drift_rows())
    print(f"\nRegret as a share of uniform play: {N_ARMS} arms over {N_DAYS} days, their annual")
    print(f"Sharpe ratios N(0, 1); {N_WORLDS} worlds of 10 repetitions.\n")
    print_markdown(shadow_rows())
    print(f"\nRejections at 5 % on A/A data that Thompson sampling collected; {N_INFERENCE}")
    print("experiments of 1,000.\n")
    print_markdown(inference_rows())
    print(f"\n{time.perf_counter() - begun:.0f} s")


def regret_rows(repetitions: int = N_REGRET, horizon: int = HORIZON) -> list[Row]:
    """Return regret and its multiple of C ln T of four policies in three Bernoulli worlds."""
    rows: list[Row] = []
    for name, means in PROBLEMS.items():
        world = Environment.bernoulli(means)
        policies = {
            "Thompson": ThompsonBeta(world.n_arms),
            "KL-UCB": KLUCB(world.n_arms),
            "UCB1": UCB1(world.n_arms),
            "Exp3": Exp3.tuned(world.n_arms, horizon),
        }
        found = _run(world, policies, horizon, repetitions)
        bound = world.lai_robbins * math.log(horizon)
        row: Row = {"arms": name}
        for policy in policies:
            regret = found[policy].regret
            row[policy] = f"{_with_error(found, policy)} ({regret.final / bound:.2f})"
        rows.append(row)
    return rows


def slope_rows(repetitions: int = N_SLOPE) -> list[Row]:
    """Return Thompson's regret per unit of ln t between two horizons, over C."""
    rows: list[Row] = []
    for name, means in PROBLEMS.items():
        world = Environment.bernoulli(means)
        policies = {"Thompson": ThompsonBeta(world.n_arms)}
        found = _run(world, policies, LONG, repetitions, [HORIZON, LONG])
        slope = found.log_slope("Thompson", HORIZON, LONG) / world.lai_robbins
        rows.append({"arms": name, "slope / C": round(slope, 2)})
    return rows


def drift_rows(repetitions: int = N_DRIFT) -> list[Row]:
    """Return the regret of policies with and without forgetting where arms change places."""
    world = Environment.bernoulli(ROTATING, changes=[2_500, 5_000, 7_500])
    policies = {
        "Thompson": ThompsonBeta(3),
        f"Thompson, discount {DISCOUNT}": ThompsonBeta(3, discount=DISCOUNT),
        f"SW-UCB, window {WINDOW:,}, exploration {EXPLORATION}": UCB1(
            3, exploration=EXPLORATION, window=WINDOW
        ),
        "Exp3.S for three switches": Exp3.tuned(3, HORIZON, switches=3),
    }
    found = _run(world, policies, HORIZON, repetitions)
    return [{"policy": name, "regret": _with_error(found, name)} for name in policies]


def shadow_rows(n_worlds: int = N_WORLDS, repetitions: int = 10) -> list[Row]:
    """Return the regret of full information and of bandit feedback as shares of uniform play."""
    spread = 1.0 / math.sqrt(DAYS_A_YEAR)
    totals: dict[str, list[float]] = {}
    for world_seed in range(n_worlds):
        rng = np.random.default_rng([SEED, world_seed])
        world = Environment.gaussian(rng.normal(0.0, spread, N_ARMS))
        policies = {
            "shadow leader": Leader(N_ARMS),
            "shadow Thompson": ThompsonGaussian(N_ARMS, prior=(0.0, spread)),
            "bandit Thompson": ThompsonGaussian(N_ARMS, prior=(0.0, spread)),
            "uniform": Uniform(N_ARMS),
        }
        found = simulate(
            world,
            policies,
            horizon=N_DAYS,
            repetitions=repetitions,
            seed=SEED + world_seed,
            checkpoints=[N_DAYS],
            all_rewards=["shadow leader", "shadow Thompson"],
        )
        for name in policies:
            totals.setdefault(name, []).append(found[name].regret.final)
    uniform = np.array(totals["uniform"])
    return [
        {"policy": name, "share of uniform": _ratio(np.array(each), uniform)}
        for name, each in totals.items()
    ]


def inference_rows(n_experiments: int = N_INFERENCE) -> list[Row]:
    """Return how often equal arms are called different on data that a bandit collected."""
    designs: list[tuple[str, float, int, int]] = [
        ("no floor, every decision adapts", 0.0, 1, 1),
        ("floor 10 %, batches of 10", 0.1, 10, 200),
        ("floor 20 %, batches of 10", 0.2, 10, 200),
    ]
    rows: list[Row] = []
    for name, floor, batch, n_draws in designs:
        row: Row = {"collection": name, "Welch": "", "AIPW": ""}
        row["Welch"] = rejection_rate(welch_rejects, floor, batch, n_draws, n_experiments)
        if floor > 0.0 and (aipw := aipw_rejects()) is not None:
            row["AIPW"] = rejection_rate(aipw, floor, batch, n_draws, n_experiments)
        rows.append(row)
    return rows


def rejection_rate(
    rejects: Rejects, floor: float, batch: int, n_draws: int, n_experiments: int
) -> str:
    """Return the share of A/A experiments that a test rejects, and its binomial error.

    Parameters
    ----------
    rejects : callable
        Takes arms (n,), probabilities (n, 2) and rewards (n,) of one experiment.
    """
    world = Environment.gaussian([0.0, 0.0])
    policy = ThompsonNormal(2, prior=(0.0, 0.01, 1.0, 1.0))  # the prior mean is worth nothing
    count = 0
    for part in range(0, n_experiments, 500):
        n = min(500, n_experiments - part)
        found = collect(
            world, policy, horizon=1_000, repetitions=n, batch=batch, floor=floor,
            n_draws=n_draws, seed=SEED + part,
        )  # fmt: skip
        experiments = zip(found.arms, found.probabilities, found.rewards, strict=True)
        count += sum(rejects(*experiment) for experiment in experiments)
    rate = count / n_experiments
    return f"{rate:.1%} ± {math.sqrt(rate * (1.0 - rate) / n_experiments):.1%}"


def welch_rejects(
    arms: NDArray[np.int64], probabilities: NDArray[np.float64], rewards: NDArray[np.float64]
) -> bool:
    """Return whether Welch's test, which knows nothing of adaptation, finds a difference."""
    del probabilities
    groups = rewards[arms == 0], rewards[arms == 1]
    if min(len(group) for group in groups) < 2:
        return False
    return bool(stats.ttest_ind(*groups, equal_var=False).pvalue <= 0.05)


def aipw_rejects() -> Rejects | None:
    """Return the test of the weighted AIPW difference, where the statistics have it."""
    try:
        from experiments.statistics.adaptive import aipw_difference
    except ImportError:
        return None

    def rejects(
        arms: NDArray[np.int64], probabilities: NDArray[np.float64], rewards: NDArray[np.float64]
    ) -> bool:
        estimate = aipw_difference(arms, probabilities, rewards, arm=1, control=0)
        return bool(estimate.p_value <= 0.05)

    return rejects


def print_markdown(rows: Sequence[Row]) -> None:
    """Print rows as a markdown table."""
    heading = list(rows[0])
    print("| " + " | ".join(heading) + " |")
    print("|" + " --- |" * len(heading))
    for row in rows:
        print("| " + " | ".join(str(row[name]) for name in heading) + " |")


def _run(
    world: Environment,
    policies: Mapping[str, Policy],
    horizon: int,
    repetitions: int,
    checkpoints: Sequence[int] | None = None,
) -> Comparison:
    return simulate(
        world,
        policies,
        horizon=horizon,
        repetitions=repetitions,
        seed=SEED,
        checkpoints=checkpoints or [horizon],
    )


def _with_error(found: Comparison, name: str) -> str:
    regret = found[name].regret
    return f"{regret.final:.1f} ± {regret.final_error:.1f}"


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> str:
    """Return a ratio of sums over worlds, with its error by the delta method."""
    ratio = part.sum() / whole.sum()
    error = np.std(part - ratio * whole, ddof=1) * math.sqrt(part.size) / whole.sum()
    return f"{ratio:.2f} ± {error:.2f}"


if __name__ == "__main__":
    main()
