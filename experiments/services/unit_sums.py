"""Sums over units: each batch adds to the totals of its units, and to the products of these.

The rows of units are taken in their order, after the keys and the sums by period, so that two
batches never wait for each other in a circle, and hold units that both have for as short as can be.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from experiments.intake.sums import Taken
from experiments.intake.units import NEVER, Known, UnitSteps, unit_steps_of, unit_sums_of
from experiments.selectors.configuration import Configuration
from experiments.services import writing
from experiments.statistics.clusters import UNIT_SUMS


def _in_cell(name: str) -> str:
    """Return the SQL that keeps a figure of a unit's newest period; null is not known.

    Nor is it where a worker of a version without cells has added to the unit since.
    """
    before = f"CASE WHEN kept.cell_at_n = kept.n THEN kept.{name} END"
    return f"""{name} = CASE WHEN EXCLUDED.newest > kept.newest THEN EXCLUDED.{name}
        WHEN EXCLUDED.newest = kept.newest THEN {before} + EXCLUDED.{name} ELSE {before} END,
    {name}_before = {before}"""


_CELL = ("cell_n", "cell_total", "cell_x")
# Numbers come back as the bytes of a column, which numpy reads as they are: a thousand tuples would
# take as long as all the rest.
_TOTALS = f"""
WITH made AS (
    INSERT INTO experiments_unittotal AS kept
    (metric_id, unit, n, total, x_total, newest, {", ".join(_CELL)}, cell_at_n)
    SELECT *, n FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::float8[], %s::float8[],
                            %s::bigint[], %s::float8[], %s::float8[], %s::float8[])
    AS given(metric, unit, n, total, x_total, newest, {", ".join(_CELL)})
    ON CONFLICT (metric_id, unit) DO UPDATE SET
    n = kept.n + EXCLUDED.n, total = kept.total + EXCLUDED.total,
    x_total = kept.x_total + EXCLUDED.x_total, newest = greatest(kept.newest, EXCLUDED.newest),
    total_before = kept.total, x_total_before = kept.x_total, newest_before = kept.newest,
    {", ".join(map(_in_cell, _CELL))}, cell_at_n = kept.n + EXCLUDED.n
    RETURNING metric_id, unit, n, total_before, x_total_before, newest_before,
              {", ".join(f"{name}_before" for name in _CELL)}
)
SELECT array_agg(unit), string_agg(int8send(metric_id), ''::bytea),
       string_agg(int8send(coalesce(newest_before, %s::bigint)), ''::bytea),
       string_agg(float8send(n), ''::bytea),
       string_agg(float8send(coalesce(total_before, 0.0)), ''::bytea),
       string_agg(float8send(coalesce(x_total_before, 0.0)), ''::bytea),
       {
    ", ".join(
        f"string_agg(float8send(coalesce({name}_before, 'NaN')), ''::bytea)" for name in _CELL
    )
}
FROM made
"""  # noqa: S608 - names of ours
_NAMES = ", ".join(UNIT_SUMS)
_SUMS = f"""
INSERT INTO experiments_unitstatistic AS kept
(experiment_id, metric_id, period, allocation, arm_id, shard, {_NAMES}, changed_at)
SELECT %s, metric, period, allocation, arm, %s, {_NAMES}, %s
FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[],
            {", ".join(["%s::float8[]"] * (len(UNIT_SUMS) - 2))})
AS given(metric, period, allocation, arm, {_NAMES})
ON CONFLICT (metric_id, period, allocation, arm_id, shard) DO UPDATE SET
{", ".join(f"{name} = kept.{name} + EXCLUDED.{name}" for name in UNIT_SUMS)},
changed_at = EXCLUDED.changed_at
"""  # noqa: S608 - names of ours


def add(setup: Configuration, counted: Taken, units: Sequence[str], at: datetime) -> None:
    """Add outcomes to the sums over units, within the transaction of their batch."""
    steps = unit_steps_of(counted, units, setup.terms)
    if not steps.owner.size:
        return
    sums = unit_sums_of(steps, _totals(setup, steps))
    keys = [
        setup.metric_ids[sums.metric], sums.period, sums.allocation, setup.arm_ids[sums.arm],
        *sums.sums[:, :2].astype(np.int64).T, *sums.sums[:, 2:].T,
    ]  # fmt: skip
    writing.run(_SUMS, setup.pk, writing.shard(), at, *map(writing.numbers, keys))


def _totals(setup: Configuration, steps: UnitSteps) -> Known:
    """Add to the totals of units, and return what they were."""
    metric_ids = setup.metric_ids[steps.metric]
    n, total, x_total = steps.whole.T
    units, *columns = writing.rows(
        _TOTALS, writing.numbers(metric_ids), writing.texts(steps.unit),
        writing.numbers(n.astype(np.int64)), writing.numbers(total), writing.numbers(x_total),
        writing.numbers(steps.newest), *map(writing.numbers, steps.cell.T), NEVER,
    )[0]  # fmt: skip
    of_metric, before = (np.frombuffer(bytes(one), ">i8") for one in columns[:2])
    had = np.stack([np.frombuffer(bytes(one), ">f8") for one in columns[2:]], axis=1)
    found = {key: at for at, key in enumerate(zip(of_metric.tolist(), units, strict=True))}
    at = [found[key] for key in zip(metric_ids.tolist(), steps.unit, strict=True)]
    had = had[at].astype(np.float64)
    had[:, 0] -= n  # whole numbers: nothing is lost
    return Known(had[:, :3], before[at].astype(np.int64), had[:, 3:])
