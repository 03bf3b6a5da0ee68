#!/usr/bin/env python3
"""Verify an exported audit trail, with Python's standard library (3.9 or newer) alone.

    python3 -I verify_trail.py FOLDER [--key HEX ...] [--checkpoints FILE]

An entry's leaf is SHA-256(0x00 || its text); a seal signs SHA-256(0x02 || its statement) by
Ed25519, and its statement holds the Merkle root over its leaves and the digest of the seal
before. All are computed anew, nothing of CroweTrade is needed, and memory grows by 33 bytes
for each seal.

What stands in the folder can prove no more than that it fits together. `--key` names the public
keys one trusts (those of the folder are then not used), and `--checkpoints` a file of published
seals that somebody else kept. Exit code 0: the trail holds; 1: it is broken; 2: wrong arguments.

References
----------
.. [1] Laurie, Langley, Kasper (2013), "Certificate Transparency", RFC 6962, section 2.1.
.. [2] Josefsson, Liusvaara (2017), "Edwards-Curve Digital Signature Algorithm", RFC 8032,
   section 5.1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

FORMAT = "crowetrade-audit-1"
GENESIS = "0" * 64
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]  # X, Y, Z, T of RFC 8032: x = X/Z, y = Y/Z, x*y = T/Z
Table = list[list[Point]]
NEUTRAL: Point = (0, 1, 1, 0)
DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


class Broken(Exception):
    """The first fault of a walk; its text names the entry, the seal or the line."""


class Entry(NamedTuple):
    """A line of entries.jsonl; `number` is the database's, and no seal covers it."""

    seal: int
    position: int
    number: int
    leaf: bytes
    text: bytes


class Seal(NamedTuple):
    """A line of seals.jsonl or checkpoints.jsonl."""

    statement: bytes
    digest: bytes
    key_id: str
    signature: bytes


class Statement(NamedTuple):
    """What a seal's signature stands for."""

    number: int
    n_entries: int
    root: str
    previous: str
    sealed_at: str


@dataclass
class Verdict:
    """What was checked up to the end or the first fault; `broken` is empty if all holds."""

    entries: int = 0
    seals: int = 0
    checkpoints: int = 0
    last_digest: str = ""
    last_sealed_at: str = ""
    broken: str = ""


def add(one: Point, other: Point) -> Point:
    """Return the sum of two points (RFC 8032, section 5.1.4; complete, so also for doubling)."""
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = other
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * D * t1 * t2 % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def decode(encoded: bytes) -> Point:
    """Return the point of 32 bytes (section 5.1.3); ValueError where they are of none."""
    sign, y = divmod(int.from_bytes(encoded, "little"), 2**255)
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * SQRT_OF_MINUS_1 % P
    if len(encoded) != 32 or y >= P or (x * x - xx) % P or (sign and not x):
        raise ValueError("no point of the curve")
    x = P - x if x % 2 != sign else x
    return x, y, 1, x * y % P


def encode(point: Point) -> bytes:
    """Return the 32 bytes of a point (section 5.1.2)."""
    x, y, z, _ = point
    scale = pow(z, -1, P)
    return (y * scale % P + (x * scale % P % 2 << 255)).to_bytes(32, "little")


def multiples(point: Point) -> Table:
    """Return j * 256^i * point for each byte i of a scalar and each value j of that byte.

    A trail has many signatures by few keys: with tables each takes 64 additions.
    """
    table = []
    for _ in range(32):
        row = [NEUTRAL]
        for _ in range(255):
            row.append(add(row[-1], point))
        table.append(row)
        point = add(row[-1], point)
    return table


def add_multiple(start: Point, table: Table, scalar: int) -> Point:
    """Return start + scalar * point; `table` is the point's, 0 <= scalar < 2^256."""
    for place, value in enumerate(scalar.to_bytes(32, "little")):
        start = add(start, table[place][value])
    return start


@lru_cache(maxsize=1)
def base_multiples() -> Table:
    """Return the table of the base point, y = 4/5."""
    return multiples(decode((4 * pow(5, -1, P) % P).to_bytes(32, "little")))


class PublicKey:
    """An Ed25519 public key; ValueError if the 32 bytes are none, or one that all sign for."""

    def __init__(self, raw: bytes) -> None:
        x, y, z, t = point = decode(raw)
        for _ in range(3):
            point = add(point, point)
        if encode(point) == encode(NEUTRAL):
            raise ValueError("a point of small order")
        self.raw, self.key_id = raw, hashlib.sha256(raw).hexdigest()[:16]
        self._minus = multiples((P - x, y, z, P - t))

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Return whether R = S * B - k * A, with S below the order and R in its one encoding."""
        first, s = signature[:32], int.from_bytes(signature[32:], "little")
        if len(signature) != 64 or s >= ORDER:
            return False
        k = int.from_bytes(hashlib.sha512(first + self.raw + message).digest(), "little") % ORDER
        point = add_multiple(NEUTRAL, base_multiples(), s)
        return encode(add_multiple(point, self._minus, k)) == first


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """Return the root of RFC 6962's tree; only roots of finished subtrees are kept."""
    finished: list[bytes] = []
    for count, leaf in enumerate(leaves):
        node, waiting = leaf, count
        while waiting & 1:  # each trailing one-bit is a subtree as large as the present one
            node = hashlib.sha256(b"\x01" + finished.pop() + node).digest()
            waiting >>= 1
        finished.append(node)
    node = finished.pop() if finished else hashlib.sha256().digest()
    while finished:
        node = hashlib.sha256(b"\x01" + finished.pop() + node).digest()
    return node


