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
    `by_unit`, `by_cell` and `late` (..., 3, 3), and `units` has no moments. `group` says whose an
    allocation is, and `traffic` the outcomes of all arms under it by the looks, shape (n_looks,
    n_strata).
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
    group: IntArray
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
    both = np.flatnonzero((parts[..., N].sum(axis=1) > 0.0).all(axis=-1))
    require(both.size > 0, "no period has outcomes of both arms yet")
    come = looks[(looks >= 1) & (looks <= both.size)]
    ends = both[come - 1]
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
    whose = [groups.get(number, "") for number in strata.tolist()]
    _, group = np.unique(np.array(whose, dtype=np.str_), return_inverse=True)
    return Sides(
        group=group.astype(np.int64), traffic=_traffic(table, periods, strata)[ends],
        parts=parts, looks=come, ends=ends, period=periods[ends], reported=reported,
        first=of_units[..., 1:4], by_unit=by_unit, by_cell=by_cell, late=late,
        units=of_units[..., 0],
    )  # fmt: skip


def _traffic(table: PeriodTable, periods: IntArray, strata: IntArray) -> FloatArray:
    """Return the outcomes of all arms up to each period by stratum, (n_periods, n_strata)."""
    rows = np.isin(table.allocation, strata) & (table.period <= periods[-1])
    at = np.searchsorted(periods, table.period[rows])
    flat = at * strata.size + np.searchsorted(strata, table.allocation[rows])
    n = np.bincount(flat, table.n[rows], periods.size * strata.size).astype(np.float64)
    return np.cumsum(n.reshape(periods.size, strata.size), axis=0)


def _summed(
    table: PeriodTable | UnitTable, names: tuple[str, ...], rows: NDArray[np.bool_],
    place: tuple[IntArray, ...], shape: tuple[int, ...],
) -> FloatArray:  # fmt: skip
    """Return columns added up by place, shape (*shape, n_columns)."""
    flat = np.ravel_multi_index(place, shape)
    size = int(np.prod(shape))
    columns = [np.bincount(flat, getattr(table, name)[rows], size) for name in names]
    return np.stack(columns, axis=-1).reshape(*shape, len(names)).astype(np.float64)
