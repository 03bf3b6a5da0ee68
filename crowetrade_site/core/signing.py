"""The sealer's Ed25519 key and the published checkpoints: files outside the database.

The embedded default keeps both in the home folder, which protects against a change in the
database but not against somebody who owns the machine; production names other places by
CROWETRADE_AUDIT_SIGNING_KEY and CROWETRADE_AUDIT_CHECKPOINTS.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
TAIL = 1 << 16
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """A signing key and the name its seals carry (SHA-256 of the raw public key, 16 digits)."""

    private: Ed25519PrivateKey
    key_id: str

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature, 64 bytes."""
        return self.private.sign(message)


def key_id(public: Ed25519PublicKey) -> str:
    """Return a public key's name."""
    return hashlib.sha256(public.public_bytes(*RAW)).hexdigest()[:16]


def private_key() -> Key:
    """Return the signing key, drawing it at the first call, and publish its public half."""
    path: Path = settings.AUDIT_SIGNING_KEY
    if not path.exists():
        _draw(path)
    loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise TypeError(f"{path} is not an Ed25519 private key.")
    key = Key(loaded, key_id(loaded.public_key()))
    _publish(key)
    return key


def _draw(path: Path) -> None:
    if earlier := public_keys():
        logger.warning(
            "The signing key is gone; a new one is drawn",
            extra={"path": str(path), "earlier_keys": sorted(earlier)},
        )
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write_once(path, pem, mode=0o600)


def _publish(key: Key) -> None:
    public = Path(settings.AUDIT_CHECKPOINTS) / f"public_key_{key.key_id}.pem"
    if not public.exists():
        pem = key.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        _write_once(public, pem, mode=0o644)


def _write_once(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file whole and durably; of two writers at the same moment the first wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
        try:
            draft.write(content)
            draft.flush()
            os.fchmod(draft.fileno(), mode)
            os.fsync(draft.fileno())
            with suppress(FileExistsError):
                os.link(draft.name, path)
        finally:
            Path(draft.name).unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def public_keys() -> dict[str, Ed25519PublicKey]:
    """Return every published key by its name; retired keys stay so that old seals verify.

    A file that holds no Ed25519 key is left out: seals that need it are then found to be
    signed by an unknown key.
    """
    keys: dict[str, Ed25519PublicKey] = {}
    for path in sorted(Path(settings.AUDIT_CHECKPOINTS).glob("public_key_*.pem")):
        with suppress(ValueError, UnsupportedAlgorithm):
            loaded = serialization.load_pem_public_key(path.read_bytes())
            if isinstance(loaded, Ed25519PublicKey):
                keys[key_id(loaded)] = loaded
    return keys


def checkpoint_path() -> Path:
    """Return the file of published seals, one JSON object a line."""
    return Path(settings.AUDIT_CHECKPOINTS) / "checkpoints.jsonl"


def append_checkpoint(line: str) -> None:
    """Publish a seal: append its line and force it to disk.

    The line starts with a newline of its own, so that a line torn by a crash spoils only
    itself.
    """
    path = checkpoint_path()
    is_new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        rest = b"\n" + line.encode() + b"\n"
        while rest:  # a nearly full disk takes a part and refuses the next
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        _sync_folder(path.parent)


@dataclass(frozen=True)
class Checkpoint:
    """A published seal: its number, its digest (32 bytes) and its line as it stands."""

    number: int
    digest: bytes
    line: bytes


def checkpoints(*, since_byte: int = 0) -> Iterator[Checkpoint]:
    """Yield the published seals in the order of the file; a torn line is left out."""
    path = checkpoint_path()
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(since_byte)
        for line in file:
            if checkpoint := _parsed(line):
                yield checkpoint


def _parsed(line: bytes) -> Checkpoint | None:
    try:
        published = json.loads(line)
        number = json.loads(published["statement"])["number"]
        return Checkpoint(int(number), bytes.fromhex(published["digest"]), line.strip())
    except (ValueError, TypeError, KeyError):
        return None


def last_published() -> int:
    """Return the highest number among the latest published seals; 0 when there is none.

    Reads the end of the file alone: sealers may append out of turn, but by a few lines only.
    """
    path = checkpoint_path()
    size = path.stat().st_size if path.exists() else 0
    latest = max((c.number for c in checkpoints(since_byte=max(0, size - TAIL))), default=0)
    return latest or max((c.number for c in checkpoints()), default=0)
