"""The sums that analyses are made of, read in one query each."""

from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.db import connection
from django.db.models import Sum
from numpy.typing import NDArray

from experiments.models import Experiment, Tally
from experiments.statistics.clusters import UNIT_SUMS, UnitTable
from experiments.statistics.sketches import QuantileSketch
from experiments.statistics.summaries import PeriodTable

# Sums of floats, arms joined after them: sums of bigint are numeric, and twice as slow.
# Each column comes as the bytes of all its numbers, which numpy reads as they are: a tuple a row
# would take most of the time.
_KEYS = ("period", "arm", "allocation")
_SUMS = ("n", "total", "squares", "x_total", "x_squares", "x_product")


def _columns(table: str, sums: tuple[str, ...]) -> str:
    """Return the SQL that reads the sums of a metric by column."""
    return f"""
SELECT {", ".join(f"string_agg(int8send({name}), ''::bytea)" for name in _KEYS)},
       {", ".join(f"string_agg(float8send({name}), ''::bytea)" for name in sums)}
FROM (
    SELECT s.*, a.position::int8 AS arm FROM (
        SELECT period, arm_id, allocation::int8, {
        ", ".join(f"sum({name}::float8) AS {name}" for name in sums)
    }
        FROM {table} WHERE metric_id = %s GROUP BY period, allocation, arm_id
    ) s JOIN experiments_arm a ON a.id = s.arm_id
) whole
"""  # noqa: S608 - names of ours


_PERIODS = _columns("experiments_periodstatistic", _SUMS)
_UNITS = _columns("experiments_unitstatistic", UNIT_SUMS)
_NEWEST = """
SELECT m.name, a.name, s.newest, s.changed_at FROM (
    SELECT metric_id, arm_id, max(period) AS newest, max(changed_at) AS changed_at
    FROM experiments_periodstatistic WHERE experiment_id = %s GROUP BY metric_id, arm_id
) s JOIN experiments_metric m ON m.id = s.metric_id JOIN experiments_arm a ON a.id = s.arm_id
ORDER BY m.position, a.position
"""
_BINS = """
SELECT a.position, b.bin, sum(b.n)
FROM experiments_sketchbin b JOIN experiments_arm a ON a.id = b.arm_id
WHERE b.metric_id = %s GROUP BY a.position, b.bin
"""
_EXPOSED = """
SELECT e.allocation, a.position, sum(e.n)::int8
FROM experiments_exposurecount e JOIN experiments_arm a ON a.id = e.arm_id
WHERE e.experiment_id = %s
GROUP BY e.allocation, a.position
"""


def period_table(metric_id: int) -> PeriodTable:
    """Return the sums of one metric, shards added up."""
    return PeriodTable.of(*_numbers(_PERIODS, metric_id))


def unit_table(metric_id: int) -> UnitTable | None:
    """Return the sums over units of one metric; None where there are none."""
    columns = _numbers(_UNITS, metric_id)
    return UnitTable.of(*columns) if columns[0].size else None


def sketches(metric_id: int, n_arms: int) -> list[QuantileSketch]:
    """Return the sketch of each arm's outcomes of one metric."""
    bins: list[list[int]] = [[] for _ in range(n_arms)]
    counts: list[list[int]] = [[] for _ in range(n_arms)]
    for position, number, n in _rows(_BINS, metric_id):
        bins[position].append(int(number))
        counts[position].append(int(n))
    return [QuantileSketch.of_counts(*pair) for pair in zip(bins, counts, strict=True)]


def exposed_by_allocation(experiment: Experiment) -> dict[int, dict[int, int]]:
    """Return how many units met each arm (by position) under each allocation (by number)."""
    found: dict[int, dict[int, int]] = {}
    for allocation, position, n in _rows(_EXPOSED, experiment.pk):
        found.setdefault(allocation, {})[position] = n
    return found


class Seen(NamedTuple):
    """How far outcomes of an experiment have come.

    Attributes
    ----------
    newest, least : int
        Starts of the newest period of any arm and metric, and of the arm and metric that is
        furthest behind of those that still report [UTC ns].
    changed_at : datetime
        When anything was last added.
    silent : list of str
        Metrics and arms of which nothing has come while others reported.
    """

    newest: int
    least: int
    changed_at: datetime
    silent: list[str]


def newest_periods(experiment: Experiment, *, since: datetime) -> Seen | None:
    """Return how far outcomes have come; None before the first.

    What has not reported since some time while something else did is not waited for.
    """
    found = _rows(_NEWEST, experiment.pk)
    if not found:
        return None
    reporting = [row for row in found if row[3] >= since]
    silent = [f"{metric} of {arm}" for metric, arm, _, at in found if at < since and reporting]
    return Seen(
        max(int(row[2]) for row in found), min(int(row[2]) for row in reporting or found),
        max(row[3] for row in found), silent,
    )  # fmt: skip


def tallies(experiment: Experiment) -> dict[str, int]:
    """Return how many outcomes were taken and refused, by reason."""
    counted = Tally.objects.filter(experiment=experiment).values("reason").annotate(all=Sum("n"))
    return {row["reason"]: int(row["all"]) for row in counted.order_by("reason")}


def _numbers(query: str, metric_id: int) -> list[NDArray[Any]]:
    """Return the columns that a query of `_columns` finds: keys, then sums."""
    columns, n_keys = _rows(query, metric_id)[0], len(_KEYS)
    keys = [np.frombuffer(bytes(column or b""), ">i8") for column in columns[:n_keys]]
    sums = [np.frombuffer(bytes(column or b""), ">f8") for column in columns[n_keys:]]
    return [*(key.astype(np.int64) for key in keys), *(one.astype(np.float64) for one in sums)]


def _rows(query: str, key: int) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, [key])
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
