"""Differences of two arms at looks, with errors by unit and period.

References
----------
.. [1] Deng, Knoblich and Lu (2018), "Applying the delta method in metric analytics", KDD.
.. [2] Cameron, Gelbach and Miller (2011), "Robust inference with multiway clustering", Journal of
   Business and Economic Statistics 29(2), equation 2.11.
.. [3] Satterthwaite (1946), "An approximate distribution of estimates of variance components",
   Biometrics Bulletin 2(6).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.checks import FloatArray, IntArray, integers_of, require_count
from experiments.statistics.clusters.products import N, X, Y
from experiments.statistics.clusters.sides import Sides, sides_of
from experiments.statistics.clusters.tables import UnitTable
from experiments.statistics.clusters.two_way import (
    TINY,
    effective_by_stratum,
    effective_units,
    over_units,
    size_of_products,
    two_way,
)
from experiments.statistics.errors import SettingsError
from experiments.statistics.summaries import PeriodTable

FEWEST_UNITS: Final = 10  # of an arm, for an error
FEWEST_EFFECTIVE: Final = 2.0  # units of one size that must say as much
MOST_THIN: Final = 0.02  # of all units, in groups with too few of an arm
_ROUNDING: Final = 1e-12
NO_VARIANCE: Final = 1e-13  # of what its products add up to: what rounding makes of no variance


@dataclass(frozen=True, slots=True)
class ClusteredLooks:
    """A difference as it stood after some periods.

    Attributes
    ----------
    periods : int64 array, shape (n_looks,)
        Periods by then with outcomes of either arm, from the first on that finds some of both.
    period : int64 array, shape (n_looks,)
        Start of the newest of them [UTC ns].
    difference : float64 array, shape (n_looks,)
        The arm less the control, in the metric's unit; NaN where it cannot be computed.
    error : float64 array, shape (n_looks,)
        Its standard error, > 0; NaN where there is none.
    freedom : float64 array, shape (n_looks,)
        Degrees of freedom of the error [3]_.
    units : float64 array, shape (n_looks, 2)
        Of the arm and the control that had reported.
    effective : float64 array, shape (n_looks, 2)
        How many units of one size would say as much as those.
    thin : tuple of str
        Groups with too few units of an arm for an error at the newest look, where these have more
        than 2 % of all units.
    """

    periods: IntArray
    period: IntArray
    difference: FloatArray
    error: FloatArray
    freedom: FloatArray
    units: FloatArray
    effective: FloatArray
    thin: tuple[str, ...] = ()


def clustered_differences(
    table: PeriodTable, units: UnitTable, arm: int, looks: ArrayLike, *, control: int = 0,
    is_ratio: bool = False, is_adjusted: bool = False, batch: int = 1,
    groups: Mapping[int, str] | None = None,
) -> ClusteredLooks:  # fmt: skip
    """Return the difference of two arms' means over all outcomes, with errors by unit and period.

    Parameters
    ----------
    table : PeriodTable
        Sums of the outcomes.
    units : UnitTable
        Of the same outcomes.
    arm, control : int
        Positions.
    looks : int array, shape (n_looks,)
        Ascending; periods (as `ClusteredLooks` counts them) after which to look, >= 1. Those that
        have not come yet are left out.
    is_ratio : bool
        Whether the covariate is a denominator, and what is compared the ratio of sums.
    is_adjusted : bool
        Whether what the covariate explains of the difference is taken off (CUPED).
    batch : int
        Periods that are one cluster, in their order: longer than their shocks last.
    groups : mapping of int to str, optional
        Whose an allocation is, such as a context: groups are weighed by the units of all arms.

    Raises
    ------
    NotComputedError
        An arm has no outcomes.
    SettingsError
        Both a ratio and adjusted.

    Notes
    -----
    Within an allocation ``d = y_1 / n_1 - y_0 / n_0``, those of several weighed by the units of all
    arms that came in each. By what they tell, ``n_1 n_0 / (n_1 + n_0)``, units from before shares
    were changed would count by the shares that came after, which whoever looked at them chose.

    By the delta method [1]_ each is linear in the sums, by coefficients c, and the variance is
    ``c' (U + P - O) c``: U over units, P over batches of periods, O over cells of a unit and a
    period, which are in both [2]_; never less than by units or by periods
    alone. Of cells to which something came late O is the least that it may be, if that came at
    once. U and O are of the outcomes that count by unit at the look, P is of those of its periods:
    the same but for late ones. How many units came in each group is part of what is asked, and of
    no error: the target is the average over the units that came. Each of several groups needs 10
    units of one size of both arms: the mean of one unit has no residual, so that it would seem to
    be known for sure. P takes in that an effect may vary with time. Time grows with looks times
    periods times allocations.

    Looks may use the boundaries of a mean of independent periods as long as later outcomes of a
    unit do not go against its earlier ones and evidence grows no faster than the periods do:
    differences at two looks then depend more on each other, never less.
    """
    require_count("batch", batch, 1)
    if is_ratio and is_adjusted:
        raise SettingsError("A ratio's denominator takes the covariate's place.")
    sides = sides_of(table, units, (arm, control), integers_of(looks, "looks"), groups or {})
    below = X if is_ratio else N
    shares, then = (_shares(sides, first, below) for first in (sides.first, sides.reported))
    contrasts, weights = _linear(shares, sides.first, Y, below)
    _, in_time = _linear(then, sides.reported, Y, below)
    if is_adjusted:
        explained, x_weights = _linear(shares, sides.first, X, N)
        slope = _slope(sides, weights, x_weights)
        contrasts = contrasts - slope[:, np.newaxis] * explained
        by_look = slope[:, np.newaxis, np.newaxis, np.newaxis]
        weights = weights - by_look * x_weights
        in_time = in_time - by_look * _linear(then, sides.reported, X, N)[1]
    difference = np.where(shares.any(axis=1), (shares * contrasts).sum(axis=1), np.nan)
    variance, freedom = two_way(sides, weights, in_time, batch, below)
    has_units, thin = _has_units(sides, below)
    varies = variance > NO_VARIANCE * size_of_products(sides, weights)
    is_known = varies & (freedom > 0.0) & has_units
    return ClusteredLooks(
        sides.looks, sides.period, difference,
        np.where(is_known, np.sqrt(np.maximum(variance, 0.0)), np.nan),
        np.where(is_known, freedom, np.nan), sides.units.sum(axis=1),
        effective_units(sides, below).sum(axis=1), thin,
    )  # fmt: skip


def _has_units(sides: Sides, below: int) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Return whether there are units enough for an error, and which groups lack them now."""
    n_units = np.einsum("lsa,sg->lga", sides.units, sides.of_group)
    fewest = FEWEST_EFFECTIVE if len(sides.groups) == 1 else float(FEWEST_UNITS)
    is_thin = (n_units < FEWEST_UNITS) | (effective_units(sides, below) < fewest)
    thin = is_thin.any(axis=-1) & (sides.traffic > 0.0)
    much = (sides.traffic * thin).sum(axis=1) > MOST_THIN * sides.traffic.sum(axis=1)
    is_told = len(sides.groups) > 1 and bool(much[-1:].any())
    named = np.flatnonzero(thin[-1]) if is_told else ()
    return ~much, tuple(sides.groups[at] for at in named)


