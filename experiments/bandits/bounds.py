"""Compiled choices by an upper confidence bound.

An arm without rewards comes before all others, and equal bounds share by lot, so that no arm is
favored by its number.

References
----------
.. [1] Auer, Cesa-Bianchi and Fischer (2002), "Finite-time analysis of the multiarmed bandit
   problem", Machine Learning 47.
.. [2] Audibert, Munos and Szepesvari (2009), "Exploration-exploitation tradeoff using variance
   estimates in multi-armed bandits", Theoretical Computer Science 410(19).
.. [3] Garivier and Cappe (2011), "The KL-UCB algorithm for bounded stochastic bandits and beyond",
   COLT 24.
.. [4] Even-Dar, Mannor and Mansour (2006), "Action elimination and stopping conditions for the
   multi-armed bandit and reinforcement learning problems", JMLR 7.
"""

import math

import numpy as np
from numpy.typing import NDArray

from experiments.bandits.memory import EPSILON_GREEDY, KL_UCB, LEADER, UCB1, UCB_TUNED, Memory, Rule
from experiments.bandits.streams import next_below
from numerics.compilation import bare_part, njit

_STEPS = 50  # of Newton; four or five are usual


@bare_part
def bounded_arm(rule: Rule, memory: Memory) -> int:
    """Return the arm with the largest bound, or by lot one that has no rewards yet."""
    log_t, new = log_time(rule, memory)
    if new:
        return _by_lot_without_rewards(memory, new)
    if rule.kind == KL_UCB:
        return _kl_arm(memory, log_t)
    best, highest, equals = 0, -math.inf, 0
    root = math.sqrt(log_t)
    for k in range(memory.n.size):
        bound = _bound(rule.kind, memory.table[k], log_t, root)
        if bound > highest:
            best, highest, equals = k, bound, 1
        elif bound == highest:
            equals += 1
            if next_below(memory.stream, equals) == 0:
                best = k
    return best


@bare_part
def log_time(rule: Rule, memory: Memory) -> tuple[float, int]:
    """Return what stands for ln t, and how many arms have no rewards.

    Notes
    -----
    t is the number of remembered rewards: with a discount or a window it is the discounted or the
    windowed count, as D-UCB and SW-UCB have it. KL-UCB adds ``c ln ln t``.
    """
    time, new = 0.0, 0
    for k in range(memory.n.size):
        time += memory.n[k]
        if memory.n[k] <= 0.0:
            new += 1
    log_t = math.log(max(time, 1.0))
    if rule.kind == KL_UCB and log_t > 1.0:
        log_t += rule.parameters[0] * math.log(log_t)
    return log_t, new


@njit(cache=True, error_model="numpy")
def all_bounds(rule: Rule, memory: Memory) -> NDArray[np.float64]:
    """Return the bound of each arm, infinite where it has no rewards."""
    log_t, _ = log_time(rule, memory)
    bounds = np.full(memory.n.size, np.inf)
    for k in range(memory.n.size):
        if memory.n[k] > 0.0:
            if rule.kind == KL_UCB:
                bounds[k] = kl_bound(
                    memory.table[k, 0], memory.table[k, 1], log_t / memory.n[k], 0.0
                )
            else:
                bounds[k] = _bound(rule.kind, memory.table[k], log_t, math.sqrt(log_t))
    return bounds


@bare_part
def _bound(kind: int, row: NDArray[np.float64], log_t: float, root: float) -> float:
    if kind == UCB1:
        return row[0] + root * row[1]
    if kind == UCB_TUNED:
        ceiling = min(row[4], row[2] + row[3] * root)
        return row[0] + math.sqrt(log_t * row[1] * ceiling)
    if kind in (EPSILON_GREEDY, LEADER):
        return row[0]
    return row[0] + root * row[1] + log_t * row[2]


@bare_part
def _by_lot_without_rewards(memory: Memory, new: int) -> int:
    left = next_below(memory.stream, new)
    for k in range(memory.n.size):
        if memory.n[k] <= 0.0:
            if left == 0:
                return k
            left -= 1
    return 0


