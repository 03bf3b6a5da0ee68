"""The three compiled verbs of every policy: start, decide and learn.

Python's policies and the simulators run these and nothing else, so there is one mathematics.

References
----------
.. [1] Garivier and Moulines (2011), "On upper-confidence bound policies for switching bandit
   problems", ALT 22: discounting and sliding windows.
.. [2] Auer, Cesa-Bianchi, Freund and Schapire (2002), "The nonstochastic multiarmed bandit
   problem", SIAM Journal on Computing 32(1): Exp3 and Exp3.S.
"""

import math

import numpy as np
from numpy.typing import NDArray

from experiments.bandits.bounds import bounded_arm, surviving_arm
from experiments.bandits.memory import (
    EPSILON_GREEDY,
    EXP3,
    EXP3_S,
    HEDGE,
    SOFTMAX,
    SUCCESSIVE_ELIMINATION,
    THOMPSON_BETA,
    THOMPSON_BOOTSTRAP,
    TOP_TWO_BETA,
    TOP_TWO_GAUSSIAN,
    UNIFORM,
    Memory,
    Rule,
)
from experiments.bandits.preparing import prepare_arm, prepare_inside
from experiments.bandits.sampling import thompson_arm, top_two_arm
from experiments.bandits.streams import next_below, next_normal, next_uniform, next_word
from numerics.compilation import bare_part, njit

_ONE, _U64_BITS = np.uint64(1), 64


@njit(cache=True, error_model="numpy")
def start(rule: Rule, memory: Memory) -> None:
    """Make an erased memory ready for the first decision."""
    if rule.kind == THOMPSON_BOOTSTRAP:  # mean and deviation of the prior draws
        for k in range(memory.n.size):
            for b in range(memory.replicates.shape[2]):
                draw = rule.parameters[0] + rule.parameters[1] * next_normal(memory.stream)
                memory.replicates[2, k, b] = draw
    if rule.kind == EXP3_S:
        memory.table[:, 1] = 1.0
    prepare_inside(rule, memory)


@bare_part
def decide_inside(rule: Rule, memory: Memory) -> int:
    """Return the arm to play now; only the stream moves."""
    kind = rule.kind
    if THOMPSON_BETA <= kind <= THOMPSON_BOOTSTRAP:
        return thompson_arm(kind, memory, -1)
    if TOP_TWO_BETA <= kind <= TOP_TWO_GAUSSIAN:
        return top_two_arm(rule, memory)
    if kind in (SOFTMAX, EXP3, EXP3_S, HEDGE):
        return _mixed_arm(memory)
    if kind == UNIFORM:
        return next_below(memory.stream, memory.n.size)
    if kind == SUCCESSIVE_ELIMINATION:
        return surviving_arm(memory)
    if kind == EPSILON_GREEDY and next_uniform(memory.stream) < exploration_inside(rule, memory):
        return next_below(memory.stream, memory.n.size)
    return bounded_arm(rule, memory)


@njit(cache=True, error_model="numpy")
def exploration(rule: Rule, memory: Memory) -> float:
    """Return epsilon now, for callers that are not compiled."""
    return exploration_inside(rule, memory)


@bare_part
def exploration_inside(rule: Rule, memory: Memory) -> float:
    """Return epsilon now: fixed, or ``min(1, decay / t)`` at the t-th decision."""
    if rule.parameters[1] <= 0.0:
        return rule.parameters[0]
    time = 1.0
    for k in range(memory.n.size):
        time += memory.n[k]
    return min(1.0, rule.parameters[1] / time)


@bare_part
def _mixed_arm(memory: Memory) -> int:
    left = next_uniform(memory.stream)
    last = 0
    for k in range(memory.n.size):
        if memory.table[k, 2] > 0.0:
            last = k
            left -= memory.table[k, 2]
            if left < 0.0:
                return k
    return last


@bare_part
def learn_inside(rule: Rule, memory: Memory, arm: int, reward: float, probability: float) -> None:
    """Remember one reward.

    Parameters
    ----------
    rule, memory : Rule, Memory
    arm : int
        Trusted to exist.
    reward : float
        Trusted to be finite and in the range of the policy.
    probability : float
        With which the arm was chosen; NaN is the present one. Only Exp3 reads it.
    """
    _fade(rule, memory)
    _absorb(rule, memory, arm, reward, probability)
    if rule.kind in (SOFTMAX, EXP3, EXP3_S, HEDGE) or rule.discount < 1.0 or rule.window > 0:
        prepare_inside(rule, memory)
    else:
        prepare_arm(rule, memory, arm)


@bare_part
def learn_all_inside(rule: Rule, memory: Memory, rewards: NDArray[np.float64]) -> None:
    """Remember the rewards of all arms in one period: full information."""
    _fade(rule, memory)
    for k in range(memory.n.size):
        _absorb(rule, memory, k, rewards[k], 1.0)
    prepare_inside(rule, memory)


@njit(cache=True, error_model="numpy")
def decide(rule: Rule, memory: Memory) -> int:
    """Return the arm to play now, for callers that are not compiled."""
    return decide_inside(rule, memory)


