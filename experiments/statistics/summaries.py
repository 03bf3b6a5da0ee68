"""Mergeable summaries: what is kept of outcomes, from which every analysis is made.

`Moments` of one arm: number, mean, sum of squared deviations, and the same of a covariate.
`PeriodTable`: sums by period, allocation and arm, kept up by addition. Both merge in any order and
grouping to what they would have been of everything at once, up to rounding.

References
----------
.. [1] Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance", American
   Statistician 37(3).
.. [2] Pebay (2008), "Formulas for robust, one-pass parallel computation of covariances and
   arbitrary-order statistical moments", Sandia report SAND2008-6212.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.checks import (
    LARGEST,
    NO_SPREAD,
    FloatArray,
    IntArray,
    integers_of,
    numbers_of,
    require,
    require_count,
    vector_of,
)
from experiments.statistics.errors import SampleError, SettingsError, ShapeError

_ROUNDING = 1e-9  # relative: how far sums may miss what no sample could have
_LOST = 1e-11  # of a sum of squares: what adding up ten million equal values leaves


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of one sample, and of a covariate measured with it.

    Attributes
    ----------
    n : float
        Observations, >= 0.
    mean : float
        0 when n is 0.
    m2 : float
        Sum of squared deviations from the mean, >= 0.
    x_mean, x_m2 : float
        The same of the covariate x; 0 when there is none.
    xy : float
        Sum of the products of the deviations of x and y.
    """

    n: float
    mean: float
    m2: float
    x_mean: float = 0.0
    x_m2: float = 0.0
    xy: float = 0.0

    def __post_init__(self) -> None:
        if not all(abs(getattr(self, field.name)) <= LARGEST**2 for field in fields(self)):
            raise SampleError("Moments must be finite, and not absurdly large.")
        if self.n < 0.0 or self.m2 < 0.0 or self.x_m2 < 0.0:
            raise SampleError("Counts and sums of squares must not be negative.")

    @classmethod
    def of(cls, values: ArrayLike, covariate: ArrayLike | None = None) -> Self:
        """Return the moments of a sample, in two passes.

        Parameters
        ----------
        values : float array, shape (n,), n >= 1
            Finite.
        covariate : float array, shape (n,), optional
            Measured before the assignment, of the same units in the same order.

        Raises
        ------
        ShapeError, SampleError
        """
        y = vector_of(values, "values")
        mean = float(y.mean())
        off = y - mean
        m2 = _settled(float(off @ off), float(y.size), mean)
        if covariate is None:
            return cls(float(y.size), mean, m2)
        x = vector_of(covariate, "covariate")
        if x.size != y.size:
            raise ShapeError(f"There are {y.size} values and {x.size} of the covariate.")
        x_mean = float(x.mean())
        x_off = x - x_mean
        x_m2 = _settled(float(x_off @ x_off), float(x.size), x_mean)
        return cls(float(y.size), mean, m2, x_mean, x_m2, float(x_off @ off))

    @classmethod
    def of_sums(
        cls,
        n: float,
        total: float,
        squares: float,
        x_total: float = 0.0,
        x_squares: float = 0.0,
        x_product: float = 0.0,
    ) -> Self:
        """Return the moments that sums have: of y, y^2, x, x^2 and x y.

        Raises
        ------
        SampleError
            Sums that no sample has.

        Notes
        -----
        ``m2 = squares - total^2 / n`` cancels where the mean is large against the deviation: with
        a ratio of 10^4 eight digits are lost. What is left below rounding is set to zero.
        """
        table = PeriodTable.of(
            [0], [0], [0], [n], [total], [squares], [x_total], [x_squares], [x_product]
        )
        found = table.moments(1)[0]
        return cls(found.n, found.mean, found.m2, found.x_mean, found.x_m2, found.xy)

    def merged(self, *others: "Moments") -> "Moments":
        """Return the moments of this sample and others together [1]_ [2]_."""
        parts = (self, *others)
        n = math.fsum(part.n for part in parts)
        if n == 0.0:
            return self
        mean = math.fsum(part.n * part.mean for part in parts) / n
        x_mean = math.fsum(part.n * part.x_mean for part in parts) / n
        m2 = math.fsum(part.m2 + part.n * (part.mean - mean) ** 2 for part in parts)
        x_m2 = math.fsum(part.x_m2 + part.n * (part.x_mean - x_mean) ** 2 for part in parts)
        return Moments(
            n,
            mean,
            _settled(m2, n, mean),
            x_mean,
            _settled(x_m2, n, x_mean),
            math.fsum(
                part.xy + part.n * (part.mean - mean) * (part.x_mean - x_mean) for part in parts
            ),
        )

    @property
    def variance(self) -> float:
        """Sample variance, over n - 1.

        Raises
        ------
        NotComputedError
            Fewer than two observations.
        """
        return self._over_freedom(self.m2)

    @property
    def x_variance(self) -> float:
        """Sample variance of the covariate; as `variance`."""
        return self._over_freedom(self.x_m2)

    @property
    def covariance(self) -> float:
        """Sample covariance of both; as `variance`."""
        return self._over_freedom(self.xy)

    def _over_freedom(self, squares: float) -> float:
        require(self.n >= 2.0, f"an arm has {self.n:g} of the two observations a variance needs")
        return squares / (self.n - 1.0)


