"""The probability of each arm at the next decision: exact where there is a formula.

References
----------
.. [1] Russo (2020), "Simple Bayesian algorithms for best-arm identification", Operations Research
   68(6), section 4.
"""

import numpy as np

from experiments.bandits.bounds import all_bounds
from experiments.bandits.checks import FloatArray
from experiments.bandits.deciding import decide_many, exploration
from experiments.bandits.memory import (
    EPSILON_GREEDY,
    EXP3,
    EXP3_S,
    HEDGE,
    SOFTMAX,
    SUCCESSIVE_ELIMINATION,
    THOMPSON_BETA,
    THOMPSON_BOOTSTRAP,
    THOMPSON_GAUSSIAN,
    THOMPSON_NORMAL,
    TOP_TWO_BETA,
    TOP_TWO_GAUSSIAN,
    TOP_TWO_NORMAL,
    UNIFORM,
    Memory,
    Rule,
)
from experiments.bandits.posteriors import (
    Posterior,
    beta_posterior,
    nig_posterior,
    normal_posterior,
    probability_best,
    without,
)
from experiments.bandits.sampling import MOST_DRAWS
from experiments.bandits.streams import Stream

_POSTERIOR_KINDS = {
    THOMPSON_BETA: THOMPSON_BETA,
    TOP_TWO_BETA: THOMPSON_BETA,
    THOMPSON_NORMAL: THOMPSON_NORMAL,
    TOP_TWO_NORMAL: THOMPSON_NORMAL,
    THOMPSON_GAUSSIAN: THOMPSON_GAUSSIAN,
    TOP_TWO_GAUSSIAN: THOMPSON_GAUSSIAN,
}


def allocation_of_memory(
    rule: Rule, memory: Memory, stream: Stream, n_draws: int = 20_000
) -> FloatArray:
    """Return the probability of each arm at the next decision, float64 of shape (n_arms,).

    Parameters
    ----------
    rule : Rule
    memory : Memory
        Prepared; its own stream does not move.
    stream : uint64 array, shape (4,)
        For kinds without a formula, whose decisions are drawn and counted.
    n_draws : int
        Draws then; the standard error of a probability is at most ``0.5 / sqrt(n_draws)``.
    """
    kind, n_arms = rule.kind, memory.n.size
    if kind == UNIFORM:
        return np.full(n_arms, 1.0 / n_arms)
    if kind in _POSTERIOR_KINDS:
        posterior = posterior_of(rule, memory)
        best = probability_best(posterior)
        if kind == _POSTERIOR_KINDS[kind]:
            return best
        return _top_two(posterior, best, float(rule.parameters[5]))
    if kind in (SOFTMAX, EXP3, EXP3_S, HEDGE):
        return _normalized(memory.table[:, 2])
    if kind == THOMPSON_BOOTSTRAP:
        return _counted(rule, memory._replace(stream=stream.copy()), n_draws)
    if kind == SUCCESSIVE_ELIMINATION:
        return _surviving(memory)
    leading = _shared(all_bounds(rule, memory))
    if kind == EPSILON_GREEDY:
        explored = exploration(rule, memory)
        return explored / n_arms + (1.0 - explored) * leading
    return leading


def posterior_of(rule: Rule, memory: Memory) -> Posterior:
    """Return the posteriors of the arms' means that a Thompson kind draws from."""
    kind, p = _POSTERIOR_KINDS[rule.kind], rule.parameters.tolist()
    if kind == THOMPSON_BETA:
        return beta_posterior((p[0], p[1]), memory.n, memory.total)
    if kind == THOMPSON_GAUSSIAN:
        return normal_posterior((p[0], p[1]), p[2], memory.n, memory.total)
    prior = (p[0], p[1], p[2], p[3])
    return nig_posterior(prior, memory.n, memory.total, memory.squares)


def _top_two(posterior: Posterior, best: FloatArray, first: float) -> FloatArray:
    """Return the law of top-two sampling from the probabilities to be best [1]_.

    A rival of arm k is drawn `MOST_DRAWS` times; where k is so certain that none is found, the
    best of the others is taken.
    """
    allocation = first * best
    for k in range(best.size):
        others = np.where(np.arange(best.size) == k, 0.0, best)
        left = float(others.sum())
        missed = max(1.0 - left, 0.0) ** MOST_DRAWS
        rivals = (1.0 - missed) * others / left if left > 0.0 else others
        if missed > 1e-12:
            rivals = rivals + missed * np.insert(probability_best(without(posterior, k)), k, 0.0)
        allocation = allocation + (1.0 - first) * best[k] * rivals
    return _normalized(allocation)


def _shared(bounds: FloatArray) -> FloatArray:
    leading = bounds == bounds.max()
    return _normalized(leading.astype(np.float64))


def _surviving(memory: Memory) -> FloatArray:
    """Return equal shares of the arms that are not eliminated, in the long run."""
    table, seen = memory.table, memory.n > 0.0
    alive = table[:, 4] == 0.0
    least = np.max((table[:, 0] - table[:, 1])[alive & seen], initial=-np.inf)
    alive &= ~(seen & (table[:, 0] + table[:, 1] < least))
    return _normalized(alive.astype(np.float64))


def _counted(rule: Rule, memory: Memory, n_draws: int) -> FloatArray:
    arms = np.empty(n_draws, dtype=np.int64)
    decide_many(rule, memory, arms)
    return np.bincount(arms, minlength=memory.n.size) / n_draws


def _normalized(weights: FloatArray) -> FloatArray:
    result: FloatArray = weights / weights.sum()
    return result
