"""Files over MLflow's wire: handed in, listed, read again, and never others than they were."""

from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from crowetrade_site.core import storage
from crowetrade_site.core.models import AuditEvent
from registry.models import LooseObject, ModelVersion, StoredFile
from tests.factories.accounts import account
from tests.factories.mlflow import ARTIFACTS, Wire, model_files, refused, said

pytestmark = pytest.mark.django_db(transaction=True)


def content(answer):
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content)


def disk(sha256):
    return Path(settings.ARTIFACT_ROOT) / storage.object_name(sha256)


def rot(sha256, content_=b"other"):
    disk(sha256).chmod(0o600)
    disk(sha256).write_bytes(content_)


def unread(_content):
    raise AssertionError("the body was read")


class TestPut:
    @pytest.mark.parametrize(
        "path",
        ["desk/a b+c.txt", "desk/naïve/ü.json", "100%.txt", "a#b?c/d;e&f=g", "a%20b", "-/_/~"],
    )
    def test_takes_any_name_that_stays_in_its_place(self, wire, path):
        said(wire.put_file(path, b"content"))

        answer = wire.get_file(path)

        assert content(answer) == b"content"
        assert answer["Content-Length"] == "7"
        assert StoredFile.objects.get().path == path

    @pytest.mark.parametrize(
        "path",
        [
            "a/../b", "../b", "a/%2e%2e/b", "a/%252e%252e/b", "/etc/passwd", "a//b", "a/./b",
            "a\\b", "C:/x", "a\x00b", "a\nb", "a/", "", "x" * 1025, "u\u0308", "registered/x",
        ],
    )  # fmt: skip
    def test_refuses_what_leads_elsewhere(self, wire, path):
        refused(wire.put_file(path), 400, "INVALID_PARAMETER_VALUE")
        assert not StoredFile.objects.exists()

    def test_refuses_what_is_encoded_to_lead_elsewhere(self, wire):
        for path in ("a/..%2f..%2fetc", "%2e%2e/etc", "a/%2E%2e/%2e%2e/x", "a%5Cb", "a%00b"):
            answer = wire.client.generic("PUT", f"{ARTIFACTS}/{path}", b"x")
            refused(answer, 400, "INVALID_PARAMETER_VALUE")

    def test_streams_what_does_not_fit_into_memory(self, wire, monkeypatch):
        sizes = []
        read = BytesIO.read
        whole = b"0123456789" * 500_000  # more than DATA_UPLOAD_MAX_MEMORY_SIZE

        class Watched(BytesIO):
            def read(self, size=-1):
                piece = read(self, size)
                sizes.append(len(piece))
                return piece

        monkeypatch.setattr("django.test.client.BytesIO", Watched)
        said(wire.put_file("desk/large.bin", whole))

        assert max(sizes) <= storage.CHUNK
        assert StoredFile.objects.get().n_bytes == len(whole)
        assert content(wire.get_file("desk/large.bin")) == whole

    def test_takes_an_empty_file_without_a_length(self, wire):
        answer = wire.put_file(
            "desk/empty.txt", b"", CONTENT_LENGTH="", **{"wsgi.input": BytesIO()}
        )

        said(answer)
        assert content(wire.get_file("desk/empty.txt")) == b""

    def test_asks_for_the_length_of_a_body_that_comes_in_chunks(self, wire):
        answer = wire.put_file("desk/a.bin", b"x" * 100_000, CONTENT_LENGTH="")

        refused(answer, 411, "BAD_REQUEST")
        assert not StoredFile.objects.exists()

    def test_stores_nothing_of_a_body_that_ends_early(self, wire):
        answer = wire.client.generic(
            "PUT", f"{ARTIFACTS}/desk/a.bin", b"abc", CONTENT_LENGTH="10",
            **{"wsgi.input": BytesIO(b"abc")},
        )  # fmt: skip

        refused(answer, 400, "BAD_REQUEST")
        assert not StoredFile.objects.exists()

    def test_lets_the_same_person_write_again_until_a_version_has_it(self, wire, wire_of, admitted):
        said(wire.put_file("desk/models/x/a.json", b"1"))
        said(wire.put_file("desk/models/x/a.json", b"2"))
        refused(
            wire_of("researcher").put_file("desk/models/x/a.json", b"3"), 403, "PERMISSION_DENIED"
        )

        wire.register("fx", root="desk")
        path = StoredFile.objects.exclude(frozen_at=None).order_by("path")[0].path
        refused(wire.put_file(path, b"3"), 409, "RESOURCE_CONFLICT")
        same = content(wire.get_file(path))
        said(wire.put_file(path, same))

    def test_takes_no_more_than_rest_does(self, wire, settings, monkeypatch):
        settings.MODEL_FILE_MAX_BYTES = 3
        monkeypatch.setattr(storage, "put", unread)

        refused(wire.put_file("desk/a", b"1234"), 413, "BAD_REQUEST")
        monkeypatch.undo()
        said(wire.put_file("desk/a", b"123"))

    def test_reads_nothing_that_is_refused_anyway(self, wire, wire_of, monkeypatch):
        said(wire.put_file("desk/a", b"1"))
        monkeypatch.setattr(storage, "put", unread)

        refused(wire_of("researcher").put_file("desk/a", b"22"), 403, "PERMISSION_DENIED")
        refused(wire.put_file("registered/a", b"1"), 400, "INVALID_PARAMETER_VALUE")

    def test_has_bytes_collected_that_get_no_name(self, wire):
        said(wire.put_file("desk/a", b"1"))

        refused(wire.put_file("desk/a/b", b"nobody's"), 409, "RESOURCE_CONFLICT")

        assert list(LooseObject.objects.values_list("sha256", flat=True)) == [
            sha256(b"nobody's").hexdigest()
        ]

    def test_makes_no_folder_of_a_file(self, wire):
        said(wire.put_file("desk/a", b"1"))
        said(wire.put_file("desk/b/c", b"1"))

        refused(wire.put_file("desk/a/b", b"1"), 409, "RESOURCE_CONFLICT")
        refused(wire.put_file("desk/b", b"1"), 409, "RESOURCE_CONFLICT")

    def test_is_for_those_who_may_write(self, wire_of):
        refused(wire_of("auditor").put_file("desk/a"), 403, "PERMISSION_DENIED")

    def test_tells_of_a_full_disk_without_asking_to_try_again(self, wire, monkeypatch):
        def full(_content):
            raise storage.StoreFull("There is no room.")

        monkeypatch.setattr(storage, "put", full)

        refused(wire.put_file("desk/a"), 507, "RESOURCE_EXHAUSTED")


