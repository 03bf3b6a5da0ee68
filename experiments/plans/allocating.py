"""Which share each arm gets next: a bandit's wish, within the limits of the plan."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.bandits import AllocationLimits, ArmStatistics, Policy, make_policy
from experiments.plans.differences import arm_effects
from experiments.plans.document import ExperimentPlan
from experiments.statistics.summaries import PeriodTable

FloatArray = NDArray[np.float64]
_DECIMALS = 6
_REPLICATES = 100
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
    asked, rng = plan.allocation, np.random.default_rng([plan.seed, number])
    table = _in_window(plan, table)
    if bool((_n_outcomes(plan, table) < _LEAST).any()):
        return list(previous)
    wished = policy_of(plan).allocation_of(rewards_of(plan, table, rng), rng)
    limits = AllocationLimits(floor=asked.floor, cap=asked.cap, max_step=asked.max_step)
    return _rounded(limits.applied(wished, np.asarray(previous, dtype=float)))


def policy_of(plan: ExperimentPlan) -> Policy:
    """Return the policy of a plan, with its settings."""
    asked, metric = plan.allocation, plan.primary
    settings = dict(asked.policy_settings)
    if asked.policy == "top_two_thompson":
        settings["posterior"] = "beta" if metric.kind == "proportion" else "normal"
    if asked.policy == "exp3" and metric.bound is not None:
        settings["reward_range"] = (-metric.bound, metric.bound)
    return make_policy(asked.policy, len(plan.arms), **settings)


def rewards_of(plan: ExperimentPlan, table: PeriodTable, rng: np.random.Generator) -> ArmStatistics:
    """Return the sums of rewards that the plan's policy sees, of the periods of a table.

    Notes
    -----
    Exp3 divides by the probability of an arm: by the share of outcomes that the arm had of its
    period and allocation, which is what chance made of it.
    """
    asked, is_increase = plan.allocation, plan.primary.direction == "increase"
    table = table.merged()
    is_binary, is_exp3 = plan.primary.kind == "proportion", asked.policy == "exp3"
    is_plain = is_binary or is_exp3
    n_replicates = asked.policy_settings.get("n_replicates", _REPLICATES)
    sums = ArmStatistics.of_periods(
        table if is_plain else _centered(table), len(plan.arms), discount=asked.discount,
        period_length=plan.period_ns,
        probabilities=table.n / _by_cell(table, table.n) if is_exp3 else None,
        n_replicates=n_replicates if asked.policy == "thompson_bootstrap" else 0, randomness=rng,
    )  # fmt: skip
    if is_plain:
        return sums if is_increase else _mapped(sums, 1.0 if is_binary else 0.0, -1.0)
    effects = arm_effects(table, len(plan.arms), discount=asked.discount)
    sums = _mapped(sums, sums.mean - effects, 1.0)
    n = sums.n.sum()
    mean = float(sums.total.sum() / n)
    scale = np.sqrt(max(float(sums.squares.sum() / n) - mean * mean, 0.0)) or 1.0
    return _mapped(sums, mean, 1.0 / scale if is_increase else -1.0 / scale)


def _n_outcomes(plan: ExperimentPlan, table: PeriodTable) -> FloatArray:
    """Return what outcomes each arm has left of its own by the plan's discount."""
    sums = ArmStatistics.of_periods(
        table, len(plan.arms), discount=plan.allocation.discount, period_length=plan.period_ns
    )
    return sums.n


def _mapped(sums: ArmStatistics, center: float | FloatArray, factor: float) -> ArmStatistics:
    """Return the sums of ``factor (reward - center)``, the center of each arm its own."""
    n, total, squares = sums.n, sums.total, sums.squares
    shifted = total - n * center
    about = squares - 2.0 * center * total + n * center * center
    least = shifted * shifted / np.maximum(n, 1e-300)  # rounding may not undercut it
    weighted = None
    if sums.weighted_n is not None and sums.weighted_total is not None:
        weighted = factor * (sums.weighted_total - sums.weighted_n * center)
    replicates = None
    if sums.replicates is not None:
        counts, totals = sums.replicates
        centers = np.broadcast_to(center, n.shape)[:, np.newaxis]
        replicates = np.stack([counts, factor * (totals - counts * centers)])
    return ArmStatistics(
        n, factor * shifted, factor * factor * np.maximum(about, least), sums.weighted_n, weighted,
        replicates,
    )  # fmt: skip


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
    mean = _by_cell(merged, merged.total) / _by_cell(merged, merged.n)
    total = merged.total - merged.n * mean
    squares = merged.squares - 2.0 * mean * merged.total + merged.n * mean * mean
    least = total * total / np.maximum(merged.n, 1.0)  # rounding may not undercut it
    return PeriodTable.of(
        merged.period, merged.arm, merged.allocation, merged.n, total, np.maximum(squares, least)
    )


def _by_cell(table: PeriodTable, column: FloatArray) -> FloatArray:
    """Return by row the sum of a column over all arms of its period and allocation."""
    _, cell = np.unique(np.stack([table.period, table.allocation]), axis=1, return_inverse=True)
    at = cell.reshape(-1)
    sums: FloatArray = np.bincount(at, column).astype(np.float64)
    return sums[at]


def _rounded(shares: NDArray[np.float64]) -> list[float]:
    """Return shares of six decimals that sum to 1; the largest takes what rounding left."""
    kept = [round(float(share), _DECIMALS) for share in shares]
    at = int(np.argmax(shares))
    kept[at] = round(1.0 - sum(kept[:at] + kept[at + 1 :]), _DECIMALS)
    return kept
