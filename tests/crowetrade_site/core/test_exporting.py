"""An export is whole or not there, on the record, and holds where there is Python alone."""

import json
import os
from pathlib import Path

import pytest

from crowetrade_site.core import exporting, seals, signing
from crowetrade_site.core.errors import Conflict, Forbidden, InvalidInput
from crowetrade_site.core.models import AuditEvent, AuditSeal
from tests.crowetrade_site.core.exports import lines, verdict
from tests.crowetrade_site.core.trail import NOON, note, sealed, tamper

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor(make_user):
    return make_user("auditor")


@pytest.fixture
def make_export(tmp_path, auditor):
    """Export the trail as it is now."""

    def make(name: str = "export") -> exporting.Export:
        return exporting.export(out=tmp_path / name, actor=auditor, at=NOON, reason="yearly")

    return make


@pytest.fixture
def exported(make_export) -> Path:
    """Export three seals of four entries each."""
    sealed(4, n_seals=3)
    return make_export().folder


class TestExport:
    def test_holds_where_there_is_python_alone(self, exported):
        assert verdict(exported, code=0) == "The trail holds."
        assert verdict(exported, str(exported), code=0) == "The trail holds."

    def test_writes_what_is_stored_to_the_letter(self, exported):
        entries = {
            event.pk: (event.canonical, bytes(event.leaf).hex())
            for event in AuditEvent.objects.filter(verb="core.test.noted")
        }
        written = lines(exported / "entries.jsonl")

        assert {e["id"]: (e["canonical"], e["leaf"]) for e in written} == entries
        assert [(e["seal"], e["position"]) for e in written] == [
            (seal, position) for seal in (1, 2, 3) for position in range(4)
        ]
        assert lines(exported / "seals.jsonl") == lines(exported / "checkpoints.jsonl")
        assert [s["statement"] for s in lines(exported / "seals.jsonl")] == list(
            AuditSeal.objects.order_by("number").values_list("statement", flat=True)
        )

    def test_has_a_word_on_each_of_its_files(self, exported):
        readme = (exported / "README.txt").read_text()
        names = sorted(path.name for path in exported.iterdir())

        assert names == [
            "README.txt", "checkpoints.jsonl", "entries.jsonl", "export.json", "keys.json",
            "seals.jsonl", "verify_trail.py",
        ]  # fmt: skip
        assert all(name in readme for name in names[1:])

    def test_holds_for_an_empty_trail(self, make_export):
        made = make_export()

        assert (made.entries, made.seals, made.checkpoints, made.broken) == (0, 0, 0, "")
        assert verdict(made.folder, code=0) == "The trail holds."

    def test_counts_what_no_seal_holds_and_leaves_it_out(self, make_export):
        sealed(3)
        note(2)

        made = make_export()

        assert (made.entries, made.unsealed, made.broken) == (3, 2, "")
        assert "2 entries that no seal held yet" in (made.folder / "README.txt").read_text()

    def test_is_itself_on_the_record(self, exported, auditor):
        event = AuditEvent.objects.get(verb="core.trail.exported")

        assert (event.actor, event.reason, event.object_id) == ("auditor", "yearly", "3")
        last = AuditSeal.objects.get(number=3)
        assert json.loads(event.canonical)["after"] == {
            "folder": str(exported), "entries": 12, "seals": 3, "broken": "",
            "last_digest": bytes(last.digest).hex(),
        }  # fmt: skip

    def test_keeps_letters_of_every_script_and_what_ends_lines(self, make_export):
        note(1, verb="core.\u2028\x85\x1c\r\n\x7f – Ünïcode 的 🎯")
        seals.seal(at=NOON)

        made = make_export()

        assert made.broken == ""
        assert verdict(made.folder, code=0) == "The trail holds."

    def test_leaves_out_a_checkpoint_whose_seal_came_after_the_view(self, make_export, monkeypatch):
        sealed(2, n_seals=2)
        checkpoints = exporting._checkpoints

        def later(last: int):
            sealed(1)
            return checkpoints(last)

        monkeypatch.setattr(exporting, "_checkpoints", later)
        made = make_export()

        assert AuditSeal.objects.count() == 3
        assert (made.seals, made.checkpoints, made.broken) == (2, 2, "")

    def test_needs_no_checkpoint_of_the_newest_seal(self, make_export, settings):
        sealed(2, n_seals=2)
        path = signing.checkpoint_path()
        path.write_text(path.read_text().splitlines()[1] + "\n")

        assert make_export().broken == ""

    def test_is_made_of_a_broken_trail_too_and_says_so(self, make_export):
        sealed(4, n_seals=2)
        event = AuditEvent.objects.order_by("pk")[5]
        tamper("DELETE FROM core_auditevent WHERE id = %s", event.pk)

        made = make_export()

        assert made.broken == "seal 2: the entry at its leaf 1 is gone or moved"
        assert verdict(made.folder) == f"BROKEN: {made.broken}"

    def test_keeps_the_checkpoint_of_a_seal_that_is_gone(self, make_export):
        sealed(4, n_seals=2)
        tamper("DELETE FROM core_auditsealitem WHERE seal_id = 2")
        tamper("DELETE FROM core_auditseal WHERE number = 2")

        assert make_export().broken == (
            "seal 2: it was published and is not in the export (checkpoints copied after the "
            "export name seals that are newer than it)"
        )

    def test_refuses_a_folder_with_something_in_it(self, exported, make_export):
        with pytest.raises(Conflict, match="no empty folder"):
            make_export()

        assert verdict(exported, code=0) == "The trail holds."
        assert AuditEvent.objects.filter(verb="core.trail.exported").count() == 1

    def test_fills_an_empty_folder(self, make_export, tmp_path):
        (tmp_path / "export").mkdir()

        assert verdict(make_export().folder, code=0) == "The trail holds."

    def test_is_for_those_who_may_read_the_trail(self, tmp_path, make_user):
        with pytest.raises(Forbidden, match="audit:read"):
            exporting.export(
                out=tmp_path / "export", actor=make_user("researcher"), at=NOON, reason=""
            )

        assert not (tmp_path / "export").exists()

    def test_says_where_it_cannot_write(self, make_export):
        with pytest.raises(InvalidInput, match="cannot be written: No such file"):
            make_export("nowhere/export")

    @pytest.mark.parametrize("step", ["_entries", "_checkpoints", "_record"])
    def test_leaves_nothing_when_it_is_interrupted(self, make_export, tmp_path, monkeypatch, step):
        sealed(2)
        before = sorted(os.listdir(tmp_path))  # noqa: PTH208 - names with the hidden ones

        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(exporting, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_export()

        assert sorted(os.listdir(tmp_path)) == before  # noqa: PTH208
        assert not AuditEvent.objects.filter(verb="core.trail.exported").exists()
