"""The sealer's Ed25519 key and the published checkpoints: files outside the database.

The embedded default keeps both in the home folder, which protects against a change in the
database but not against somebody who owns the machine; production names other places by
CROWETRADE_AUDIT_SIGNING_KEY and CROWETRADE_AUDIT_CHECKPOINTS.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)


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
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_bytes(pem)
    try:
        os.link(temporary, path)  # of two sealers that start together, one key wins
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _publish(key: Key) -> None:
    folder: Path = settings.AUDIT_CHECKPOINTS
    public = folder / f"public_key_{key.key_id}.pem"
    if not public.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        public.write_bytes(
            key.private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )


def public_keys() -> dict[str, Ed25519PublicKey]:
    """Return every published key by its name; retired keys stay so that old seals verify."""
    keys: dict[str, Ed25519PublicKey] = {}
    for path in sorted(Path(settings.AUDIT_CHECKPOINTS).glob("public_key_*.pem")):
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
    descriptor = os.open(checkpoint_path(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, b"\n" + line.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checkpoints() -> list[dict[str, str]]:
    """Return the published seals, oldest first; a torn line is left out."""
    path = checkpoint_path()
    if not path.exists():
        return []
    published = []
    for line in path.read_text().splitlines():
        try:
            published.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return published
