"""Verifying the audit trail: entries, seals, signatures, published checkpoints.

The walk reads one snapshot of the database as a stream of rows; its memory does not grow
with the number of entries (33 bytes are kept for each seal).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import connection

from crowetrade_site.core import merkle, signing
from crowetrade_site.core.audit import SEARCHABLE, stamp
from crowetrade_site.core.models import AuditEvent, AuditSeal, AuditSealItem
from crowetrade_site.core.snapshots import one_view

GENESIS = "0" * 64
CHUNK = 5000
Row = tuple[Any, ...]

AS_TEXT = {
    "event_id": "e.event_id::text",
    "at": """to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
}
ENTRY = ", ".join(
    ["e.id", "e.canonical", "e.leaf", *(AS_TEXT.get(name, f"e.{name}") for name in SEARCHABLE)]
)
SEALED = f"""
SELECT i.seal_id, i.position, i.event_id, {ENTRY}
FROM core_auditsealitem i LEFT JOIN core_auditevent e ON e.id = i.event_id
ORDER BY i.seal_id, i.position
"""  # noqa: S608 - constants
UNSEALED = f"""
SELECT e.xid < %s::text::xid8, {ENTRY}
FROM core_auditevent e
WHERE NOT EXISTS (SELECT 1 FROM core_auditsealitem i WHERE i.event_id = e.id)
ORDER BY e.id
"""  # noqa: S608 - constants


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


class Broken(Exception):
    """The first fault of a walk; its text names the entry or the seal."""


def verify() -> Verification:
    """Walk entries, seals and checkpoints, and name the first that is broken."""
    published = Published()
    broken = ""
    with one_view():
        try:
            _walk_seals(published)
            published.read()
            _walk_unsealed()
        except Broken as fault:
            broken = str(fault)
        found = Verification(
            entries=AuditEvent.objects.count(),
            sealed=AuditSealItem.objects.count(),
            seals=AuditSeal.objects.count(),
            checkpoints=sum(1 for _ in signing.checkpoints()),
            broken=broken,
        )
    return found if broken else replace(found, broken=published.missing_now())


def rows(query: str, parameters: Iterable[Any] = ()) -> Iterator[Row]:
    """Yield what a query finds as a stream, by a cursor of the server's; in a transaction."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(query, list(parameters))
        while chunk := cursor.fetchmany(CHUNK):
            yield from chunk


def _walk_seals(published: "Published") -> None:
    keys = signing.public_keys()
    previous = GENESIS
    groups = groupby(rows(SEALED), key=itemgetter(0))
    held = next(groups, None)
    seals = AuditSeal.objects.order_by("number").iterator(chunk_size=CHUNK)
    for number, sealed in enumerate(seals, start=1):
        if sealed.number != number:
            raise Broken(f"seal {number}: it is gone, the next is seal {sealed.number}")
        _check_statement(sealed, previous, keys)
        is_held = held is not None and held[0] == number
        _check_entries(sealed, held[1] if held and is_held else ())
        held = next(groups, None) if is_held else held
        previous = bytes(sealed.digest).hex()
        published.expect(bytes(sealed.digest))
    if held is not None:
        raise Broken(f"seal {held[0]}: it is gone, and its entries are there")


def _check_statement(sealed: AuditSeal, previous: str, keys: dict[str, Ed25519PublicKey]) -> None:
    """Check the signature first: what is signed can be parsed without fear."""
    where = f"seal {sealed.number}"
    digest = bytes(sealed.digest)
    if merkle.seal_hash(sealed.statement.encode()) != digest:
        raise Broken(f"{where}: its digest differs from its statement")
    if sealed.key_id not in keys:
        raise Broken(f"{where}: it is signed by the unknown key {sealed.key_id}")
    try:
        keys[sealed.key_id].verify(bytes(sealed.signature), digest)
    except InvalidSignature:
        raise Broken(f"{where}: the signature is not by key {sealed.key_id}") from None
    stated = json.loads(sealed.statement)
    if (stated["number"], stated["count"]) != (sealed.number, sealed.count):
        raise Broken(f"{where}: its columns differ from its statement")
    if stated["sealed_at"] != stamp(sealed.sealed_at):
        raise Broken(f"{where}: its time differs from its statement")
    if stated["previous"] != previous:
        raise Broken(f"{where}: it does not follow seal {sealed.number - 1}")


def _check_entries(sealed: AuditSeal, items: Iterable[Row]) -> None:
    where = f"seal {sealed.number}"
    held = 0

    def leaves() -> Iterator[bytes]:
        nonlocal held
        for _, position, event_id, *entry in items:
            if position != held:
                raise Broken(f"{where}: the entry at its leaf {held} is gone")
            if entry[0] is None:
                raise Broken(f"entry {event_id}: it is gone; it was in {where}")
            yield _checked_leaf(entry)
            held += 1

    root = merkle.root(leaves())
    if held != sealed.count:
        raise Broken(f"{where}: an entry is gone, {held} of {sealed.count} are there")
    if root.hex() != json.loads(sealed.statement)["root"]:
        raise Broken(f"{where}: the Merkle root differs from its entries")


_searchable = itemgetter(*SEARCHABLE)


def _checked_leaf(entry: list[Any]) -> bytes:
    """Return an entry's leaf hash, after comparing content, hash and columns."""
    pk, text, stored, *columns = entry
    leaf = merkle.leaf_hash(text.encode())
    if leaf != stored:
        raise Broken(f"entry {pk}: its content differs from its leaf hash")
    try:
        stated = _searchable(json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Broken(f"entry {pk}: its content is not that of an entry") from None
    for name, column, value in zip(SEARCHABLE, columns, stated, strict=True):
        if column != value:
            raise Broken(f"entry {pk}: column {name} differs from its content")
    return leaf


def _walk_unsealed() -> None:
    last = AuditSeal.objects.order_by("-number").first()
    for passed_by, *entry in rows(UNSEALED, [str(int(last.horizon) if last else 0)]):
        _checked_leaf(entry)
        if passed_by and last:
            raise Broken(
                f"entry {entry[0]}: seal {last.number} passed it by; "
                "after a restore run: manage.py seal_audit --full"
            )


class Published:
    """The checkpoints beside the seals: what was published must still stand as it was."""

    def __init__(self) -> None:
        self._digests = bytearray()
        self._is_published = bytearray()
        self._beyond = 0

    def expect(self, digest: bytes) -> None:
        """Note the digest of the next seal."""
        self._digests += digest
        self._is_published.append(False)

    def read(self) -> None:
        """Compare every checkpoint with its seal.

        The newest seal alone may be without one: a crash can come between its commit and
        its publication, and the next sealer publishes it.
        """
        for checkpoint in signing.checkpoints():
            self._compare(checkpoint)
        missing = self._is_published[:-1].find(False)
        if missing >= 0:
            raise Broken(f"seal {missing + 1}: its published checkpoint is missing")

    def _compare(self, checkpoint: signing.Checkpoint) -> None:
        at = checkpoint.number - 1
        if at >= len(self._is_published):
            self._beyond = self._beyond or checkpoint.number
            return
        if at < 0 or self._digests[32 * at : 32 * at + 32] != checkpoint.digest:
            raise Broken(f"seal {checkpoint.number}: it differs from the published checkpoint")
        self._is_published[at] = True

    def missing_now(self) -> str:
        """Say which published seal is gone; one made since the walk began is not."""
        if not self._beyond or AuditSeal.objects.filter(number=self._beyond).exists():
            return ""
        return f"seal {self._beyond}: it was published and is gone from the database"
