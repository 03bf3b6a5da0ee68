"""The stand-alone verifier's arithmetic, and that it stands alone."""

import ast
import hashlib
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from crowetrade_site.core import merkle, verify_trail
from crowetrade_site.core.verify_trail import ORDER, P, PublicKey, add, decode, encode

# RFC 8032, section 7.1: tests 1, 2, 3 and SHA(abc), as public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        (
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
            "454d4423643ce80e2a9ac94fa54ca49f"
        ),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
            "3dca179c138ac17ad9bef1177331a704"
        ),
    ),
]
TORSION = [  # encodings of the eight points of small order
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = PublicKey(PRIVATE.public_key().public_bytes_raw())


def agrees(signature: bytes, message: bytes) -> bool:
    """Return what both say, who must say the same."""
    try:
        PRIVATE.public_key().verify(signature, message)
        expected = True
    except InvalidSignature:
        expected = False
    assert KEY.verifies(signature, message) == expected
    return expected


class TestPublicKey:
    @pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
    def test_verifies_the_vectors_of_the_rfc(self, key, message, signature):
        known = PublicKey(bytes.fromhex(key))

        assert known.verifies(bytes.fromhex(signature), bytes.fromhex(message))
        assert not known.verifies(bytes.fromhex(signature), bytes.fromhex(message) + b"!")

    @given(st.binary(max_size=200))
    def test_agrees_with_cryptography(self, message):
        assert agrees(PRIVATE.sign(message), message)

    @given(st.binary(max_size=40), st.integers(0, 511))
    def test_refuses_a_signature_with_any_bit_turned(self, message, bit):
        signature = bytearray(PRIVATE.sign(message))
        signature[bit // 8] ^= 1 << bit % 8

        assert not agrees(bytes(signature), message)

    @given(st.binary(min_size=32, max_size=32))
    def test_agrees_on_other_keys(self, seed):
        private = Ed25519PrivateKey.from_private_bytes(seed)
        key = PublicKey(private.public_key().public_bytes_raw())

        assert key.verifies(private.sign(seed), seed)
        assert not key.verifies(PRIVATE.sign(seed), seed) or key.raw == KEY.raw

    @pytest.mark.parametrize("times", range(1, 15))
    def test_refuses_an_s_beyond_the_order(self, times):
        signature = PRIVATE.sign(b"x")
        s = int.from_bytes(signature[32:], "little") + times * ORDER

        assert not agrees(signature[:32] + s.to_bytes(32, "little"), b"x")

    @pytest.mark.parametrize("torsion", TORSION[1:])
    def test_refuses_a_first_half_moved_by_a_point_of_small_order(self, torsion):
        signature = PRIVATE.sign(b"x")
        moved = encode(add(decode(signature[:32]), decode(bytes.fromhex(torsion))))

        assert not agrees(moved + signature[32:], b"x")

    def test_refuses_another_encoding_of_the_first_half(self):
        neutral = (P + 1).to_bytes(32, "little")  # y = 1 written as P + 1
        k = int.from_bytes(hashlib.sha512(neutral + KEY.raw + b"x").digest(), "little") % ORDER
        scalar = int.from_bytes(hashlib.sha512(bytes(range(32))).digest()[:32], "little")
        scalar = scalar & ~7 & (1 << 254) - 1 | 1 << 254
        s = (k * scalar % ORDER).to_bytes(32, "little")

        assert not agrees(neutral + s, b"x")

    @pytest.mark.parametrize("length", [0, 31, 63, 65, 128])
    def test_refuses_a_signature_of_another_length(self, length):
        assert not KEY.verifies((PRIVATE.sign(b"x") * 2)[:length], b"x")

    @pytest.mark.parametrize("raw", TORSION)
    def test_is_no_point_of_small_order(self, raw):
        with pytest.raises(ValueError, match="small order"):
            PublicKey(bytes.fromhex(raw))

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            KEY.raw[:31],
            KEY.raw + b"\0",
            (P + 3).to_bytes(32, "little"),  # y = 3, not in its one encoding
            (2).to_bytes(32, "little"),  # no x has this y
            bytes.fromhex(TORSION[0])[:31] + b"\x80",  # x = 0 has no sign
            b"\xff" * 32,
        ],
    )
    def test_is_a_point_in_its_one_encoding(self, raw):
        with pytest.raises(ValueError, match="point"):
            PublicKey(raw)


class TestMerkleRoot:
    @given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
    def test_agrees_with_the_sealer(self, leaves):
        assert verify_trail.merkle_root(leaves) == merkle.root(leaves)


class TestModule:
    def test_imports_the_standard_library_alone_and_reads_as_python_3_9(self):
        source = Path(verify_trail.__file__).read_text()
        tree = ast.parse(source, feature_version=(3, 9))
        imported = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                imported.add(node.module.split(".")[0])

        assert imported
        assert imported <= sys.stdlib_module_names

    def test_has_no_other_constants_than_the_platform(self):
        from crowetrade_site.core import verification

        assert verify_trail.GENESIS == verification.GENESIS
