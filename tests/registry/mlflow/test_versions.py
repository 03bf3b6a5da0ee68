"""Versions over MLflow's wire: sources, copies, status words, deletion, tags."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from registry import services
from registry.models import ModelVersion
from tests.factories.accounts import account
from tests.factories.mlflow import ARTIFACTS, HOST, LOGGED_MODEL, Wire, refused, said
from tests.factories.registry import model_version, registered_model

pytestmark = pytest.mark.django_db(transaction=True)
MV = "model-versions"


@pytest.fixture
def create(wire, author):
    """Register a source as a version of fx."""
    registered_model(author, "fx")
    return lambda source, **more: wire.post(f"{MV}/create", name="fx", source=source, **more)


class TestStrangers:
    def test_register_nothing_in_a_model_of_somebody_else(self, wire, wire_of, create):
        """`register_model` creates, is told that the name is taken, and goes on."""
        other = wire_of("researcher")
        source = other.hand_in_model("others")

        answer = other.post(f"{MV}/create", name="fx", source=source)

        assert "belongs to author" in refused(answer, 403, "PERMISSION_DENIED")
        assert not ModelVersion.objects.exists()

    def test_take_over_no_alias(self, wire, author):
        bob = account("researcher", "bob")
        model = registered_model(author, "fx", operators=["bob"])
        model_version(author, model=model)
        model_version(bob, model=model)
        said(wire.post("registered-models/alias", name="fx", alias="best", version="1"))

        answer = Wire(bob).post("registered-models/alias", name="fx", alias="best", version="2")

        refused(answer, 403, "PERMISSION_DENIED")
        found = said(wire.get("registered-models/alias", name="fx", alias="best"))
        assert found["model_version"]["version"] == "1"


class TestCreate:
    def test_answers_at_once_and_says_that_the_client_shall_wait(self, wire, create):
        source = wire.hand_in_model()

        answer = said(
            create(source, model_id=LOGGED_MODEL, run_id="r", tags=[{"key": "by", "value": "ci"}])
        )["model_version"]

        assert answer["version"] == "1"
        assert answer["status"] == "PENDING_REGISTRATION"
        assert answer["current_stage"] == "None"
        assert (answer["source"], answer["run_id"]) == (source, "r")
        tags = {tag["key"]: tag["value"] for tag in answer["tags"]}
        assert tags["by"] == "ci"
        assert tags["registry.stage"] == "development"
        stored = ModelVersion.objects.get()
        assert stored.logged_model_id == LOGGED_MODEL
        assert [file["path"] for file in stored.manifest["files"]] == [
            "MLmodel", "data/model.skops",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "base", [HOST, "https://testserver", "http://TESTSERVER:80", "http://u:p@testserver"]
    )
    def test_takes_a_folder_by_its_address(self, wire, create, base):
        wire.put_file("desk/r 1/artifacts/ü/a.json", b"{}")
        wire.put_file("desk/r 1/artifacts/ü/sub/b.json", b"[]")

        answer = said(create(f"{base}{ARTIFACTS}/desk/r%201/artifacts/ü"))["model_version"]

        assert answer["source"] == f"{HOST}{ARTIFACTS}/desk/r%201/artifacts/%C3%BC"
        assert [file["path"] for file in ModelVersion.objects.get().manifest["files"]] == [
            "a.json", "sub/b.json",
        ]  # fmt: skip

    def test_names_files_from_the_folder_that_was_asked_for(self, wire, create):
        wire.put_file("desk/run/only/one/a.json", b"{}")

        said(create(f"{HOST}{ARTIFACTS}/desk/run/"))

        assert ModelVersion.objects.get().manifest["files"][0]["path"] == "only/one/a.json"

    def test_knows_its_own_address_by_setting(self, wire, create, settings):
        settings.PUBLIC_URL = "https://lab.example.com/quant"
        wire.put_file("desk/x/a.json", b"{}")

        address = f"https://lab.example.com/quant{ARTIFACTS}/desk/x"
        answer = said(create(address))["model_version"]

        assert answer["source"] == address
        refused(
            create(f"https://lab.example.com/other{ARTIFACTS}/desk/x"), 400,
            "INVALID_PARAMETER_VALUE",
        )  # fmt: skip

    @pytest.mark.parametrize(
        "source",
        [
            "/home/x/model", "file:///home/x", "relative/folder", "C:\\models\\x", "s3://b/k",
            "gs://b/k", "dbfs:/x", "runs:/abc/model", "mlflow-artifacts:/0/r/artifacts/model",
            "mlflow-artifacts://testserver/desk", f"https://elsewhere.example{ARTIFACTS}/desk/x",
            f"http://testserver:81{ARTIFACTS}/desk/x", f"http://testserver/p{ARTIFACTS}/desk/x",
            "http://testserver/etc/passwd", "http://169.254.169.254/latest/meta-data",
            f"{HOST}{ARTIFACTS}/", f"{HOST}{ARTIFACTS}/../desk", f"{HOST}{ARTIFACTS}/desk/%2e%2e/x",
            f"{HOST}{ARTIFACTS}/desk/%252e%252e/x", f"{HOST}{ARTIFACTS}/desk/%25252e%25252e/x",
            f"{HOST}{ARTIFACTS}/desk/x?y=z", f"{HOST}{ARTIFACTS}/desk/x#y", "http://[bad",
            "http://testserver:x/", "", "models:/fx", "models:/fx/Production", "models:/fx/²",
            "models:/fx/99999999999999999999", "models://1", "x" * 2001, "models:/fx/1\x00",
        ],
    )  # fmt: skip
    def test_refuses_what_is_not_on_this_server(self, wire, create, source):
        message = refused(create(source), 400, "INVALID_PARAMETER_VALUE")

        if source.startswith(("/", "file", "s3", "mlflow-artifacts")):
            assert "artifact_location" in message
        assert not ModelVersion.objects.exists()

    def test_says_that_nothing_was_handed_in(self, create):
        for source in (f"models:/{LOGGED_MODEL}", f"{HOST}{ARTIFACTS}/desk/none", "models:/eq/1"):
            refused(create(source), 404, "RESOURCE_DOES_NOT_EXIST")

    def test_registers_files_of_the_caller_alone(self, wire, wire_of, create):
        other = wire_of("researcher")
        source = other.hand_in_model("theirs")

        refused(create(source), 403, "PERMISSION_DENIED")
        wire.hand_in_model("mine")
        said(create(source))

    def test_asks_which_of_two_folders_is_meant(self, wire, create):
        wire.hand_in_model("one")
        source = wire.hand_in_model("two")

        assert "'one/models/" in refused(create(source), 409, "RESOURCE_CONFLICT")

    def test_copies_a_version_with_its_bytes_and_without_tags_of_the_registry(
        self, wire, create, admitted
    ):
        first = said(create(wire.hand_in_model()))["model_version"]
        said(wire.post("registered-models/create", name="copy"))
        said(wire.post("registered-models/alias", name="fx", alias="a", version="1"))

        for number, source in ((1, "models:/fx/1"), (2, "models:/fx@a")):
            tags = [*first["tags"], {"key": "registry.allow_duplicate", "value": "true"}]
            copied = said(wire.post(f"{MV}/create", name="copy", source=source, tags=tags))
            assert copied["model_version"]["version"] == str(number)
            assert copied["model_version"]["source"] == "models:/fx/1"
        original, one, two = ModelVersion.objects.order_by("id")
        assert one.copied_from == two.copied_from == original
        assert one.digest == two.digest == original.digest
        assert one.tags == {}

    def test_takes_the_address_of_a_version_for_the_version(self, wire, create, admitted):
        said(create(wire.hand_in_model()))
        address = said(wire.get(f"{MV}/get-download-uri", name="fx", version="1"))["artifact_uri"]
        said(wire.post("registered-models/create", name="copy"))

        copied = said(wire.post(f"{MV}/create", name="copy", source=address))["model_version"]
        part = wire.post(f"{MV}/create", name="copy", source=f"{address}/data")

        assert copied["source"] == "models:/fx/1"
        refused(part, 400, "INVALID_PARAMETER_VALUE")

    def test_is_safe_to_repeat(self, wire, create):
        source = wire.hand_in_model()
        said(create(source))

        message = refused(create(source), 409, "RESOURCE_CONFLICT")

        assert "fx v1 has exactly these files; give it the tag registry.allow_duplicate" in message
        assert ModelVersion.objects.count() == 1


class TestStatus:
    @pytest.mark.parametrize(
        ("fields", "word", "text"),
        [
            ({"status": "ready"}, "READY", ""),
            ({"status": "pending"}, "PENDING_REGISTRATION", "looked at"),
            ({"status": "refused", "findings": [{"text": "posix.system"}]}, "FAILED_REGISTRATION",
             "Refused: posix.system"),
            ({"status": "quarantined"}, "FAILED_REGISTRATION", "In quarantine"),
            ({"compromised_at": timezone.now()}, "FAILED_REGISTRATION", "stored bytes"),
        ],
    )  # fmt: skip
    def test_has_mlflows_word_and_ours_in_its_message(self, wire, author, fields, word, text):
        version = model_version(author, model=registered_model(author, "fx"))
        ModelVersion.objects.filter(pk=version.pk).update(**fields)

        shown = said(wire.get(f"{MV}/get", name="fx", version="1"))["model_version"]

        assert shown["status"] == word
        assert text in shown["status_message"]

    def test_is_not_ready_by_a_waiver(self, wire, author):
        """A client opens what it gets, without a sandbox."""
        version = model_version(author, model=registered_model(author, "fx"), status="quarantined")
        at = timezone.now()
        services.grant_waiver(
            version_id=version.public_id, expires_at=at + timezone.timedelta(days=1),
            actor=account("admin"), at=at, reason="Looked at.",
        )  # fmt: skip

        shown = said(wire.get(f"{MV}/get", name="fx", version="1"))["model_version"]
        assert shown["status"] == "FAILED_REGISTRATION"
        assert "Convert it" in shown["status_message"]
        answer = wire.get(f"{MV}/get-download-uri", name="fx", version="1")
        assert "quarantine" in refused(answer, 403, "PERMISSION_DENIED")
        answer = wire.get_file(f"registered/{version.public_id}/parameters.json")
        refused(answer, 403, "PERMISSION_DENIED")


class TestGet:
    @pytest.mark.parametrize("version", ["x", "-1", "1.0", "", "1" * 10, "²", None])
    def test_refuses_what_is_no_number(self, wire, author, version):
        registered_model(author, "fx")

        answer = wire.get(f"{MV}/get", name="fx", version=version)

        refused(answer, 400, "INVALID_PARAMETER_VALUE")

    def test_asks_for_little(self, wire, author):
        model_version(author, model=registered_model(author, "fx"))
        wire.get(f"{MV}/get", name="fx", version="1")

        with CaptureQueriesContext(connection) as asked:
            said(wire.get(f"{MV}/get", name="fx", version="1"))

        assert len(asked) <= 3


class TestDownloadUri:
    def test_is_an_address_whatever_the_client_tracks_with(self, wire, author, settings):
        version = model_version(author, model=registered_model(author, "fx"))
        settings.PUBLIC_URL = "https://lab.example.com"

        answer = said(wire.get(f"{MV}/get-download-uri", name="fx", version="1"))

        assert answer["artifact_uri"] == (
            f"https://lab.example.com{ARTIFACTS}/registered/{version.public_id}"
        )

    @pytest.mark.parametrize(
        ("fields", "status", "code"),
        [
            ({"status": "pending"}, 409, "RESOURCE_CONFLICT"),
            ({"status": "refused"}, 409, "RESOURCE_CONFLICT"),
            ({"status": "quarantined"}, 403, "PERMISSION_DENIED"),
            ({"stage": "archived"}, 409, "RESOURCE_CONFLICT"),
            ({"compromised_at": timezone.now()}, 409, "DATA_LOSS"),
        ],
    )
    def test_is_not_told_of_what_may_not_be_loaded(self, wire, author, fields, status, code):
        version = model_version(author, model=registered_model(author, "fx"))
        ModelVersion.objects.filter(pk=version.pk).update(**fields)

        for path in (f"{MV}/get-download-uri",):
            refused(wire.get(path, name="fx", version="1"), status, code)
        folder = f"registered/{version.public_id}"
        refused(wire.get_file(f"{folder}/parameters.json"), status, code)
        refused(wire.client.get(ARTIFACTS, {"path": folder}), status, code)


class TestDelete:
    def test_takes_aliases_along_and_never_gives_the_number_again(self, wire):
        wire.register("fx")
        said(wire.post("registered-models/alias", name="fx", alias="a", version="1"))

        said(wire.delete(f"{MV}/delete", name="fx", version="1"))

        refused(wire.get(f"{MV}/get", name="fx", version="1"), 404, "RESOURCE_DOES_NOT_EXIST")
        answer = wire.get("registered-models/alias", name="fx", alias="a")
        refused(answer, 400, "INVALID_PARAMETER_VALUE")
        assert wire.register("fx")["version"] == "2"

    def test_keeps_what_left_development(self, wire, author):
        model_version(author, model=registered_model(author, "fx"), stage="testing")

        answer = wire.delete(f"{MV}/delete", name="fx", version="1")

        assert "part of the record" in refused(answer, 409, "RESOURCE_CONFLICT")

    def test_is_for_the_author(self, wire, wire_of):
        wire.register("fx")

        answer = wire_of("researcher").delete(f"{MV}/delete", name="fx", version="1")

        refused(answer, 403, "PERMISSION_DENIED")


class TestTagsAndDescription:
    def test_are_written_and_taken_off(self, wire):
        wire.register("fx")
        said(wire.patch(f"{MV}/update", name="fx", version="1", description="new"))
        said(wire.post(f"{MV}/set-tag", name="fx", version=1, key="k", value=""))

        shown = said(wire.get(f"{MV}/get", name="fx", version="1"))["model_version"]

        assert shown["description"] == "new"
        assert {"key": "k", "value": ""} in shown["tags"]
        for _ in range(2):
            said(wire.delete(f"{MV}/delete-tag", name="fx", version="1", key="k"))
        shown = said(wire.get(f"{MV}/get", name="fx", version="1"))["model_version"]
        assert [tag["key"] for tag in shown["tags"]] == ["registry.digest", "registry.stage"]

    @pytest.mark.parametrize("key", ["registry.stage", "", "k" * 251, None])
    def test_refuse_keys_that_are_none(self, wire, key):
        wire.register("fx")

        answer = wire.post(f"{MV}/set-tag", name="fx", version="1", key=key, value="v")

        refused(answer, 400, "INVALID_PARAMETER_VALUE")

    def test_are_for_the_author(self, wire, author):
        wire.register("fx")
        reader = Wire(author, "models:read")

        answer = reader.post(f"{MV}/set-tag", name="fx", version="1", key="k", value="v")

        refused(answer, 403, "PERMISSION_DENIED")
