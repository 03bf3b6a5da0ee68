from datetime import date

import pytest

from crowetrade_site.core import documents
from crowetrade_site.core.errors import InvalidInput, NotFound


class TestLoads:
    def test_reads_yaml_and_json_alike(self):
        expected = {"a": 1, "b": [1_000_000, None, "x"], "c": date(1999, 11, 1)}

        assert documents.loads("a: 1\nb: [1_000_000, null, x]\nc: 1999-11-01") == expected
        assert documents.loads('{"a": 1, "b": []}') == {"a": 1, "b": []}

    @pytest.mark.parametrize(
        "text", ["a: 1\na: 2", "x: {b: 1, b: 2}", "- {a: 1, a: 1}", '{"a": 1, "a": 2}']
    )
    def test_refuses_a_key_given_twice(self, text):
        with pytest.raises(InvalidInput, match="is given twice"):
            documents.loads(text)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "must be a mapping"),
            ("- 1", "must be a mapping"),
            ("word", "must be a mapping"),
            ("a: [1", "is not YAML: .*line 1"),
            ("a: 1\n b: 2", "line 2"),
            ("a: 2020-02-30", "is not YAML: day is out of range"),
            ("? [a, b]\n: c", "a key is a word"),
            ("? {a: 1}\n: c", "a key is a word"),
            ("a: !!python/object:os.system x", "could not determine a constructor"),
            ("a: !!float x", "is not YAML"),
            ("a: 1\n---\nb: 2", "is not YAML"),
            ("a: &x [*x]", "recursive"),
            ("a: \x07", "is not YAML"),
            ("a: " + "[" * 3000, "nested too deeply"),
            ("a: " + "x" * 300_000, "longer than 250000 characters"),
        ],
    )
    def test_refuses_what_is_no_mapping(self, text, words):
        with pytest.raises(InvalidInput, match=words) as refusal:
            documents.loads(text)

        assert "\n" not in refusal.value.detail


class TestRead:
    def test_reads_utf_8_whatever_the_locale(self, tmp_path):
        path = tmp_path / "spec.yaml"
        path.write_bytes("name: Zürich".encode())

        assert documents.read(path) == {"name": "Zürich"}

    @pytest.mark.parametrize("name", ["none.yaml", ".", "spec.yaml/inside"])
    def test_says_when_there_is_no_file(self, name, tmp_path):
        (tmp_path / "spec.yaml").touch()

        with pytest.raises(NotFound, match="There is no file"):
            documents.read(tmp_path / name)

    def test_says_when_it_is_no_text(self, tmp_path):
        (tmp_path / "spec.yaml").write_bytes(b"\xff\xfe\x00")

        with pytest.raises(InvalidInput, match="not UTF-8"):
            documents.read(tmp_path / "spec.yaml")

    def test_says_when_it_cannot_be_read(self, tmp_path, monkeypatch):
        def forbidden(*_: object, **__: object) -> str:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(documents.Path, "read_text", forbidden)

        with pytest.raises(InvalidInput, match="cannot be read: Permission denied"):
            documents.read(tmp_path / "spec.yaml")

    def test_names_the_file_in_a_refusal(self, tmp_path):
        (tmp_path / "spec.yaml").write_text("- 1")

        with pytest.raises(InvalidInput, match=r"spec\.yaml must be a mapping"):
            documents.read(tmp_path / "spec.yaml")
