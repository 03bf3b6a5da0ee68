"""What of an arm's sums decisions look at, kept so that a decision is short.

`prepare_arm` is the one place that says how each policy reads sums. Formulas and sources stand in
the docstrings of the policies.
"""

import math

from experiments.bandits.memory import (
    EPSILON_GREEDY,
    EXP3,
    EXP3_S,
    HEDGE,
    KL_UCB,
    LEADER,
    SOFTMAX,
    SUCCESSIVE_ELIMINATION,
    THOMPSON_BETA,
    THOMPSON_GAUSSIAN,
    THOMPSON_NORMAL,
    TOP_TWO_BETA,
    TOP_TWO_GAUSSIAN,
    TOP_TWO_NORMAL,
    UCB1,
    UCB_TUNED,
    UCB_V,
    Memory,
    Rule,
)
from experiments.bandits.posteriors import beta_after, nig_after, normal_after
from numerics.compilation import bare_part, njit


@bare_part
def prepare_arm(rule: Rule, memory: Memory, k: int) -> None:
    """Write row k of the table from the sums of arm k.

    Notes
    -----
    Columns by kind: Thompson with Beta has shape - 1/3 and its factor of both gammas; with the
    Normal-Inverse-Gamma location, scale, and the gamma of the variance; Gaussian location and
    scale. UCB kinds have the mean first and then what multiplies functions of ln t.
    """
    kind, row = rule.kind, memory.table[k]
    if kind in (THOMPSON_BETA, TOP_TWO_BETA):
        _prepare_beta(rule, memory, k)
    elif kind in (THOMPSON_NORMAL, TOP_TWO_NORMAL):
        _prepare_nig(rule, memory, k)
    elif kind in (THOMPSON_GAUSSIAN, TOP_TWO_GAUSSIAN):
        p = rule.parameters
        mean, variance = normal_after(p[0], p[1], p[2], memory.n[k], memory.total[k])
        row[0], row[1] = mean, math.sqrt(variance)
    elif kind in (UCB1, UCB_TUNED, KL_UCB, UCB_V, SUCCESSIVE_ELIMINATION):
        _prepare_bound(rule, memory, k)
    elif kind == EPSILON_GREEDY:
        row[0] = memory.total[k] / memory.n[k] if memory.n[k] > 0.0 else 0.0
    elif kind == LEADER:
        row[0] = memory.total[k]


@bare_part
def prepare_inside(rule: Rule, memory: Memory) -> None:
    """Write the whole table."""
    if rule.kind in (SOFTMAX, EXP3, EXP3_S, HEDGE):
        _prepare_mixture(rule, memory)
        return
    for k in range(memory.n.size):
        prepare_arm(rule, memory, k)


@njit(cache=True, error_model="numpy")
def prepare(rule: Rule, memory: Memory) -> None:
    """Write the whole table."""
    prepare_inside(rule, memory)


@bare_part
def _prepare_mixture(rule: Rule, memory: Memory) -> None:
    """Write column 2: the probabilities of exponential weights, of which none overflows."""
    kind, p, table, n_arms = rule.kind, rule.parameters, memory.table, memory.n.size
    if kind == SOFTMAX:  # temperature
        rate = 1.0 / p[0]
    elif kind == HEDGE:  # rate or 0, lowest, highest reward
        periods = 1.0
        for k in range(n_arms):
            periods = max(periods, memory.n[k])
        rate = p[0] if p[0] > 0.0 else math.sqrt(8.0 * math.log(n_arms) / periods)
        rate /= p[2] - p[1]
    else:  # share of exploration, lowest, highest reward, share that is passed round
        rate = p[0] / n_arms
    highest, mixed = -math.inf, 0.0
    for k in range(n_arms):
        table[k, 0] = memory.total[k]
        if kind == SOFTMAX:
            table[k, 0] = memory.total[k] / memory.n[k] if memory.n[k] > 0.0 else 0.0
        highest = max(highest, table[k, 0])
    for k in range(n_arms):
        weight = math.exp(rate * (table[k, 0] - highest))
        if kind == EXP3_S:
            weight = table[k, 1]
        table[k, 2] = weight
        mixed += weight
    explored = p[0] if kind in (EXP3, EXP3_S) else 0.0
    for k in range(n_arms):
        table[k, 2] = (1.0 - explored) * table[k, 2] / mixed + explored / n_arms


@bare_part
def _prepare_beta(rule: Rule, memory: Memory, k: int) -> None:
    row = memory.table[k]
    a, b = beta_after(rule.parameters[0], rule.parameters[1], memory.n[k], memory.total[k])
    row[4] = 1.0
    if a < 1.0 or b < 1.0:  # gammas below shape one are drawn one higher, then lowered
        row[4] = -1.0 * (a < 1.0) - 2.0 * (b < 1.0)
        a += 1.0 * (a < 1.0)
        b += 1.0 * (b < 1.0)
    row[0], row[2] = a - 1.0 / 3.0, b - 1.0 / 3.0
    row[1], row[3] = 1.0 / (3.0 * math.sqrt(row[0])), 1.0 / (3.0 * math.sqrt(row[2]))


@bare_part
def _prepare_nig(rule: Rule, memory: Memory, k: int) -> None:
    row, p = memory.table[k], rule.parameters
    mean, nu, alpha, beta = nig_after(
        p[0], p[1], p[2], p[3], memory.n[k], memory.total[k], memory.squares[k]
    )
    shape = alpha if alpha >= 1.0 else alpha + 1.0
    row[0], row[1] = mean, math.sqrt(beta / nu)
    row[2] = shape - 1.0 / 3.0
    row[3] = 1.0 / (3.0 * math.sqrt(row[2]))
    row[4] = min(1.0, alpha)  # the power needs a shape below one


@bare_part
def _prepare_bound(rule: Rule, memory: Memory, k: int) -> None:
    row, p, n, kind = memory.table[k], rule.parameters, memory.n[k], rule.kind
    if n <= 0.0:
        row[0] = row[1] = row[2] = row[3] = 0.0
        return
    mean = memory.total[k] / n
    variance = max(memory.squares[k] / n - mean * mean, 0.0)
    row[0] = mean
    if kind == UCB1:  # exploration, scale
        row[1] = p[1] * math.sqrt(p[0] / n)
    elif kind == SUCCESSIVE_ELIMINATION:  # error, scale
        odds = math.pi * math.pi * memory.n.size * n * n / (3.0 * p[0])
        row[1] = p[1] * math.sqrt(math.log(odds) / (2.0 * n))
    elif kind == UCB_TUNED:  # scale
        row[1], row[2], row[3] = 1.0 / n, variance, p[0] * p[0] * math.sqrt(2.0 / n)
        row[4] = 0.25 * p[0] * p[0]
    elif kind == UCB_V:  # range, bonus
        row[1], row[2] = math.sqrt(2.0 * variance / n), p[1] * p[0] / n
    else:
        mean = min(max(mean, 0.0), 1.0)
        row[0] = mean
        row[1] = _x_log_x(mean) + _x_log_x(1.0 - mean)


@bare_part
def _x_log_x(x: float) -> float:
    return x * math.log(x) if x > 0.0 else 0.0
