"""Verifying OpenSSF model signatures against a key and a manifest.

References
----------
.. [1] Sigstore bundle v0.3. .. [2] DSSE v1.0, "pre-authentication encoding". .. [3] in-toto
   Statement v1. .. [4] OpenSSF model-signing 1.1, predicate ``model_signing/signature/v1.0``.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry.artifacts.errors import SignatureRefusedError
from registry.artifacts.manifest import Manifest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
MAX_BUNDLE_BYTES = 64 << 20
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})


@dataclass(frozen=True, slots=True)
class VerifiedSignature:
    """A signature that holds.

    Attributes
    ----------
    name : str
        What the signer called the model; a label, signed but not compared with anything.
    version_digest : str
        The subject of the statement, equal to the manifest's.
    key_digest : str
        SHA-256 of the public key in PEM, as model-signing names keys.
    """

    name: str
    version_digest: str
    key_digest: str


def verify_signature(bundle: bytes, public_key: bytes, manifest: Manifest) -> VerifiedSignature:
    """Verify that a key has signed exactly the files of a manifest.

    Parameters
    ----------
    bundle : bytes
        A sigstore bundle in JSON, as model-signing writes it.
    public_key : bytes
        In PEM: an elliptic curve (P-256, P-384, P-521) or Ed25519.
    manifest : Manifest
        The registered files. The statement must name all of them and no other.

    Raises
    ------
    SignatureRefusedError
        The bundle is damaged or of another kind, the signature is not by this key, or it is over
        other files; the text says which.
    """
    key = _load_key(public_key)
    payload, signature = _open_envelope(bundle, key_digest(public_key))
    _require_signed(key, signature, _encode(payload))
    statement = _mapping(_parse(payload), "the statement")
    name, subject = _read_subject(statement)
    _require_files(statement, manifest)
    if subject != manifest.version_digest:
        raise SignatureRefusedError("The signature's subject is not the digest of these files.")
    return VerifiedSignature(name, subject, key_digest(public_key))


def key_digest(public_key: bytes) -> str:
    """Return the SHA-256 of a public key in PEM, in hexadecimal.

    Raises
    ------
    SignatureRefusedError
        It is no public key that signatures are checked with here.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = _load_key(public_key)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def _load_key(public_key: bytes) -> EllipticCurvePublicKey | Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureRefusedError(f"This is no public key in PEM: {error}") from error
    if isinstance(key, Ed25519PublicKey):
        return key
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return key
    raise SignatureRefusedError("The key is neither Ed25519 nor on P-256, P-384 or P-521.")


def _open_envelope(bundle: bytes, expected_key: str) -> tuple[bytes, bytes]:
    """Return what was signed and the one signature, from a bundle that says it is by this key."""
    if len(bundle) > MAX_BUNDLE_BYTES:
        raise SignatureRefusedError("The bundle is too large.")
    document = _mapping(_parse(bundle), "the bundle")
    if document.get("mediaType") != MEDIA_TYPE:
        raise SignatureRefusedError(f"The bundle is a {document.get('mediaType')!r}.")
    material = _mapping(document.get("verificationMaterial"), "the verification material")
    hint = _mapping(material.get("publicKey"), "a signature by a key").get("hint")
    if hint and hint != expected_key:
        raise SignatureRefusedError("The signature says it is by another key.")
    envelope = _mapping(document.get("dsseEnvelope"), "the envelope")
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise SignatureRefusedError(f"The payload is a {envelope.get('payloadType')!r}.")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise SignatureRefusedError("The envelope has not exactly one signature.")
    signature = _mapping(signatures[0], "the signature").get("sig")
    return _decode(envelope.get("payload")), _decode(signature)


def _parse(raw: bytes) -> Any:
    try:
        return json.loads(raw, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise SignatureRefusedError(f"This is no JSON document: {error}") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key is given twice")
    return dict(pairs)


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SignatureRefusedError(f"The bundle lacks {what}.")
    return value


def _decode(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise SignatureRefusedError(f"This is no base64: {error}") from error


def _encode(payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding: what the key has signed."""
    return b"DSSEv1 %d %s %d %s" % (
        len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload,
    )  # fmt: skip


def _require_signed(
    key: EllipticCurvePublicKey | Ed25519PublicKey, signature: bytes, signed: bytes
) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, signed)
            return
        by_size = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
        key.verify(signature, signed, ECDSA(by_size[key.curve.key_size]))
    except InvalidSignature:
        raise SignatureRefusedError("The signature does not hold for this key.") from None


def _read_subject(statement: Mapping[str, Any]) -> tuple[str, str]:
    if statement.get("_type") != STATEMENT_TYPE:
        raise SignatureRefusedError(f"The statement is a {statement.get('_type')!r}.")
    if statement.get("predicateType") != PREDICATE_TYPE:
        raise SignatureRefusedError(f"The statement says {statement.get('predicateType')!r}.")
    subjects = statement.get("subject")
    if not isinstance(subjects, list) or len(subjects) != 1:
        raise SignatureRefusedError("The statement has not exactly one subject.")
    subject = _mapping(subjects[0], "a subject")
    digest = _mapping(subject.get("digest"), "a subject's digest").get("sha256")
    return str(subject.get("name", "")), str(digest)


def _require_files(statement: Mapping[str, Any], manifest: Manifest) -> None:
    """Compare names and digests one by one: the subject's digest does not cover names."""
    predicate = _mapping(statement.get("predicate"), "a predicate")
    serialization = _mapping(predicate.get("serialization"), "how files were hashed")
    if serialization.get("method") != "files" or serialization.get("hash_type") != "sha256":
        raise SignatureRefusedError("The files were not hashed one by one with SHA-256.")
    resources = predicate.get("resources")
    if not isinstance(resources, list):
        raise SignatureRefusedError("The statement lists no files.")
    signed = [_resource(resource) for resource in resources]
    ours = [(entry.path, entry.sha256) for entry in manifest.files]
    if len(ours) == 1 and [name for name, _ in signed] == ["."]:
        signed = [(ours[0][0], signed[0][1])]  # a model that is one file has no name inside itself
    if signed != ours:
        names = sorted({name for name, _ in set(signed) ^ set(ours)})
        raise SignatureRefusedError(
            f"The signature is over other files: {', '.join(names[:5]) or 'in another order'}."
        )


def _resource(resource: Any) -> tuple[str, str]:
    fields = _mapping(resource, "a file")
    if fields.get("algorithm") != "sha256":
        raise SignatureRefusedError(f"A file was hashed with {fields.get('algorithm')!r}.")
    return str(fields.get("name")), str(fields.get("digest"))
