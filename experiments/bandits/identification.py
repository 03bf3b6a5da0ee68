"""Policies that want to know the best arm soon, not to earn on the way.

References
----------
.. [1] Russo (2020), "Simple Bayesian algorithms for best-arm identification", Operations Research
   68(6).
.. [2] Even-Dar, Mannor and Mansour (2006), "Action elimination and stopping conditions for the
   multi-armed bandit and reinforcement learning problems", JMLR 7.
"""

import math
from typing import Any

from experiments.bandits import memory
from experiments.bandits.allocation import posterior_of
from experiments.bandits.checks import FloatArray, require_settings
from experiments.bandits.errors import SettingsError
from experiments.bandits.policy import Policy
from experiments.bandits.posteriors import probability_best
from experiments.bandits.thompson import ThompsonBeta, ThompsonGaussian, ThompsonNormal

_KINDS = {
    "beta": (memory.TOP_TWO_BETA, ThompsonBeta),
    "normal": (memory.TOP_TWO_NORMAL, ThompsonNormal),
    "gaussian": (memory.TOP_TWO_GAUSSIAN, ThompsonGaussian),
}


class TopTwoThompson(Policy):
    """Top-two Thompson sampling: the leader and its closest rival share the rewards [1]_.

    Parameters
    ----------
    n_arms, seed, discount, window
        As `Policy`.
    posterior : str
        "beta", "normal" or "gaussian": whose posterior, with the settings of that policy.
    leader_share : float
        Probability of the first draw, in (0, 1); 1/2 is near the best for two close arms.
    settings
        Of `ThompsonBeta`, `ThompsonNormal` or `ThompsonGaussian`: `prior`, `scale`.

    Notes
    -----
    With the probabilities to be best b: ``p_k = b_k (s + (1 - s) sum_{j != k} b_j / (1 - b_j))``.
    """

    name = "top_two_thompson"

    def __init__(
        self,
        n_arms: int,
        *,
        posterior: str = "beta",
        leader_share: float = 0.5,
        seed: int = 0,
        discount: float = 1.0,
        window: int | None = None,
        **settings: Any,
    ) -> None:
        if posterior not in _KINDS:
            raise SettingsError(f"posterior is one of {', '.join(_KINDS)}, not {posterior!r}.")
        require_settings(leader_share=0.0 < leader_share < 1.0)
        self.leader_share, self.kind = float(leader_share), posterior
        self.base: Policy = _KINDS[posterior][1](n_arms, **settings)
        self.lowest, self.highest = self.base.lowest, self.base.highest
        super().__init__(n_arms, seed=seed, discount=discount, window=window)

    def _code(self) -> tuple[float, ...]:
        parameters = self.base.rule.parameters.tolist()
        return (_KINDS[self.kind][0], *parameters[:5], self.leader_share)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {
            "posterior": self.kind,
            "leader_share": self.leader_share,
            **self.base.settings(),
            **super().settings(),
        }

    def probability_best(self) -> FloatArray:
        """Return the posterior probability of each arm to be the best."""
        return probability_best(posterior_of(self.rule, self.memory))


class SuccessiveElimination(Policy):
    """Play all arms alike and drop those that cannot be the best [2]_.

    Parameters
    ----------
    n_arms, seed
        As `Policy`.
    error : float
        Probability in (0, 1) that the best arm is ever dropped, over all looks together.
    scale : float
        Width of the range of rewards, > 0; twice the standard deviation of normal ones.

    Notes
    -----
    Arm k goes when ``mean_k + r_k < max_j (mean_j - r_j)``,
    ``r = scale sqrt(ln(pi^2 K n^2 / (3 error)) / (2 n))``: Hoeffding's bound over all n and arms.
    Rewards are taken as independent; sums of dependent ones by period are not covered.
    """

    name = "successive_elimination"
    forgets = False

    def __init__(
        self, n_arms: int, *, error: float = 0.05, scale: float = 1.0, **shared: Any
    ) -> None:
        self.error, self.scale = float(error), float(scale)
        require_settings(error=0.0 < self.error < 1.0, scale=0.0 < self.scale < math.inf)
        super().__init__(n_arms, **shared)

    def _code(self) -> tuple[float, ...]:
        return (memory.SUCCESSIVE_ELIMINATION, self.error, self.scale)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {"error": self.error, "scale": self.scale, **super().settings()}

    def surviving(self) -> list[int]:
        """Return the arms that may still be the best; one alone is the answer."""
        return [k for k, share in enumerate(self.allocation()) if share > 0.0]
