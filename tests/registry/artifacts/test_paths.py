"""Paths of model files."""

import posixpath
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.artifacts.errors import UnsafePathError
from registry.artifacts.paths import folded, require_distinct, require_safe_path

parts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), min_size=1
)
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)


class TestRequireSafePath:
    @pytest.mark.parametrize(
        "path",
        [
            "MLmodel",
            "data/model.skops",
            "a b+c.txt",
            "naïve.json",
            "100%.txt",
            "模型/权重.onnx",
            ".hidden",
        ],
    )
    def test_returns_what_is_safe(self, path):
        assert require_safe_path(path) == path

    @pytest.mark.parametrize(
        "path",
        [
            "", "/etc/passwd", "a//b", "a/", "./a", "a/./b", "..", "a/../b", "a/..",
            "%2e%2e/a", "a/..%2fb", "a%2f..%2fb", "%252e%252e/a", "%25252e%25252e%25252fa",
            "a\\b", "a%5cb", "C:/a", "a/c:b", "c%3a/a", "a\0b", "a%00b", "a\nb", "a\x7fb",
            "a\u202eb", "a\u2028b", "\uff0e\uff0e/a", "a\uff0fb", "x" * 256, "/".join(["x"] * 600),
            "%2525252525252525252525252e", "a%ff",
        ],
    )  # fmt: skip
    def test_refuses_what_leads_out_or_hides(self, path):
        with pytest.raises(UnsafePathError):
            require_safe_path(path)

    def test_composes(self):
        assert require_safe_path("e\u0301.json") == "\u00e9.json"

    @given(paths)
    def test_keeps_what_it_lets_through_inside_its_folder(self, path):
        try:
            safe = require_safe_path(path)
        except UnsafePathError:
            return

        for form in (safe, unquote(safe), unquote(unquote(safe))):
            joined = posixpath.normpath(posixpath.join("/root/folder", form))
            assert joined.startswith("/root/folder/")
            assert "\\" not in form
            assert "\0" not in form

    @given(paths, st.integers(0, 3))
    def test_refuses_a_step_up_however_often_it_is_encoded(self, path, n_times):
        hostile = f"{path}/../../x"
        for _ in range(n_times):
            hostile = quote(hostile, safe="")

        with pytest.raises(UnsafePathError):
            require_safe_path(hostile)


class TestRequireDistinct:
    @pytest.mark.parametrize(
        "pair",
        [("a", "a"), ("Model", "model"), ("\u00e9", "e\u0301"), ("straße", "STRASSE"),
         ("a", "a/b"), ("a/b", "A"), ("\ufb01le", "file")],
    )  # fmt: skip
    def test_refuses_what_some_file_system_takes_for_one(self, pair):
        for ordered in (pair, pair[::-1]):
            with pytest.raises(UnsafePathError):
                require_distinct(ordered)

    def test_lets_a_folder_have_files(self):
        require_distinct(["a/b", "a/c", "ab", "b/a/c"])

    @given(st.lists(paths, unique_by=folded, max_size=6))
    def test_agrees_with_comparing_every_pair(self, several):
        names = [folded(path) for path in several]
        collide = any(a.startswith(f"{b}/") for a in names for b in names)

        if collide:
            with pytest.raises(UnsafePathError):
                require_distinct(several)
        else:
            require_distinct(several)
