"""What is kept of units: sums over them of the products of their totals, by period."""

from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.checks import (
    FloatArray,
    IntArray,
    integers_of,
    numbers_of,
    require_count,
)
from experiments.statistics.clusters.products import product_steps
from experiments.statistics.errors import ShapeError

_KEYS: Final = ("period", "arm", "allocation")
SUMS: Final = (
    "units", "counted", "total", "x_total", "nn", "ny", "nx", "yy", "yx", "xx",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class UnitTable:
    """Sums over units of the products of their totals, by period, arm and allocation.

    A row holds what its period added to the sums, so that those over the rows up to a period are
    the sums over units of what they had reported by then.

    Attributes
    ----------
    period, arm, allocation : int64 arrays, shape (n_rows,)
        As `PeriodTable` has them; the allocation is that in which the unit met its arm.
    units, counted : float64 arrays, shape (n_rows,)
        Units that reported for the first time; outcomes that are in the products.
    total, x_total : float64 arrays, shape (n_rows,)
        Of these outcomes, and of their covariates (or denominators).
    nn, ny, nx, yy, yx, xx : float64 arrays, shape (n_rows,)
        Products of a unit's number of outcomes, their total and the total of its covariate (or
        denominator).
    """

    period: IntArray
    arm: IntArray
    allocation: IntArray
    units: FloatArray
    counted: FloatArray
    total: FloatArray
    x_total: FloatArray
    nn: FloatArray
    ny: FloatArray
    nx: FloatArray
    yy: FloatArray
    yx: FloatArray
    xx: FloatArray

    @classmethod
    def of(cls, *columns: ArrayLike) -> Self:
        """Return a checked table of columns in the order of its attributes.

        Raises
        ------
        ShapeError
            Columns of several lengths, or too few of them.
        SampleError
            A value that is not finite.
        """
        if len(columns) != len(_KEYS) + len(SUMS):
            raise ShapeError(f"A table of units has {len(_KEYS) + len(SUMS)} columns.")
        keys = [integers_of(*pair) for pair in zip(columns[:3], _KEYS, strict=True)]
        sums = [numbers_of(*pair) for pair in zip(columns[3:], SUMS, strict=True)]
        if len({column.size for column in (*keys, *sums)}) != 1:
            raise ShapeError("The columns of a table of units must have one length.")
        return cls(*keys, *sums)  # type: ignore[arg-type] # three keys, then the sums

    @classmethod
    def of_outcomes(
        cls, period: ArrayLike, arm: ArrayLike, unit: ArrayLike, values: ArrayLike, *,
        covariate: ArrayLike | None = None, allocation: ArrayLike | None = None,
    ) -> Self:  # fmt: skip
        """Return the table of single outcomes, each with its period, arm and unit.

        Parameters
        ----------
        period, arm, unit, allocation : int array, shape (n,)
            A unit has one arm and one allocation.
        values, covariate : float array, shape (n,)
            Finite.
        """
        y = numbers_of(values, "values")
        x = np.zeros(y.size) if covariate is None else numbers_of(covariate, "covariate")
        zeros = np.zeros(y.size, dtype=np.int64)
        numbers = zeros if allocation is None else integers_of(allocation, "allocation")
        periods, whose = integers_of(period, "period"), integers_of(unit, "unit")
        order = np.lexsort((periods, whose))
        steps = np.stack([np.ones(y.size), y, x], axis=1)[order]
        added = product_steps(whose[order], steps)
        is_first = np.diff(whose[order], prepend=whose[order][:1] - 1) != 0
        arms = integers_of(arm, "arm")
        return cls.of(
            periods[order], arms[order], numbers[order], is_first.astype(float),
            *steps.T, *added.T,
        )  # fmt: skip

    def ended(self, by_ns: int, period_ns: int) -> Self:
        """Return the rows of periods that ended by a time, as `PeriodTable.ended` does."""
        kept = self.period <= by_ns - require_count("period_ns", period_ns, 1)
        return type(self)(*(getattr(self, field.name)[kept] for field in fields(self)))
