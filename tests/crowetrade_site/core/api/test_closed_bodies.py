"""What the schema says of unknown keys, and what is done about them, in every request body."""

import re

import pytest
from django.contrib.auth.models import Group

from crowetrade_site.core.roles import Role
from tests.factories.accounts import account
from tests.factories.clients import client, problem

pytestmark = pytest.mark.django_db
UNKNOWN = "nobodys_key"
BUY = {"signals": [{"kind": "buy_and_hold"}], "portfolio": {"kind": "equal_weight"}}
SPEC = {"dataset": "nobodys", "strategy": BUY}
REPLAY = {"kind": "replay", "replay": {"runs": {"No Arm": "0" * 8, "b": "0" * 8}}}
IDS = {"path": "desk/a.bin"}  # else a UUID: bodies are read before anything is looked up


@pytest.fixture(scope="module")
def document():
    from drf_spectacular.generators import SchemaGenerator

    return SchemaGenerator().get_schema(request=None, public=True)


@pytest.fixture
def everybody():
    """A client of somebody with every role."""
    user = account(Role.ADMIN)
    user.groups.set(Group.objects.all())
    return client(user)


def bodies(document):
    """Give path, verb and the schema of each body that is an object."""
    parts = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                schema = content["schema"]
                if "$ref" in schema:
                    schema = parts[schema["$ref"].rpartition("/")[2]]
                if "properties" in schema:
                    yield path, verb, kind, schema


def objects(document):
    """Give every object that a request body may hold, at any depth, each component once."""
    parts, seen = document["components"]["schemas"], set()
    waiting = [
        content["schema"]
        for operations in document["paths"].values()
        for operation in operations.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
    ]
    while waiting:
        node = waiting.pop()
        name = str(node.get("$ref", "")).rpartition("/")[2] if isinstance(node, dict) else ""
        if name and name not in seen:
            seen.add(name)
            waiting.append(parts[name])
        if isinstance(node, dict):
            waiting += node.values()
            if {"properties", "patternProperties"} & set(node):
                yield node
        elif isinstance(node, list):
            waiting += node


def address(path):
    return re.sub(r"{(\w+)}", lambda m: IDS.get(m[1], "0b4c1e5a-6a51-4b52-9d3e-5a8c51a0f7c1"), path)


class TestRequestBodies:
    def test_are_closed_in_the_schema(self, document):
        found = list(bodies(document))

        assert len(found) > 50
        assert not [(path, verb) for path, verb, _, s in found if s["additionalProperties"]]

    def test_have_closed_rows_and_documents(self, document):
        parts = document["components"]["schemas"]

        for name in ("OutcomeRowRequest", "RunSpec", "CostsSpec", "ExperimentPlan", "StrategySpec"):
            assert parts[name]["additionalProperties"] is False

    def test_are_closed_where_keys_have_a_pattern(self, document):
        parts = document["components"]["schemas"]

        patterned = [one for one in objects(document) if "patternProperties" in one]
        assert parts["ReplaySpec"]["properties"]["runs"] in patterned
        assert parts["AllocationSpec"]["properties"]["weights"]["anyOf"][0] in patterned
        assert all(one["additionalProperties"] is False for one in patterned)

    def test_are_free_only_where_any_key_is_taken(self, document):
        free = {
            name
            for one in objects(document)
            for name, inner in one.get("properties", {}).items()
            if inner.get("type") == "object" and inner.get("additionalProperties") == {}
        }

        assert free == {
            "attributes", "limits", "parameters", "metrics", "signature", "figures", "bundle",
        }  # fmt: skip

    def test_describe_the_document_of_a_strategy(self, document):
        schema = document["components"]["schemas"]["StrategyRequestRequest"]

        assert schema["properties"]["document"] == {"$ref": "#/components/schemas/StrategySpec"}

    def test_leave_answers_and_maps_open(self, document):
        parts = document["components"]["schemas"]

        assert "additionalProperties" not in parts["VersionDetail"]
        assert parts["VersionRequestRequest"]["properties"]["tags"]["additionalProperties"]

    @pytest.mark.parametrize(
        ("path", "body", "place"),
        [
            ("runs/", {"spec": SPEC | {UNKNOWN: 1}}, f"spec.{UNKNOWN}"),
            ("runs/", {"spec": SPEC | {"costs": {UNKNOWN: 1}}}, f"spec.costs.{UNKNOWN}"),
            (
                "runs/",
                {"spec": SPEC | {"strategy": BUY | {UNKNOWN: 1}}},
                f"spec.strategy.{UNKNOWN}",
            ),
            ("runs/", {"spec": REPLAY}, "spec.replay.runs.No Arm"),
            ("strategies/", {"name": "x", "document": BUY | {UNKNOWN: 1}}, f"document.{UNKNOWN}"),
            ("experiments/", {"plan": {UNKNOWN: 1}}, f"plan.{UNKNOWN}"),
            (
                "experiments/",
                {"plan": {"allocation": {"kind": "fixed", UNKNOWN: 1}}},
                f"plan.allocation.{UNKNOWN}",
            ),
            (
                "experiments/0b4c1e5a-6a51-4b52-9d3e-5a8c51a0f7c1/outcomes/",
                {"outcomes": [{"unit": "u", "metric": "m", "value": 1.0, UNKNOWN: 1}]},
                f"outcomes.0.{UNKNOWN}",
            ),
        ],
    )
    def test_are_closed_below_the_top(self, everybody, path, body, place):
        answer = everybody.post(f"/api/v1/{path}", body)

        assert place in {fault["path"] for fault in problem(answer, 422)["errors"]}

    def test_are_closed_where_they_are_read(self, document, everybody):
        forms = {"application/json": "json", "multipart/form-data": "multipart"}
        taken = []
        for path, verb, kind, _ in bodies(document):
            send = getattr(everybody, verb)
            answer = send(address(path), {UNKNOWN: "1"}, format=forms[kind])
            if answer.status_code != 422 or UNKNOWN not in {
                fault["path"] for fault in problem(answer, 422)["errors"]
            }:
                taken.append((verb, path, kind, answer.status_code, answer.content[:200]))

        assert not taken
