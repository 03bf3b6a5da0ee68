"""Outcomes and exposures as they came, for whoever computes elsewhere.

Rows are read by key, so many at a time and each time in a statement of its own: whoever held
outcomes for the length of a download would keep the next partition, and with it every batch that
comes in, waiting.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.db import connection

from crowetrade_site.core import hints
from crowetrade_site.core.errors import InvalidInput
from experiments.models import Experiment

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK: Final = 20_000  # rows in memory
_US: Final = "(extract(epoch FROM {}) * 1000000)::int8"
_OUTCOMES = f"""
SELECT {_US.format("at")}, {_US.format("received_at")}, metric_id, arm_id, unit, allocation, value,
       x, key::text
FROM experiments_outcome
WHERE experiment_id = %(experiment)s AND (key, at) > (%(after)s::uuid, %(after_at)s)
  AND metric_id = ANY(%(metrics)s) AND at >= %(since)s AND at < %(until)s
  AND received_at <= %(known)s
ORDER BY key, at LIMIT %(most)s
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
    """Return the outcomes that are kept as they came, in the order of their keys.

    Those that had come by `at` alone: what comes in meanwhile is not half of it. Of a batch that is
    being stored at that very moment there may be a part.
    """
    from experiments.intake.outgoing import OUTCOMES, batch_of  # pyarrow loads when it is needed

    metrics = {one.pk: one.name for one in experiment.metrics.all()}
    arms = {one.pk: one.name for one in experiment.arms.all()}
    wanted = [pk for pk, name in metrics.items() if not asked.metrics or name in asked.metrics]
    values = _values(experiment, asked, at) | {"metrics": wanted, "after_at": "-infinity"}
    after: str = _FIRST_KEY
    while rows := _rows(_OUTCOMES, values | {"after": after}):
        columns = dict(zip(OUTCOMES.names, zip(*rows, strict=True), strict=True))
        after, values["after_at"] = columns["key"][-1], _moment(columns["at"][-1])
        columns["metric"] = [metrics[pk] for pk in columns["metric"]]
        columns["arm"] = [arms[pk] for pk in columns["arm"]]
        yield batch_of(OUTCOMES, columns)
        if len(rows) < CHUNK:
            return


def exposure_batches(
    experiment: Experiment, asked: Asked, *, at: datetime
) -> Iterator["pa.RecordBatch"]:
    """Return the units that had met their arm by `at`, in the order of their names."""
    from experiments.intake.outgoing import EXPOSURES, batch_of  # pyarrow loads when it is needed

    arms = {one.pk: one.name for one in experiment.arms.all()}
    values, after = _values(experiment, asked, at), ""
    while rows := _rows(_EXPOSURES, values | {"after": after}):
        columns = dict(zip(EXPOSURES.names, zip(*rows, strict=True), strict=True))
        after = columns["unit"][-1]
        columns["arm"] = [arms[pk] for pk in columns["arm"]]
        columns["attributes"] = [_compact(text) for text in columns["attributes"]]
        yield batch_of(EXPOSURES, columns)
        if len(rows) < CHUNK:
            return


def _values(experiment: Experiment, asked: Asked, at: datetime) -> dict[str, Any]:
    return {
        "experiment": experiment.pk, "since": asked.since or "-infinity",
        "until": asked.until or "infinity", "known": at, "most": CHUNK,
    }  # fmt: skip


def _rows(query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def _moment(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def _compact(text: str) -> str:
    return "" if text == "{}" else json.dumps(json.loads(text), sort_keys=True)
