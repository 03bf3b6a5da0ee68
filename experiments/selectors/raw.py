"""Outcomes as they came, as long as they are kept: what sums by unit can be made of and held to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from django.conf import settings
from django.db import connection

from crowetrade_site.core.errors import Conflict
from crowetrade_site.core.snapshots import one_view
from experiments.intake.sums import FloatArray, Taken
from experiments.models import Experiment
from experiments.selectors.configuration import Configuration, configuration

CHUNK: Final = 10_000  # rows in memory
_TOLERANCE: Final = 1e-9  # of the sum of what was added up, whatever its sign
_FIGURES: Final = (
    "units", "counted", "total", "x_total", "nn", "ny", "nx", "yy", "yx", "xx",
)  # fmt: skip
_COUNTED = """
FROM experiments_outcome o
JOIN experiments_exposure e ON e.experiment_id = o.experiment_id AND e.unit = o.unit
WHERE o.experiment_id = %s AND NOT e.is_override
"""
_KEPT = f"""
SELECT (SELECT coalesce(sum(n), 0)::int8 FROM experiments_periodstatistic
        WHERE experiment_id = %s), (SELECT count(*) {_COUNTED})
"""  # noqa: S608 - names of ours
_ROWS = f"""
SELECT o.metric_id, o.arm_id, o.allocation, o.unit, (extract(epoch FROM o.at) * 1000000)::int8,
       o.value, coalesce(o.x, 'NaN')
{_COUNTED} ORDER BY o.at, o.key
"""  # noqa: S608 - names of ours
# By unit first, then over units; what a value counts for is said metric by metric.
_MADE = f"""
SELECT metric_id, arm_id, allocation, count(*), sum(n), sum(y), sum(x), sum(n * n), sum(n * y),
       sum(n * x), sum(y * y), sum(y * x), sum(x * x), sum(y_size), sum(x_size)
FROM (
    SELECT metric_id, arm_id, allocation, unit, count(*)::float8 AS n, sum(y) AS y, sum(x) AS x,
           sum(abs(y)) AS y_size, sum(abs(x)) AS x_size
    FROM (
        SELECT o.metric_id, o.arm_id, o.allocation, o.unit,
               greatest(least(o.value, asked.bound), -asked.bound) AS y,
               CASE WHEN asked.needs_x THEN o.x ELSE 0.0 END AS x
        FROM (SELECT o.*, e.is_override {_COUNTED}) o
        JOIN unnest(%s::int8[], %s::float8[], %s::bool[]) AS asked(id, bound, needs_x)
          ON asked.id = o.metric_id
    ) counted GROUP BY metric_id, arm_id, allocation, unit
) by_unit GROUP BY metric_id, arm_id, allocation
"""  # noqa: S608 - names of ours
_STORED = f"""
SELECT metric_id, arm_id, allocation, {", ".join(f"sum({name})::float8" for name in _FIGURES)}
FROM experiments_unitstatistic WHERE experiment_id = %s GROUP BY metric_id, arm_id, allocation
"""  # noqa: S608 - names of ours


class OutcomesGone(Conflict):
    """Outcomes that would have to be added up anew are not kept any more."""

    slug, title = "outcomes-gone", "Outcomes are not kept any more"


class NoUnitSums(Conflict):
    """Outcomes of the experiment are not added up by unit."""

    slug, title = "no-unit-sums", "The experiment has no sums by unit"


@dataclass(frozen=True, slots=True)
class SumDiffers:
    """A sum over units that is not that of the outcomes as they came."""

    metric: str
    arm: str
    allocation: int
    sum: str
    stored: float
    made: float


def require_unit_sums(setup: Configuration) -> None:
    """Refuse an experiment whose outcomes are not added up by unit.

    Raises
    ------
    NoUnitSums
        (409)
    """
    if not setup.terms.adds_by_unit:
        raise NoUnitSums(
            f"Outcomes of {setup.name} are not added up by unit: only an assigned experiment that "
            "counts by outcome has units in several periods."
        )


def require_all_kept(setup: Configuration) -> int:
    """Return how many outcomes count; refuse if some of them are not kept as they came.

    Raises
    ------
    OutcomesGone
        (409)
    """
    with connection.cursor() as cursor:
        cursor.execute(_KEPT, [setup.pk, setup.pk])
        n_summed, n_kept = cursor.fetchone()
    if n_kept < n_summed:
        months = settings.OUTCOME_MONTHS
        raise OutcomesGone(
            f"{n_summed - n_kept:,} of {n_summed:,} outcomes of {setup.name} are not kept as they "
            f"came any more (CROWETRADE_OUTCOME_MONTHS is {months}): nobody knows what their units "
            "made, and sums of the others alone would be wrong."
        )
    return int(n_kept)


def counted_outcomes(setup: Configuration) -> Iterator[tuple[Taken, list[str]]]:
    """Return the outcomes that count and their units in the order of time, chunk by chunk."""
    places = [
        {pk: at for at, pk in enumerate(ids.tolist())} for ids in (setup.metric_ids, setup.arm_ids)
    ]
    with connection.chunked_cursor() as cursor:
        cursor.execute(_ROWS, [setup.pk])
        while rows := cursor.fetchmany(CHUNK):
            metric, arm, allocation, units, us, value, x = zip(*rows, strict=True)
            at = np.array(us, dtype=np.int64) * 1_000
            yield Taken(
                np.array([places[0][pk] for pk in metric]), np.array([places[1][pk] for pk in arm]),
                np.array(allocation), at, at, np.array(value), np.array(x),
            ), list(units)  # fmt: skip


def differing_unit_sums(experiment: Experiment) -> list[SumDiffers]:
    """Return the sums over units that are not those of the outcomes as they came.

    Compared are those over all periods: in which of them a late outcome counts depends on when it
    came.

    Raises
    ------
    NoUnitSums, OutcomesGone
        (409)
    """
    setup = configuration(experiment.public_id, experiment.revision)
    require_unit_sums(setup)
    with one_view():
        require_all_kept(setup)
        made, stored = _made(setup), _stored(setup)
    zeros = np.zeros(len(_FIGURES) + 2)
    return [
        SumDiffers(
            setup.terms.metrics[setup.metric_ids.tolist().index(metric)].name, setup.arm_name(arm),
            allocation, name, float(was), float(is_now),
        )
        for metric, arm, allocation in sorted(made.keys() | stored.keys())
        for name, was, is_now, size in zip(
            _FIGURES, stored.get((metric, arm, allocation), zeros),
            *_sized(made.get((metric, arm, allocation), zeros)), strict=False,
        )
        if abs(was - is_now) > _TOLERANCE * max(size, abs(was))
    ]  # fmt: skip


Key = tuple[int, int, int]


def _made(setup: Configuration) -> dict[Key, FloatArray]:
    """Return the sums of the outcomes, and those of their sizes, by metric, arm and allocation."""
    summed = [
        (int(pk), np.inf if one.bound is None else one.bound, one.needs_x)
        for pk, one in zip(setup.metric_ids, setup.terms.metrics, strict=True)
        if not one.is_quantile
    ]
    columns = [list(column) for column in zip(*summed, strict=True)]
    return _by_key(_MADE, setup.pk, *columns)


def _stored(setup: Configuration) -> dict[Key, FloatArray]:
    return _by_key(_STORED, setup.pk)


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
