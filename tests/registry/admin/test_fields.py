"""Fields of dialogs take nothing that the database would refuse."""

import json

import pytest
from django import forms

from registry.admin.fields import JSONField, LinesField, ObjectField


class TestJSONField:
    @pytest.mark.parametrize(
        "text",
        ['{"a": NaN}', "[-Infinity]", '{"a": "\\u0000"}', '{"\\ud800": 1}', f"[{2**1025}]",
         "[" * 2000 + "]" * 2000, "[" * 80 + "]" * 80],
        ids=["nan", "infinity", "nul", "half a sign", "long number", "no bottom", "deep"],
    )  # fmt: skip
    def test_refuses_what_no_database_keeps(self, text):
        with pytest.raises(forms.ValidationError, match="This holds NaN"):
            JSONField().clean(text)

    @pytest.mark.parametrize(
        "text", ['{"gross": 1.5, "b": [true, null, "a\\nb"]}', "[9223372036854775807]"]
    )
    def test_takes_json(self, text):
        assert JSONField().clean(text) == json.loads(text)

    def test_takes_nothing_for_an_empty_object(self):
        assert ObjectField(required=False).clean("") == {}


class TestLinesField:
    def test_refuses_a_nul(self):
        with pytest.raises(forms.ValidationError, match="Null characters"):
            LinesField().clean("a\0b")
