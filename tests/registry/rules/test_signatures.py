"""A signature describes what goes in and what comes out, or it does not."""

import pytest

from registry.rules.errors import RuleError
from registry.rules.signatures import is_described, require_signature

COLUMNS = [{"name": "x", "type": "double"}]


class TestRequireSignature:
    @pytest.mark.parametrize(
        "signature", [{}, {"inputs": COLUMNS, "outputs": None}, {"inputs": [], "params": None}]
    )
    def test_lets_pass_what_may_be_one(self, signature):
        require_signature(signature)

    @pytest.mark.parametrize("part", ["inputs", "outputs"])
    @pytest.mark.parametrize("described", ["x", {"name": "x"}, ["x"], [{}], 1])
    def test_refuses_what_is_no_list_of_objects(self, part, described):
        with pytest.raises(RuleError, match=f"{part} are no list of objects"):
            require_signature({part: described})


class TestIsDescribed:
    @pytest.mark.parametrize(
        ("signature", "expected"),
        [
            ({"inputs": COLUMNS, "outputs": COLUMNS}, True),
            ({"inputs": COLUMNS}, False),
            ({"inputs": COLUMNS, "outputs": []}, False),
            ({"inputs": [], "outputs": []}, False),
            ({"inputs": "x", "outputs": "y"}, False),
            ({"note": "later"}, False),
            ({}, False),
        ],
    )
    def test_wants_inputs_and_outputs(self, signature, expected):
        assert is_described(signature) is expected
