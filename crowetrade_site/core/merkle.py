"""Merkle trees over audit entries, domain-separated as in RFC 6962.

References
----------
.. [1] Laurie, Langley, Kasper (2013), "Certificate Transparency", RFC 6962, section 2.1.
"""

import hashlib
from collections.abc import Iterable

LEAF, NODE, SEAL = b"\x00", b"\x01", b"\x02"


def leaf_hash(content: bytes) -> bytes:
    """Return SHA-256(0x00 || content), 32 bytes."""
    return hashlib.sha256(LEAF + content).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the Merkle root of leaf hashes, 32 bytes.

    The tree is RFC 6962's, which splits at the largest power of two. The root of nothing is
    the SHA-256 of the empty string. One pass, linear in the number of leaves; memory is
    logarithmic, since only the roots of finished subtrees are kept.
    """
    finished: list[bytes] = []  # roots of perfect subtrees, the largest first
    for count, leaf in enumerate(leaves):
        node, waiting = leaf, count
        while waiting & 1:  # each trailing one-bit is a subtree as large as the present one
            node = hashlib.sha256(NODE + finished.pop() + node).digest()
            waiting >>= 1
        finished.append(node)
    if not finished:
        return hashlib.sha256(b"").digest()
    node = finished.pop()
    while finished:
        node = hashlib.sha256(NODE + finished.pop() + node).digest()
    return node


def seal_hash(statement: bytes) -> bytes:
    """Return SHA-256(0x02 || statement), 32 bytes; `statement` is a seal's canonical text."""
    return hashlib.sha256(SEAL + statement).digest()