@dataclass(frozen=True, slots=True)
class PeriodTable:
    """Sums of one metric by period, allocation and arm, sorted by them.

    Attributes
    ----------
    period : int64 array, shape (n_rows,)
        Start of the period, UTC [ns].
    arm : int64 array, shape (n_rows,)
        Position of the arm, >= 0; 0 is the control.
    allocation : int64 array, shape (n_rows,)
        Number of the allocation in force, >= 0: within one, the probabilities are constant.
    n, total, squares : float64 array, shape (n_rows,)
        Outcomes, their sum and the sum of their squares.
    x_total, x_squares, x_product : float64 array, shape (n_rows,)
        Sum of the covariate (or denominator), of its square, and of its product with the outcome.
    """

    period: IntArray
    arm: IntArray
    allocation: IntArray
    n: FloatArray
    total: FloatArray
    squares: FloatArray
    x_total: FloatArray
    x_squares: FloatArray
    x_product: FloatArray

    @classmethod
    def of(
        cls,
        period: ArrayLike,
        arm: ArrayLike,
        allocation: ArrayLike,
        n: ArrayLike,
        total: ArrayLike,
        squares: ArrayLike,
        x_total: ArrayLike | None = None,
        x_squares: ArrayLike | None = None,
        x_product: ArrayLike | None = None,
    ) -> Self:
        """Return a checked and sorted table of columns; several rows may have one key (shards).

        Raises
        ------
        ShapeError
            Columns of several lengths.
        SampleError
            A value that is not finite, a negative arm, allocation or count, or sums that no sample
            has, as ``total^2 > n squares``.
        """
        keys = [integers_of(*named) for named in zip((period, arm, allocation), _KEYS, strict=True)]
        given = (n, total, squares, x_total, x_squares, x_product)
        sums = [
            np.zeros(keys[0].size) if column is None else numbers_of(column, name)
            for column, name in zip(given, _SUMS, strict=True)
        ]
        if len({column.size for column in (*keys, *sums)}) != 1:
            raise ShapeError("The columns of a table of periods must have one length.")
        _require_sums_of_samples(keys, sums)
        order = _order_of(*keys)
        period_at, arm_at, allocation_at = (key[order] for key in keys)
        return cls(period_at, arm_at, allocation_at, *(column[order] for column in sums))

    @classmethod
    def of_outcomes(
        cls,
        period: ArrayLike,
        arm: ArrayLike,
        values: ArrayLike,
        *,
        allocation: ArrayLike | None = None,
        covariate: ArrayLike | None = None,
    ) -> Self:
        """Return the merged table of single outcomes, each with its period and arm.

        Parameters
        ----------
        period, arm, allocation : int array, shape (n,)
        values, covariate : float array, shape (n,)
            Finite.
        """
        y = vector_of(values, "values")
        x = np.zeros(y.size) if covariate is None else vector_of(covariate, "covariate")
        if x.size != y.size:
            raise ShapeError(f"There are {y.size} values and {x.size} of the covariate.")
        numbers = np.zeros(y.size, dtype=np.int64) if allocation is None else allocation
        one = np.ones(y.size)
        return cls.of(period, arm, numbers, one, y, y * y, x, x * x, x * y).merged()

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return self.period.size

    def merged(self, *others: "PeriodTable") -> Self:
        """Return this table and others with rows of one period, allocation and arm added up."""
        tables = (self, *others)
        columns = [
            np.concatenate([getattr(table, field.name) for table in tables])
            for field in fields(self)
        ]
        if columns[0].size == 0:
            return self
        order = _order_of(*columns[:3])
        columns = [column[order] for column in columns]
        begins = np.concatenate(
            [[True], np.any([np.diff(column) != 0 for column in columns[:3]], axis=0)]
        )
        starts = np.flatnonzero(begins)
        return type(self)(
            *(column[starts] for column in columns[:3]),
            *(np.add.reduceat(column, starts) for column in columns[3:]),
        )

    def ended(self, by_ns: int, period_ns: int) -> Self:
        """Return the rows of periods that ended by a time: what a watermark lets in.

        Parameters
        ----------
        by_ns, period_ns : int
            Watermark, UTC, and length of a period [ns].
        """
        return self._where(self.period <= by_ns - require_count("period_ns", period_ns, 1))

    def since(self, start: int) -> Self:
        """Return the rows of periods that start at a time or later [UTC ns]."""
        return self._where(self.period >= start)

    def of_allocation(self, number: int) -> Self:
        """Return the rows of one allocation."""
        return self._where(self.allocation == number)

    def of_allocations(self, numbers: Sequence[int]) -> Self:
        """Return the rows of some allocations."""
        return self._where(np.isin(self.allocation, numbers))

    def pivot(
        self, column: Literal["n", "total", "squares", "x_total", "x_squares", "x_product"],
        n_arms: int,
    ) -> tuple[IntArray, FloatArray]:  # fmt: skip
        """Return the periods, and a column's sum in each of them by arm.

        Returns
        -------
        periods : int64 array, shape (n_periods,)
            Ascending; every period of the table.
        sums : float64 array, shape (n_periods, n_arms)
            0 where an arm has no row.

        Raises
        ------
        SettingsError
            Fewer arms than the table has.
        """
        self._require_arms(n_arms)
        begins = np.diff(self.period, prepend=self.period[:1] - 1) != 0  # the rows are sorted
        periods, at = self.period[begins], np.cumsum(begins) - 1
        flat = np.bincount(
            at * n_arms + self.arm, weights=getattr(self, column), minlength=periods.size * n_arms
        )
        sums: FloatArray = flat.reshape(periods.size, n_arms).astype(np.float64, copy=False)
        return periods, sums

    def paired(
        self, n_arms: int, of: Literal["total", "mean"] = "total"
    ) -> tuple[IntArray, FloatArray]:
        """Return the periods in which every arm has an outcome, and what each arm made in them.

        Parameters
        ----------
        n_arms : int
        of : "total" or "mean"
            Totals for arms that are traded side by side, whose returns within a period add up;
            means for units that each met one arm.

        Returns
        -------
        periods : int64 array, shape (n_periods,)
        values : float64 array, shape (n_periods, n_arms)
        """
        if of not in {"total", "mean"}:
            raise SettingsError(f'of must be "total" or "mean", not {of!r}.')
        periods, n = self.pivot("n", n_arms)
        _, values = self.pivot("total", n_arms)
        whole = (n > 0.0).all(axis=1)
        values = values[whole]
        return periods[whole], values if of == "total" else values / n[whole]

    def moments(self, n_arms: int) -> tuple[Moments, ...]:
        """Return the moments of each arm's single outcomes, merged over all rows [1]_."""
        self._require_arms(n_arms)
        n = np.bincount(self.arm, weights=self.n, minlength=n_arms)
        own = np.maximum(self.n, 1.0)
        y, x = self.total / own, self.x_total / own
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.nan_to_num(np.bincount(self.arm, self.total, n_arms) / n)
            x_mean = np.nan_to_num(np.bincount(self.arm, self.x_total, n_arms) / n)
        within = _centered(self.squares, self.total, y)
        x_within = _centered(self.x_squares, self.x_total, x)
        off, x_off = y - mean[self.arm], x - x_mean[self.arm]
        parts = (
            within + self.n * off * off,
            x_within + self.n * x_off * x_off,
            self.x_product - self.total * x + self.n * off * x_off,
        )
        m2, x_m2, xy = (np.bincount(self.arm, weights=part, minlength=n_arms) for part in parts)
        table = np.stack([n, mean, m2, x_mean, x_m2, xy], axis=1).tolist()
        return tuple(
            Moments(n, mean, _settled(m2, n, mean), x_mean, _settled(x_m2, n, x_mean), xy)
            for n, mean, m2, x_mean, x_m2, xy in table
        )

    def _require_arms(self, n_arms: int) -> None:
        require_count("n_arms", n_arms, 1)
        if self.n_rows and int(self.arm.max()) >= n_arms:
            raise SettingsError(f"The table has arm {int(self.arm.max())} of only {n_arms} arms.")

    def _where(self, kept: NDArray[np.bool_]) -> Self:
        return type(self)(*(getattr(self, field.name)[kept] for field in fields(self)))


