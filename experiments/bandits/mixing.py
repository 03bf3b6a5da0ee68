"""Policies that mix arms: greedy with exploration, exponential weights, and the leader.

References
----------
.. [1] Auer, Cesa-Bianchi and Fischer (2002), "Finite-time analysis of the multiarmed bandit
   problem", Machine Learning 47: epsilon_t-greedy.
.. [2] Sutton and Barto (2018), Reinforcement Learning, 2nd edition, section 2.8: softmax.
.. [3] Auer, Cesa-Bianchi, Freund and Schapire (2002), "The nonstochastic multiarmed bandit
   problem", SIAM Journal on Computing 32(1): Exp3, Exp3.S.
.. [4] Freund and Schapire (1997), "A decision-theoretic generalization of on-line learning",
   Journal of Computer and System Sciences 55: Hedge.
.. [5] Cesa-Bianchi and Lugosi (2006), Prediction, Learning, and Games, theorems 2.2 and 2.3.
"""

import math
from collections.abc import Sequence
from typing import Any

from experiments.bandits.checks import require_count, require_range, require_settings
from experiments.bandits.errors import PropensityError
from experiments.bandits.memory import (
    EPSILON_GREEDY,
    EXP3,
    EXP3_S,
    HEDGE,
    LEADER,
    SOFTMAX,
    UNIFORM,
    Memory,
)
from experiments.bandits.policy import Policy
from experiments.bandits.sums import ArmStatistics


class EpsilonGreedy(Policy):
    """Play the largest mean, but any arm with probability epsilon.

    Parameters
    ----------
    n_arms, seed, discount, window
        As `Policy`.
    epsilon : float
        In [0, 1]; used where there is no decay.
    decay : float, optional
        epsilon is ``min(1, decay / t)`` at decision t; `decaying` computes the paper's [1]_.

    Notes
    -----
    Arms without rewards come first. What is compared are means; comparing sums, as one library
    does, never recovers from an early preference.
    """

    name = "epsilon_greedy"

    def __init__(
        self, n_arms: int, *, epsilon: float = 0.1, decay: float | None = None, **shared: Any
    ) -> None:
        self.epsilon, self.decay = float(epsilon), None if decay is None else float(decay)
        require_settings(
            epsilon=0.0 <= self.epsilon <= 1.0,
            decay=self.decay is None or 0.0 < self.decay < math.inf,
        )
        super().__init__(n_arms, **shared)

    @classmethod
    def decaying(cls, n_arms: int, *, gap: float, c: float = 5.0, **shared: Any) -> "EpsilonGreedy":
        """Return the policy with ``epsilon_t = min(1, c K / (gap^2 t))`` [1]_.

        Parameters
        ----------
        gap : float
            A lower bound of the distance from the best mean to the next, in (0, 1].
        c : float
            > 0; the paper's guarantee wants more than 5.
        """
        require_settings(gap=0.0 < gap <= 1.0, c=0.0 < c < math.inf)
        return cls(n_arms, decay=c * n_arms / gap**2, **shared)

    def _code(self) -> tuple[float, ...]:
        return (EPSILON_GREEDY, self.epsilon, self.decay or 0.0)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {"epsilon": self.epsilon, "decay": self.decay, **super().settings()}


class Softmax(Policy):
    """Play arms in proportion to ``exp(mean / temperature)`` [2]_.

    Parameters
    ----------
    n_arms, seed, discount, window
        As `Policy`.
    temperature : float
        > 0 [units of the reward]; arms without rewards count as mean 0.
    """

    name = "softmax"

    def __init__(self, n_arms: int, *, temperature: float = 0.1, **shared: Any) -> None:
        self.temperature = float(temperature)
        require_settings(temperature=0.0 < self.temperature < math.inf)
        super().__init__(n_arms, **shared)

    def _code(self) -> tuple[float, ...]:
        return (SOFTMAX, self.temperature)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {"temperature": self.temperature, **super().settings()}


class Uniform(Policy):
    """Play every arm with the same probability: what other policies are measured against."""

    name = "uniform"
    forgets = False

    def _code(self) -> tuple[float, ...]:
        return (UNIFORM,)