@njit(cache=True, error_model="numpy")
def learn(rule: Rule, memory: Memory, arm: int, reward: float, probability: float) -> None:
    """Remember one reward, for callers that are not compiled."""
    learn_inside(rule, memory, arm, reward, probability)


@njit(cache=True, error_model="numpy")
def learn_all(rule: Rule, memory: Memory, rewards: NDArray[np.float64]) -> None:
    """Remember the rewards of all arms, for callers that are not compiled."""
    learn_all_inside(rule, memory, rewards)


@njit(cache=True, error_model="numpy")
def learn_many(
    rule: Rule,
    memory: Memory,
    arms: NDArray[np.int64],
    rewards: NDArray[np.float64],
    probabilities: NDArray[np.float64],
) -> None:
    """Remember rewards one after the other, as `learn` does."""
    for i in range(arms.size):
        learn_inside(rule, memory, arms[i], rewards[i], probabilities[i])


@njit(cache=True, error_model="numpy")
def decide_many(rule: Rule, memory: Memory, arms: NDArray[np.int64]) -> None:
    """Fill an array with decisions between which nothing is learned."""
    for i in range(arms.size):
        arms[i] = decide_inside(rule, memory)


@bare_part
def _fade(rule: Rule, memory: Memory) -> None:
    if rule.discount < 1.0:
        for k in range(memory.n.size):
            memory.n[k] *= rule.discount
            memory.total[k] *= rule.discount
            memory.squares[k] *= rule.discount
            for b in range(memory.replicates.shape[2]):
                memory.replicates[0, k, b] *= rule.discount
                memory.replicates[1, k, b] *= rule.discount


@bare_part
def _absorb(rule: Rule, memory: Memory, arm: int, reward: float, probability: float) -> None:
    if rule.kind in (EXP3, EXP3_S):
        _absorb_weighted(rule, memory, arm, reward, probability)
        return
    if rule.window > 0:
        _turn_ring(memory, arm, reward)
    memory.n[arm] += 1.0
    memory.total[arm] += reward
    memory.squares[arm] += reward * reward
    if rule.kind == THOMPSON_BOOTSTRAP:
        _absorb_replicates(memory, arm, reward)


@bare_part
def _absorb_weighted(
    rule: Rule, memory: Memory, arm: int, reward: float, probability: float
) -> None:
    p, n_arms = rule.parameters, memory.n.size
    used = probability if probability == probability else memory.table[arm, 2]  # noqa: PLR0124
    gain = (reward - p[1]) / (p[2] - p[1]) / used
    memory.n[arm] += 1.0
    memory.total[arm] += gain
    memory.squares[arm] += gain * gain
    if rule.kind == EXP3_S:
        _share_weights(memory, arm, math.exp(p[0] * gain / n_arms), math.e * p[3] / n_arms)


@bare_part
def _share_weights(memory: Memory, arm: int, factor: float, passed: float) -> None:
    """Raise the weight of an arm, pass a share of all round, and bring their sum to one."""
    table, summed, after = memory.table, 0.0, 0.0
    for k in range(memory.n.size):
        summed += table[k, 1]
    table[arm, 1] *= factor
    for k in range(memory.n.size):
        table[k, 1] += passed * summed
        after += table[k, 1]
    for k in range(memory.n.size):
        table[k, 1] /= after


@bare_part
def _absorb_replicates(memory: Memory, arm: int, reward: float) -> None:
    """Give each replicate the reward twice or not at all, one random bit each."""
    word = np.uint64(0)
    for b in range(memory.replicates.shape[2]):
        if b % _U64_BITS == 0:
            word = next_word(memory.stream)
        weight = 2.0 * float(word & _ONE)
        word >>= _ONE
        memory.replicates[0, arm, b] += weight
        memory.replicates[1, arm, b] += weight * reward


@bare_part
def _turn_ring(memory: Memory, arm: int, reward: float) -> None:
    """Take the oldest reward out of the sums where the window is full; keep the new one."""
    place, size = memory.cursor[0], memory.ring_arms.size
    if memory.cursor[1] == size:
        gone, old = memory.ring_arms[place], memory.ring_rewards[place]
        memory.n[gone] -= 1.0
        memory.total[gone] -= old
        memory.squares[gone] -= old * old
        if memory.n[gone] <= 0.0:
            memory.total[gone] = memory.squares[gone] = 0.0
    else:
        memory.cursor[1] += 1
    memory.ring_arms[place], memory.ring_rewards[place] = arm, reward
    memory.cursor[0] = (place + 1) % size
    if place + 1 == size:
        _sum_ring(memory, place)


@bare_part
def _sum_ring(memory: Memory, newest: int) -> None:
    """Sum the window anew once per turn, so that rounding does not gather."""
    for k in range(memory.n.size):
        memory.n[k] = memory.total[k] = memory.squares[k] = 0.0
    for i in range(memory.cursor[1]):
        if i != newest:
            reward = memory.ring_rewards[i]
            memory.n[memory.ring_arms[i]] += 1.0
            memory.total[memory.ring_arms[i]] += reward
            memory.squares[memory.ring_arms[i]] += reward * reward
