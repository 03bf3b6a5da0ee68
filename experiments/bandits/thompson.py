"""Thompson sampling: play an arm as often as it is probably the best.

References
----------
.. [1] Thompson (1933), "On the likelihood that one unknown probability exceeds another in view of
   the evidence of two samples", Biometrika 25.
.. [2] Chapelle and Li (2011), "An empirical evaluation of Thompson sampling", NIPS 24.
.. [3] Honda and Takemura (2014), "Optimality of Thompson sampling for Gaussian bandits depends on
   priors", AISTATS 17.
.. [4] Raj and Kalyani (2017), "Taming non-stationary bandits: a Bayesian approach",
   arXiv 1707.09727: discounted sums under a prior that stays.
.. [5] Eckles and Kaptein (2019), "Bootstrap Thompson sampling and sequential decision problems in
   the behavioral sciences", SAGE Open 9(2).
"""

import math
from typing import Any

import numpy as np

from experiments.bandits.checks import FloatArray, require_count, require_settings
from experiments.bandits.errors import SettingsError
from experiments.bandits.memory import (
    THOMPSON_BETA,
    THOMPSON_BOOTSTRAP,
    THOMPSON_GAUSSIAN,
    THOMPSON_NORMAL,
    Memory,
)
from experiments.bandits.policy import Policy
from experiments.bandits.posteriors import (
    Posterior,
    beta_posterior,
    nig_posterior,
    normal_posterior,
)
from experiments.bandits.sums import ArmStatistics


class ThompsonBeta(Policy):
    """Thompson sampling of success rates under Beta priors [1]_ [2]_.

    Parameters
    ----------
    n_arms, seed, discount, window
        As `Policy`.
    prior : tuple of float
        Shapes a, b > 0 of each arm's Beta prior; (1, 1) is uniform.

    Notes
    -----
    ``theta_k ~ Beta(a + s_k, b + n_k - s_k)``, play the largest. Rewards in [0, 1]; a reward
    between counts as that share of a success.
    """

    name = "thompson_beta"
    lowest, highest = 0.0, 1.0

    def __init__(
        self, n_arms: int, *, prior: tuple[float, float] = (1.0, 1.0), **shared: Any
    ) -> None:
        self.prior = _prior(prior, 2)
        require_settings(prior=min(self.prior) > 0.0)
        super().__init__(n_arms, **shared)

    def _code(self) -> tuple[float, ...]:
        return (THOMPSON_BETA, *self.prior)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {"prior": self.prior, **super().settings()}

    def posterior(self) -> Posterior:
        """Return the posteriors of the success rates."""
        return beta_posterior((self.prior[0], self.prior[1]), self.memory.n, self.memory.total)


class ThompsonNormal(Policy):
    """Thompson sampling of means whose variances are unknown too: for returns.

    Parameters
    ----------
    n_arms, seed, discount, window
        As `Policy`.
    prior : tuple of float
        Mean, worth in rewards nu > 0, shape alpha > 0 and scale beta > 0 of the
        Normal-Inverse-Gamma prior, in units of the reward.

    Notes
    -----
    The mean is drawn from Student's t with ``2 alpha'`` degrees of freedom, location ``mean'`` and
    scale ``sqrt(beta' / (alpha' nu'))``; see `posteriors.nig_after`. Give `beta` the size of the
    variance of a reward: daily returns are near 1e-4, and a prior of 1 would hide them for years.
    With little prior weight the policy can settle on a wrong arm after a few lucky rewards [3]_.
    """

    name = "thompson_normal"

    def __init__(
        self,
        n_arms: int,
        *,
        prior: tuple[float, float, float, float] = (0.0, 1.0, 1.0, 1.0),
        **shared: Any,
    ) -> None:
        self.prior = _prior(prior, 4)
        require_settings(prior=min(self.prior[1:]) > 0.0)
        super().__init__(n_arms, **shared)

    def _code(self) -> tuple[float, ...]:
        return (THOMPSON_NORMAL, *self.prior)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {"prior": self.prior, **super().settings()}

    def posterior(self) -> Posterior:
        """Return the posteriors of the means."""
        mean, nu, alpha, beta = self.prior
        sums = (self.memory.n, self.memory.total, self.memory.squares)
        return nig_posterior((mean, nu, alpha, beta), *sums)


