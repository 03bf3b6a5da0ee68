"""The audit trail's only writer.

An entry is one plain INSERT in the transaction of the change it tells of; it takes no lock
and waits for nobody. Order and completeness are proven later by `seals`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.db import connection, models

from crowetrade_site.core import canonical, context, merkle, roles
from crowetrade_site.core.models import AuditEvent

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SYSTEM = "system"


def record(
    verb: str,
    subject: models.Model,
    *,
    actor: "User | None",
    at: datetime,
    reason: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEvent:
    """Append one entry, in the transaction of the change.

    Parameters
    ----------
    verb : str
        ``app.noun.participle``, such as ``backtests.run.queued``.
    subject : Model
        What it happened to; named by its `public_id` where it has one.
    actor : user or None
        None is the platform itself (a worker or the beat).
    at : datetime
        When, with a time zone.
    before, after : mapping of JSON values, optional
        The fields that changed. Amounts as strings; floats are written in shortest form.

    Raises
    ------
    RuntimeError
        Called outside a transaction: the entry could then survive a change that did not.
    ValueError
        `at` has no time zone, or a value has no canonical text.
    """
    if at.utcoffset() is None:
        raise ValueError(f"{verb} must be recorded at a moment with a time zone.")
    if not connection.in_atomic_block:
        raise RuntimeError(f"{verb} must be recorded inside the transaction of its change.")
    event_id = uuid4()
    entry: dict[str, Any] = {
        "event_id": str(event_id),
        "at": stamp(at),
        "verb": verb,
        "actor": actor.get_username() if actor else SYSTEM,
        "roles": sorted(roles.roles_of(actor)) if actor else [],
        "reason": reason,
        "request_id": context.request_id.get(),
        "object_type": subject._meta.label,  # noqa: SLF001 - Django's documented Meta API
        "object_id": str(getattr(subject, "public_id", subject.pk)),
        "before": dict(before or {}),
        "after": dict(after or {}),
    }
    text = canonical.encode(entry)
    columns = {name: entry[name] for name in SEARCHABLE} | {"at": at, "event_id": event_id}
    columns |= {"canonical": text, "leaf": merkle.leaf_hash(text.encode())}
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, columns)
        columns["id"] = cursor.fetchone()[0]
    return AuditEvent.from_db(connection.alias, _FIELDS, [columns[name] for name in _FIELDS])


SEARCHABLE = ("event_id", "at", "verb", "actor", "reason", "request_id", "object_type", "object_id")
_FIELDS = [field.attname for field in AuditEvent._meta.concrete_fields]  # noqa: SLF001
_COLUMNS = (*SEARCHABLE, "canonical", "leaf")
# Every change of the platform pays for this statement: the ORM would take twice as long over it.
_INSERT = (
    f"INSERT INTO {AuditEvent._meta.db_table} ({', '.join(_COLUMNS)}) "  # noqa: S608, SLF001
    f"VALUES ({', '.join(f'%({name})s' for name in _COLUMNS)}) RETURNING id"
)


def stamp(at: datetime) -> str:
    """Return a moment as fixed-width UTC text, microseconds included."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
