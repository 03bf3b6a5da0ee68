"""Sealing and verifying the audit trail.

Every few seconds one sealer takes the committed entries no seal holds yet, builds a Merkle
root over them, links it to the seal before and signs the statement with Ed25519. The key and
the checkpoints live outside the database, so that who owns the database cannot rewrite the
past unseen. Entries of the last seconds are protected by the triggers alone.

"Committed" is decided without a lock: PostgreSQL's snapshot says below which transaction id
nobody is running any more, and a trigger has stamped each entry with its transaction id.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import connection, transaction
from django.db.models import Count

from crowetrade_site.core import canonical, merkle, signing
from crowetrade_site.core.audit import SEARCHABLE, stamp
from crowetrade_site.core.models import AuditEvent, AuditSeal, AuditSealItem

ADVISORY_LOCK = 0x0C20_5EA1
GENESIS = "0" * 64


def seal(*, at: datetime, full: bool = False) -> AuditSeal | None:
    """Seal every committed entry that no seal holds, and return the new seal.

    Returns None when another sealer is at work or nothing waits. `full` looks at all
    entries instead of those since the last seal: for a database restored into another
    cluster, whose transaction ids start again.
    """
    key = signing.private_key()
    with transaction.atomic(durable=True):
        sealed = _seal_locked(key, at, full=full)
    if sealed:
        signing.append_checkpoint(_statement_line(sealed))
    return sealed


def _seal_locked(key: signing.Key, at: datetime, *, full: bool) -> AuditSeal | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ADVISORY_LOCK])
        if not cursor.fetchone()[0]:
            return None
        last = AuditSeal.objects.order_by("-number").first()
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
        horizon = int(cursor.fetchone()[0])
        if full:
            cursor.execute("LOCK TABLE core_auditevent IN SHARE MODE")
        events, leaves = _unsealed(cursor, None if full else _floor(last), horizon)
        if not leaves:
            return None
        new = _signed(last, leaves, horizon, key, at)
        new.save(force_insert=True)
        cursor.execute(
            "INSERT INTO core_auditsealitem (event_id, seal_id, position) "
            "SELECT id, %s, ordinality - 1 FROM unnest(%s::bigint[]) WITH ORDINALITY AS e(id)",
            [new.number, events],
        )
    return new


def _floor(last: AuditSeal | None) -> int:
    """Below this transaction id every entry was committed, and sealed, by the last seal."""
    return int(last.horizon) if last else 0


def _unsealed(cursor: Any, floor: int | None, horizon: int) -> tuple[list[int], list[bytes]]:
    window, bounds = "", []
    if floor is not None:
        window = "e.xid >= %s::text::xid8 AND e.xid < %s::text::xid8 AND"
        bounds = [str(floor), str(horizon)]
    cursor.execute(
        f"SELECT e.id, e.leaf FROM core_auditevent e WHERE {window} NOT EXISTS "  # noqa: S608 - constants
        "(SELECT 1 FROM core_auditsealitem i WHERE i.event_id = e.id) ORDER BY e.id",
        bounds,
    )
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


def _statement_line(sealed: AuditSeal) -> str:
    return canonical.encode(
        {
            "digest": bytes(sealed.digest).hex(),
            "key_id": sealed.key_id,
            "signature": bytes(sealed.signature).hex(),
            "statement": sealed.statement,
        }
    )


@dataclass(frozen=True)
class Verification:
    """What a walk over the trail found.

    `broken` is empty for a trail that holds, else the first fault in the order of the walk.
    """

    entries: int
    sealed: int
    seals: int
    checkpoints: int
    broken: str

    @property
    def holds(self) -> bool:
        """Whether nothing is broken."""
        return not self.broken


def verify() -> Verification:
    """Walk entries, seals and checkpoints, and name the first that is broken."""
    faults = _faults(signing.public_keys(), signing.checkpoints())
    broken = next(faults, "")
    return Verification(
        entries=AuditEvent.objects.count(),
        sealed=AuditSealItem.objects.count(),
        seals=AuditSeal.objects.count(),
        checkpoints=len(signing.checkpoints()),
        broken=broken,
    )


def _faults(keys: dict[str, Ed25519PublicKey], checkpoints: list[dict[str, str]]) -> Iterator[str]:
    previous = GENESIS
    known: dict[int, str] = {}
    expected = 1
    for sealed in AuditSeal.objects.order_by("number").iterator():
        if sealed.number != expected:
            yield f"seal {expected}: it is gone, the next is seal {sealed.number}"
        yield from _seal_faults(sealed, previous, keys)
        previous = known[sealed.number] = bytes(sealed.digest).hex()
        expected = sealed.number + 1
    yield from _checkpoint_faults(known, checkpoints)
    unsealed = AuditEvent.objects.filter(auditsealitem__isnull=True).order_by("pk")
    for event in unsealed.iterator(chunk_size=5000):
        yield from _entry_faults(event)


def _seal_faults(
    sealed: AuditSeal, previous: str, keys: dict[str, Ed25519PublicKey]
) -> Iterator[str]:
    leaves: list[bytes] = []
    gone = 0
    items = AuditSealItem.objects.filter(seal=sealed).select_related("event").order_by("position")
    for item in items.iterator(chunk_size=5000):
        for fault in _entry_faults(item.event):
            yield f"{fault}; it is in seal {sealed.number}"
        gone += item.position != len(leaves)
        leaves.append(bytes(item.event.leaf))
    stated = json.loads(sealed.statement)
    where = f"seal {sealed.number}"
    if len(leaves) != stated["count"] or gone:
        yield f"{where}: an entry is gone, {len(leaves)} of {stated['count']} are there"
    if merkle.root(leaves).hex() != stated["root"]:
        yield f"{where}: the Merkle root differs from its entries"
    if (stated["number"], stated["count"]) != (sealed.number, sealed.count):
        yield f"{where}: its columns differ from its statement"
    if stated["sealed_at"] != stamp(sealed.sealed_at):
        yield f"{where}: its time differs from its statement"
    if stated["previous"] != previous:
        yield f"{where}: it does not follow seal {sealed.number - 1}"
    yield from _signature_faults(sealed, keys)


def _signature_faults(sealed: AuditSeal, keys: dict[str, Ed25519PublicKey]) -> Iterator[str]:
    where = f"seal {sealed.number}"
    digest = bytes(sealed.digest)
    if merkle.seal_hash(sealed.statement.encode()) != digest:
        yield f"{where}: its digest differs from its statement"
    key = keys.get(sealed.key_id)
    if key is None:
        yield f"{where}: it is signed by the unknown key {sealed.key_id}"
        return
    try:
        key.verify(bytes(sealed.signature), digest)
    except InvalidSignature:
        yield f"{where}: the signature is not by key {sealed.key_id}"


def _entry_faults(event: AuditEvent) -> Iterator[str]:
    if merkle.leaf_hash(event.canonical.encode()) != bytes(event.leaf):
        yield f"entry {event.pk}: its content differs from its leaf hash"
    stated = json.loads(event.canonical)
    columns = {name: getattr(event, name) for name in SEARCHABLE}
    columns |= {"event_id": str(event.event_id), "at": stamp(event.at)}
    for name in SEARCHABLE:
        if columns[name] != stated.get(name):
            yield f"entry {event.pk}: column {name} differs from its content"


def _checkpoint_faults(known: dict[int, str], checkpoints: list[dict[str, str]]) -> Iterator[str]:
    """Seals that were published outside the database must still stand as they were."""
    for checkpoint in checkpoints:
        number = json.loads(checkpoint["statement"])["number"]
        if number not in known:
            yield f"seal {number}: it was published and is gone from the database"
        elif known[number] != checkpoint["digest"]:
            yield f"seal {number}: it differs from the published checkpoint"


def unsealed_count() -> int:
    """Return how many entries wait for a seal."""
    answer = AuditEvent.objects.filter(auditsealitem__isnull=True).aggregate(n=Count("pk"))
    return int(answer["n"])


def checkpoint_path() -> Path:
    """Return the file that published seals are appended to."""
    return signing.checkpoint_path()
