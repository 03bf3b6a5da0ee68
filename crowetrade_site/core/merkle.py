"""Merkle trees over audit entries, domain-separated as in RFC 6962.

References
----------
.. [1] Laurie, Langley, Kasper (2013), "Certificate Transparency", RFC 6962, section 2.1.
"""

import hashlib
from collections.abc import Sequence

LEAF, NODE, SEAL = b"\x00", b"\x01", b"\x02"


def leaf_hash(content: bytes) -> bytes:
    """Return SHA-256(0x00 || content), 32 bytes."""
    return hashlib.sha256(LEAF + content).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle root of leaf hashes, 32 bytes.

    Neighbors are paired level by level and an odd last node is carried up unchanged,
    which gives the same tree as RFC 6962's split at the largest power of two. The root of
    nothing is the SHA-256 of the empty string. Linear in the number of leaves.
    """
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = list(leaves)
    while len(level) > 1:
        paired = [
            hashlib.sha256(NODE + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        level = [*paired, level[-1]] if len(level) % 2 else paired
    return level[0]


def seal_hash(statement: bytes) -> bytes:
    """Return SHA-256(0x02 || statement), 32 bytes; `statement` is a seal's canonical text."""
    return hashlib.sha256(SEAL + statement).digest()
