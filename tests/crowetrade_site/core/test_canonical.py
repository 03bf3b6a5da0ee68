import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowetrade_site.core import canonical

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def reversed_keys(document):
    if isinstance(document, dict):
        return {key: reversed_keys(document[key]) for key in reversed(document)}
    if isinstance(document, list):
        return [reversed_keys(value) for value in document]
    return document


class TestEncode:
    def test_matches_a_text_written_by_hand(self):
        document = {"b": [1, 2.5, None, True], "a": {"ü": "é\n", "z": -0.0}, "€": "😀"}

        assert canonical.encode(document) == (
            '{"a":{"z":-0.0,"ü":"é\\n"},"b":[1,2.5,null,true],"€":"😀"}'
        )

    @given(documents)
    def test_is_read_back_as_it_was(self, document):
        assert json.loads(canonical.encode(document)) == document

    @given(documents)
    def test_is_its_own_canonical_text(self, document):
        text = canonical.encode(document)

        assert canonical.encode(json.loads(text)) == text

    @given(documents)
    def test_does_not_depend_on_the_order_of_keys(self, document):
        assert canonical.encode(reversed_keys(document)) == canonical.encode(document)

    @given(documents)
    def test_is_one_line_of_utf_8(self, document):
        assert "\n" not in canonical.encode(document).encode("utf-8").decode("utf-8")

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_keeps_every_bit_of_a_float(self, number):
        back = json.loads(canonical.encode(number))

        assert math.copysign(1, back) == math.copysign(1, number)
        assert float(back).hex() == number.hex()

    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
    def test_refuses_what_is_no_number(self, number):
        with pytest.raises(ValueError, match="not JSON compliant"):
            canonical.encode({"a": [number]})

    @pytest.mark.parametrize("key", [1, 1.5, True, None])
    def test_refuses_keys_that_are_not_text(self, key):
        with pytest.raises(TypeError, match="is not text"):
            canonical.encode({"a": [{key: 1}]})

    def test_would_else_write_two_keys_alike(self):
        with pytest.raises(TypeError):
            canonical.encode({1: "a", "1": "b"})

    def test_refuses_half_a_surrogate_pair(self):
        with pytest.raises(ValueError, match="surrogates"):
            canonical.encode({"a": "\ud800"})

    def test_refuses_what_json_has_no_word_for(self):
        with pytest.raises(TypeError):
            canonical.encode({"a": object()})

    def test_refuses_a_document_that_holds_itself(self):
        loop: list[object] = []
        loop.append(loop)

        with pytest.raises(ValueError, match="Circular"):
            canonical.encode(loop)


class TestDigest:
    def test_matches_sha256sum(self):
        # printf '{"a":1}' | sha256sum
        assert canonical.digest({"a": 1}) == (
            "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
        )

    @given(documents, documents)
    def test_tells_documents_apart(self, one, other):
        same_text = canonical.encode(one) == canonical.encode(other)

        assert (canonical.digest(one) == canonical.digest(other)) is same_text