_KEYS = ("period", "arm", "allocation")
_SUMS = ("n", "total", "squares", "x_total", "x_squares", "x_product")


def _order_of(period: IntArray, arm: IntArray, allocation: IntArray) -> IntArray | slice:
    """Return the order by period, allocation and arm: nothing to do where rows come in it."""
    later = np.diff(period)
    same = later == 0
    newer, further = np.diff(allocation), np.diff(arm)
    sorted_within = (newer > 0) | ((newer == 0) & (further >= 0))
    if bool(np.all((later > 0) | (same & sorted_within))):
        return slice(None)
    return np.lexsort((arm, allocation, period))


def _centered(squares: FloatArray, total: FloatArray, mean: FloatArray) -> FloatArray:
    """Return sums of squared deviations of sums, with what is only rounding set to zero."""
    left = squares - total * mean
    return np.where(left <= _LOST * squares, 0.0, left)


def _settled(m2: float, n: float, mean: float) -> float:
    """Return a sum of squared deviations, zero where it is only the rounding of the mean."""
    return 0.0 if m2 <= n * (NO_SPREAD * mean) ** 2 else m2


def _require_sums_of_samples(keys: Iterable[IntArray], sums: list[FloatArray]) -> None:
    """Refuse rows that no sample has, up to rounding."""
    _, arm, allocation = keys
    n, total, squares, x_total, x_squares, x_product = sums
    if bool(np.any(squares < 0.0)) or bool(np.any(x_squares < 0.0)):
        raise SampleError("Sums of squares must not be negative.")
    if bool(np.any(arm < 0)) or bool(np.any(allocation < 0)) or bool(np.any(n < 0.0)):
        raise SampleError("Arms, allocations and counts must not be negative.")
    size, norm, x_norm = np.sqrt(n), np.sqrt(squares), np.sqrt(x_squares)
    most = 1.0 + _ROUNDING
    fits = (np.abs(total) <= most * size * norm) & (np.abs(x_total) <= most * size * x_norm)
    fits &= np.abs(x_product) <= most * norm * x_norm
    if not bool(fits.all()):
        raise SampleError(f"{int(np.sum(~fits))} rows have sums that no sample has.")
