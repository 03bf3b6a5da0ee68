"""Sums of an arm and the control as they stood at some looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experiments.statistics.checks import FloatArray, IntArray, require
from experiments.statistics.clusters.products import SECOND, N
from experiments.statistics.clusters.tables import UNIT_SUMS, UnitTable
from experiments.statistics.summaries import PeriodTable

_FIRST: Final = ("n", "total", "x_total")


@dataclass(frozen=True, slots=True)
class Sides:
    """Sums of an arm and the control as arrays; the last axes are side (arm, control) and moment.

    `parts` has what each period added, shape (n_periods, n_strata, 2, 3); the others are cumulative
    at the looks, whose last periods are at `ends`: `reported` of the outcomes of these periods, the
    others of those that count by unit by then. `reported` and `first` have shape (..., 3),
    `by_unit`, `by_cell` and `late` (..., 3, 3), and `units` has no moments. `of_group` has a 1
    where an allocation is of a group, shape (n_strata, n_groups), whose names are `groups`.
    `arrived` are the units of all arms in each allocation that had reported by the looks, shape
    (n_looks, n_strata), and `traffic` those in each group, shape (n_looks, n_groups): units of all
    allocations, for how often one reports may be the arm's doing, that it came is not.
    """

    parts: FloatArray
    looks: IntArray
    ends: IntArray
    period: IntArray
    reported: FloatArray
    first: FloatArray
    by_unit: FloatArray
    by_cell: FloatArray
    late: FloatArray
    units: FloatArray
    of_group: FloatArray
    groups: tuple[str, ...]
    arrived: FloatArray
    traffic: FloatArray


def sides_of(
    table: PeriodTable, units: UnitTable, arms: tuple[int, int], looks: IntArray,
    groups: Mapping[int, str],
) -> Sides:  # fmt: skip
    """Return the sums of two arms at the looks that have come."""
    is_of = np.isin(table.arm, arms)
    periods, at = np.unique(table.period[is_of], return_inverse=True)
    strata = np.unique(table.allocation[is_of])
    shape = (periods.size, strata.size, 2)
    place = (at.reshape(-1), np.searchsorted(strata, table.allocation[is_of]))
    side = (table.arm[is_of] == arms[1]).astype(np.int64)
    parts = _summed(table, _FIRST, is_of, (*place, side), shape)
    had = np.cumsum(parts[..., N].sum(axis=1), axis=0)
    begun = np.flatnonzero((had > 0.0).all(axis=-1))
    require(begun.size > 0, "one of the two arms has no outcomes yet")
    come = looks[(looks >= 1) & (looks <= begun.size)]
    ends = begun[come - 1]
    mine = np.isin(units.arm, arms) & np.isin(units.allocation, strata)
    # A late outcome's products count from the newest period of its unit on: that is a row's period.
    row = np.minimum(np.searchsorted(periods, units.period[mine]), periods.size - 1)
    spot = (
        row, np.searchsorted(strata, units.allocation[mine]),
        (units.arm[mine] == arms[1]).astype(np.int64),
    )  # fmt: skip
    of_units = _summed(units, UNIT_SUMS, mine, spot, shape)
    of_units, reported = (np.cumsum(whole, axis=0)[ends] for whole in (of_units, parts))
    by_unit, by_cell, late = (of_units[..., at + SECOND] for at in (4, 10, 16))
    numbers = np.union1d(strata, units.allocation)
    names, whose = _groups(numbers, groups)
    came = _came(units, periods, numbers)[ends]
    is_stratum = np.searchsorted(numbers, strata)
    return Sides(
        of_group=whose[is_stratum], groups=names, arrived=came[:, is_stratum],
        traffic=came @ whose,
        parts=parts, looks=come, ends=ends, period=periods[ends], reported=reported,
        first=of_units[..., 1:4], by_unit=by_unit, by_cell=by_cell, late=late,
        units=of_units[..., 0],
    )  # fmt: skip


def _groups(numbers: IntArray, groups: Mapping[int, str]) -> tuple[tuple[str, ...], FloatArray]:
    """Return the groups of allocations, and which of them each is of."""
    names = tuple(sorted({groups.get(number, "") for number in numbers.tolist()}))
    whose = [names.index(groups.get(number, "")) for number in numbers.tolist()]
    return names, np.eye(len(names))[whose]


def _came(units: UnitTable, periods: IntArray, numbers: IntArray) -> FloatArray:
    """Return the units of all arms that had reported by each period, by allocation."""
    is_by_then = units.period <= periods[-1]
    row = np.searchsorted(periods, units.period[is_by_then])
    flat = row * numbers.size + np.searchsorted(numbers, units.allocation[is_by_then])
    n = np.bincount(flat, units.units[is_by_then], periods.size * numbers.size)
    return np.cumsum(n.astype(np.float64).reshape(periods.size, numbers.size), axis=0)


def _summed(
    table: PeriodTable | UnitTable, names: tuple[str, ...], rows: NDArray[np.bool_],
    place: tuple[IntArray, ...], shape: tuple[int, ...],
) -> FloatArray:  # fmt: skip
    """Return columns added up by place, shape (*shape, n_columns)."""
    flat = np.ravel_multi_index(place, shape)
    size = int(np.prod(shape))
    columns = [np.bincount(flat, getattr(table, name)[rows], size) for name in names]
    return np.stack(columns, axis=-1).reshape(*shape, len(names)).astype(np.float64)
