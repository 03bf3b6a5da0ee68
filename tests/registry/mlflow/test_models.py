"""Registered models over MLflow's wire."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from registry.models import ModelVersion, RegisteredModel
from tests.factories.backtests import AT
from tests.factories.mlflow import Wire, refused, said
from tests.factories.registry import model_version, registered_model

pytestmark = pytest.mark.django_db(transaction=True)
RM = "registered-models"


class TestCreate:
    def test_answers_with_the_model(self, wire):
        answer = said(
            wire.post(f"{RM}/create", name="fx", description="d", tags=[{"key": "k", "value": "v"}])
        )["registered_model"]

        assert answer["name"] == "fx"
        assert answer["description"] == "d"
        assert answer["user_id"] == "author"
        assert answer["tags"] == [{"key": "k", "value": "v"}]
        assert answer["creation_timestamp"] > 1_700_000_000_000
        assert answer["latest_versions"] == answer["aliases"] == []

    def test_says_that_a_name_is_taken_so_that_clients_go_on(self, wire):
        wire.post(f"{RM}/create", name="fx")

        refused(wire.post(f"{RM}/create", name="fx"), 400, "RESOURCE_ALREADY_EXISTS")

    @pytest.mark.parametrize("name", ["a/b", "a:b", "..", "", " x", None, "x\x00", "x" * 257, 3.5])
    def test_refuses_what_is_no_name(self, wire, name):
        answer = wire.post(f"{RM}/create", name=name)

        if name == 3.5:
            said(answer)  # a number is a name, as text
        else:
            refused(answer, 400, "INVALID_PARAMETER_VALUE")

    def test_leaves_out_tags_of_the_registry(self, wire):
        tags = [{"key": "registry.stage", "value": "production"}]

        assert (
            said(wire.post(f"{RM}/create", name="fx", tags=tags))["registered_model"]["tags"] == []
        )

    def test_is_for_those_who_may_write(self, wire_of):
        for role in ("validator", "operator", "auditor"):
            refused(wire_of(role).post(f"{RM}/create", name="fx"), 403, "PERMISSION_DENIED")
        assert not RegisteredModel.objects.exists()


class TestGet:
    def test_finds_it_for_all_who_may_read(self, author, wire_of):
        registered_model(author, "fx and more")

        for role in ("researcher", "validator", "operator", "auditor", "admin"):
            answer = said(wire_of(role).get(f"{RM}/get", name="fx and more"))
            assert answer["registered_model"]["name"] == "fx and more"

    def test_says_that_there_is_none(self, wire):
        refused(wire.get(f"{RM}/get", name="fx"), 404, "RESOURCE_DOES_NOT_EXIST")
        refused(wire.get(f"{RM}/get"), 400, "INVALID_PARAMETER_VALUE")

    def test_asks_for_little(self, author, wire):
        model = registered_model(author, "fx")
        for _ in range(3):
            model_version(author, model=model)
        wire.get(f"{RM}/get", name="fx")

        with CaptureQueriesContext(connection) as asked:
            said(wire.get(f"{RM}/get", name="fx"))

        of_key = [q for q in asked if "core_apitoken" in q["sql"]]
        assert len(of_key) == 1
        assert len(asked) - len(of_key) <= 3


class TestUpdateAndRename:
    def test_describe_and_name_anew(self, author, wire):
        registered_model(author, "fx")

        said(wire.patch(f"{RM}/update", name="fx", description="new"))
        answer = said(wire.post(f"{RM}/rename", name="fx", new_name="fx2"))["registered_model"]

        assert (answer["name"], answer["description"]) == ("fx2", "new")
        refused(wire.get(f"{RM}/get", name="fx"), 404, "RESOURCE_DOES_NOT_EXIST")

    def test_refuse_a_taken_name(self, author, wire):
        registered_model(author, "fx")
        registered_model(author, "eq")

        refused(wire.post(f"{RM}/rename", name="fx", new_name="eq"), 400, "RESOURCE_ALREADY_EXISTS")

    def test_are_for_the_owner(self, author, wire_of):
        registered_model(author, "fx")

        other = wire_of("researcher")
        refused(other.patch(f"{RM}/update", name="fx", description="x"), 403, "PERMISSION_DENIED")
        refused(other.post(f"{RM}/rename", name="fx", new_name="y"), 403, "PERMISSION_DENIED")


class TestDelete:
    def test_reads_the_name_from_its_body(self, author, wire):
        model_version(author, model=registered_model(author, "fx"))

        said(wire.delete(f"{RM}/delete", name="fx"))

        refused(wire.delete(f"{RM}/delete", name="fx"), 404, "RESOURCE_DOES_NOT_EXIST")

    def test_keeps_what_left_development(self, author, wire):
        model = registered_model(author, "fx")
        model_version(author, model=model, stage="testing")

        message = refused(wire.delete(f"{RM}/delete", name="fx"), 409, "RESOURCE_CONFLICT")

        assert "record" in message

    def test_keeps_what_was_copied_and_deletes_copies_with_their_original(self, wire):
        wire.register("fx")
        wire.post(f"{RM}/create", name="copy")
        said(wire.post("model-versions/create", name="copy", source="models:/fx/1"))

        refused(wire.delete(f"{RM}/delete", name="fx"), 409, "RESOURCE_CONFLICT")
        said(wire.delete(f"{RM}/delete", name="copy"))
        twice = [{"key": "registry.allow_duplicate", "value": "true"}]
        said(wire.post("model-versions/create", name="fx", source="models:/fx/1", tags=twice))
        said(wire.delete(f"{RM}/delete", name="fx"))


class TestTags:
    def test_are_set_and_taken_off(self, author, wire):
        registered_model(author, "fx")

        said(wire.post(f"{RM}/set-tag", name="fx", key="k", value="v"))
        assert said(wire.get(f"{RM}/get", name="fx"))["registered_model"]["tags"] == [
            {"key": "k", "value": "v"}
        ]
        for _ in range(2):  # one that is not there is no error
            said(wire.delete(f"{RM}/delete-tag", name="fx", key="k"))
        assert said(wire.get(f"{RM}/get", name="fx"))["registered_model"]["tags"] == []

    def test_of_the_registry_are_not_set(self, author, wire):
        registered_model(author, "fx")

        answer = wire.post(f"{RM}/set-tag", name="fx", key="registry.stage", value="production")

        assert "registry's own" in refused(answer, 400, "INVALID_PARAMETER_VALUE")


class TestLatestVersions:
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_has_the_newest_of_each_word(self, author, wire, method):
        model = registered_model(author, "fx")
        for stage in ("production", "archived", "staging", "development", "testing"):
            model_version(author, model=model, stage=stage)

        answer = said(wire.send(method, f"{RM}/get-latest-versions", name="fx"))

        newest = {one["current_stage"]: one["version"] for one in answer["model_versions"]}
        assert newest == {"Production": "1", "Staging": "3", "None": "5"}

    def test_has_the_stages_that_are_asked_for_in_any_case(self, author, wire):
        model = registered_model(author, "fx")
        for stage in ("production", "development"):
            model_version(author, model=model, stage=stage)

        for words, found in ((["pRODUCTION"], ["1"]), (["none"], ["2"]), (["Staging"], [])):
            answer = said(wire.post(f"{RM}/get-latest-versions", name="fx", stages=words))
            assert [one["version"] for one in answer["model_versions"]] == found

    @pytest.mark.parametrize(
        "columns",
        [
            {"status": "refused"}, {"status": "pending"}, {"status": "quarantined"},
            {"compromised_at": AT}, {"trusted_types": ["desk.Own"]},
        ],
    )  # fmt: skip
    def test_leaves_out_what_is_not_served(self, author, wire, columns):
        """Of these a client takes the highest number for `models:/fx/latest`."""
        model = registered_model(author, "fx")
        model_version(author, model=model)
        second = model_version(author, model=model)
        ModelVersion.objects.filter(pk=second.pk).update(**columns)

        answer = said(wire.post(f"{RM}/get-latest-versions", name="fx"))

        assert [one["version"] for one in answer["model_versions"]] == ["1"]

    def test_refuses_unknown_words_and_models(self, author, wire):
        registered_model(author, "fx")

        for word in ("testing", "Prod"):
            answer = wire.post(f"{RM}/get-latest-versions", name="fx", stages=[word])
            refused(answer, 400, "INVALID_PARAMETER_VALUE")
        answer = wire.post(f"{RM}/get-latest-versions", name="eq")
        refused(answer, 404, "RESOURCE_DOES_NOT_EXIST")


class TestAliases:
    def test_stand_for_a_version_and_move(self, author, wire):
        model = registered_model(author, "fx")
        for _ in range(2):
            model_version(author, model=model)

        for version in ("1", "2"):
            said(wire.post(f"{RM}/alias", name="fx", alias="best", version=version))
            answer = said(wire.get(f"{RM}/alias", name="fx", alias="best"))["model_version"]
            assert (answer["version"], answer["aliases"]) == (version, ["best"])
        assert said(wire.get(f"{RM}/get", name="fx"))["registered_model"]["aliases"] == [
            {"alias": "best", "version": "2"}
        ]
        for _ in range(2):
            said(wire.delete(f"{RM}/alias", name="fx", alias="best"))

    def test_that_are_unknown_are_a_bad_parameter_as_on_the_other_server(self, author, wire):
        registered_model(author, "fx")

        answer = wire.get(f"{RM}/alias", name="fx", alias="best")
        refused(answer, 400, "INVALID_PARAMETER_VALUE")
        answer = wire.get(f"{RM}/alias", name="eq", alias="best")
        refused(answer, 404, "RESOURCE_DOES_NOT_EXIST")
        answer = wire.post(f"{RM}/alias", name="fx", alias="best", version="7")
        refused(answer, 404, "RESOURCE_DOES_NOT_EXIST")

    @pytest.mark.parametrize("alias", ["latest", "v1", "a b", "", "ä"])
    def test_have_letters_and_no_other_meaning(self, author, wire, alias):
        model_version(author, model=registered_model(author, "fx"))

        answer = wire.post(f"{RM}/alias", name="fx", alias=alias, version="1")

        refused(answer, 400, "INVALID_PARAMETER_VALUE")

    def test_that_mean_production_stand_for_production_set_by_operators(self, author, wire_of):
        model = registered_model(author, "fx")
        model_version(author, model=model, stage="production")
        model_version(author, model=model)
        operator = wire_of("operator")

        for actor, version, status, code in (
            (Wire(author), "1", 403, "PERMISSION_DENIED"),
            (operator, "2", 409, "RESOURCE_CONFLICT"),
        ):
            answer = actor.post(f"{RM}/alias", name="fx", alias="champion", version=version)
            refused(answer, status, code)
        said(operator.post(f"{RM}/alias", name="fx", alias="champion", version="1"))

    def test_are_not_moved_by_a_key_that_only_reads(self, author):
        model_version(author, model=registered_model(author, "fx"))

        answer = Wire(author, "models:read").post(
            f"{RM}/alias", name="fx", alias="best", version="1"
        )

        refused(answer, 403, "PERMISSION_DENIED")
