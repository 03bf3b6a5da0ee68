"""Sealing the audit trail.

Every few seconds one sealer takes the committed entries no seal holds yet, builds a Merkle
root over them, links it to the seal before and signs the statement with Ed25519. The key and
the checkpoints live outside the database, so that who owns the database cannot rewrite the
past unseen. Entries of the last seconds are protected by the triggers alone.

No lock is taken and none is missed: what the sealer's SELECT sees is committed, and what
commits later carries a transaction id at or above the horizon, the oldest id still running
when the sealer looked, at which the next seal begins.
"""

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from crowetrade_site.core import canonical, merkle, signing
from crowetrade_site.core.audit import stamp
from crowetrade_site.core.models import AuditSeal
from crowetrade_site.core.verification import GENESIS, Verification, verify

__all__ = [
    "LIMIT",
    "Verification",
    "checkpoint_path",
    "published_text",
    "seal",
    "unsealed_count",
    "verify",
    "waiting_since",
]

ADVISORY_LOCK = 0x0C20_5EA1
LIMIT = 100_000  # entries a seal holds at most, so that a backlog does not fill the memory
logger = logging.getLogger(__name__)

UNSEALED = """
FROM core_auditevent e
WHERE e.xid >= %s::text::xid8
  AND NOT EXISTS (SELECT 1 FROM core_auditsealitem i WHERE i.event_id = e.id)
"""


def seal(*, at: datetime, full: bool = False) -> AuditSeal | None:
    """Seal up to `LIMIT` committed entries that no seal holds, and return the new seal.

    Returns None when another sealer is at work or nothing waits. `full` looks at all
    entries instead of those since the last seal. A database restored into a cluster whose
    transaction ids are behind is noticed and looked through in full.
    """
    key = signing.private_key()
    with transaction.atomic(durable=True):
        sealed = _seal_alone(key, at, full=full)
    if sealed:
        signing.append_checkpoint(published_text(sealed))
    return sealed


def _seal_alone(key: signing.Key, at: datetime, *, full: bool) -> AuditSeal | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ADVISORY_LOCK])
        if not cursor.fetchone()[0]:
            return None
        last = AuditSeal.objects.order_by("-number").first()
        _publish_if_missed(last)
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
        horizon = int(cursor.fetchone()[0])
        floor = 0 if full else _floor(last, horizon)
        events, leaves = _unsealed(cursor, floor)
        if not leaves:
            return None
        # what is beyond the limit lies above the old floor, and the next seal looks there
        reached = horizon if len(events) < LIMIT else floor
        new = _signed(last, leaves, reached, key, at)
        new.save(force_insert=True)
        cursor.execute(
            "INSERT INTO core_auditsealitem (event_id, seal_id, position) "
            "SELECT id, %s, ordinality - 1 FROM unnest(%s::bigint[]) WITH ORDINALITY AS e(id)",
            [new.number, events],
        )
    return new


def _publish_if_missed(last: AuditSeal | None) -> None:
    """Publish the newest seal if a crash came between its commit and its checkpoint.

    Only that one: more missing checkpoints are no crash, and verification shall say so.
    """
    published = signing.last_published()
    if last is None or last.number <= published:
        return
    if last.number == published + 1:
        signing.append_checkpoint(published_text(last))
    else:
        logger.error(
            "Checkpoints are missing; restore their file",
            extra={"last_seal": last.number, "last_published": published},
        )


def _floor(last: AuditSeal | None, horizon: int) -> int:
    """Return the transaction id below which the last seal left nothing behind."""
    if last is None:
        return 0
    if horizon < last.horizon:
        logger.warning(
            "Transaction ids are behind the last seal: a restored database; sealing in full",
            extra={"horizon": horizon, "sealed_to": int(last.horizon)},
        )
        return 0
    return int(last.horizon)


def _unsealed(cursor: Any, floor: int) -> tuple[list[int], list[bytes]]:
    cursor.execute(f"SELECT e.id, e.leaf {UNSEALED} ORDER BY e.id LIMIT %s", [str(floor), LIMIT])
    rows = cursor.fetchall()
    return [row[0] for row in rows], [bytes(row[1]) for row in rows]


def _signed(
    last: AuditSeal | None, leaves: list[bytes], horizon: int, key: signing.Key, at: datetime
) -> AuditSeal:
    number = last.number + 1 if last else 1
    statement = canonical.encode(
        {
            "number": number,
            "count": len(leaves),
            "root": merkle.root(leaves).hex(),
            "previous": bytes(last.digest).hex() if last else GENESIS,
            "sealed_at": stamp(at),
        }
    )
    digest = merkle.seal_hash(statement.encode())
    return AuditSeal(
        number=number,
        sealed_at=at,
        count=len(leaves),
        horizon=horizon,
        statement=statement,
        digest=digest,
        signature=key.sign(digest),
        key_id=key.key_id,
    )


def published_text(sealed: AuditSeal) -> str:
    """Return a seal's line in the file of checkpoints, and in an export."""
    return canonical.encode(
        {
            "digest": bytes(sealed.digest).hex(),
            "key_id": sealed.key_id,
            "signature": bytes(sealed.signature).hex(),
            "statement": sealed.statement,
        }
    )


def unsealed_count() -> int:
    """Return how many entries wait for a seal."""
    return int(_of_unsealed("count(*)"))


def waiting_since() -> datetime | None:
    """Return the time of the oldest entry that waits for a seal."""
    moment: datetime | None = _of_unsealed("min(e.at)")
    return moment


def _of_unsealed(aggregate: str) -> Any:
    last = AuditSeal.objects.order_by("-number").only("horizon").first()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {aggregate} {UNSEALED}", [str(int(last.horizon) if last else 0)])
        return cursor.fetchone()[0]


def checkpoint_path() -> Path:
    """Return the file that published seals are appended to."""
    return signing.checkpoint_path()
