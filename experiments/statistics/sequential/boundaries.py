"""How many standard errors a mean may be from the truth, at looks that nobody fixed beforehand.

References
----------
.. [1] Robbins (1970), "Statistical methods related to the law of the iterated logarithm", Annals of
   Mathematical Statistics 41(5).
.. [2] Howard, Ramdas, McAuliffe and Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic
   confidence sequences", Annals of Statistics 49(2), section 3.2.
.. [3] Johari, Koomen, Pekelis and Walsh (2022), "Always valid inference: continuous monitoring of
   A/B tests", Operations Research 70(3).
.. [4] Wang and Tsiatis (1987), "Approximately optimal one-parameter boundaries for group
   sequential trials", Biometrics 43(1).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq
from scipy.special import ndtr

from experiments.statistics.checks import (
    FloatArray,
    IntArray,
    require_count,
    require_fraction,
    require_positive,
)
from experiments.statistics.errors import SettingsError
from experiments.statistics.sequential.crossing import crossing, crossing_times

PLANNED_SHAPE, PLANNED_RESERVE, PLANNED_START = 0.25, 0.1, 0.125
_MOST_SHAPE = 0.45


class Boundary(Protocol):
    """Where a standardized mean is surprising, however often one looks."""

    @property
    def confidence(self) -> float:
        """Of the intervals, all at once."""

    def reach(self, periods: IntArray) -> FloatArray:
        """Return the half width of the interval after so many periods [standard errors]."""

    def p_values(self, periods: IntArray, scores: FloatArray) -> FloatArray:
        """Return for each look the least level whose boundary its score reaches; NaN for none."""


@dataclass(frozen=True, slots=True)
class MixtureBoundary:
    """The normal mixture: for ever, at the price of wider intervals [1]_, [2]_.

    The likelihood ratio of [3]_ against a normal prior of variance ``sigma^2 / rho``, the boundary
    of [2]_ and the asymptotic confidence sequence are this one curve, under three names and with
    errors that are known, or estimated.

    Attributes
    ----------
    confidence : float
        0 < c < 1.
    rho : float
        > 0 [periods]; `tuned` finds the one that is narrowest at a given time.
    """

    confidence: float
    rho: float

    def __post_init__(self) -> None:
        """Refuse settings outside their domain."""
        require_fraction(confidence=self.confidence)
        require_positive(rho=self.rho)

    @classmethod
    def tuned(cls, confidence: float, best_at: float) -> "MixtureBoundary":
        """Return the mixture whose interval is narrowest after `best_at` periods.

        Notes
        -----
        ``rho = n / (2 ln(1 / alpha) + ln(1 + 2 ln(1 / alpha)))`` [2]_.
        """
        require_fraction(confidence=confidence)
        require_positive(best_at=best_at)
        twice = -2.0 * math.log1p(-confidence)
        return cls(confidence, best_at / (twice + math.log1p(twice)))

    def reach(self, periods: IntArray) -> FloatArray:
        """Return ``sqrt((n + rho) / n ln((n + rho) / (rho alpha^2)))``."""
        n = periods.astype(np.float64)
        alpha = 1.0 - self.confidence
        inner = np.log1p(n / self.rho) - 2.0 * math.log(alpha)
        return np.sqrt((n + self.rho) / n * inner)

    def log_e_values(self, periods: IntArray, scores: FloatArray) -> FloatArray:
        """Return the logarithm of the likelihood ratio mixed over the prior, at each look."""
        n = periods.astype(np.float64)
        return 0.5 * (scores * scores * n / (n + self.rho) - np.log1p(n / self.rho))

    def p_values(self, periods: IntArray, scores: FloatArray) -> FloatArray:
        """Return one over the likelihood ratio, at most 1 [3]_."""
        return np.exp(-np.maximum(self.log_e_values(periods, scores), 0.0))


@dataclass(frozen=True, slots=True)
class PlannedBoundary:
    """A boundary that spends its error by a horizon, and leaves a rest for the time after.

    Between `start` and `horizon` the interval is ``c (n / horizon)^(shape - 1/2)`` standard errors
    wide [4]_, c such that Brownian motion crosses with probability ``(1 - reserve) alpha`` at any
    time between. After the horizon a normal mixture, best at twice the horizon, has the rest.

    Attributes
    ----------
    confidence : float
        0 < c < 1.
    horizon : int
        Periods at which the experiment is planned to end.
    start : int
        Periods before the first interval, 1 <= start < horizon.
    shape : float
        0 is O'Brien and Fleming's boundary in continuous time, with the most power at the
        horizon; larger ones stop large effects sooner; up to 0.45.
    reserve : float
        Share of alpha kept for after the horizon, 0 <= reserve < 1; with 0 there is nothing after.
    """

    confidence: float
    horizon: int
    start: int
    shape: float = PLANNED_SHAPE
    reserve: float = PLANNED_RESERVE

    def __post_init__(self) -> None:
        """Refuse settings outside their domain."""
        require_fraction(confidence=self.confidence)
        require_count("horizon", self.horizon, 2)
        require_count("start", self.start, 1)
        if self.start >= self.horizon:
            raise SettingsError(
                f"The first look after {self.start} periods must come before the horizon of "
                f"{self.horizon}."
            )
        if not 0.0 <= self.shape <= _MOST_SHAPE:
            raise SettingsError(f"shape must lie between 0 and {_MOST_SHAPE}, not {self.shape!r}.")
        if not 0.0 <= self.reserve < 1.0:
            raise SettingsError(f"reserve must be at least 0 and below 1, not {self.reserve!r}.")

    @property
    def constant(self) -> float:
        """Half width at the horizon [standard errors]."""
        alpha = (1.0 - self.reserve) * (1.0 - self.confidence)
        return planned_constant(alpha, self.shape, self.start / self.horizon)

    def reach(self, periods: IntArray) -> FloatArray:
        """Return the half width at each look; inf before the start."""
        share = periods / self.horizon
        wide = self.constant * share ** (self.shape - 0.5)
        wide = np.where(periods < self.start, math.inf, wide)
        is_after = periods > self.horizon
        if is_after.any():
            after = self._rest().reach(periods) if self.reserve else math.inf
            wide = np.where(is_after, after, wide)
        return wide

    def p_values(self, periods: IntArray, scores: FloatArray) -> FloatArray:
        """Return for each look the least level whose boundary its score reaches."""
        standing = np.abs(scores) * (periods / self.horizon) ** (0.5 - self.shape)
        chance = crossing_chance(self.shape, self.start / self.horizon, standing)
        p = chance / (1.0 - self.reserve)
        is_after = periods > self.horizon
        if is_after.any():
            after = (
                self._rest().p_values(periods, scores) / self.reserve if self.reserve else math.nan
            )
            p = np.where(is_after, after, p)
        return np.where(periods < self.start, math.nan, np.minimum(p, 1.0))

    def power(self, effect: float) -> tuple[float, float]:
        """Return the chance of a decision by the horizon, and the mean share of it used.

        Parameters
        ----------
        effect : float
            The true mean over its standard error at the horizon.
        """
        begin = self.start / self.horizon
        chance = crossing(self.constant, self.shape, begin, effect)
        times, above, below = crossing_times(self.constant, self.shape, begin, effect)
        left = above + below
        return chance, float(left @ times + (1.0 - left.sum()))

    def _rest(self) -> MixtureBoundary:
        alpha = self.reserve * (1.0 - self.confidence)
        return MixtureBoundary.tuned(1.0 - alpha, 2.0 * self.horizon)


@dataclass(frozen=True, slots=True)
class ScheduledBoundary:
    """A few looks fixed beforehand, as group sequential designs have them.

    Attributes
    ----------
    confidence : float
        Of the intervals, all at once.
    looks : tuple of int
        Periods after which one looks, ascending.
    bounds : tuple of float
        Half width at each [standard errors], from `schedules`.
    """

    confidence: float
    looks: tuple[int, ...]
    bounds: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse looks that do not ascend or do not fit the bounds."""
        require_fraction(confidence=self.confidence)
        if len(self.looks) != len(self.bounds) or not self.looks:
            raise SettingsError(f"{len(self.looks)} looks do not fit {len(self.bounds)} bounds.")
        if self.looks[0] < 1 or any(np.diff(self.looks) <= 0):
            raise SettingsError("Looks must be positive and ascend.")

    def reach(self, periods: IntArray) -> FloatArray:
        """Return the bound at scheduled looks, inf at others."""
        at = np.searchsorted(self.looks, periods)
        at_most = np.minimum(at, len(self.looks) - 1)
        is_look = np.asarray(self.looks)[at_most] == periods
        return np.where(is_look, np.asarray(self.bounds)[at_most], math.inf)

    def p_values(self, periods: IntArray, scores: FloatArray) -> FloatArray:  # noqa: ARG002
        """Return NaN: bounds at one level say nothing of others."""
        return np.full(scores.size, math.nan)


