"""Optimism: play the arm whose mean could be the largest.

t is the number of rewards remembered. With a discount it is the discounted count (D-UCB), with a
window at most the window (SW-UCB) [5]_. Equal bounds share by lot.

References
----------
.. [1] Auer, Cesa-Bianchi and Fischer (2002), "Finite-time analysis of the multiarmed bandit
   problem", Machine Learning 47.
.. [2] Garivier and Cappe (2011), "The KL-UCB algorithm for bounded stochastic bandits and beyond",
   COLT 24.
.. [3] Cappe, Garivier, Maillard, Munos and Stoltz (2013), "Kullback-Leibler upper confidence
   bounds for optimal sequential allocation", Annals of Statistics 41(3).
.. [4] Audibert, Munos and Szepesvari (2009), "Exploration-exploitation tradeoff using variance
   estimates in multi-armed bandits", Theoretical Computer Science 410(19).
.. [5] Garivier and Moulines (2011), "On upper-confidence bound policies for switching bandit
   problems", ALT 22.
"""

import math
from typing import Any

from experiments.bandits import memory
from experiments.bandits.bounds import all_bounds
from experiments.bandits.checks import FloatArray, require_settings
from experiments.bandits.policy import Policy


class _Bounded(Policy):
    """A policy of an upper bound per arm."""

    def bounds(self) -> FloatArray:
        """Return the upper bound of each arm, infinite where it has no rewards."""
        bounds: FloatArray = all_bounds(self.rule, self.memory)
        return bounds


class UCB1(_Bounded):
    """UCB1, ``mean + scale sqrt(exploration ln t / n)`` [1]_.

    Parameters
    ----------
    n_arms, seed, discount, window
        As `Policy`.
    scale : float
        Width of the range of rewards, > 0: 1 for rewards in [0, 1]. For returns, twice their
        standard deviation keeps the guarantee for normal ones.
    exploration : float
        2 in the paper; Garivier and Moulines use values from 0.5 with windows.
    """

    name = "ucb1"

    def __init__(
        self, n_arms: int, *, scale: float = 1.0, exploration: float = 2.0, **shared: Any
    ) -> None:
        self.scale, self.exploration = float(scale), float(exploration)
        require_settings(
            scale=0.0 < self.scale < math.inf, exploration=0.0 <= self.exploration < math.inf
        )
        super().__init__(n_arms, **shared)

    def _code(self) -> tuple[float, ...]:
        return (memory.UCB1, self.exploration, self.scale)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {"scale": self.scale, "exploration": self.exploration, **super().settings()}


class UCBTuned(_Bounded):
    """UCB-Tuned, which looks at the variance of each arm [1]_.

    Parameters
    ----------
    n_arms, seed, discount, window
        As `Policy`.
    scale : float
        Width of the range of rewards, > 0.

    Notes
    -----
    ``mean + sqrt(ln t / n min(scale^2 / 4, v + scale^2 sqrt(2 ln t / n)))``, v the variance over n.
    No bound on its regret is proven.
    """

    name = "ucb_tuned"

    def __init__(self, n_arms: int, *, scale: float = 1.0, **shared: Any) -> None:
        self.scale = float(scale)
        require_settings(scale=0.0 < self.scale < math.inf)
        super().__init__(n_arms, **shared)

    def _code(self) -> tuple[float, ...]:
        return (memory.UCB_TUNED, self.scale)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {"scale": self.scale, **super().settings()}


class KLUCB(_Bounded):
    """KL-UCB for rewards in [0, 1] [2]_.

    Parameters
    ----------
    n_arms, seed, discount, window
        As `Policy`.
    c : float
        Factor of ``ln ln t``, >= 0; the proof wants 3, the authors use 0.

    Notes
    -----
    ``max {q : n kl(mean, q) <= ln t + c ln ln t}`` with the divergence of Bernoulli distributions:
    never wider than UCB1, and its regret is the least possible for Bernoulli rewards.
    """

    name = "kl_ucb"
    lowest, highest = 0.0, 1.0

    def __init__(self, n_arms: int, *, c: float = 0.0, **shared: Any) -> None:
        self.c = float(c)
        require_settings(c=0.0 <= self.c < math.inf)
        super().__init__(n_arms, **shared)

    def _code(self) -> tuple[float, ...]:
        return (memory.KL_UCB, self.c)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {"c": self.c, **super().settings()}


class KLUCBGaussian(_Bounded):
    """KL-UCB for normal rewards of known size, ``mean + scale sqrt(2 ln t / n)`` [3]_.

    Parameters
    ----------
    n_arms, seed, discount, window
        As `Policy`.
    scale : float
        Standard deviation of a reward, > 0.
    """

    name = "kl_ucb_gaussian"

    def __init__(self, n_arms: int, *, scale: float = 1.0, **shared: Any) -> None:
        self.scale = float(scale)
        require_settings(scale=0.0 < self.scale < math.inf)
        super().__init__(n_arms, **shared)

    def _code(self) -> tuple[float, ...]:
        return (memory.UCB1, 2.0, self.scale)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {"scale": self.scale, **super().settings()}


class UCBV(_Bounded):
    """UCB-V, ``mean + sqrt(2 v ln t / n) + bonus range ln t / n``, v the variance over n [4]_.

    Parameters
    ----------
    n_arms, seed, discount, window
        As `Policy`.
    scale : float
        Width of the range of rewards, > 0.
    bonus : float
        3 in the paper, >= 0.
    """

    name = "ucb_v"

    def __init__(
        self, n_arms: int, *, scale: float = 1.0, bonus: float = 3.0, **shared: Any
    ) -> None:
        self.scale, self.bonus = float(scale), float(bonus)
        require_settings(scale=0.0 < self.scale < math.inf, bonus=0.0 <= self.bonus < math.inf)
        super().__init__(n_arms, **shared)

    def _code(self) -> tuple[float, ...]:
        return (memory.UCB_V, self.scale, self.bonus)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {"scale": self.scale, "bonus": self.bonus, **super().settings()}
