"""Against RFC 6962: a recursive reading of its text, and its reference vectors."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowetrade_site.core import merkle

# The eight leaves and the roots of the trees over the first n of them, as published with the
# reference implementation of Certificate Transparency (merkle tree tests).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def tree_hash(contents: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word: MTH(D[n])."""
    if not contents:
        return hashlib.sha256().digest()
    if len(contents) == 1:
        return hashlib.sha256(b"\x00" + contents[0]).digest()
    split = 1
    while split * 2 < len(contents):
        split *= 2
    left, right = tree_hash(contents[:split]), tree_hash(contents[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


class TestRoot:
    @pytest.mark.parametrize("n_leaves", range(9))
    def test_matches_the_reference_vectors(self, n_leaves):
        leaves = [merkle.leaf_hash(content) for content in LEAVES[:n_leaves]]

        assert merkle.root(leaves).hex() == ROOTS[n_leaves]

    @pytest.mark.parametrize("n_leaves", range(1, 140))
    def test_matches_the_recursive_definition_at_every_size(self, n_leaves):
        contents = [str(number).encode() for number in range(n_leaves)]

        assert merkle.root(map(merkle.leaf_hash, contents)) == tree_hash(contents)

    @given(st.lists(st.binary(max_size=40), max_size=70))
    def test_matches_the_recursive_definition(self, contents):
        assert merkle.root([merkle.leaf_hash(content) for content in contents]) == tree_hash(
            contents
        )

    @given(st.lists(st.binary(max_size=8), min_size=1, max_size=40), st.data())
    def test_changes_with_any_leaf(self, contents, data):
        at = data.draw(st.integers(0, len(contents) - 1))
        changed = [*contents[:at], contents[at] + b"!", *contents[at + 1 :]]

        assert merkle.root(map(merkle.leaf_hash, contents)) != merkle.root(
            map(merkle.leaf_hash, changed)
        )

    def test_changes_with_the_order(self):
        one, two = merkle.leaf_hash(b"1"), merkle.leaf_hash(b"2")

        assert merkle.root([one, two]) != merkle.root([two, one])

    def test_leaves_its_argument_as_it_was(self):
        leaves = [merkle.leaf_hash(b"1"), merkle.leaf_hash(b"2"), merkle.leaf_hash(b"3")]

        merkle.root(leaves)

        assert len(leaves) == 3


class TestSealHash:
    def test_shares_no_domain_with_leaves_and_nodes(self):
        statement = b"a" * 64

        assert (
            len(
                {
                    merkle.seal_hash(statement),
                    merkle.leaf_hash(statement),
                    hashlib.sha256(merkle.NODE + statement).digest(),
                }
            )
            == 3
        )

    def test_is_the_hash_of_0x02_and_the_statement(self):
        assert merkle.seal_hash(b"x") == hashlib.sha256(b"\x02x").digest()
