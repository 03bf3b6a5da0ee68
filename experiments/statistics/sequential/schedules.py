"""Group sequential designs: a few looks, planned ahead, at less than continuous looking costs.

Bounds solve ``P(first beyond the bound at look k) = a(t_k) - a(t_(k-1))`` by recursive numerical
integration. A design is two-sided and symmetric; each side spends half of alpha by the function of
a one-sided level, as the tables and libraries have it.

References
----------
.. [1] Pocock (1977), Biometrika 64(2); O'Brien and Fleming (1979), Biometrics 35(3); Wang and
   Tsiatis (1987), Biometrics 43(1).
.. [2] Lan and DeMets (1983), "Discrete sequential boundaries for clinical trials", Biometrika
   70(3); Kim and DeMets (1987), Biometrika 74(1), for the power family.
.. [3] Jennison and Turnbull (2000), "Group sequential methods with applications to clinical
   trials", chapters 2, 5, 10 and 19.
.. [4] Lan and Wittes (1988), "The B-value: a tool for monitoring data", Biometrics 44(2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from experiments.statistics.checks import (
    FloatArray,
    require_count,
    require_fraction,
    require_positive,
    vector_of,
)
from experiments.statistics.errors import SettingsError
from experiments.statistics.sequential.boundaries import ScheduledBoundary
from experiments.statistics.sequential.crossing import Inside

Spending = Literal["obrien_fleming", "pocock", "power"]
_MOST = 12.0  # a bound so high is never reached


@dataclass(frozen=True, slots=True)
class Schedule:
    """A group sequential design on the scale of information.

    Attributes
    ----------
    confidence : float
        One less the two-sided type-I error.
    shares : tuple of float
        Share of the horizon at each look, ascending to at most 1.
    bounds : tuple of float
        Decide for a difference when ``|Z|`` reaches it.
    futility : tuple of float
        Give up when ``|Z|`` is below it; 0 where one never does. Not binding: the bounds keep
        their error when one goes on all the same.
    """

    confidence: float
    shares: tuple[float, ...]
    bounds: tuple[float, ...]
    futility: tuple[float, ...]

    def exits(self, drift: float = 0.0) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the chance of stopping at each look: above, below, and for futility.

        Parameters
        ----------
        drift : float
            True mean over its standard error at the horizon.
        """
        law = Inside.origin()
        rows = []
        for share, bound, least in zip(self.shares, self.bounds, self.futility, strict=True):
            outer, inner = bound * math.sqrt(share), least * math.sqrt(share)
            rows.append((*law.tails(share, outer, drift), law.middle(share, inner, drift)))
            law = law.carried(share, outer, inner, drift)
        above, below, middle = np.array(rows).T
        return above, below, middle

    def power(self, drift: float) -> float:
        """Return the chance to decide for a difference, of either sign."""
        above, below, _ = self.exits(drift)
        return float(above.sum() + below.sum())

    def expected_share(self, drift: float) -> float:
        """Return the mean share of the horizon that is used."""
        stops = np.sum(self.exits(drift), axis=0)
        left = 1.0 - float(stops.sum())
        return float(stops @ np.array(self.shares)) + left * self.shares[-1]

    def drift_for(self, power: float) -> float:
        """Return the drift at which the design has a power, alpha < power < 1."""
        require_fraction(power=power)
        if power <= 1.0 - self.confidence:
            raise SettingsError(f"A power of {power:g} is not above the type-I error.")
        return float(brentq(lambda drift: self.power(drift) - power, 1e-6, 12.0, xtol=1e-9))

    def inflation(self, power: float) -> float:
        """Return the horizon over that of a test with one look of the same power."""
        one_look = ndtri(0.5 + self.confidence / 2.0) + ndtri(power)
        return float((self.drift_for(power) / one_look) ** 2)

    def boundary(self, horizon: int) -> ScheduledBoundary:
        """Return the boundary of looks counted in periods of a horizon."""
        require_count("horizon", horizon, len(self.shares))
        looks = [max(1, round(share * horizon)) for share in self.shares]
        return ScheduledBoundary(self.confidence, tuple(looks), self.bounds)


def spent(spending: Spending, shares: ArrayLike, level: float, power: float = 2.0) -> FloatArray:
    """Return how much of a one-sided level may be used up by shares of the horizon [2]_.

    Parameters
    ----------
    spending : "obrien_fleming", "pocock" or "power"
        ``2 - 2 Phi(z / sqrt(t))`` with z the quantile of ``1 - level / 2``;
        ``level ln(1 + (e - 1) t)``; ``level t^power``.
    shares : float array, shape (n_looks,)
        0 < t <= 1.
    level : float
        0 < level < 1.
    power : float
        Of the power family, > 0.
    """
    require_fraction(level=level)
    t = vector_of(shares, "shares")
    if spending == "obrien_fleming":
        return 2.0 * ndtr(ndtri(level / 2.0) / np.sqrt(t))
    if spending == "pocock":
        return level * np.log1p((math.e - 1.0) * t)
    if spending == "power":
        require_positive(power=power)
        return np.asarray(level * t**power)
    raise SettingsError(
        f'spending must be "obrien_fleming", "pocock" or "power", not {spending!r}.'
    )


