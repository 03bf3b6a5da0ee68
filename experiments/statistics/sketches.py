"""Counts of values in bins whose width grows with the value: quantiles that merge.

References
----------
.. [1] Masson, Rim and Lee (2019), "DDSketch: a fast and fully-mergeable quantile sketch with
   relative-error guarantees", VLDB 12(12).
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.checks import (
    FloatArray,
    IntArray,
    integers_of,
    numbers_of,
    require,
    require_fraction,
    require_positive,
    vector_of,
)
from experiments.statistics.errors import SampleError, SettingsError, ShapeError


@dataclass(frozen=True, slots=True)
class QuantileSketch:
    """Counts of values in bins whose width grows with the value.

    Attributes
    ----------
    bins : int64 array, shape (n_bins,)
        Ascending and in the order of the values: negative for negative values, 0 for what is at
        most `smallest` from zero.
    counts : float64 array, shape (n_bins,)
        > 0.
    relative_error : float
        Every quantile misses the sample's by at most this share of it, or by `smallest`.
    smallest : float
        Values up to here count as zero [unit of the metric].
    """

    bins: IntArray
    counts: FloatArray
    relative_error: float
    smallest: float

    @staticmethod
    def bins_of(
        values: ArrayLike, relative_error: float = 0.005, smallest: float = 1e-12
    ) -> IntArray:
        """Return the bin of each value: ``sign(x) ceil(ln(|x| / smallest) / ln(g))`` [1]_.

        Parameters
        ----------
        values : float array, shape (n,), n >= 1
            Finite.
        relative_error : float
            a with 0 < a < 1; ``g = (1 + a) / (1 - a)``.
        smallest : float
            > 0.
        """
        require_fraction(relative_error=relative_error)
        require_positive(smallest=smallest)
        x = vector_of(values, "values")
        size = np.maximum(np.abs(x), smallest)
        steps = np.ceil((np.log(size) - math.log(smallest)) / _width(relative_error))
        return (np.sign(x) * steps).astype(np.int64)

    @classmethod
    def of(cls, values: ArrayLike, relative_error: float = 0.005, smallest: float = 1e-12) -> Self:
        """Return the sketch of a sample; parameters as `bins_of`."""
        bins, counts = np.unique(cls.bins_of(values, relative_error, smallest), return_counts=True)
        return cls(bins, counts.astype(np.float64), relative_error, smallest)

    @classmethod
    def of_counts(
        cls,
        bins: ArrayLike,
        counts: ArrayLike,
        relative_error: float = 0.005,
        smallest: float = 1e-12,
    ) -> Self:
        """Return the sketch of stored bins, in any order and with repetitions.

        Raises
        ------
        ShapeError, SampleError
            Columns that do not fit, or a count that is negative or not finite.
        """
        require_fraction(relative_error=relative_error)
        require_positive(smallest=smallest)
        keys, weights = integers_of(bins, "bins"), numbers_of(counts, "counts")
        if keys.size != weights.size:
            raise ShapeError(f"There are {keys.size} bins and {weights.size} counts.")
        if bool(np.any(weights < 0.0)):
            raise SampleError("A count of a bin is negative.")
        unique, at = np.unique(keys, return_inverse=True)
        added: FloatArray = np.bincount(at, weights=weights, minlength=unique.size).astype(float)
        kept = added > 0.0
        return cls(unique[kept], added[kept], relative_error, smallest)

    @property
    def n(self) -> float:
        """Values counted."""
        return float(self.counts.sum())

    def merged(self, *others: "QuantileSketch") -> "QuantileSketch":
        """Return the sketch of this sample and others together.

        Raises
        ------
        SettingsError
            Sketches of different bins.
        """
        parts = (self, *others)
        if len({(part.relative_error, part.smallest) for part in parts}) > 1:
            raise SettingsError("Sketches with different errors cannot be merged.")
        return QuantileSketch.of_counts(
            np.concatenate([part.bins for part in parts]),
            np.concatenate([part.counts for part in parts]),
            self.relative_error,
            self.smallest,
        )

    def order_statistic(self, rank: float) -> float:
        """Return about the value with so many below it, ``0 <= rank <= n - 1``.

        Raises
        ------
        NotComputedError
            The sketch is empty, or has no such rank.
        """
        require(self.bins.size > 0, "a sketch has no values")
        require(0.0 <= rank <= self.n - 1.0, f"{self.n:g} values have no rank {rank:g}")
        at = int(np.searchsorted(np.cumsum(self.counts), math.floor(rank), side="right"))
        return float(self._values(self.bins[at : at + 1])[0])

    def quantile(self, probability: float) -> float:
        """Return about the order statistic of rank ``floor(p (n - 1))``.

        Parameters
        ----------
        probability : float
            0 < p < 1.
        """
        require_fraction(probability=probability)
        require(self.bins.size > 0, "a sketch has no values")
        return self.order_statistic(math.floor(probability * (self.n - 1.0)))

    def values(self) -> FloatArray:
        """Return the value that stands for each bin, shape (n_bins,)."""
        return self._values(self.bins)

    def _values(self, bins: IntArray) -> FloatArray:
        growth = math.exp(_width(self.relative_error))
        upper = math.log(self.smallest) + np.abs(bins) * _width(self.relative_error)
        middle: FloatArray = np.sign(bins) * np.exp(upper) * (2.0 / (1.0 + growth))
        return middle


def _width(relative_error: float) -> float:
    """Return the logarithm of the ratio of a bin's ends."""
    return math.log1p(relative_error) - math.log1p(-relative_error)
