from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.marketdata.errors import ManifestError
from backtests.marketdata.manifest import Manifest, StoredField, canonical_json

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def _manifest(**changes: object) -> Manifest:
    fields = {"close": StoredField("ab" * 32, "<f8", (2, 1), 144)}
    values = {"kind": "bars", "symbols": ("A",), "fields": fields, "first": 1, "last": 2}
    return Manifest(**{**values, "n_rows": 2, "n_observations": 2, **changes})


class TestCanonicalJson:
    @given(plain)
    def test_reads_back_as_it_was(self, value):
        assert json.loads(canonical_json(value)) == value

    @given(st.dictionaries(st.text(), st.integers()))
    def test_does_not_depend_on_the_order_of_keys(self, value):
        turned = dict(reversed(list(value.items())))

        assert canonical_json(turned) == canonical_json(value)

    @pytest.mark.parametrize("value", [1.5, {"a": [0.1]}, {1: "x"}, b"x"])
    def test_refuses_what_has_no_one_spelling(self, value):
        with pytest.raises(ManifestError):
            canonical_json(value)


class TestManifest:
    def test_digest_is_the_hash_of_the_content_alone(self):
        manifest = _manifest(source={"name": "a.csv"})

        again = _manifest(source={"name": "b.parquet"})
        expected = hashlib.sha256(canonical_json(manifest.content)).hexdigest()
        assert manifest.digest == again.digest == expected
        assert _manifest(currency="USD").digest != manifest.digest

    def test_reads_back_equal(self):
        manifest = _manifest(source={"name": "a.csv"}, files={"close.npy": "ab" * 32})

        assert Manifest.from_bytes(manifest.to_bytes()) == manifest

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda d: d["content"].update(currency="EUR"),
            lambda d: d["content"].update(format=99),
            lambda d: d["content"].pop("symbols"),
            lambda d: d.pop("digest"),
            lambda d: d.pop("content"),
        ],
    )
    def test_refuses_a_spoiled_document(self, spoil):
        document = json.loads(_manifest().to_bytes())
        spoil(document)

        with pytest.raises(ManifestError):
            Manifest.from_json(document)

    def test_refuses_what_is_no_json(self):
        with pytest.raises(ManifestError, match="not a dataset manifest"):
            Manifest.from_bytes(b"\xff{")
