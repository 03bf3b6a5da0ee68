"""Which version was in production when, read off the audit trail.

The rows say where a version is now; a rollback, a revocation and a revival write over what was.
The trail keeps every move: a stay in production is the entry that began it and the one that ended
it.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from crowetrade_site.core.models import AuditEvent
from registry.lifecycle import Stage
from registry.models import ModelVersion, RegisteredModel

_PREFIX = "registry.version."
BEGUN_BY = ("promoted", "restored")
ENDED_BY = ("superseded", "rolled_back", "revoked")


@dataclass(frozen=True)
class Stay:
    """One time that a version was in production.

    Attributes
    ----------
    begun : {"promoted", "restored"}
        How it came there; `ended` is how it left: superseded, rolled back or revoked, and empty
        where it is there still.
    request : str
        The id of the promotion request by which it came; empty for a rollback.
    """

    model: str
    version: int
    version_id: UUID
    digest: str
    since: datetime
    begun: str
    begun_by: str
    begun_because: str
    request: str
    until: datetime | None = None
    ended: str = ""
    ended_by: str = ""
    ended_because: str = ""

    def covers(self, moment: datetime) -> bool:
        """Say whether the version was in production at a moment."""
        return self.since <= moment and (self.until is None or moment < self.until)


def list_stays(model: RegisteredModel, *, at: datetime | None = None) -> list[Stay]:
    """Return the stays in production of a model's versions, the newest first.

    Parameters
    ----------
    at : datetime, optional
        Only what was in production at this moment: one stay, or none.
    """
    versions = ModelVersion.objects.filter(
        registered_model=model, left_development_at__isnull=False
    )
    numbers = {str(key): number for key, number in versions.values_list("public_id", "number")}
    stays = list(_paired(model, numbers))
    return [stay for stay in reversed(stays) if at is None or stay.covers(at)]


def _paired(model: RegisteredModel, numbers: dict[str, int]) -> Iterator[Stay]:
    """Give each stay, oldest first; a model has at most one version in production at a time."""
    staying: Stay | None = None
    for event in _moves_of(numbers):
        verb, told = event.verb.removeprefix(_PREFIX), json.loads(event.canonical)
        if verb in BEGUN_BY and told["after"]["stage"] == Stage.PRODUCTION:
            staying = Stay(
                model=model.name, version=numbers[event.object_id],
                version_id=UUID(event.object_id), digest=told["after"]["digest"], since=event.at,
                begun=verb, begun_by=event.actor, begun_because=event.reason,
                request=told["after"].get("request", ""),
            )  # fmt: skip
        elif staying is not None and told["before"]["stage"] == Stage.PRODUCTION:
            yield replace(
                staying, until=event.at, ended=verb, ended_by=event.actor,
                ended_because=event.reason,
            )  # fmt: skip
            staying = None
    if staying is not None:
        yield staying


def _moves_of(version_ids: Collection[str]) -> Iterator[AuditEvent]:
    """Give the entries that began or ended something, in the order they were written in."""
    events = AuditEvent.objects.filter(
        object_type=ModelVersion._meta.label,  # noqa: SLF001 - Django's documented Meta API
        object_id__in=version_ids,
        verb__in=[f"{_PREFIX}{verb}" for verb in (*BEGUN_BY, *ENDED_BY)],
    )
    yield from events.order_by("id")
