"""Sums over units held to those of the outcomes as they came."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from django.db import connection

from crowetrade_site.core.snapshots import one_view
from experiments.intake.sums import SMALLEST, FloatArray
from experiments.models import Experiment
from experiments.selectors.configuration import Configuration, configuration
from experiments.selectors.raw import (
    COUNTED,
    avoid_nested_loops,
    require_all_kept,
    require_unit_sums,
)
from experiments.statistics.clusters import UNIT_SUMS

BEFORE_CELLS: Final = (
    "some outcomes were added up before that of cells was kept, which makes errors larger: "
    "rebuild_unit_sums makes them smaller"
)
CAME_LATE: Final = (
    "outcomes came late to cells, or to some that a version without them had added to, and nobody "
    "knows which: rebuild_unit_sums counts all in the order of their time"
)
_TOLERANCE: Final = 1e-9  # of the sum of what was added up, whatever its sign
_PRODUCTS: Final = 6
_OF_UNITS: Final = UNIT_SUMS[: -2 * _PRODUCTS]
_OF_CELLS: Final = UNIT_SUMS[-2 * _PRODUCTS : -_PRODUCTS]
# By cell first, then by unit, then over units; what a value counts for is said metric by metric.
_CELL_PRODUCTS: Final = (
    "n * n", "n * y", "n * x", "y * y", "y * x", "x * x",
    "n * y_size", "n * x_size", "y_size * y_size", "y_size * x_size", "x_size * x_size",
)  # fmt: skip
_MADE = f"""
SELECT metric_id, arm_id, allocation, count(*), sum(n), sum(y), sum(x), sum(n * n), sum(n * y),
       sum(n * x), sum(y * y), sum(y * x), sum(x * x), sum(y_size), sum(x_size),
       {", ".join(f"sum(cell_{at})" for at in range(len(_CELL_PRODUCTS)))}
FROM (
    SELECT metric_id, arm_id, allocation, unit, sum(n) AS n, sum(y) AS y, sum(x) AS x,
           sum(y_size) AS y_size, sum(x_size) AS x_size,
           {", ".join(f"sum({one}) AS cell_{at}" for at, one in enumerate(_CELL_PRODUCTS))}
    FROM (
        SELECT metric_id, arm_id, allocation, unit, count(*)::float8 AS n, sum(y) AS y, sum(x) AS x,
               sum(abs(y)) AS y_size, sum(abs(x)) AS x_size
        FROM (
            SELECT o.metric_id, o.arm_id, o.allocation, o.unit,
                   (extract(epoch FROM o.at) * 1000000)::int8 * 1000 / %s::int8 AS period,
                   CASE WHEN abs(o.value) < {SMALLEST} THEN 0.0
                        ELSE greatest(least(o.value, asked.bound), -asked.bound) END AS y,
                   CASE WHEN asked.needs_x AND abs(o.x) >= {SMALLEST} THEN o.x ELSE 0.0 END AS x
            FROM (SELECT o.*, e.is_override {COUNTED}) o
            JOIN unnest(%s::int8[], %s::float8[], %s::bool[]) AS asked(id, bound, needs_x)
              ON asked.id = o.metric_id
        ) counted GROUP BY metric_id, arm_id, allocation, unit, period
    ) by_cell GROUP BY metric_id, arm_id, allocation, unit
) by_unit GROUP BY metric_id, arm_id, allocation
"""  # noqa: S608 - names of ours
# An outcome that was added up together with cells is in one of the two numbers.
_STORED = f"""
SELECT metric_id, arm_id, allocation,
       {", ".join(f"sum({name})::float8" for name in (*_OF_UNITS, *_OF_CELLS))},
       sum(late_nn), max((counted > 0 AND cell_nn = 0.0 AND late_nn = 0.0)::int)::float8
