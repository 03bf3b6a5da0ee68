"""The audit trail's only writer.

An entry is one plain INSERT in the transaction of the change it tells of; it takes no lock
and waits for nobody. Nobody waits for it either: it goes to the server together with the COMMIT,
or before the next statement of the transaction. Order and completeness are proven later by `seals`.
"""

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from django.db import DEFAULT_DB_ALIAS, connections, models

from crowetrade_site.core import canonical, context, merkle, roles
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.postgres.base import DatabaseWrapper

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
) -> None:
    """Append one entry, in the transaction of the change.

    Many in a row go in one statement.

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
        `at` has no time zone, a value has no canonical text, or a text holds NUL.
    """
    if at.utcoffset() is None:
        raise ValueError(f"{verb} must be recorded at a moment with a time zone.")
    database = cast("DatabaseWrapper", connections[DEFAULT_DB_ALIAS])
    if not database.in_atomic_block:
        raise RuntimeError(f"{verb} must be recorded inside the transaction of its change.")
    searchable = {
        "event_id": _event_id(),
        "at": stamp(at),
        "verb": verb,
        "actor": actor.get_username() if actor else SYSTEM,
        "reason": reason,
        "request_id": context.request_id.get(),
        "object_type": subject._meta.label,  # noqa: SLF001 - Django's documented Meta API
        "object_id": str(getattr(subject, "public_id", subject.pk)),
    }
    entry = {
        **searchable,
        "roles": sorted(roles.roles_of(actor)) if actor else [],
        "before": dict(before or {}),
        "after": dict(after or {}),
    }
    text = canonical.encode(entry)
    leaf = merkle.leaf_hash(text.encode()).hex()
    database.insert_later(_INTO, [*searchable.values(), text, f"\\x{leaf}"])


SEARCHABLE = ("event_id", "at", "verb", "actor", "reason", "request_id", "object_type", "object_id")
# Every change of the platform pays for this statement: the ORM would take twice as long over it.
_INTO = f"INSERT INTO {AuditEvent._meta.db_table} ({', '.join(SEARCHABLE)}, canonical, leaf)"  # noqa: SLF001


def stamp(at: datetime) -> str:
    """Return a moment as fixed-width UTC text, microseconds included."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _event_id() -> str:
    """Return a UUID of version 7 (RFC 9562): the time in milliseconds, then 74 random bits.

    New ones come behind each other in their index, whose pages random ones would touch all over.
    """
    milliseconds, chance = time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10))
    digits = f"{milliseconds << 80 | chance:032x}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
