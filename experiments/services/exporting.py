"""Data of an experiment leave the platform: who took what of it is on record."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from crowetrade_site.core import audit, roles
from crowetrade_site.core.errors import InvalidInput
from experiments import selectors
from experiments.selectors.exports import (
    Asked,
    exposure_batches,
    outcome_batches,
    require_asked,
)

KINDS: Final = ("csv", "arrow")
TABLES: Final = ("outcomes", "exposures")


@dataclass(frozen=True)
class Export:
    """A table that is written while it is read.

    Attributes
    ----------
    name : str
        Of the file.
    media_type : str
    pieces : iterator of bytes
        Reads the database as it goes on; outside any transaction.
    """

    name: str
    media_type: str
    pieces: Iterator[bytes]

    @property
    def headers(self) -> dict[str, str]:
        """What HTTP says of the download."""
        return {
            "Content-Type": self.media_type,
            "Content-Disposition": f'attachment; filename="{self.name}"',
        }


@transaction.atomic(durable=True)
def export_rows(
    *, experiment_id: UUID, table: str, kind: str, asked: Asked, actor: User, at: datetime,
    reason: str = "",
) -> Export:  # fmt: skip
    """Record that somebody takes outcomes or exposures of an experiment, and hand them out.

    The entry is written before the first row is read, and stays where the download breaks off: it
    says what was handed out, not what arrived. What is read is what had come by `at`.

    Raises
    ------
    NotFound, Forbidden
        There is no such experiment (404), or the actor may not read experiments (403).
    InvalidInput
        There is no such table or format, the plan has no such metric, or times are in the wrong
        order (422).
    """
    from experiments.intake import outgoing  # pyarrow loads when it is first needed

    roles.require(actor, "experiments:read")
    experiment = selectors.get_experiment(experiment_id)
    if table not in TABLES or kind not in KINDS:
        raise InvalidInput(f"{table}.{kind} is no export: {', '.join(TABLES)} as .csv or .arrow.")
    require_asked(experiment, asked)
    audit.record(
        f"experiments.{table}.exported", experiment, actor=actor, at=at, reason=reason,
        after={"format": kind, **asked.to_dict()},
    )  # fmt: skip
    of = outgoing.Format(kind)
    if table == "outcomes":
        schema, batches = outgoing.OUTCOMES, outcome_batches(experiment, asked, at=at)
    else:
        schema, batches = outgoing.EXPOSURES, exposure_batches(experiment, asked, at=at)
    name = f"{experiment.name}-{table}.{kind}"
    return Export(name, of.media_type, outgoing.written(schema, batches, of))
