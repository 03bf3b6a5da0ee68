"""How long a decision takes in process, and how many decisions a second are simulated.

All times are of the processor, one thread, so that what else the machine does is left out.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks.measure import table
from experiments.bandits import POLICIES, LinearThompson, LinUCB, Policy
from experiments.simulation import Environment, simulate

SEED, N_CALLS, HORIZON = 20261128, 20_000, 10_000
MEANS = {3: [0.5, 0.45, 0.4], 10: [0.5] + [0.4] * 9}


def main() -> None:
    """Print one row for each policy; ``python -m benchmarks bandits``."""
    print(f"seed {SEED}; Bernoulli arms {MEANS[3]} and one of 0.5 against nine of 0.4")
    rows: list[tuple[str, ...]] = [
        ("policy", "choose", "learn", "allocation, 3 arms", "3 arms", "10 arms")
    ]
    for name in POLICIES:
        choose, learn = seconds_of_a_decision(name)
        share = seconds_of_an_allocation(name)
        pulls = [pulls_per_second(name, n_arms) for n_arms in (3, 10)]
        rows.append((
            name, f"{choose * 1e6:.1f} us", f"{learn * 1e6:.1f} us", f"{share * 1e3:.2f} ms",
            *(f"{each / 1e6:.1f} M pulls/s" for each in pulls),
        ))  # fmt: skip
    for policy in (LinUCB(3, 4, seed=SEED), LinearThompson(3, 4, seed=SEED)):
        choose, learn = _linear_seconds(policy)
        rows.append((policy.name, f"{choose * 1e6:.1f} us", f"{learn * 1e6:.1f} us", "", "", ""))
    table(rows)


def seconds_of_a_decision(name: str, n_arms: int = 3) -> tuple[float, float]:
    """Return seconds of one `choose` and one `update` from Python, the mean of many."""
    policy = _trained(name, n_arms)
    chosen = _least_of(lambda: [policy.choose() for _ in range(N_CALLS)])
    if policy.needs_all_rewards:
        rewards = np.linspace(0.0, 1.0, n_arms)
        learned = _least_of(lambda: [policy.update_all(rewards) for _ in range(N_CALLS)])
    else:
        learned = _least_of(lambda: [policy.update(1, 1.0) for _ in range(N_CALLS)])
    return chosen / N_CALLS, learned / N_CALLS


def seconds_of_an_allocation(name: str, n_arms: int = 3) -> float:
    """Return seconds of one vector of probabilities."""
    policy = _trained(name, n_arms)
    return _least_of(policy.allocation, rounds=20)


def pulls_per_second(name: str, n_arms: int) -> float:
    """Return decisions simulated per second, each with its reward learned, on one core."""
    world = Environment.bernoulli(MEANS[n_arms])
    policies = {name: POLICIES[name](n_arms)}
    repetitions = 20

    def run() -> None:
        simulate(world, policies, horizon=HORIZON, repetitions=repetitions, seed=SEED)

    run()
    return HORIZON * repetitions / _least_of(run, rounds=5)


def _trained(name: str, n_arms: int) -> Policy:
    policy = POLICIES[name](n_arms, seed=SEED)
    rewards = (np.random.default_rng(SEED).random((1_000, n_arms)) < MEANS[n_arms]) * 1.0
    for row in rewards:
        if policy.needs_all_rewards:
            policy.update_all(row)
        else:
            arm = policy.choose()
            policy.update(arm, row[arm])
    return policy


def _linear_seconds(policy: LinUCB | LinearThompson) -> tuple[float, float]:
    context = np.array([1.0, 0.2, -0.1, 0.5])
    policy.update(context, 0, 1.0)
    chosen = _least_of(lambda: [policy.choose(context) for _ in range(N_CALLS)])
    learned = _least_of(lambda: [policy.update(context, 1, 0.5) for _ in range(N_CALLS)])
    return chosen / N_CALLS, learned / N_CALLS


def _least_of(work: Callable[[], object], rounds: int = 3) -> float:
    seconds = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        seconds.append(time.process_time() - begun)
    return min(seconds)


if __name__ == "__main__":
    sys.exit(main())