def read_lines(path: Path, *, skips_torn: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield each line's place and document; blank lines are nothing."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise Broken(f"{path.name}: it cannot be read, {error.strerror}") from None
    with file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path.name}, line {number}"
            try:
                document = json.loads(line)
            except DAMAGE:
                if skips_torn:  # by a crash; what was published next begins a line of its own
                    continue
                raise Broken(f"{where}: it is cut off or damaged") from None
            yield where, document


def read_entries(path: Path) -> Iterator[Entry]:
    """Yield the entries as they stand in the file."""
    for where, line in read_lines(path):
        try:
            entry = Entry(
                int(line["seal"]), int(line["position"]), int(line["id"]),
                bytes.fromhex(line["leaf"]), line["canonical"].encode(),
            )  # fmt: skip
        except DAMAGE:
            raise Broken(f"{where}: it is no entry") from None
        yield entry


def read_seals(path: Path, *, skips_torn: bool = False) -> Iterator[Seal]:
    """Yield seals or checkpoints as they stand in the file."""
    for where, line in read_lines(path, skips_torn=skips_torn):
        try:
            seal = Seal(
                line["statement"].encode(), bytes.fromhex(line["digest"]), str(line["key_id"]),
                bytes.fromhex(line["signature"]),
            )  # fmt: skip
        except DAMAGE:
            raise Broken(f"{where}: it is no seal") from None
        yield seal


def read_statement(seal: Seal, where: str) -> Statement:
    """Return what a seal states."""
    try:
        stated = json.loads(seal.statement)
        return Statement(
            int(stated["number"]), int(stated["count"]), str(stated["root"]),
            str(stated["previous"]), str(stated["sealed_at"]),
        )  # fmt: skip
    except DAMAGE:
        raise Broken(f"{where}: its statement is not that of a seal") from None


