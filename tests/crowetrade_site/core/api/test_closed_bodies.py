"""What the schema says of unknown keys, and what is done about them, in every request body."""

import re

import pytest
from django.contrib.auth.models import Group

from crowetrade_site.core.roles import Role
from tests.factories.accounts import account
from tests.factories.clients import client, problem

pytestmark = pytest.mark.django_db
UNKNOWN = "nobodys_key"
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


def address(path):
    return re.sub(r"{(\w+)}", lambda m: IDS.get(m[1], "0b4c1e5a-6a51-4b52-9d3e-5a8c51a0f7c1"), path)


class TestRequestBodies:
    def test_are_closed_in_the_schema(self, document):
        found = list(bodies(document))

        assert len(found) > 50
        assert not [(path, verb) for path, verb, _, s in found if s["additionalProperties"]]

    def test_have_closed_rows_and_documents(self, document):
        parts = document["components"]["schemas"]

        for name in ("OutcomeRowRequest", "RunSpec", "CostsSpec", "ExperimentPlan"):
            assert parts[name]["additionalProperties"] is False

    def test_leave_answers_and_maps_open(self, document):
        parts = document["components"]["schemas"]

        assert "additionalProperties" not in parts["VersionDetail"]
        assert parts["VersionRequestRequest"]["properties"]["tags"]["additionalProperties"]

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
