"""Posterior laws of an arm, from its moments.

References
----------
.. [1] Gelman et al. (2013), "Bayesian data analysis", third edition, sections 2.4, 2.5 and 3.3.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import betainc, betaincinv, ndtr, ndtri, stdtr, stdtrit

from experiments.statistics.checks import (
    FloatArray,
    require,
    require_finite,
    require_fraction,
    require_positive,
)
from experiments.statistics.proportions import Proportion
from experiments.statistics.summaries import Moments


class Posterior(Protocol):
    """A law of one number."""

    @property
    def mean(self) -> float:
        """Expected value."""
        ...

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return the probability of at most x."""
        ...

    def quantile(self, probability: FloatArray) -> FloatArray:
        """Return the numbers below which the law has these probabilities."""
        ...


@dataclass(frozen=True, slots=True)
class Beta:
    """Law of a proportion; (1, 1) knows nothing.

    Attributes
    ----------
    alpha, beta : float
        > 0: successes and failures seen, plus the prior's.
    """

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        require_positive(alpha=self.alpha, beta=self.beta)

    def updated(self, sample: Proportion) -> "Beta":
        """Return the posterior after a sample."""
        return Beta(self.alpha + sample.successes, self.beta + sample.trials - sample.successes)

    @property
    def mean(self) -> float:
        """Expected proportion."""
        return self.alpha / (self.alpha + self.beta)

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return the probability of at most x."""
        return np.asarray(betainc(self.alpha, self.beta, np.clip(x, 0.0, 1.0)))

    def quantile(self, probability: FloatArray) -> FloatArray:
        """Return the numbers below which the law has these probabilities."""
        return np.asarray(betaincinv(self.alpha, self.beta, probability))


@dataclass(frozen=True, slots=True)
class Normal:
    """Law of a mean, or of an effect, whose error is known.

    Attributes
    ----------
    mean : float
    deviation : float
        > 0.
    """

    mean: float
    deviation: float

    def __post_init__(self) -> None:
        require_finite(mean=self.mean)
        require_positive(deviation=self.deviation)

    def updated(self, estimate: float, standard_error: float) -> "Normal":
        """Return the posterior after an estimate with a normal error [1]_."""
        require_finite(estimate=estimate)
        require_positive(standard_error=standard_error)
        share = self.deviation**2 / (self.deviation**2 + standard_error**2)
        deviation = standard_error * math.sqrt(share)
        return Normal(self.mean + share * (estimate - self.mean), deviation)

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return the probability of at most x."""
        return np.asarray(ndtr((x - self.mean) / self.deviation))

    def quantile(self, probability: FloatArray) -> FloatArray:
        """Return the numbers below which the law has these probabilities."""
        return np.asarray(self.mean + self.deviation * ndtri(probability))


@dataclass(frozen=True, slots=True)
class NormalInverseGamma:
    """Law of a mean and a variance that are both unknown [1]_.

    Attributes
    ----------
    location : float
        Mean of the mean.
    strength : float
        > 0: observations that the location is worth.
    shape, scale : float
        > 0: of the inverse gamma law of the variance.
    """

    location: float
    strength: float
    shape: float
    scale: float

    def __post_init__(self) -> None:
        require_finite(location=self.location)
        require_positive(strength=self.strength, shape=self.shape, scale=self.scale)

    def updated(self, sample: Moments) -> "NormalInverseGamma":
        """Return the posterior after a sample."""
        n = self.strength + sample.n
        off = sample.mean - self.location
        return NormalInverseGamma(
            self.location + sample.n / n * off,
            n,
            self.shape + 0.5 * sample.n,
            self.scale + 0.5 * (sample.m2 + self.strength * sample.n / n * off * off),
        )

    @property
    def mean(self) -> float:
        """Expected mean.

        Raises
        ------
        NotComputedError
            At most one degree of freedom.
        """
        require(self.shape > 0.5, "the law of the mean has no expected value")
        return self.location

    @property
    def deviation(self) -> float:
        """Scale of the Student law of the mean: ``sqrt(scale / (shape strength))``."""
        return math.sqrt(self.scale / (self.shape * self.strength))

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return the probability that the mean is at most x: Student, ``2 shape`` degrees."""
        return np.asarray(stdtr(2.0 * self.shape, (x - self.location) / self.deviation))

    def quantile(self, probability: FloatArray) -> FloatArray:
        """Return the numbers below which the mean lies with these probabilities."""
        return np.asarray(self.location + self.deviation * stdtrit(2.0 * self.shape, probability))


def credible_interval(posterior: Posterior, probability: float = 0.95) -> tuple[float, float]:
    """Return the central interval that holds the number with a probability."""
    require_fraction(probability=probability)
    tail = (1.0 - probability) / 2.0
    low, high = posterior.quantile(np.array([tail, 1.0 - tail]))
    return float(low), float(high)