class ThompsonGaussian(Policy):
    """Thompson sampling of means under noise of known size.

    Parameters
    ----------
    n_arms, seed, discount, window
        As `Policy`.
    scale : float
        Standard deviation of a reward, > 0.
    prior : tuple of float
        Mean and standard deviation (> 0) of each arm's mean.

    Notes
    -----
    ``theta_k ~ N(m_k, v_k)`` with ``1 / v_k = 1 / prior_sd^2 + n_k / scale^2``.
    """

    name = "thompson_gaussian"

    def __init__(
        self,
        n_arms: int,
        *,
        scale: float = 1.0,
        prior: tuple[float, float] = (0.0, 1.0),
        **shared: Any,
    ) -> None:
        self.scale, self.prior = float(scale), _prior(prior, 2)
        require_settings(scale=0.0 < self.scale < math.inf, prior=self.prior[1] > 0.0)
        super().__init__(n_arms, **shared)

    def _code(self) -> tuple[float, ...]:
        return (THOMPSON_GAUSSIAN, self.prior[0], self.prior[1] ** 2, self.scale**2)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {"scale": self.scale, "prior": self.prior, **super().settings()}

    def posterior(self) -> Posterior:
        """Return the posteriors of the means."""
        prior = (self.prior[0], self.prior[1] ** 2)
        return normal_posterior(prior, self.scale**2, self.memory.n, self.memory.total)


class ThompsonBootstrap(Policy):
    """Thompson sampling without a model: draws are means of bootstrap replicates [5]_.

    Parameters
    ----------
    n_arms, seed, discount
        As `Policy`; there is no window.
    n_replicates : int
        Replicates of each arm, >= 2.
    prior : tuple of float
        Mean and standard deviation (>= 0) of the one made-up reward that each replicate starts
        with; its spread is what makes new arms tried.

    Notes
    -----
    Each reward enters each replicate twice or not at all, one random bit each. Sums kept by period
    bring replicates of whole periods (`ArmStatistics.of_periods`), which stay right where rewards
    of one period share a shock; sums without any are resampled as normal means.
    """

    name = "thompson_bootstrap"

    def __init__(
        self,
        n_arms: int,
        *,
        n_replicates: int = 100,
        prior: tuple[float, float] = (0.0, 1.0),
        **shared: Any,
    ) -> None:
        self._n_replicates = require_count("n_replicates", n_replicates, 2)
        self.prior = _prior(prior, 2)
        require_settings(prior=self.prior[1] >= 0.0)
        if shared.get("window") is not None:
            raise SettingsError("ThompsonBootstrap takes no window; give a discount.")
        super().__init__(n_arms, **shared)

    @property
    def n_replicates(self) -> int:
        """Bootstrap replicates of each arm."""
        return self._n_replicates

    def _code(self) -> tuple[float, ...]:
        return (THOMPSON_BOOTSTRAP, *self.prior)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that would make this policy again."""
        return {
            "n_replicates": self.n_replicates,
            "prior": self.prior,
            **super().settings(),
        }

    def _is_mergeable(self) -> bool:
        return False

    def _load(self, memory: Memory, statistics: ArmStatistics) -> None:
        super()._load(memory, statistics)
        if statistics.replicates is None:
            memory.replicates[:2] = _normal_replicates(statistics, memory.replicates[2])
        elif statistics.replicates.shape != memory.replicates[:2].shape:
            raise SettingsError(f"There must be {self.n_replicates} replicates of each arm.")
        else:
            memory.replicates[:2] = statistics.replicates


def _normal_replicates(statistics: ArmStatistics, prior: FloatArray) -> FloatArray:
    """Return replicates that have the normal law of each arm's mean.

    The prior draws are random already; their standard scores serve as the deviations, in another
    order of replicates so that the two are independent.
    """
    n = statistics.n[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(n > 0.0, statistics.total[:, None] / n, 0.0)
        variance = np.where(n > 0.0, statistics.squares[:, None] / n - mean**2, 0.0)
        error = np.where(n > 0.0, np.sqrt(np.maximum(variance, 0.0) / n), 0.0)
    off = prior - prior.mean(axis=1, keepdims=True)
    spread = off.std(axis=1, keepdims=True)
    score = np.roll(np.divide(off, spread, out=np.zeros_like(off), where=spread > 0.0), 1, axis=1)
    drawn: FloatArray = np.stack([np.broadcast_to(n, prior.shape), n * (mean + error * score)])
    return drawn


def _prior(prior: tuple[float, ...], size: int) -> tuple[float, ...]:
    values = tuple(float(value) for value in prior)
    if len(values) != size or not all(math.isfinite(value) for value in values):
        raise SettingsError(f"The prior needs {size} finite numbers, not {prior!r}.")
    return values