class TestDelete:
    def test_is_refused(self, wire):
        wire.put_file("desk/a", b"1")
        wire.register("fx")
        frozen = StoredFile.objects.exclude(frozen_at=None)[0].path

        refused(wire.client.delete(f"{ARTIFACTS}/desk/a"), 400, "FEATURE_DISABLED")
        refused(wire.client.delete(f"{ARTIFACTS}/{frozen}"), 409, "RESOURCE_CONFLICT")
        refused(wire.client.delete(f"{ARTIFACTS}/desk/x"), 404, "RESOURCE_DOES_NOT_EXIST")


class TestFolders:
    def test_have_one_level(self, wire):
        for path in ("desk/a.txt", "desk/b/c.txt", "desk/b/d/e.txt", "other/x"):
            wire.put_file(path, b"123")

        assert wire.folder("desk") == wire.folder("desk/") == [
            {"path": "a.txt", "is_dir": False, "file_size": 3}, {"path": "b", "is_dir": True},
        ]  # fmt: skip
        assert [entry["path"] for entry in wire.folder("desk/b")] == ["c.txt", "d"]
        assert [entry["path"] for entry in wire.folder()] == ["desk", "other"]
        assert wire.folder("desk/a.txt") == wire.folder("none") == wire.folder("des") == []

    def test_have_wild_signs_in_their_names(self, wire):
        wire.put_file("a_b/x", b"1")
        wire.put_file("a%b/y", b"1")

        assert [entry["path"] for entry in wire.folder("a_b")] == ["x"]
        assert [entry["path"] for entry in wire.folder("a%b")] == ["y"]

    def test_of_others_are_for_those_who_judge(self, wire, wire_of):
        wire.put_file("desk/a.txt", b"1")

        assert wire_of("researcher").folder("desk") == []
        assert [entry["path"] for entry in wire_of("validator").folder("desk")] == ["a.txt"]

    def test_that_lead_elsewhere_are_refused(self, wire):
        for path in ("../x", "a/%2e%2e/b", "a//b", "\x00"):
            answer = wire.client.get(ARTIFACTS, {"path": path})
            refused(answer, 400, "INVALID_PARAMETER_VALUE")

    def test_of_versions_show_their_files_to_all_who_read(self, wire, wire_of, admitted):
        wire.register("fx")
        version = ModelVersion.objects.get()
        folder = f"registered/{version.public_id}"
        size = next(f["n_bytes"] for f in version.manifest["files"] if f["path"] == "MLmodel")
        reader = wire_of("auditor")

        assert reader.folder(folder) == [
            {"path": "MLmodel", "is_dir": False, "file_size": size},
            {"path": "data", "is_dir": True},
        ]  # fmt: skip
        assert [entry["path"] for entry in reader.folder(f"{folder}/data")] == ["model.skops"]
        assert (
            content(reader.get_file(f"{folder}/data/model.skops"))
            == (model_files(folder="data/", is_bare=True)["data/model.skops"])
        )
        for path in (f"{folder}/none", f"{folder}", "registered/x", f"registered/{'0' * 32}/x"):
            refused(reader.get_file(path), 404, "RESOURCE_DOES_NOT_EXIST")


