"""The revision of the scanner follows what it does, and on what."""

from importlib.metadata import version

import pytest

from registry.artifacts.revision import LIBRARIES, revision_of, scanner_revision

RULE = b'''"""A rule."""

LIMIT = 8  # files


def is_taken(n_files: int) -> bool:
    """Say whether it is."""
    return n_files <= LIMIT
'''
ON = {"skops": "0.16.0"}


class TestRevisionOf:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"# files", b"# files of one version"),
            (b'"""Say whether it is."""\n    ', b""),
            (b'"""A rule."""', b'"""A rule of the house."""'),
            (b"\n\n\n", b"\n"),
        ],
    )
    def test_stays_where_only_words_are_others(self, old, new):
        assert old in RULE
        told = RULE.replace(old, new)

        assert revision_of({"a.py": told}, ON) == revision_of({"a.py": RULE}, ON)

    @pytest.mark.parametrize(
        ("sources", "versions"),
        [
            ({"a.py": RULE.replace(b"<=", b"<")}, ON),
            ({"a.py": RULE.replace(b"LIMIT = 8", b"LIMIT = 9")}, ON),
            ({"b.py": RULE}, ON),
            ({"a.py": RULE, "b.py": b""}, ON),
            ({"a.py": RULE}, {"skops": "0.17.0"}),
            ({"a.py": RULE}, ON | {"numpy": "2.4.6"}),
        ],
    )
    def test_is_another_where_a_rule_or_a_library_is(self, sources, versions):
        assert revision_of(sources, versions) != revision_of({"a.py": RULE}, ON)

    def test_takes_a_body_of_nothing_but_words(self):
        empty, said = b"def f(): ...\n", b'def f():\n    """Nothing."""\n'

        assert revision_of({"a.py": empty}, ON) == revision_of({"a.py": said}, ON)


class TestScannerRevision:
    def test_is_16_digits_and_the_same_in_a_process(self):
        assert scanner_revision() == scanner_revision()
        assert len(bytes.fromhex(scanner_revision())) == 8

    def test_counts_libraries_that_are_there(self):
        assert all(version(name) for name in LIBRARIES)