def _shares(sides: Sides, first: FloatArray, below: int) -> FloatArray:
    """Return what each allocation counts for at each look, shape (n_looks, n_strata).

    Groups count by the units that came in them, and so do allocations of one. One that has few
    units of an arm yet does not, as long as another of its group has more.
    """
    is_there = (first[..., below] > 0.0).all(axis=-1)
    effective = np.minimum(sides.units, effective_by_stratum(sides, below)).min(axis=-1)
    is_solid = is_there & (effective >= FEWEST_UNITS)
    has_solid = (is_solid.astype(np.float64) @ sides.of_group) @ sides.of_group.T > 0.0
    weight = np.where(np.where(has_solid, is_solid, is_there), sides.arrived, 0.0)
    whole = weight @ sides.of_group
    traffic = np.where(whole > 0.0, sides.traffic, 0.0)
    counts = traffic / np.maximum(traffic.sum(axis=-1, keepdims=True), TINY)
    of_whole = np.maximum(whole @ sides.of_group.T, TINY)
    shares: FloatArray = (weight / of_whole) * (counts @ sides.of_group.T)
    return shares


def _linear(
    shares: FloatArray, first: FloatArray, above: int, below: int
) -> tuple[FloatArray, FloatArray]:
    """Return differences of two ratios of sums, and by how much each sum moves that of all.

    The first are of each stratum, (n_looks, n_strata), 0 where it does not count; the second have
    the shape of `first`.
    """
    signs = np.array([1.0, -1.0])
    is_there = (shares != 0.0)[..., np.newaxis] & (first[..., below] > 0.0)
    size = np.where(is_there, first[..., below], 1.0)
    ratio = np.where(is_there, first[..., above] / size, 0.0)
    slope = np.where(is_there, shares[..., np.newaxis] * signs / size, 0.0)
    weights = np.zeros(first.shape)
    weights[..., above] = slope
    weights[..., below] -= slope * ratio
    return ratio @ signs, weights


def _slope(sides: Sides, weights: FloatArray, x_weights: FloatArray) -> FloatArray:
    """Return the slope of the difference on the covariate's; 0 where that does not vary."""
    x_variance = over_units(sides, x_weights, x_weights, N)
    varies = x_variance > _ROUNDING * size_of_products(sides, x_weights)
    slope = over_units(sides, weights, x_weights, N) / np.where(varies, x_variance, 1.0)
    return np.where(varies, slope, 0.0)