@njit(cache=True, error_model="numpy")
def kl_bound(mean: float, minus_entropy: float, budget: float, start: float) -> float:
    """Return the largest q with ``kl(mean, q) <= budget``, kl of Bernoulli distributions [3]_.

    Parameters
    ----------
    mean : float
        In [0, 1].
    minus_entropy : float
        ``mean ln mean + (1 - mean) ln(1 - mean)``.
    budget : float
        >= 0.
    start : float
        A guess, where there is one; anything outside (mean, 1) is none.

    Notes
    -----
    Newton's method. kl is convex in q, and two bounds of q lie at or above the root, Pinsker's and
    the one that leaves out ``mean ln q``; from there every step falls towards it.
    """
    if mean >= 1.0:
        return 1.0
    if mean <= 0.0:
        return -math.expm1(-budget)
    q = start if mean < start < 1.0 else _at_or_above(mean, minus_entropy, budget)
    for _ in range(_STEPS):
        if q <= mean or q >= 1.0:
            return min(max(q, mean), 1.0)
        over = minus_entropy - mean * math.log(q) - (1.0 - mean) * math.log(1.0 - q) - budget
        step = over * q * (1.0 - q) / (q - mean)
        q -= step
        if abs(step) <= 1e-15 + 1e-8 * (q - mean):  # the next would be its square
            break
        if q >= 1.0:  # a guess far below the root
            q = _at_or_above(mean, minus_entropy, budget)
    return max(q, mean)


@njit(cache=True, error_model="numpy")
def _at_or_above(mean: float, minus_entropy: float, budget: float) -> float:
    pinsker = mean + math.sqrt(0.5 * budget)
    return min(pinsker, -math.expm1((minus_entropy - budget) / (1.0 - mean)))


@bare_part
def _kl_arm(memory: Memory, log_t: float) -> int:
    """Return the arm with the largest KL bound, solving only for those that can have it.

    The bound of arm k is above b exactly where ``n_k kl(mean_k, b) < ln t``: one comparison, once
    the two logarithms of b are known.
    """
    table, n, total = memory.table, memory.n, memory.total
    best = 0
    for k in range(1, n.size):  # column 2 has the bounds of earlier decisions
        if table[k, 2] > table[best, 2]:
            best = k
    first = best
    highest = kl_bound(table[best, 0], table[best, 1], log_t / n[best], table[best, 2])
    table[best, 2] = highest
    log_q, log_rest = math.log(highest), math.log(1.0 - highest)
    equals = 1
    for k in range(n.size):
        mean = table[k, 0]
        if k == first:
            continue
        if n[k] == n[best] and total[k] == total[best]:
            equals += 1
            if next_below(memory.stream, equals) == 0:
                best = k
            continue
        if mean < highest:
            if highest >= 1.0:
                continue
            divergence = table[k, 1] - mean * log_q - (1.0 - mean) * log_rest
            if n[k] * divergence >= log_t:
                continue
        elif highest >= 1.0:
            continue
        bound = kl_bound(mean, table[k, 1], log_t / n[k], table[k, 2])
        table[k, 2] = bound
        if bound > highest:
            best, highest, equals = k, bound, 1
            log_q, log_rest = math.log(highest), math.log(1.0 - highest)
    return best


@bare_part
def surviving_arm(memory: Memory) -> int:
    """Return the least tried arm of those not eliminated, after eliminating once more [4]_."""
    table, n = memory.table, memory.n
    least = -math.inf
    for k in range(n.size):
        if table[k, 4] == 0.0 and n[k] > 0.0:
            least = max(least, table[k, 0] - table[k, 1])
    fewest, best, equals = math.inf, 0, 0
    for k in range(n.size):
        if n[k] > 0.0 and table[k, 0] + table[k, 1] < least:
            table[k, 4] = 1.0
        if table[k, 4] != 0.0:
            continue
        if n[k] < fewest:
            fewest, best, equals = n[k], k, 1
        elif n[k] == fewest:
            equals += 1
            if next_below(memory.stream, equals) == 0:
                best = k
    return best
