"""Signatures over model files, verified against a key."""

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from registry.artifacts.errors import SignatureRefusedError
from registry.artifacts.manifest import Manifest
from registry.artifacts.signing import (
    MEDIA_TYPE,
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    key_digest,
    verify_signature,
)

FILES = {"a.txt": b"1", "a/b": b"2", "model.skops": b"3"}
OTHER_KEYS = [
    lambda: ec.generate_private_key(ec.SECP256K1()),
    lambda: rsa.generate_private_key(65537, 2048),
]
CURVES = [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()]


def pem(key) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def statement_of(manifest: Manifest) -> dict:
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "fx", "digest": {"sha256": manifest.version_digest}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": [
                {"name": e.path, "algorithm": "sha256", "digest": e.sha256} for e in manifest.files
            ],
        },
    }


def bundle_of(statement: dict, key, hint: str = "") -> dict:
    payload = json.dumps(statement).encode()
    signed = b"DSSEv1 %d %s %d %s" % (
        len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload,
    )  # fmt: skip
    return {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {
            "publicKey": {"hint": hint or hashlib.sha256(pem(key)).hexdigest()},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(key.sign(signed)).decode(), "keyid": ""}],
        },
    }


@pytest.fixture
def key():
    """An Ed25519 key."""
    return ed25519.Ed25519PrivateKey.generate()


@pytest.fixture
def manifest(folder_of):
    """The manifest of three files."""
    return folder_of(FILES)[1]


def verify(bundle: dict, key, manifest: Manifest):
    return verify_signature(json.dumps(bundle).encode(), pem(key), manifest)


class TestVerifySignature:
    @pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
    def test_holds_for_bundles_of_model_signing(self, curve, folder_of, tmp_path):
        signing = pytest.importorskip("model_signing.signing")
        private = ec.generate_private_key(curve)
        key_file = tmp_path / "key.pem"
        key_file.write_bytes(
            private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        folder, manifest = folder_of(FILES)

        config = signing.Config().use_elliptic_key_signer(private_key=key_file)
        config.sign(folder, tmp_path / "model.sig")
        found = verify_signature((tmp_path / "model.sig").read_bytes(), pem(private), manifest)

        assert found.version_digest == manifest.version_digest
        assert found.name == folder.name
        assert found.key_digest == key_digest(pem(private))

    def test_holds_for_a_model_of_one_file_signed_alone(self, folder_of, tmp_path):
        signing = pytest.importorskip("model_signing.signing")
        private = ec.generate_private_key(CURVES[0])
        key_file = tmp_path / "key.pem"
        key_file.write_bytes(
            private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        folder, manifest = folder_of({"model.skops": b"3"})

        config = signing.Config().use_elliptic_key_signer(private_key=key_file)
        config.sign(folder / "model.skops", tmp_path / "model.sig")

        assert verify_signature((tmp_path / "model.sig").read_bytes(), pem(private), manifest)

    def test_holds_for_ed25519(self, key, manifest):
        assert verify(bundle_of(statement_of(manifest), key), key, manifest).name == "fx"

    def test_fails_for_another_key(self, key, manifest):
        other = ed25519.Ed25519PrivateKey.generate()
        own = hashlib.sha256(pem(other)).hexdigest()

        with pytest.raises(SignatureRefusedError, match="another key"):
            verify(bundle_of(statement_of(manifest), key), other, manifest)
        with pytest.raises(SignatureRefusedError, match="does not hold"):
            verify(bundle_of(statement_of(manifest), key, hint=own), other, manifest)

    @pytest.mark.parametrize(
        "files", [{**FILES, "a.txt": b"9"}, {**FILES, "more": b""}, {"a.txt": b"1", "a/b": b"2"},
                  {"b.txt": b"1", "a/b": b"2", "model.skops": b"3"}],
    )  # fmt: skip
    def test_fails_for_other_files(self, key, manifest, folder_of, files):
        bundle = bundle_of(statement_of(manifest), key)
        other = folder_of(files, "other")[1]

        with pytest.raises(SignatureRefusedError, match="over other files"):
            verify(bundle, key, other)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda s: s.update(_type="x"), "statement is a"),
            (lambda s: s.update(predicateType="https://model_signing/Digests/v0.1"), "says"),
            (lambda s: s["subject"].append(s["subject"][0]), "one subject"),
            (lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), "subject"),
            (lambda s: s["predicate"]["serialization"].update(method="shards"), "one by one"),
            (lambda s: s["predicate"]["serialization"].update(hash_type="blake3"), "one by one"),
            (lambda s: s["predicate"]["resources"].reverse(), "in another order"),
            (lambda s: s["predicate"]["resources"].append(s["predicate"]["resources"][0]), "files"),
            (lambda s: s["predicate"]["resources"][0].update(algorithm="md5"), "md5"),
            (lambda s: s["predicate"].pop("resources"), "lists no files"),
            (lambda s: s.pop("predicate"), "a predicate"),
        ],
    )  # fmt: skip
    def test_fails_for_a_statement_that_says_something_else(self, key, manifest, change, reason):
        statement = statement_of(manifest)
        change(statement)

        with pytest.raises(SignatureRefusedError, match=reason):
            verify(bundle_of(statement, key), key, manifest)

    @pytest.mark.parametrize(
        "change",
        [
            lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle.v0.2+json"),
            lambda b: b.pop("verificationMaterial"),
            lambda b: b["verificationMaterial"].pop("publicKey"),
            lambda b: b.pop("dsseEnvelope"),
            lambda b: b["dsseEnvelope"].update(payloadType="text/plain"),
            lambda b: b["dsseEnvelope"].update(payload="?"),
            lambda b: b["dsseEnvelope"].update(payload=base64.b64encode(b"{}").decode()),
            lambda b: b["dsseEnvelope"].update(signatures=[]),
            lambda b: b["dsseEnvelope"]["signatures"].append(b["dsseEnvelope"]["signatures"][0]),
            lambda b: b["dsseEnvelope"]["signatures"][0].update(sig=""),
            lambda b: b["dsseEnvelope"]["signatures"][0].update(sig=3),
        ],
    )
    def test_fails_for_a_bundle_that_was_changed(self, key, manifest, change):
        bundle = bundle_of(statement_of(manifest), key)
        change(bundle)

        with pytest.raises(SignatureRefusedError):
            verify(bundle, key, manifest)

    def test_fails_for_every_changed_byte_of_what_was_signed(self, key, manifest):
        bundle = bundle_of(statement_of(manifest), key)
        payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
        for place in range(len(payload)):
            changed = bytearray(payload)
            changed[place] ^= 1
            bundle["dsseEnvelope"]["payload"] = base64.b64encode(changed).decode()

            with pytest.raises(SignatureRefusedError):
                verify(bundle, key, manifest)

    @pytest.mark.parametrize("raw", [b"", b"[]", b"null", b'{"a": 1, "a": 2}', b"[" * 100_000])
    def test_fails_for_other_bytes(self, key, manifest, raw):
        with pytest.raises(SignatureRefusedError):
            verify_signature(raw, pem(key), manifest)

    @pytest.mark.parametrize("make", OTHER_KEYS)
    def test_takes_no_other_kind_of_key(self, manifest, make):
        with pytest.raises(SignatureRefusedError, match="neither Ed25519"):
            key_digest(pem(make()))

    def test_takes_no_rubbish_for_a_key(self):
        with pytest.raises(SignatureRefusedError, match="no public key"):
            key_digest(b"rubbish")
