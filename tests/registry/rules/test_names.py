"""What models, aliases and tags may be called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.rules.errors import RuleError
from registry.rules.names import require_alias, require_model_name, require_tag


class TestModelName:
    @pytest.mark.parametrize("name", ["a", "Momentum GBM", "us_breakout.v2", "模型", "x" * 256])
    def test_takes_names(self, name):
        assert require_model_name(name) == name

    @pytest.mark.parametrize(
        "name",
        ["", " ", " a", "a ", "x" * 257, "a/b", "a:b", "a\\b", ".", "..", "a..b", "a\nb", "a\x00"],
    )
    def test_refuses_what_is_none(self, name):
        with pytest.raises(RuleError):
            require_model_name(name)

    @pytest.mark.parametrize("name", ["fx-é", "été", "β-neutral", "ไทย", "हिन्दी"])
    def test_takes_names_of_any_script(self, name):
        assert require_model_name(name) == name

    @pytest.mark.parametrize(
        "twin", ["fx-e\u0301", "\uff46x-é", "fx\u2011é", "fx-é\u3164", "fx-é\u2800", "fx\u034f-é",
                 "fx-é\ufe0f", "fx-é\U000e0100"],
    )  # fmt: skip
    def test_refuses_what_looks_like_another(self, twin):
        with pytest.raises(RuleError, match=r"look like others|nobody sees"):
            require_model_name(twin)

    @given(st.text(max_size=300))
    def test_never_lets_a_path_through(self, name):
        try:
            require_model_name(name)
        except RuleError:
            return
        assert not set(name) & set("/:\\\x00\n\r")
        assert ".." not in name
        assert name.strip(".")


class TestAlias:
    @pytest.mark.parametrize("alias", ["champion", "a-b_c", "v", "version1", "x" * 255])
    def test_takes_words(self, alias):
        assert require_alias(alias) == alias

    @pytest.mark.parametrize(
        "alias", ["", "a b", "a/b", "é", "latest", "LATEST", "v1", "V22", "x" * 256, "a\n"]
    )
    def test_refuses_what_stands_for_something_else(self, alias):
        with pytest.raises(RuleError):
            require_alias(alias)


class TestTag:
    def test_takes_keys_and_values(self):
        assert require_tag("a b/c", "") == ("a b/c", "")

    @pytest.mark.parametrize(
        ("key", "value"),
        [("", "x"), ("k" * 251, "x"), ("k\x00", "x"), ("k", "v" * 100_001), ("k", "\x00")],
    )
    def test_refuses_what_cannot_be_kept(self, key, value):
        with pytest.raises(RuleError):
            require_tag(key, value)