class Exp3(Policy):
    """Exponential weights for rewards that an adversary may set [3]_.

    Parameters
    ----------
    n_arms, seed
        As `Policy`.
    gamma : float
        Share of uniform exploration and rate of learning, in (0, 1]; `tuned` computes the paper's.
    alpha : float
        Share of the weights passed round at each reward, >= 0. Above 0 this is Exp3.S, which
        follows arms that take turns to be the best.
    reward_range : tuple of float
        Lowest and highest reward.

    Notes
    -----
    ``p = (1 - gamma) w / sum w + gamma / K``; the reward, moved to [0, 1], is divided by the
    probability of its arm: ``w_a *= exp(gamma x / (p_a K))``, and Exp3.S adds
    ``e alpha / K sum w`` to every weight. Regret below ``2.63 sqrt(K T ln K)`` where tuned.
    """

    name = "exp3"
    forgets = False

    def __init__(
        self,
        n_arms: int,
        *,
        gamma: float = 0.1,
        alpha: float = 0.0,
        reward_range: Sequence[float] = (0.0, 1.0),
        **shared: Any,
    ) -> None:
        self.gamma, self.alpha = float(gamma), float(alpha)
        self.lowest, self.highest = require_range(reward_range)
        require_settings(gamma=0.0 < self.gamma <= 1.0, alpha=0.0 <= self.alpha <= 1.0)
        super().__init__(n_arms, **shared)

    @classmethod
    def tuned(cls, n_arms: int, horizon: int, *, switches: int = 0, **shared: Any) -> "Exp3":
        """Return Exp3, or with switches Exp3.S, of the rates for a known horizon [3]_.

        Parameters
        ----------
        horizon : int
            Decisions, >= 1.
        switches : int
            How often the best arm may change, >= 0.
        """
        require_count("horizon", horizon, 1)
        require_count("switches", switches, 0)
        n_arms = require_count("n_arms", n_arms, 2)
        if switches == 0:
            root = math.sqrt(n_arms * math.log(n_arms) / ((math.e - 1.0) * horizon))
            return cls(n_arms, gamma=min(1.0, root), **shared)
        log = (switches + 1) * math.log(n_arms * horizon) + math.e
        root = math.sqrt(n_arms * log / ((math.e - 1.0) * horizon))
        return cls(n_arms, gamma=min(1.0, root), alpha=1.0 / horizon, **shared)

    def _code(self) -> tuple[float, ...]:
        kind = EXP3_S if self.alpha > 0.0 else EXP3
        return (kind, self.gamma, self.lowest, self.highest, self.alpha)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {
            "gamma": self.gamma,
            "alpha": self.alpha,
            "reward_range": (self.lowest, self.highest),
            **super().settings(),
        }

    def _is_mergeable(self) -> bool:
        return False

    def _load(self, memory: Memory, statistics: ArmStatistics) -> None:
        if self.alpha > 0.0:
            raise PropensityError("Exp3.S depends on the order of rewards; sums do not have it.")
        if statistics.weighted_n is None or statistics.weighted_total is None:
            raise PropensityError("Exp3 needs sums weighted by the probabilities in force.")
        super()._load(memory, statistics)
        width = self.highest - self.lowest
        memory.total[:] = (statistics.weighted_total - self.lowest * statistics.weighted_n) / width


class Hedge(Policy):
    """Exponential weights where the rewards of all arms are known: shadow trading [4]_.

    Parameters
    ----------
    n_arms, seed, discount, window
        As `Policy`.
    rate : float, optional
        Rate of learning per unit of the range, > 0. Not given, it is ``sqrt(8 ln K / t)``.
    horizon : int, optional
        Instead of the rate: periods, for the rate ``sqrt(8 ln K / horizon)``.
    reward_range : tuple of float
        Lowest and highest reward.

    Notes
    -----
    ``p_k`` in proportion to ``exp(rate total_k / range)``; learn with `update_all`. Regret at most
    ``range sqrt(T ln K / 2)`` for the rate of a known horizon, about 1.4 times that without [5]_.
    """

    name = "hedge"
    needs_all_rewards = True

    def __init__(
        self,
        n_arms: int,
        *,
        rate: float | None = None,
        horizon: int | None = None,
        reward_range: Sequence[float] = (0.0, 1.0),
        **shared: Any,
    ) -> None:
        if horizon is not None:
            require_settings(rate=rate is None)
            rate = math.sqrt(8.0 * math.log(n_arms) / require_count("horizon", horizon, 1))
        self.rate = None if rate is None else float(rate)
        require_settings(rate=self.rate is None or 0.0 < self.rate < math.inf)
        self.lowest, self.highest = require_range(reward_range)
        super().__init__(n_arms, **shared)

    def _code(self) -> tuple[float, ...]:
        return (HEDGE, self.rate or 0.0, self.lowest, self.highest)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {
            "rate": self.rate,
            "reward_range": (self.lowest, self.highest),
            **super().settings(),
        }


class Leader(Policy):
    """Follow the leader: the largest sum so far, where the rewards of all arms are known.

    Parameters
    ----------
    n_arms, seed, discount, window
        As `Policy`.

    Notes
    -----
    Learn with `update_all`. The best there is for independent shocks; an adversary fools it.
    """

    name = "leader"
    needs_all_rewards = True

    def _code(self) -> tuple[float, ...]:
        return (LEADER,)