def read_document(path: Path) -> dict[str, Any]:
    """Return the JSON object of a small file."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise Broken(f"{path.name}: it cannot be read, {error.strerror}") from None
    except DAMAGE:
        document = None
    if not isinstance(document, dict):
        raise Broken(f"{path.name}: it is cut off or damaged")
    return document


def read_about(path: Path) -> dict[str, Any]:
    """Return what the export says of itself."""
    about = read_document(path)
    if about.get("format") != FORMAT:
        raise Broken(f"{path.name}: the format is not {FORMAT}")
    return about


def read_keys(path: Path) -> dict[str, PublicKey]:
    """Return the keys of keys.json by their names."""
    keys = {}
    for name, text in read_document(path).items():
        try:
            key = PublicKey(bytes.fromhex(text))
        except DAMAGE:
            raise Broken(f"{path.name}: key {name} is no Ed25519 key") from None
        if key.key_id != name:
            raise Broken(f"{path.name}: key {name} is really key {key.key_id}")
        keys[name] = key
    return keys


def verify(
    folder: Path, *, trusted: Sequence[PublicKey] = (), checkpoints: Path | None = None
) -> Verdict:
    """Walk an export and say what was checked and what is the first that is broken."""
    verdict = Verdict()
    try:
        about = read_about(folder / "export.json")
        keys = {key.key_id: key for key in trusted} or read_keys(folder / "keys.json")
        fingerprints = walk_seals(folder, keys, verdict)
        require_count(about, "entries", verdict.entries)
        require_count(about, "seals", verdict.seals)
        if checkpoints:
            compare_published(read_seals(checkpoints, skips_torn=True), fingerprints, verdict)
        else:
            own = read_seals(folder / "checkpoints.jsonl")
            compare_published(own, fingerprints, verdict)
            require_count(about, "checkpoints", verdict.checkpoints)
    except Broken as fault:
        verdict.broken = str(fault)
    return verdict


def require_count(about: dict[str, Any], what: str, found: int) -> None:
    """Find what was cut off at the end of a line."""
    if about.get(what) != found:
        raise Broken(f"{what}.jsonl: {found} of {about.get(what)} {what} are there")


def walk_seals(folder: Path, keys: dict[str, PublicKey], verdict: Verdict) -> bytearray:
    """Check seals with their entries, and return 32 bytes for each to know it again by."""
    fingerprints = bytearray()
    previous = GENESIS
    groups = groupby(read_entries(folder / "entries.jsonl"), key=attrgetter("seal"))
    held = next(groups, None)
    for number, seal in enumerate(read_seals(folder / "seals.jsonl"), start=1):
        stated = checked_statement(number, seal, previous, keys)
        is_held = held is not None and held[0] == number
        check_entries(stated, held[1] if held and is_held else (), verdict)
        held = next(groups, None) if is_held else held
        previous = verdict.last_digest = seal.digest.hex()
        verdict.seals, verdict.last_sealed_at = number, stated.sealed_at
        fingerprints += fingerprint(seal)
    if held is not None:
        raise Broken(f"seal {held[0]}: it is gone or out of order, and its entries are there")
    return fingerprints


def checked_statement(
    number: int, seal: Seal, previous: str, keys: dict[str, PublicKey]
) -> Statement:
    """Return what a seal states, after its digest, its signature and its link."""
    where = f"seal {number}"
    if hashlib.sha256(b"\x02" + seal.statement).digest() != seal.digest:
        raise Broken(f"{where}: its digest differs from its statement")
    if seal.key_id not in keys:
        raise Broken(f"{where}: it is signed by key {seal.key_id}, which is none of the known")
    if not keys[seal.key_id].verifies(seal.signature, seal.digest):
        raise Broken(f"{where}: the signature is not by key {seal.key_id}")
    stated = read_statement(seal, where)
    if stated.number != number:
        raise Broken(f"{where}: it is gone or out of order, here is seal {stated.number}")
    if stated.previous != previous:
        raise Broken(f"{where}: it does not follow seal {number - 1}")
    return stated


def check_entries(stated: Statement, entries: Iterable[Entry], verdict: Verdict) -> None:
    """Compare entries with their leaves, and the leaves with the root of their seal."""
    number, before = stated.number, verdict.entries

    def leaves() -> Iterator[bytes]:
        for position, entry in enumerate(entries):
            if entry.position != position:
                raise Broken(f"seal {number}: the entry at its leaf {position} is gone or moved")
            if hashlib.sha256(b"\x00" + entry.text).digest() != entry.leaf:
                raise Broken(f"entry {entry.number}: its content differs from its leaf hash")
            verdict.entries += 1
            yield entry.leaf

    root = merkle_root(leaves())
    held = verdict.entries - before
    if held != stated.n_entries:
        raise Broken(f"seal {number}: {held} of {stated.n_entries} entries are there")
    if root.hex() != stated.root:
        raise Broken(f"seal {number}: the Merkle root differs from its entries")


def fingerprint(seal: Seal) -> bytes:
    """Return 32 bytes that stand for all of a seal."""
    fields = (seal.statement, seal.digest, seal.key_id.encode(), seal.signature)
    return hashlib.sha256(b"".join(hashlib.sha256(field).digest() for field in fields)).digest()


def compare_published(
    checkpoints: Iterable[Seal], fingerprints: bytearray, verdict: Verdict
) -> None:
    """Compare checkpoints with the seals; a crash may have kept back that of the newest alone."""
    is_published = bytearray(verdict.seals)
    for seal in checkpoints:
        number = read_statement(seal, "a published checkpoint").number
        if number > verdict.seals:
            raise Broken(
                f"seal {number}: it was published and is not in the export (checkpoints copied "
                "after the export name seals that are newer than it)"
            )
        if number < 1 or fingerprints[32 * number - 32 : 32 * number] != fingerprint(seal):
            raise Broken(f"seal {number}: it differs from the published checkpoint")
        is_published[number - 1] = True
        verdict.checkpoints += 1
    missing = is_published[:-1].find(0)
    if missing >= 0:
        raise Broken(f"seal {missing + 1}: its published checkpoint is missing")


def public_key(text: str) -> PublicKey:
    """Return the key of 64 hexadecimal digits; ValueError if it is none."""
    return PublicKey(bytes.fromhex(text))


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify the folder that the command line names, and return the exit code."""
    parser = argparse.ArgumentParser(description="Verify an exported audit trail of CroweTrade.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent)
    parser.add_argument(
        "--key", type=public_key, action="append", default=[], metavar="HEX",
        help="a public key you trust (repeatable); keys.json is then not used",
    )  # fmt: skip
    parser.add_argument(
        "--checkpoints", type=Path, metavar="FILE", help="published seals that you kept yourself"
    )
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is no folder")
    verdict = verify(options.folder, trusted=options.key, checkpoints=options.checkpoints)
    counts = f"{verdict.entries} entries in {verdict.seals} seals"
    say = [
        f"{counts} hold before the fault."
        if verdict.broken
        else f"{counts}, {verdict.checkpoints} published checkpoints."
    ]
    if verdict.seals:
        say.append(f"The last seal is of {verdict.last_sealed_at}: {verdict.last_digest}")
    if not options.key:
        say.append("The keys are those of the folder; name the one you trust by --key.")
    say.append(f"BROKEN: {verdict.broken}" if verdict.broken else "The trail holds.")
    for line in say:  # what a file says shall not steer the terminal
        sys.stdout.write("".join(c if " " <= c <= "~" else "?" for c in line) + "\n")
    return 1 if verdict.broken else 0


if __name__ == "__main__":
    sys.exit(main())