FROM experiments_unitstatistic WHERE experiment_id = %s GROUP BY metric_id, arm_id, allocation
"""  # noqa: S608 - names of ours


@dataclass(frozen=True, slots=True)
class SumDiffers:
    """A sum over units that is not that of the outcomes as they came."""

    metric: str
    arm: str
    allocation: int
    sum: str
    stored: float
    made: float


@dataclass(frozen=True, slots=True)
class CellsUnknown:
    """Sums over cells of a unit and a period that cannot be held to the outcomes, and why not."""

    metric: str
    arm: str
    allocation: int
    because: str


@dataclass(frozen=True, slots=True)
class SumsCompared:
    """What came of holding the sums over units to the outcomes."""

    differing: list[SumDiffers] = field(default_factory=list)
    not_compared: list[CellsUnknown] = field(default_factory=list)


def compare_unit_sums(experiment: Experiment) -> SumsCompared:
    """Hold the sums over units to those of the outcomes as they came.

    Compared are those over all periods: in which of them a late outcome counts depends on when it
    came. So does what a cell had in order, so that sums over cells are compared where nothing came
    late, by metric, arm and allocation.

    Raises
    ------
    NoUnitSums, OutcomesGone
        (409)
    """
    setup = configuration(experiment.public_id, experiment.revision)
    require_unit_sums(setup)
    with one_view():
        avoid_nested_loops()
        require_all_kept(setup)
        made, stored = _made(setup), _by_key(_STORED, setup.pk)
    nothing_made = np.zeros(len(_OF_UNITS) + 2 + len(_CELL_PRODUCTS))
    nothing_stored = np.zeros(len(_OF_UNITS) + len(_OF_CELLS) + 2)
    found = SumsCompared()
    for key in sorted(made.keys() | stored.keys()):
        _compare(
            found, _named(setup, key), stored.get(key, nothing_stored), made.get(key, nothing_made)
        )
    return found


Key = tuple[int, int, int]
Name = tuple[str, str, int]


def _compare(found: SumsCompared, of: Name, stored: FloatArray, made: FloatArray) -> None:
    """Compare the sums of a metric, an arm and an allocation."""
    n_units = len(_OF_UNITS)
    *_, late, is_before = stored
    why = BEFORE_CELLS if is_before else CAME_LATE if late else ""
    sums, sizes = _sized(made[: n_units + 2])
    names = [*_OF_UNITS]
    if why:
        found.not_compared.append(CellsUnknown(*of, why))
    else:
        names += _OF_CELLS
        cells, cell_sizes = _sized_by_cell(made[n_units + 2 :])
        sums, sizes = np.append(sums, cells), np.append(sizes, cell_sizes)
    found.differing.extend(
        SumDiffers(*of, name, float(was), float(is_now))
        for name, was, is_now, size in zip(names, stored[: sums.size], sums, sizes, strict=True)
        if abs(was - is_now) > _TOLERANCE * max(size, abs(was))
    )


def _named(setup: Configuration, key: Key) -> Name:
    metric, arm, allocation = key
    at = setup.metric_ids.tolist().index(metric)
    return setup.terms.metrics[at].name, setup.arm_name(arm), allocation


def _made(setup: Configuration) -> dict[Key, FloatArray]:
    """Return the sums of the outcomes, and those of their sizes, by metric, arm and allocation."""
    summed = [
        (int(pk), np.inf if one.bound is None else one.bound, one.needs_x)
        for pk, one in zip(setup.metric_ids, setup.terms.metrics, strict=True)
        if not one.is_quantile
    ]
    columns = [list(column) for column in zip(*summed, strict=True)]
    return _by_key(_MADE, setup.terms.period_ns, setup.pk, *columns)


def _by_key(query: str, *values: Any) -> dict[Key, FloatArray]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return {
            (metric, arm, allocation): np.array(sums, dtype=np.float64)
            for metric, arm, allocation, *sums in cursor.fetchall()
        }


def _sized(made: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return sums, and of each how large what was added up is without its signs."""
    sums, (y_size, x_size) = made[:-2], made[-2:]
    n, (nn, _, _, yy, _, xx) = sums[1], sums[4:]
    products = [nn, np.sqrt(nn * yy), np.sqrt(nn * xx), yy, np.sqrt(yy * xx), xx]
    return sums, np.array([sums[0], n, y_size, x_size, *products])


def _sized_by_cell(made: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the products of cells, and what they would be if all in a cell had one sign."""
    sums = made[:_PRODUCTS]
    return sums, np.append(sums[:1], made[_PRODUCTS:])
