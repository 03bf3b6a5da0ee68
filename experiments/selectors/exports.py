"""Outcomes and exposures as they came, for whoever computes elsewhere.

Rows are read by key, so many at a time and each time in a transaction of its own: whoever held
outcomes for the length of a download would keep the next partition, and with it every batch that
comes in, waiting. Outcomes are read month by month, as they lie in partitions.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.db import connection, transaction

from crowetrade_site.core import hints
from crowetrade_site.core.errors import InvalidInput
from experiments.models import Experiment

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK: Final = 10_000  # rows in memory
AHEAD: Final = timedelta(days=1)  # clocks of those who send outcomes may be a few minutes ahead
_US: Final = "(extract(epoch FROM {}) * 1000000)::int8"
_OUTCOMES = f"""
SELECT {_US.format("at")}, {_US.format("received_at")}, metric_id, arm_id, unit, allocation, value,
       x, key::text
FROM experiments_outcome o
WHERE experiment_id = %(experiment)s AND (key, at) > (%(after)s::uuid, %(after_at)s)
  AND metric_id = ANY(%(metrics)s) AND at >= %(since)s AND at < %(until)s
  AND received_at <= %(known)s
ORDER BY o.key, o.at LIMIT %(most)s
"""  # noqa: S608 - names of ours
_EXPOSURES = f"""
SELECT {_US.format("at")}, unit, arm_id, allocation, context, probability, is_override,
       attributes::text
FROM experiments_exposure
WHERE experiment_id = %(experiment)s AND unit > %(after)s
  AND at >= %(since)s AND at < %(until)s AND at <= %(known)s
ORDER BY unit LIMIT %(most)s
"""  # noqa: S608 - names of ours
_FIRST_KEY: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Asked:
    """What of an experiment is exported.

    Attributes
    ----------
    metrics : tuple of str
        Names; all of them where there are none. Exposures have none.
    since, until : datetime or None
        Of `at`; `until` itself is left out.
    """

    metrics: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what the audit trail keeps of it."""
        return {
            "metrics": list(self.metrics),
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
        }


def require_asked(experiment: Experiment, asked: Asked) -> None:
    """Refuse an export of metrics that the plan does not have, or of no time.

    Raises
    ------
    InvalidInput
        (422)
    """
    known = [one.name for one in experiment.metrics.all()]
    for name in asked.metrics:
        if name not in known:
            near = hints.nearest(name, known)
            raise InvalidInput.at("metric", f"{experiment} has no metric {name!r}{near}")
    if asked.since and asked.until and asked.since >= asked.until:
        raise InvalidInput.at("until", "is after since, and not before or at it.")


def outcome_batches(
    experiment: Experiment, asked: Asked, *, at: datetime
) -> Iterator["pa.RecordBatch"]:
    """Return the outcomes that are kept as they came, by month, in the order of their keys.

    Those that had come by `at` alone: what comes in meanwhile is not half of it. Of a batch that is
    being stored at that very moment there may be a part.
    """
    from experiments.intake.outgoing import OUTCOMES, batch_of  # pyarrow loads when it is needed

    metrics = {one.pk: one.name for one in experiment.metrics.all()}
    arms = {one.pk: one.name for one in experiment.arms.all()}
    wanted = [pk for pk, name in metrics.items() if not asked.metrics or name in asked.metrics]
    for since, until in _months(experiment, asked, at):
        values = _values(experiment, at) | {"since": since, "until": until, "metrics": wanted}
        after: dict[str, Any] = {"after": _FIRST_KEY, "after_at": "-infinity"}
        while rows := _rows(_OUTCOMES, values | after):
            columns = _columns(OUTCOMES.names, rows)
            after = {"after": columns["key"][-1], "after_at": _moment(columns["at"][-1])}
            columns["metric"] = [metrics[pk] for pk in columns["metric"]]
            columns["arm"] = [arms[pk] for pk in columns["arm"]]
            yield batch_of(OUTCOMES, columns)
            if len(rows) < CHUNK:
                break


def _months(
    experiment: Experiment, asked: Asked, at: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Return the stretches of an export that lie in one month each (UTC), as partitions do."""
    if experiment.started_at is None:
        return
    first = max(asked.since or experiment.started_at, experiment.started_at)
    last = min(asked.until or at + AHEAD, at + AHEAD)
    begin = first.astimezone(UTC)
    while begin < last:
        month = begin.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        end = min((month + timedelta(days=32)).replace(day=1), last)
        yield begin, end
        begin = end


def exposure_batches(
    experiment: Experiment, asked: Asked, *, at: datetime
) -> Iterator["pa.RecordBatch"]:
    """Return the units that had met their arm by `at`, in the order of their names."""
    from experiments.intake.outgoing import EXPOSURES, batch_of  # pyarrow loads when it is needed

    arms = {one.pk: one.name for one in experiment.arms.all()}
    values, after = _values(experiment, at), ""
    values |= {"since": asked.since or "-infinity", "until": asked.until or "infinity"}
    while rows := _rows(_EXPOSURES, values | {"after": after}):
        columns = _columns(EXPOSURES.names, rows)
        after = columns["unit"][-1]
        columns["arm"] = [arms[pk] for pk in columns["arm"]]
        columns["attributes"] = [_compact(text) for text in columns["attributes"]]
        yield batch_of(EXPOSURES, columns)
        if len(rows) < CHUNK:
            return


def _values(experiment: Experiment, at: datetime) -> dict[str, Any]:
    return {"experiment": experiment.pk, "known": at, "most": CHUNK}


def _rows(query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return rows in the order of the index.

    The planner takes the whole partition and a sort for cheaper than so many rows by index, and
    pays for it again with each of them.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute(query, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, Sequence[Any]]:
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def _moment(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def _compact(text: str) -> str:
    return "" if text == "{}" else json.dumps(json.loads(text), sort_keys=True)
