"""Which share each arm gets next: a bandit's wish, within the limits of the plan."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.bandits import AllocationLimits, ArmStatistics, make_policy
from experiments.plans.differences import arm_effects
from experiments.plans.document import ExperimentPlan
from experiments.statistics.summaries import PeriodTable

_DECIMALS = 6
_LEAST = 2.0  # outcomes of an arm by which it is judged


def next_weights(
    plan: ExperimentPlan, table: PeriodTable, previous: Sequence[float], *, number: int
) -> list[float]:
    """Return the shares of the arms that the plan's policy asks for, control first.

    Parameters
    ----------
    plan : ExperimentPlan
        With a policy other than fixed.
    table : PeriodTable
        Sums of the primary metric; of one context, where shares depend on it.
    previous : sequence of float
        The shares in force, in that context.
    number : int
        Of the allocation to come: it is part of the seed, so that the same sums give the same
        shares again.

    Notes
    -----
    Rewards are turned so that more is better, taken about the mean of their period and allocation,
    so that a share gained in a good time is no merit, and divided by their standard deviation:
    returns of a hundredth and basis points of ten are then the same to a policy, whose prior has
    the deviation 1. Proportions stay as they are, for their priors are about 0 and 1. Until every
    arm has two outcomes nothing changes.
    """
    asked = plan.allocation
    table = _in_window(plan, table)
    sums = ArmStatistics.of_periods(
        table if plan.primary.kind == "proportion" else _centered(table),
        len(plan.arms), discount=asked.discount, period_length=plan.period_ns,
    )  # fmt: skip
    if bool((sums.n < _LEAST).any()):
        return list(previous)
    is_binary = plan.primary.kind == "proportion"
    if not is_binary:
        sums = _standardized(_with_effects(sums, plan, table), plan)
    else:
        sums = _turned(sums, plan)
    settings: dict[str, Any] = {"posterior": "beta" if is_binary else "normal"}
    policy = make_policy(
        asked.policy, len(plan.arms), **(settings if asked.policy == "top_two_thompson" else {})
    )
    wished = policy.allocation_of(sums, np.random.default_rng([plan.seed, number]))
    limits = AllocationLimits(floor=asked.floor, cap=asked.cap, max_step=asked.max_step)
    return _rounded(limits.applied(wished, np.asarray(previous, dtype=float)))


def _in_window(plan: ExperimentPlan, table: PeriodTable) -> PeriodTable:
    """Return the periods that the policy follows.

    They are as many more as give every arm two outcomes: one that has a small share might else
    never be judged again.
    """
    window = plan.allocation.window
    if window is None or not table.n_rows:
        return table
    periods, n = table.merged().pivot("n", len(plan.arms))
    begins = int(periods[-1]) - (window - 1) * plan.period_ns
    is_enough = (np.cumsum(n[::-1], axis=0)[::-1] >= _LEAST).all(axis=1)
    if not is_enough.any():
        return table
    return table.since(min(begins, int(periods[is_enough][-1])))


def _centered(table: PeriodTable) -> PeriodTable:
    """Return the sums about the mean of all arms in their period and allocation."""
    merged = table.merged()
    _, cell = np.unique(np.stack([merged.period, merged.allocation]), axis=1, return_inverse=True)
    at = cell.reshape(-1)
    mean = (np.bincount(at, merged.total) / np.bincount(at, merged.n))[at]
    total = merged.total - merged.n * mean
    squares = merged.squares - 2.0 * mean * merged.total + merged.n * mean * mean
    least = total * total / np.maximum(merged.n, 1.0)  # rounding may not undercut it
    return PeriodTable.of(
        merged.period, merged.arm, merged.allocation, merged.n, total, np.maximum(squares, least)
    )


def _with_effects(sums: ArmStatistics, plan: ExperimentPlan, table: PeriodTable) -> ArmStatistics:
    """Return sums whose means are the arms' effects; what varies about them stays as it was."""
    effects = arm_effects(table, len(plan.arms), discount=plan.allocation.discount)
    about = np.maximum(sums.squares - sums.total * sums.total / sums.n, 0.0)
    total = sums.n * effects
    return ArmStatistics(sums.n, total, about + total * effects)


def _rounded(shares: NDArray[np.float64]) -> list[float]:
    """Return shares of six decimals that sum to 1; the largest takes what rounding left."""
    kept = [round(float(share), _DECIMALS) for share in shares]
    at = int(np.argmax(shares))
    kept[at] = round(1.0 - sum(kept[:at] + kept[at + 1 :]), _DECIMALS)
    return kept


def _turned(sums: ArmStatistics, plan: ExperimentPlan) -> ArmStatistics:
    """Return successes, or failures where fewer successes are better."""
    if plan.primary.direction == "increase":
        return sums
    return ArmStatistics(sums.n, sums.n - sums.total, sums.n - 2.0 * sums.total + sums.squares)


def _standardized(sums: ArmStatistics, plan: ExperimentPlan) -> ArmStatistics:
    n = sums.n.sum()
    mean = sums.total.sum() / n
    variance = max(float(sums.squares.sum() / n - mean * mean), 0.0)
    scale = np.sqrt(variance) or 1.0
    sign = 1.0 if plan.primary.direction == "increase" else -1.0
    total = sign * (sums.total - sums.n * mean) / scale
    squares = (sums.squares - 2.0 * mean * sums.total + sums.n * mean * mean) / (scale * scale)
    return ArmStatistics(sums.n, total, np.maximum(squares, 0.0))