@lru_cache(maxsize=256)
def planned_constant(alpha: float, shape: float, start: float) -> float:
    """Return c such that ``|B(t)| >= c t^shape`` for some t in (start, 1) has probability alpha.

    Parameters
    ----------
    alpha : float
        1e-8 <= alpha < 1.
    shape, start : float
        As `crossing` has them.
    """
    require_fraction(alpha=alpha, start=start)
    if alpha < _LEAST_CHANCE:
        raise SettingsError(f"A level of {alpha:g} is below {_LEAST_CHANCE:g}.")

    def misses(constant: float) -> float:
        return math.log(max(crossing(constant, shape, start), 1e-300) / alpha)

    return float(brentq(misses, 0.02, _MOST_CONSTANT, xtol=1e-6))


_LEAST_CHANCE, _MOST_CONSTANT = 1e-8, 6.0


def crossing_chance(shape: float, start: float, constant: FloatArray) -> FloatArray:
    """Return `crossing` of many constants, interpolated: within 0.1 % of it where it is below 1/2.

    Beyond 6 standard deviations, the chance at 6, some 3e-9.
    """
    table, least, most = _chances(shape, start)
    found = np.exp(table(np.clip(constant, least, most)))
    return np.where(constant < least, 1.0, np.minimum(found, 1.0))


@lru_cache(maxsize=64)
def _chances(shape: float, start: float) -> tuple[CubicSpline, float, float]:
    least, most, n = 0.05, _MOST_CONSTANT, 24
    at = least + (most - least) * np.linspace(0.0, 1.0, n)
    logs = np.log([max(crossing(c, shape, start), ndtr(-c)) for c in at])
    return CubicSpline(at, logs), least, most
