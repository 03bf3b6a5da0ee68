"""Outcomes as they came, as long as they are kept: what sums by unit can be made of."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from django.conf import settings
from django.db import connection

from crowetrade_site.core.errors import Conflict
from experiments.intake.sums import Taken
from experiments.selectors.configuration import Configuration

CHUNK: Final = 10_000  # rows in memory
COUNTED: Final = """
FROM experiments_outcome o
JOIN experiments_exposure e ON e.experiment_id = o.experiment_id AND e.unit = o.unit
WHERE o.experiment_id = %s AND NOT e.is_override
"""
_KEPT = f"""
SELECT (SELECT coalesce(sum(n), 0)::int8 FROM experiments_periodstatistic
        WHERE experiment_id = %s), (SELECT count(*) {COUNTED})
"""  # noqa: S608 - names of ours
_ROWS = f"""
SELECT o.metric_id, o.arm_id, o.allocation, o.unit, (extract(epoch FROM o.at) * 1000000)::int8,
       o.value, coalesce(o.x, 'NaN')
{COUNTED} ORDER BY o.at, o.key
"""  # noqa: S608 - names of ours


class OutcomesGone(Conflict):
    """Outcomes that would have to be added up anew are not kept any more."""

    slug, title = "outcomes-gone", "Outcomes are not kept any more"


class NoUnitSums(Conflict):
    """Outcomes of the experiment are not added up by unit."""

    slug, title = "no-unit-sums", "The experiment has no sums by unit"


def avoid_nested_loops() -> None:
    """Let the rest of the transaction join outcomes to exposures in one pass over both.

    Without statistics, as after a restore or of partitions that nobody has analyzed yet, the
    planner takes both for short, and a nested loop takes minutes where this takes seconds.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")


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
