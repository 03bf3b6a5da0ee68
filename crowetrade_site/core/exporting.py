"""The audit trail as plain files, which whoever has them verifies without this platform.

One moment of the database is written as a stream, so that memory does not grow with the
trail. The trail is written as it stands, whether it holds or not: an export is evidence.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction

from crowetrade_site.core import audit, canonical, roles, seals, signing, verify_trail
from crowetrade_site.core.errors import Conflict, InvalidInput
from crowetrade_site.core.models import AuditEvent, AuditSeal, AuditSealItem
from crowetrade_site.core.snapshots import one_view
from crowetrade_site.core.verification import CHUNK, rows

ENTRIES = """
SELECT i.seal_id, i.position, e.id, e.leaf, e.canonical
FROM core_auditsealitem i JOIN core_auditevent e ON e.id = i.event_id
ORDER BY i.seal_id, i.position
"""
README = """\
The audit trail of a CroweTrade installation, as it stood at {at}.

entries.jsonl      each sealed entry in the order of its seal: "canonical" is the text as stored,
                   "leaf" SHA-256(0x00 || text), "seal" and "position" where it is sealed; "id" is
                   the database's number and is covered by no seal, "event_id" in the text is
seals.jsonl        each seal: the digest SHA-256(0x02 || statement), the Ed25519 signature of the
                   digest, the key's name; the statement has number, count, Merkle root (RFC 6962),
                   digest of the seal before, time
checkpoints.jsonl  the seals that were published outside the database, in the same form
keys.json          the public keys by name, the first 16 digits of SHA-256(key)
export.json        when, by whom, how many; {n_unsealed} entries that no seal held yet are left out
verify_trail.py    the verifier: one file, Python 3.9 or newer, no other package

    python3 -I verify_trail.py . --key HEX --checkpoints FILE

HEX is the public key and FILE the checkpoints that you hold from elsewhere; without them the
verifier says only that these files fit together. Who does not trust the maker of this folder takes
verify_trail.py from the source of CroweTrade (crowetrade_site/core/verify_trail.py).
"""


@dataclass(frozen=True)
class Export:
    """What was written; `broken` is the verifier's word on it, empty for a trail that holds."""

    folder: Path
    entries: int
    seals: int
    checkpoints: int
    unsealed: int
    last_digest: str
    broken: str


def export(*, out: Path, actor: User, at: datetime, reason: str) -> Export:
    """Write all sealed entries, seals, keys and checkpoints into a folder, whole or not at all.

    The files are made in a hidden folder beside it, verified there by the verifier that they
    contain, and the folder takes its name once the entry of the export is committed.

    Raises
    ------
    Forbidden
        The actor may not read the trail (403).
    Conflict
        Something is in the folder already (409).
    InvalidInput
        The folder cannot be written (422).
    """
    roles.require(actor, "audit:read")
    out = out.resolve()
    try:
        _require_empty(out)
        draft = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
        try:
            made = _write(draft, out, actor=actor, at=at)
            _require_empty(out)
            _record(made, actor=actor, at=at, reason=reason)
            draft.replace(out)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise InvalidInput(f"{out} cannot be written: {error.strerror}.") from error
    return made


def _require_empty(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Conflict(f"{out} is there already and is no empty folder.")


def _write(draft: Path, out: Path, *, actor: User, at: datetime) -> Export:
    with one_view():
        n_entries = _write_lines(draft / "entries.jsonl", _entries())
        n_seals = _write_lines(draft / "seals.jsonl", _seals())
        last = AuditSeal.objects.order_by("-number").first()
        n_unsealed = AuditEvent.objects.count() - AuditSealItem.objects.count()
    # read after the view: every seal in it was published by now, but perhaps the newest
    published = _checkpoints(last.number if last else 0)
    n_checkpoints = _write_lines(draft / "checkpoints.jsonl", published)
    about = {
        "format": verify_trail.FORMAT,
        "exported_at": audit.stamp(at),
        "exported_by": actor.get_username(),
        "entries": n_entries,
        "seals": n_seals,
        "checkpoints": n_checkpoints,
        "unsealed": n_unsealed,
    }
    keys = {
        name: key.public_bytes(*signing.RAW).hex() for name, key in signing.public_keys().items()
    }
    readme = README.format(at=audit.stamp(at), n_unsealed=n_unsealed)
    _write_lines(draft / "export.json", [json.dumps(about, indent=1)])
    _write_lines(draft / "keys.json", [json.dumps(keys, indent=1)])
    _write_lines(draft / "README.txt", readme.splitlines())
    shutil.copyfile(verify_trail.__file__, draft / "verify_trail.py")
    return Export(
        folder=out,
        entries=n_entries,
        seals=n_seals,
        checkpoints=n_checkpoints,
        unsealed=n_unsealed,
        last_digest=bytes(last.digest).hex() if last else "",
        broken=verify_trail.verify(draft).broken,
    )


def _write_lines(path: Path, lines: Iterable[str]) -> int:
    """Write lines, force them to disk and return how many they are."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            file.write(f"{line}\n")
            count += 1
        file.flush()
        os.fsync(file.fileno())
    return count


def _entries() -> Iterator[str]:
    for seal, position, pk, leaf, text in rows(ENTRIES):
        yield canonical.encode(
            {
                "id": pk,
                "seal": seal,
                "position": position,
                "leaf": bytes(leaf).hex(),
                "canonical": text,
            }
        )


def _seals() -> Iterator[str]:
    ordered = AuditSeal.objects.order_by("number")
    return map(seals.published_text, ordered.iterator(chunk_size=CHUNK))


def _checkpoints(last: int) -> Iterator[str]:
    """Yield what was published, but for seals made since the view.

    A checkpoint whose seal is gone from the database stays: it is the proof that one was there.
    """
    for checkpoint in signing.checkpoints():
        if checkpoint.number <= last or not _is_newer(checkpoint):
            yield checkpoint.line.decode(errors="replace")


def _is_newer(checkpoint: signing.Checkpoint) -> bool:
    return AuditSeal.objects.filter(number=checkpoint.number, digest=checkpoint.digest).exists()


@transaction.atomic(durable=True)
def _record(made: Export, *, actor: User, at: datetime, reason: str) -> None:
    audit.record(
        "core.trail.exported", AuditSeal(number=made.seals), actor=actor, at=at, reason=reason,
        after={
            "folder": str(made.folder), "entries": made.entries, "seals": made.seals,
            "last_digest": made.last_digest, "broken": made.broken,
        },
    )  # fmt: skip
