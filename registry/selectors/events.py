"""What happened in the registry, in the order of the seals: a feed that a consumer can follow.

An entry of the trail is in the feed once a seal holds it, seconds after it was committed. Seals are
numbered one after the other and never change, so nothing ever appears before a place that a
consumer has reached, and nothing is left out.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from crowetrade_site.core.errors import InvalidInput
from crowetrade_site.core.models import AuditSealItem

_CURSOR = re.compile(r"([0-9]{1,15})\.([0-9]{1,9})")
OF_THE_REGISTRY = "registry."


@dataclass(frozen=True)
class Event:
    """One entry of the trail, and the place behind it.

    Attributes
    ----------
    cursor : str
        Its seal and its place in there; asked for as `after`, the feed goes on behind it.
    id : str
        The same however often it is delivered.
    """

    cursor: str
    id: str
    at: datetime
    verb: str
    actor: str
    roles: list[str]
    reason: str
    object_type: str
    object_id: str
    before: dict[str, Any]
    after: dict[str, Any]


def list_events(*, after: str = "", limit: int = 100) -> list[Event]:
    """Return the next events behind a cursor, oldest first; from the first one without.

    Raises
    ------
    InvalidInput
        It is no cursor (422).
    """
    rows = AuditSealItem.objects.filter(event__verb__startswith=OF_THE_REGISTRY)
    if after:
        found = _CURSOR.fullmatch(after)
        if found is None:
            raise InvalidInput(f"{after[:40]!r} is no cursor: take one that the feed has given.")
        seal, position = map(int, found.groups())
        behind = Q(seal_id__gt=seal) | Q(seal_id=seal, position__gt=position)
        rows = rows.filter(behind, seal_id__gte=seal)  # the second so that the index begins there
    ordered = rows.select_related("event").order_by("seal_id", "position")
    return list(_events(ordered[:limit]))


def _events(items: Any) -> Iterator[Event]:
    for item in items:
        event, told = item.event, json.loads(item.event.canonical)
        yield Event(
            cursor=f"{item.seal_id}.{item.position}", id=str(event.event_id), at=event.at,
            verb=event.verb, actor=event.actor, roles=told["roles"], reason=event.reason,
            object_type=event.object_type, object_id=event.object_id, before=told["before"],
            after=told["after"],
        )  # fmt: skip