def schedule(
    shares: Sequence[float] | FloatArray,
    *,
    confidence: float = 0.95,
    spending: Spending = "obrien_fleming",
    power: float = 2.0,
) -> Schedule:
    """Return the design whose looks spend the error by a function of the horizon's share [2]_.

    Parameters
    ----------
    shares : float sequence, shape (n_looks,)
        0 < t <= 1, ascending. They may be those that came about, so long as nothing but the
        calendar decided them.
    confidence : float
        0 < c < 1.
    spending, power
        As `spent` has them.

    Raises
    ------
    SettingsError, ShapeError, SampleError
        Shares that do not ascend within (0, 1], an unknown function, or a confidence that is none.
    """
    require_fraction(confidence=confidence)
    times = _shares_of(shares)
    level = (1.0 - confidence) / 2.0
    steps = np.diff(spent(spending, times, level, power), prepend=0.0)
    bounds = []
    law = Inside.origin()
    for time, step in zip(times, steps, strict=True):
        bound = _bound(law, float(time), float(step))
        bounds.append(bound)
        law = law.carried(float(time), bound * math.sqrt(time))
    return Schedule(confidence, tuple(times.tolist()), tuple(bounds), (0.0,) * times.size)


def classic_schedule(n_looks: int, *, confidence: float = 0.95, shape: float = 0.0) -> Schedule:
    """Return equally spaced looks with bounds ``c (k / K)^(shape - 1/2)`` [1]_.

    Parameters
    ----------
    n_looks : int
        K >= 1.
    confidence : float
        0 < c < 1.
    shape : float
        0 is O'Brien and Fleming's design, 1/2 Pocock's.
    """
    require_count("n_looks", n_looks, 1)
    require_fraction(confidence=confidence)
    if not 0.0 <= shape <= 0.5:
        raise SettingsError(f"shape must lie between 0 and 1/2, not {shape!r}.")
    times = np.arange(1, n_looks + 1) / n_looks

    def design(constant: float) -> Schedule:
        bounds = tuple((constant * times ** (shape - 0.5)).tolist())
        return Schedule(confidence, tuple(times.tolist()), bounds, (0.0,) * n_looks)

    def misses(constant: float) -> float:
        return design(constant).power(0.0) - (1.0 - confidence)

    return design(float(brentq(misses, 0.01, _MOST, xtol=1e-8)))


def with_futility(
    design: Schedule, *, power: float = 0.8, spending: Spending = "pocock", exponent: float = 2.0
) -> Schedule:
    """Return a design that also gives up, spending the type-II error by a function [3]_.

    Parameters
    ----------
    design : Schedule
        Its bounds stay as they are, so that giving up is an advice and no duty.
    power : float
        1 - beta that is left when one does give up.
    spending, exponent
        As `spent` has them, of beta.

    Notes
    -----
    At the drift that leaves `power`, ``P(|Z| < a_k first at look k) = beta(t_k) - beta(t_(k-1))``;
    at the last look a is the bound. The horizon must be longer for it: see `Schedule.inflation`.
    """
    require_fraction(power=power)
    if len(design.shares) < 2:
        return design

    def lacks(drift: float) -> float:
        return _with_beta(design, drift, power, spending, exponent).power(drift) - power

    least = design.drift_for(power)
    drift = float(brentq(lacks, least, least + 3.0, xtol=1e-7))
    return _with_beta(design, drift, power, spending, exponent)


def conditional_power(
    score: float, share: float, final_bound: float, drift: float | None = None
) -> float:
    """Return the chance that the last look decides, in the direction seen so far [4]_.

    Parameters
    ----------
    score : float
        Z now.
    share : float
        0 < t < 1 of the horizon that has passed.
    final_bound : float
        Of the last look, > 0.
    drift : float, optional
        True mean over its standard error at the horizon, in the direction of `score`; the trend
        so far, ``|Z| / sqrt(t)``, when not given.
    """
    require_fraction(share=share)
    require_positive(final_bound=final_bound)
    way = abs(score) * math.sqrt(share)
    ahead = abs(score) / math.sqrt(share) if drift is None else drift
    return float(ndtr((way + ahead * (1.0 - share) - final_bound) / math.sqrt(1.0 - share)))


def _with_beta(
    design: Schedule, drift: float, power: float, spending: Spending, exponent: float
) -> Schedule:
    steps = np.diff(spent(spending, design.shares, 1.0 - power, exponent), prepend=0.0)
    law = Inside.origin()
    least = []
    for share, bound, step in zip(design.shares[:-1], design.bounds[:-1], steps[:-1], strict=True):
        root = math.sqrt(share)
        inner = _inner(law, share, 0.999 * bound * root, float(step), drift)
        least.append(inner / root)
        law = law.carried(share, bound * root, inner, drift)
    return replace(design, futility=(*least, design.bounds[-1]))


def _inner(law: Inside, time: float, most: float, chance: float, drift: float) -> float:
    """Return how far from zero one gives up, so that it has a chance; 0 where it cannot be."""
    if law.middle(time, most, drift) <= chance:
        return most
    return float(brentq(lambda inner: law.middle(time, inner, drift) - chance, 0.0, most))


def _bound(law: Inside, time: float, chance: float) -> float:
    """Return the bound of Z that is passed above, first at this look, with a chance."""
    root = math.sqrt(time)
    if law.tails(time, _MOST * root)[0] >= chance:
        return _MOST
    return float(
        brentq(lambda bound: law.tails(time, bound * root)[0] - chance, 0.0, _MOST, xtol=1e-10)
    )


def _shares_of(shares: ArrayLike) -> FloatArray:
    times = vector_of(shares, "shares")
    if times[0] <= 0.0 or times[-1] > 1.0 or bool(np.any(np.diff(times) <= 0.0)):
        raise SettingsError("Shares of the horizon must ascend from above 0 to at most 1.")
    return times
