"""Registered models over REST."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from registry.lifecycle import Stage
from registry.models import RegisteredModel
from tests.factories.accounts import account
from tests.factories.clients import client, problem
from tests.factories.registry import (
    CARD,
    bring_evidence,
    events_of,
    model_version,
    registered_model,
)

pytestmark = pytest.mark.django_db
MODELS = "/api/v1/models/"
BODY = {
    "name": "momentum-gbm", "description": "Trend of majors", "desk": "g10", "tier": "high",
    "purpose": "Timing", "operators": ["otto"], "limits": {"gross": 1.0},
    "review_date": "2027-01-01", "tags": {"asset": "fx"},
}  # fmt: skip


def url(model, tail="") -> str:
    return f"{MODELS}{model.public_id}/{tail}"


def names(answer) -> list[str]:
    return [row["name"] for row in answer.json()["results"]]


@pytest.fixture
def model(author):
    return registered_model(author, "alpha")


class TestCreate:
    def test_answers_with_the_model_and_its_address(self, api, author):
        answer = api.post(MODELS, BODY)

        body = answer.json()
        assert answer.status_code == 201
        assert answer["Location"] == f"{MODELS}{body['id']}/"
        assert body["owner"] == author.username
        assert {key: body[key] for key in BODY} == BODY
        assert (body["policy"], body["aliases"], body["n_versions"]) == ("default", [], 0)

    def test_warns_of_operators_who_are_no_users(self, api):
        account(name="otto")
        gone = account(name="gone")
        gone.is_active = False
        gone.save()

        said = api.post(MODELS, BODY | {"operators": ["otto", "oto", "gone"]}).json()["warnings"]

        unknown, closed = said
        assert unknown.startswith("The card names operators who are no users here: oto. Write")
        assert closed == "The card names operators whose accounts are closed: gone."

    @pytest.mark.parametrize(
        "said",
        [
            '"limits": {"a": ["\\u0000"]}', '"limits": {"\\ud800": 1}', '"limits": {"a": 1e999}',
            '"tags": {"\\ud800": "x"}', f'"limits": {{"a": {"[" * 80}{"]" * 80}}}',
        ],
    )  # fmt: skip
    def test_refuses_what_no_database_keeps(self, api, said):
        answer = api.post(MODELS, f'{{"name": "x", {said}}}', content_type="application/json")

        field = said.partition(":")[0].strip('"')
        assert field in str(problem(answer, 422)["errors"])
        assert not RegisteredModel.objects.exists()

    def test_makes_one_model_of_one_key(self, api):
        ids = {
            api.post(MODELS, BODY, headers={"Idempotency-Key": "k"}).json()["id"] for _ in range(2)
        }

        assert ids == {str(RegisteredModel.objects.get().public_id)}

    def test_refuses_a_key_used_for_another_model(self, api):
        api.post(MODELS, BODY, headers={"Idempotency-Key": "k"})

        answer = api.post(MODELS, BODY | {"name": "other"}, headers={"Idempotency-Key": "k"})

        assert problem(answer, 409)["type"] == "urn:crowetrade:problem:duplicate-request"

    @pytest.mark.parametrize("name", ["alpha", "ALPHA"])
    def test_refuses_a_name_that_is_taken(self, api, model, name):
        problem(api.post(MODELS, BODY | {"name": name}), 409)

    @pytest.mark.parametrize(
        ("more", "path"),
        [
            ({"name": ""}, "name"),
            ({"name": "x" * 257}, "name"),
            ({"tier": "huge"}, "tier"),
            ({"limits": [1]}, "limits"),
            ({"operators": "otto"}, "operators"),
            ({"review_date": "soon"}, "review_date"),
            ({"tags": {"k": {"deep": 1}}}, "tags.k"),
        ],
    )
    def test_refuses_a_field_that_is_wrong(self, api, more, path):
        body = problem(api.post(MODELS, BODY | more), 422)

        assert body["errors"][0]["path"] == path

    @pytest.mark.parametrize("name", ["a/b", "a:b", "..", "a\\b"])
    def test_refuses_a_name_that_is_a_path(self, api, name):
        problem(api.post(MODELS, BODY | {"name": name}), 422)
        assert not RegisteredModel.objects.exists()

    @pytest.mark.parametrize("role", ["validator", "operator", "auditor"])
    def test_is_for_those_who_register(self, role):
        problem(client(account(role)).post(MODELS, BODY), 403)

    def test_wants_the_scope_and_a_login(self, author):
        assert problem(client(author, "models:read").post(MODELS, BODY), 403)["scope"]
        problem(APIClient().post(MODELS, BODY), 401)


class TestList:
    @pytest.fixture
    def three(self, author):
        registered_model(author, "momentum-gbm", description="Trend of majors", tier="high")
        registered_model(author, "carry", description="Rate differentials", tier="low", desk="em")
        other = account("researcher", "other")
        registered_model(other, "us_breakout.v2", purpose="Intraday breakouts", tier="low")
        model = RegisteredModel.objects.get(name="carry")
        RegisteredModel.objects.filter(pk=model.pk).update(tags={"asset": "fx", "team": "blue sky"})

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", {"momentum-gbm", "carry", "us_breakout.v2"}),
            ("name=carry", {"carry"}),
            ("owner=other", {"us_breakout.v2"}),
            ("desk=em", {"carry"}),
            ("tier=low", {"carry", "us_breakout.v2"}),
            ("policy=default", {"momentum-gbm", "carry", "us_breakout.v2"}),
            ("tag=asset", {"carry"}),
            ("tag=asset:fx", {"carry"}),
            ("tag=asset:rates", set()),
            ("q=momentum", {"momentum-gbm"}),
            ("q=gbm", {"momentum-gbm"}),
            ("q=MOMEN", {"momentum-gbm"}),
            ("q=momentum-gbm", {"momentum-gbm"}),
            ("q=breakout", {"us_breakout.v2"}),
            ("q=intraday", {"us_breakout.v2"}),
            ("q=major+trend", {"momentum-gbm"}),
            ("q=trend+carry", set()),
            ("q=blue", {"carry"}),
            ("q=asset", {"carry"}),
            ("q=%27%3A%26%21%7C", set()),
            ("q=%20", {"momentum-gbm", "carry", "us_breakout.v2"}),
        ],
    )
    def test_filters_and_searches(self, api, three, query, expected):
        assert set(names(api.get(f"{MODELS}?{query}"))) == expected

    @pytest.mark.parametrize("query", ["q=a%00b", "ordering=desk"])
    def test_refuses_what_it_does_not_offer(self, api, query):
        problem(api.get(f"{MODELS}?{query}"), 422)

    def test_orders_and_pages(self, api, three):
        first = api.get(f"{MODELS}?ordering=name&page_size=2")
        second = api.get(first.json()["next"])

        assert names(first) + names(second) == ["carry", "momentum-gbm", "us_breakout.v2"]

    def test_needs_the_same_queries_for_any_number_of_models(self, api, author):
        api.get(MODELS)  # the token notes its first use
        counts = []
        for n_more in (1, 12):
            for _ in range(n_more):
                model_version(author)
            with CaptureQueriesContext(connection) as queries:
                api.get(MODELS)
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 5

    def test_searches_by_its_index(self):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            plan = RegisteredModel.objects.matching("alpha").explain()

        assert "model_words" in plan

    @pytest.mark.parametrize("role", ["researcher", "validator", "operator", "auditor", "admin"])
    def test_is_for_every_role(self, model, role):
        assert names(client(account(role)).get(MODELS)) == ["alpha"]


class TestCard:
    def test_is_returned(self, api, model):
        body = api.get(url(model)).json()

        assert (body["name"], body["limits"]) == ("alpha", CARD["limits"])

    def test_is_written_in_part(self, api, model):
        answer = api.patch(url(model), {"purpose": "Hedging", "reason": "a new mandate"})

        assert answer.json()["purpose"] == "Hedging"
        assert answer.json()["desk"] == CARD["desk"]
        assert events_of(model) == ["model.created", "model.updated"]

    @pytest.mark.parametrize(
        "body", [{"tier": "huge"}, {"review_date": "x"}, {"operators": [{}]}, {"limits": "none"}]
    )
    def test_refuses_a_field_that_is_wrong(self, api, model, body):
        problem(api.patch(url(model), body), 422)

    def test_is_written_by_the_owner_alone(self, model):
        problem(client(account("researcher")).patch(url(model), {"desk": "x"}), 403)
        assert client(account("admin")).patch(url(model), {"desk": "x"}).status_code == 200

    def test_of_what_is_in_use_is_changed_by_a_judge(self, api, author, judge):
        model = model_version(author, stage=Stage.STAGING).registered_model

        refusal = problem(api.patch(url(model), {"limits": {}}), 403)
        assert "validator or an admin" in refusal["detail"]
        assert judge.patch(url(model), {"limits": {"gross": 1}}).status_code == 200

    def test_of_none_is_not_found(self, api):
        problem(api.get(f"{MODELS}{uuid4()}/"), 404)


class TestRenameAndDelete:
    def test_rename_keeps_the_id(self, api, model):
        answer = api.post(url(model, "rename/"), {"name": "beta"})

        assert (answer.json()["name"], answer.json()["id"]) == ("beta", str(model.public_id))
        problem(api.post(url(model, "rename/"), {"name": "a/b"}), 422)

    def test_rename_refuses_a_name_that_is_taken(self, api, author, model):
        registered_model(author, "taken")

        problem(api.post(url(model, "rename/"), {"name": "taken"}), 409)

    def test_delete_takes_a_model_that_is_no_record(self, api, author, model):
        model_version(author, model=model)

        assert api.delete(url(model, "?reason=a+typo")).status_code == 204
        problem(api.get(url(model)), 404)

    def test_delete_refuses_what_is_part_of_the_record(self, api, author, model):
        bring_evidence(model_version(author, model=model))

        assert "part of the record" in problem(api.delete(url(model)), 409)["detail"]


class TestTags:
    def test_are_set_and_taken_off(self, api, model):
        assert api.post(url(model, "tags/"), {"key": "a b/c", "value": "1"}).json()["tags"] == {
            "a b/c": "1"
        }
        assert api.delete(url(model, "tags/?key=a+b/c")).json()["tags"] == {}

    def test_want_a_key(self, api, model):
        problem(api.post(url(model, "tags/"), {"value": "1"}), 422)
        problem(api.delete(url(model, "tags/")), 422)


class TestAliases:
    def test_are_set_moved_listed_and_taken_away(self, api, author, model):
        for _ in range(2):
            model_version(author, model=model)
        for number in (1, 2):
            body = {"alias": "candidate", "version": number}
            assert api.post(url(model, "aliases/"), body).json()["version"] == number

        assert [row["alias"] for row in api.get(url(model, "aliases/")).json()] == ["candidate"]
        assert api.delete(url(model, "aliases/candidate/")).status_code == 204
        assert api.get(url(model, "aliases/")).json() == []

    @pytest.mark.parametrize(
        ("alias", "status"), [("latest", 422), ("v7", 422), ("a b", 422), ("champion", 409)]
    )
    def test_refuse_words_that_mean_something_else(self, api, author, model, alias, status):
        model_version(author, model=model)

        problem(api.post(url(model, "aliases/"), {"alias": alias, "version": 1}), status)

    def test_that_mean_production_are_the_operators(self, api, desk, author, model):
        model_version(author, model=model, stage=Stage.PRODUCTION)
        body = {"alias": "champion", "version": 1}

        problem(api.post(url(model, "aliases/"), body), 403)
        assert desk.post(url(model, "aliases/"), body).status_code == 200
        problem(api.delete(url(model, "aliases/champion/")), 403)
        assert desk.delete(url(model, "aliases/champion/")).status_code == 204

    def test_of_an_unknown_version_are_not_found(self, api, model):
        problem(api.post(url(model, "aliases/"), {"alias": "x", "version": 9}), 404)


class TestRollBack:
    def test_puts_the_version_before_back(self, desk, author, model):
        model_version(author, model=model, stage=Stage.PRODUCTION)
        first = model.versions.get()
        type(first).objects.filter(pk=first.pk).update(stage=Stage.ARCHIVED)
        model_version(author, model=model, stage=Stage.PRODUCTION)

        answer = desk.post(url(model, "rollback/"), {"reason": "drifted"})

        assert (answer.json()["number"], answer.json()["stage"]) == (1, "production")
        assert list(model.versions.order_by("number").values_list("stage", flat=True)) == [
            "production", "archived",
        ]  # fmt: skip

    def test_says_why_not(self, api, desk, model):
        problem(desk.post(url(model, "rollback/"), {"reason": ""}), 422)
        problem(desk.post(url(model, "rollback/"), {"reason": "x"}), 409)
        problem(api.post(url(model, "rollback/"), {"reason": "x"}), 403)


class TestPolicy:
    def test_is_shown_and_assigned(self, api, judge, model):
        text = "staging: {approvals: {number: 1}}\nproduction: {approvals: {number: 2}}\n"
        judge.post("/api/v1/policies/", {"name": "light", "text": text, "reason": "a pilot"})

        assert api.get(url(model, "policy/")).json()["name"] == "default"
        answer = judge.post(url(model, "policy/"), {"policy": "light", "reason": "a pilot"})
        assert answer.json()["policy"] == "light"

    def test_is_assigned_by_those_who_judge(self, api, judge, model):
        body = {"policy": "default", "reason": "x"}

        problem(api.post(url(model, "policy/"), body), 403)
        problem(judge.post(url(model, "policy/"), body | {"policy": "none"}), 404)
        problem(judge.post(url(model, "policy/"), {"policy": "default"}), 422)
