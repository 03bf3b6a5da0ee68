"""The same experiment on many histories: how often it is right, and how soon.

Histories are resampled from the paired returns in blocks. With each arm's mean taken off no arm is
better, so that every winner is a false alarm; with their means they tell how often the plan would
find what this history has, and when. A single history cannot say either: less its mean it ends at a
difference of exactly 0, whatever the method.
"""

from collections import Counter
from typing import Any

import numpy as np

from backtests.jobs.answering import first_decision
from backtests.jobs.lease import Lease
from backtests.jobs.pairing import Paired
from experiments.plans import ExperimentPlan, Verdict
from experiments.plans.families import confidence_of
from experiments.statistics.proportions import Proportion
from numerics.resampling import stationary_indices

_EXPERIMENTS = 3  # use of the seed; the replay of policies has those before
_CONFIDENCE = 0.95  # of the interval of a share


def repeated(
    plan: ExperimentPlan, paired: Paired, *, repetitions: int, mean_block: float, lease: Lease
) -> dict[str, Any]:
    """Return how experiments under a plan end on resampled histories of its horizon.

    Parameters
    ----------
    plan : ExperimentPlan
        From `plan_of`; its seed is that of the histories.
    paired : Paired
        Of an A/A replay less the means.
    repetitions : int
    mean_block : float
        Mean length of a block [periods].

    Raises
    ------
    Cancelled, LeaseLost
        As `Lease.progress`.

    Notes
    -----
    One history is in memory at a time, and each has a stream of its own.
    """
    horizon, n = plan.analysis.horizon_periods, paired.ends.size
    ends, used = Counter[str](), []
    winners = Counter[str]()
    for number in range(repetitions):
        lease.progress(number, repetitions)
        rng = np.random.default_rng([plan.seed, _EXPERIMENTS, number])
        rows = stationary_indices(n, 1, mean_block, rng, length=horizon)[0]
        ended = first_decision(plan, paired.returns[rows])
        if ended is None:
            continue
        periods, decision = ended
        ends[str(decision.verdict)] += 1
        used.append(periods)
        if decision.winner is not None:
            winners[decision.winner] += 1
    lease.progress(repetitions, repetitions)
    answered = _share(ends[Verdict.WINNER], repetitions)
    n_challengers = len(plan.arms) - 1
    return {
        "n": repetitions, "horizon": horizon, "mean_block": mean_block, **answered,
        "allowed": min(1.0, n_challengers * (1.0 - confidence_of(plan))),
        "n_no_difference": ends[Verdict.NO_DIFFERENCE], "n_not_computed": repetitions - len(used),
        "mean_periods": float(np.mean(used)) if used else None,
        "winners": [
            {"arm": name, **_share(winners[name], repetitions)} for name in paired.labels
        ],
    }  # fmt: skip


def _share(n_winners: int, n: int) -> dict[str, Any]:
    """Return the share of experiments with a winner, its standard error and its exact interval."""
    found = Proportion(n_winners, n)
    lower, upper = found.interval(_CONFIDENCE)
    error = (found.share * (1.0 - found.share) / n) ** 0.5
    return {
        "n_winners": n_winners, "share": found.share, "error": error, "lower": lower,
        "upper": upper,
    }  # fmt: skip
