"""What is kept of units: sums over them of the products of their totals, by period."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.checks import (
    FloatArray,
    IntArray,
    integers_of,
    numbers_of,
    require_count,
)
from experiments.statistics.clusters.products import PRODUCTS, product_steps
from experiments.statistics.errors import ShapeError

_KEYS: Final = ("period", "arm", "allocation")
UNIT_SUMS: Final = (
    "units", "counted", "total", "x_total",
    *(f"{of}{name}" for of in ("", "cell_", "late_") for name in PRODUCTS),
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
    cell_nn, cell_ny, cell_nx, cell_yy, cell_yx, cell_xx : float64 arrays, shape (n_rows,)
        The same of a cell: what a unit reported in one period, without what came late.
    late_nn, late_ny, late_nx, late_yy, late_yx, late_xx : float64 arrays, shape (n_rows,)
        The same of what came late to a cell, after newer periods of its unit.
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
    cell_nn: FloatArray
    cell_ny: FloatArray
    cell_nx: FloatArray
    cell_yy: FloatArray
    cell_yx: FloatArray
    cell_xx: FloatArray
    late_nn: FloatArray
    late_ny: FloatArray
    late_nx: FloatArray
    late_yy: FloatArray
    late_yx: FloatArray
    late_xx: FloatArray

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
        if len(columns) != len(_KEYS) + len(UNIT_SUMS):
            raise ShapeError(f"A table of units has {len(_KEYS) + len(UNIT_SUMS)} columns.")
        keys = [integers_of(*pair) for pair in zip(columns[:3], _KEYS, strict=True)]
        sums = [numbers_of(*pair) for pair in zip(columns[3:], UNIT_SUMS, strict=True)]
        if len({column.size for column in (*keys, *sums)}) != 1:
            raise ShapeError("The columns of a table of units must have one length.")
        return cls(*keys, *sums)  # type: ignore[arg-type] # three keys, then the sums

    @classmethod
    def of_outcomes(
        cls, period: ArrayLike, arm: ArrayLike, unit: ArrayLike, values: ArrayLike, *,
        covariate: ArrayLike | None = None, allocation: ArrayLike | None = None,
        counts_from: ArrayLike | None = None,
    ) -> Self:  # fmt: skip
        """Return the table of single outcomes, each with its period, arm and unit.

        Parameters
        ----------
        period, arm, unit, allocation : int array, shape (n,)
            A unit has one arm and one allocation.
        values, covariate : float array, shape (n,)
            Finite.
        counts_from : int array, shape (n,), optional
            Periods from which outcomes count, later than their own of those that came late; their
            own by default.
        """
        y = numbers_of(values, "values")
        x = np.zeros(y.size) if covariate is None else numbers_of(covariate, "covariate")
        zeros = np.zeros(y.size, dtype=np.int64)
        numbers = zeros if allocation is None else integers_of(allocation, "allocation")
        own, whose = integers_of(period, "period"), integers_of(unit, "unit")
        periods = own if counts_from is None else integers_of(counts_from, "counts_from")
        is_late = own < periods
        order = np.lexsort((is_late, periods, whose))
        steps = np.stack([np.ones(y.size), y, x], axis=1)[order]
        added = product_steps(whose[order], steps)
        is_first = np.diff(whose[order], prepend=whose[order][:1] - 1) != 0
        begins = is_first | (np.diff(periods[order], prepend=0) != 0) | is_late[order]
        by_cell = product_steps(np.cumsum(begins), steps)
        late = is_late[order][:, np.newaxis]
        arms = integers_of(arm, "arm")
        return cls.of(
            periods[order], arms[order], numbers[order], is_first.astype(float),
            *steps.T, *added.T, *np.where(late, 0.0, by_cell).T, *np.where(late, by_cell, 0.0).T,
        )  # fmt: skip

    def ended(self, by_ns: int, period_ns: int) -> Self:
        """Return the rows of periods that ended by a time, as `PeriodTable.ended` does."""
        return self._where(self.period <= by_ns - require_count("period_ns", period_ns, 1))

    def of_allocations(self, numbers: Sequence[int]) -> Self:
        """Return the rows of some allocations."""
        return self._where(np.isin(self.allocation, numbers))

    def _where(self, kept: NDArray[np.bool_]) -> Self:
        return type(self)(*(getattr(self, field.name)[kept] for field in fields(self)))
