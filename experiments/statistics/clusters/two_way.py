"""The variance of what is linear in the sums, by unit and by period [1]_.

Of units that report a hundred times as often as others few decide: what counts is how many units of
one size would say as much [2]_, ``(sum n)^2 / sum n^2``.

References
----------
.. [1] Cameron, Gelbach and Miller (2011), "Robust inference with multiway clustering", Journal of
   Business and Economic Statistics 29(2), equation 2.11.
.. [2] Kish (1965), "Survey Sampling", section 8.2; Carter, Schnepel and Steigerwald (2017),
   "Asymptotic behavior of a t-test robust to cluster heterogeneity", Review of Economics and
   Statistics 99(4).
"""

from typing import Final

import numpy as np

from experiments.statistics.checks import FloatArray
from experiments.statistics.clusters.sides import Sides

TINY: Final = 1e-300


def two_way(
    sides: Sides, weights: FloatArray, in_time: FloatArray, batch: int, below: int
) -> tuple[FloatArray, FloatArray]:
    """Return the variance by unit and period, and its degrees of freedom, shape (n_looks,).

    Each group has the freedom of its smaller side, less its strata: of one with few units those of
    another know nothing.
    """
    by_group = _over_strata(sides, weights, weights, below) @ sides.of_group
    by_unit = by_group.sum(axis=1)
    by_period, n_batches = over_periods(sides, in_time, batch)
    both = over_cells(sides, in_time)
    n_strata = (weights != 0.0).any(axis=(2, 3)) @ sides.of_group
    effective = effective_units(sides, below).min(axis=-1)
    # A group that is too small to be left out for may have no freedom: it hardly counts.
    least = TINY if len(sides.groups) == 1 else 1.0
    unit_freedom = np.maximum(effective - n_strata, least)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.maximum(by_unit + by_period - both, np.maximum(by_unit, by_period))
        uncertain = np.sum(by_group**2 / unit_freedom, axis=1)
        uncertain += by_period**2 / (n_batches - 1.0)
        return variance, variance**2 / uncertain


def effective_units(sides: Sides, below: int) -> FloatArray:
    """Return how many units of one size would say as much, shape (n_looks, n_groups, 2)."""
    found: FloatArray = np.einsum("lsa,sg->lga", effective_by_stratum(sides, below), sides.of_group)
    return found


def effective_by_stratum(sides: Sides, below: int) -> FloatArray:
    """Return how many units of one size would say as much, shape (n_looks, n_strata, 2).

    A unit's size is the number of its outcomes, or the total of their denominators.
    """
    squares = np.maximum(sides.by_unit[..., below, below], TINY)
    found: FloatArray = sides.first[..., below] ** 2 / squares
    return found


def over_units(sides: Sides, one: FloatArray, other: FloatArray, below: int) -> FloatArray:
    """Return the covariance over units of two linear figures, shape (n_looks,)."""
    found: FloatArray = _over_strata(sides, one, other, below).sum(axis=1)
    return found


def size_of_products(sides: Sides, weights: FloatArray) -> FloatArray:
    """Return what the products over units add up to without their signs, shape (n_looks,).

    A variance that is no part of it is what rounding made of units that are alike.
    """
    sizes = np.abs(weights)
    found: FloatArray = np.einsum("lsam,lsamk,lsak->l", sizes, np.abs(sides.by_unit), sizes)
    return found


def _over_strata(sides: Sides, one: FloatArray, other: FloatArray, below: int) -> FloatArray:
    """Return the covariance over the units of each stratum, shape (n_looks, n_strata)."""
    n = effective_by_stratum(sides, below)
    few = np.where(n > 1.0, n / np.maximum(n - 1.0, TINY), 1.0)
    found: FloatArray = np.einsum("lsam,lsamk,lsak,lsa->ls", one, sides.by_unit, other, few)
    return found


def over_periods(sides: Sides, weights: FloatArray, batch: int) -> tuple[FloatArray, FloatArray]:
    """Return the variance over batches of periods, and how many there are, shape (n_looks,)."""
    parts = sides.parts.reshape(sides.parts.shape[0], -1)
    by_look = weights.reshape(-1, parts.shape[1])
    variance, n_batches = np.full(sides.ends.size, np.nan), np.zeros(sides.ends.size)
    for look, end in enumerate(sides.ends.tolist()):
        made = np.add.reduceat(parts[: end + 1] @ by_look[look], np.arange(0, end + 1, batch))
        n_batches[look] = made.size
        if made.size > 1:
            variance[look] = made @ made * made.size / (made.size - 1.0)
    return variance, n_batches


def over_cells(sides: Sides, weights: FloatArray) -> FloatArray:
    """Return the variance over cells of a unit and a period, or less of it, shape (n_looks,).

    What came late to a cell may go against what was there before, which nobody knows any more: the
    length of the sum of two vectors is no less than the difference of their lengths.
    """
    in_order, late = (
        np.sqrt(np.maximum(np.einsum("lsam,lsamk,lsak->l", weights, products, weights), 0.0))
        for products in (sides.by_cell, sides.late)
    )
    least: FloatArray = np.maximum(in_order - late, 0.0) ** 2
    return least