class TestGet:
    def test_of_what_nobody_registered_is_for_whoever_handed_it_in(self, wire, wire_of):
        wire.put_file("desk/a.pkl", b"1")

        for role in ("researcher", "validator", "admin"):  # nobody has looked at it
            refused(wire_of(role).get_file("desk/a.pkl"), 403, "PERMISSION_DENIED")
        refused(wire.get_file("desk/none"), 404, "RESOURCE_DOES_NOT_EXIST")

    @pytest.mark.parametrize(
        ("columns", "status", "code"),
        [
            ({"status": "pending"}, 409, "RESOURCE_CONFLICT"),
            ({"status": "refused"}, 409, "RESOURCE_CONFLICT"),
            ({"status": "quarantined"}, 403, "PERMISSION_DENIED"),
            ({"stage": "archived"}, 409, "RESOURCE_CONFLICT"),
            ({"compromised_at": timezone.now()}, 409, "DATA_LOSS"),
            ({"trusted_types": ["scipy.x.Y"]}, 409, "RESOURCE_CONFLICT"),
        ],
    )
    def test_of_its_source_is_no_way_round_a_version(
        self, wire, wire_of, admitted, columns, status, code
    ):
        """`mv.source` is an address that clients load from as well."""
        shown = wire.register("fx")
        path = StoredFile.objects.get(path__endswith="model.skops").path
        judge = wire_of("validator")
        assert content(wire.get_file(path)) == content(judge.get_file(path)) != b""

        ModelVersion.objects.update(**columns)

        assert shown["source"].startswith("models:/m-")
        for reader in (wire, judge):
            refused(reader.get_file(path), status, code)

    def test_of_a_folder_is_no_way_round_a_version_either(self, wire):
        for name in ("desk/r/model/MLmodel", "desk/r/model/sub/w.json"):
            said(wire.put_file(name, name.encode()))
        said(wire.put_file("desk/r/params.json", b"{}"))
        wire.post("registered-models/create", name="fx")
        for name, source in (("fx", "desk/r/model"), ("fx", "desk/r/model/sub")):
            address = f"http://testserver{ARTIFACTS}/{source}"
            said(wire.post("model-versions/create", name=name, source=address))
        ModelVersion.objects.update(status="ready")
        assert content(wire.get_file("desk/r/model/sub/w.json"))

        ModelVersion.objects.filter(number=1).update(stage="archived")

        refused(wire.get_file("desk/r/model/MLmodel"), 409, "RESOURCE_CONFLICT")
        refused(wire.get_file("desk/r/model/sub/w.json"), 409, "RESOURCE_CONFLICT")
        assert content(wire.get_file("desk/r/params.json")) == b"{}"

    def test_of_what_was_deleted_is_refused(self, wire, admitted):
        wire.register("fx")
        path = StoredFile.objects.get(path__endswith="MLmodel").path
        said(wire.delete("model-versions/delete", name="fx", version="1"))

        refused(wire.get_file(path), 409, "RESOURCE_CONFLICT")

    def test_is_never_shown_by_a_browser(self, wire):
        wire.put_file("desk/a.html", b"<script>")

        answer = wire.get_file("desk/a.html")
        content(answer)

        assert answer["Content-Disposition"].startswith("attachment")
        assert answer["X-Content-Type-Options"] == "nosniff"

    def test_refuses_other_bytes_and_puts_every_version_with_them_on_record(self, wire, admitted):
        wire.register("fx")
        wire.post("registered-models/create", name="copy")
        said(wire.post("model-versions/create", name="copy", source="models:/fx/1"))
        version = ModelVersion.objects.order_by("id")[0]
        sha256 = version.manifest["files"][0]["sha256"]
        path = f"registered/{version.public_id}/MLmodel"
        assert content(wire.get_file(path))

        rot(sha256)
        refused(wire.get_file(path), 409, "DATA_LOSS")
        refused(wire.get_file(path), 409, "DATA_LOSS")

        verbs = AuditEvent.objects.filter(verb="registry.version.compromised")
        assert verbs.count() == 2
        assert not ModelVersion.objects.filter(compromised_at=None).exists()
        answer = wire.post("model-versions/create", name="copy", source="models:/fx/1")
        refused(answer, 409, "RESOURCE_CONFLICT")

    def test_refuses_what_its_desk_trusts_no_more(self, wire, admitted):
        wire.register("fx")
        version = ModelVersion.objects.get()
        path = f"registered/{version.public_id}/MLmodel"
        assert content(wire.get_file(path))
        ModelVersion.objects.update(trusted_types=["scipy.x.Y"])

        message = refused(wire.get_file(path), 409, "RESOURCE_CONFLICT")

        assert "trusts no more" in message
        answer = wire.get("model-versions/get-download-uri", name="fx", version="1")
        refused(answer, 409, "RESOURCE_CONFLICT")

    def test_serves_a_file_again_that_was_missing(self, wire, admitted):
        wire.register("fx")
        version = ModelVersion.objects.get()
        path = f"registered/{version.public_id}/MLmodel"
        stored = disk(version.manifest["files"][0]["sha256"])
        kept = stored.rename(stored.with_suffix(".backup"))

        refused(wire.get_file(path), 409, "DATA_LOSS")
        kept.rename(stored)

        assert content(wire.get_file(path))
        assert not AuditEvent.objects.filter(verb="registry.version.compromised").exists()

    def test_refuses_other_bytes_of_what_no_version_has(self, wire):
        wire.put_file("desk/a", b"1")
        rot(StoredFile.objects.get().sha256)

        refused(wire.get_file("desk/a"), 409, "DATA_LOSS")


class TestWho:
    def test_needs_a_key(self, db):
        nobody = Wire(None)

        refused(nobody.put_file("desk/a"), 401, "UNAUTHENTICATED")
        refused(nobody.get_file("desk/a"), 401, "UNAUTHENTICATED")
        refused(nobody.client.get(ARTIFACTS), 401, "UNAUTHENTICATED")

    def test_reads_with_a_key_that_reads(self, db):
        author = account("researcher")
        said(Wire(author).put_file("desk/a", b"1"))

        assert content(Wire(author, "models:read").get_file("desk/a")) == b"1"
        refused(Wire(author, "models:read").put_file("desk/a"), 403, "PERMISSION_DENIED")
        refused(Wire(author, "runs:read").get_file("desk/a"), 403, "PERMISSION_DENIED")
