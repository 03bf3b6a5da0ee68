"""Compiled draws of arms from posteriors (Thompson 1933).

References
----------
.. [1] Chapelle and Li (2011), "An empirical evaluation of Thompson sampling", NIPS 24.
.. [2] Russo (2020), "Simple Bayesian algorithms for best-arm identification", Operations Research
   68(6): top-two Thompson sampling.
.. [3] Eckles and Kaptein (2019), "Bootstrap Thompson sampling and sequential decision problems in
   the behavioral sciences", SAGE Open 9(2).
"""

import math

from experiments.bandits.memory import (
    THOMPSON_BETA,
    THOMPSON_GAUSSIAN,
    THOMPSON_NORMAL,
    TOP_TWO_BETA,
    TOP_TWO_NORMAL,
    Memory,
    Rule,
)
from experiments.bandits.streams import next_below, next_gamma, next_normal, next_uniform
from numerics.compilation import bare_part

MOST_DRAWS = 30  # of a second arm, before the runner-up of the last draw has to do

_MOST_ODDS = 700.0  # logarithm; beyond it float64 ends


@bare_part
def thompson_arm(kind: int, memory: Memory, excluded: int) -> int:
    """Return the arm whose draw from its posterior is the largest.

    Parameters
    ----------
    kind : int
        A kind of Thompson sampling, without the top two.
    memory : Memory
        Its table is prepared.
    excluded : int
        An arm that takes no part; -1 for none.
    """
    best, highest = 0, -math.inf
    for k in range(memory.n.size):
        if k == excluded:
            continue
        if kind == THOMPSON_BETA:
            value = _beta(memory, k)
        elif kind == THOMPSON_GAUSSIAN:
            value = memory.table[k, 0] + memory.table[k, 1] * next_normal(memory.stream)
        elif kind == THOMPSON_NORMAL:
            value = _student(memory, k)
        else:
            value = _replicate(memory, k)
        if value > highest:
            best, highest = k, value
    return best


@bare_part
def top_two_arm(rule: Rule, memory: Memory) -> int:
    """Return Thompson's arm, or with probability 1 - beta the first that differs from it [2]_."""
    kind = THOMPSON_GAUSSIAN
    if rule.kind == TOP_TWO_BETA:
        kind = THOMPSON_BETA
    elif rule.kind == TOP_TWO_NORMAL:
        kind = THOMPSON_NORMAL
    leader = thompson_arm(kind, memory, -1)
    if next_uniform(memory.stream) < rule.parameters[5]:
        return leader
    for _ in range(MOST_DRAWS):
        arm = thompson_arm(kind, memory, -1)
        if arm != leader:
            return arm
    return thompson_arm(kind, memory, leader)


@bare_part
def _beta(memory: Memory, k: int) -> float:
    """Return the odds of a success rate: near 0 and 1 they tell arms apart that rates do not."""
    row, stream = memory.table[k], memory.stream
    first = next_gamma(stream, row[0], row[1])
    second = next_gamma(stream, row[2], row[3])
    if row[4] != 1.0:
        return _small_beta(memory, k, first, second)
    return first / second


@bare_part
def _small_beta(memory: Memory, k: int, first: float, second: float) -> float:
    """Lower the gammas whose shape is below one, in logarithms, which do not underflow."""
    row, stream = memory.table[k], memory.stream
    log_first, log_second = math.log(first), math.log(second)
    if row[4] in (-1.0, -3.0):
        log_first += math.log(1.0 - next_uniform(stream)) / (row[0] - 2.0 / 3.0)
    if row[4] in (-2.0, -3.0):
        log_second += math.log(1.0 - next_uniform(stream)) / (row[2] - 2.0 / 3.0)
    return math.exp(min(max(log_first - log_second, -_MOST_ODDS), _MOST_ODDS))


@bare_part
def _student(memory: Memory, k: int) -> float:
    row, stream = memory.table[k], memory.stream
    precision = next_gamma(stream, row[2], row[3])
    if row[4] < 1.0:
        precision *= (1.0 - next_uniform(stream)) ** (1.0 / row[4])
    return row[0] + row[1] * next_normal(stream) / math.sqrt(max(precision, 1e-300))


@bare_part
def _replicate(memory: Memory, k: int) -> float:
    """Return the mean of one replicate, its prior draw counting as one reward [3]_."""
    b = next_below(memory.stream, memory.replicates.shape[2])
    kept = memory.replicates
    return (kept[1, k, b] + kept[2, k, b]) / (kept[0, k, b] + 1.0)
