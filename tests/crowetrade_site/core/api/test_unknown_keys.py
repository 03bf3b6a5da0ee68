"""No endpoint passes over a key that it does not know: the walk of the whole schema."""

import json
import re
import uuid

import pytest
from drf_spectacular.generators import SchemaGenerator

from crowetrade_site.core import roles
from tests.crowetrade_site.core.api.test_problems import problem_of

pytestmark = pytest.mark.django_db
KINDS = ("application/json", "multipart/form-data")


@pytest.fixture(scope="module")
def schema():
    return SchemaGenerator().get_schema(request=None, public=True)


def operations(schema):
    """Return (method, path, kind of body, known keys) of every operation that reads keys."""
    found = []
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            kind = next((kind for kind in KINDS if kind in content), None)
            if kind is not None:
                name = content[kind]["schema"]["$ref"].rsplit("/", 1)[-1]
                known = schema["components"]["schemas"][name]["properties"]
                found.append((method, path, kind, sorted(known)))
    return found


def address(path):
    """Return an address of what need not be there: a body is read before anything is looked up."""
    path = re.sub(r"\{(number|version)\}", "1", path)
    return re.sub(r"\{\w+\}", str(uuid.uuid4()), path)


@pytest.fixture
def root(as_user, make_user):
    """A client that may everything, so that nothing but its input is refused."""
    user = make_user()
    return as_user(user=user, scopes=sorted(roles.SCOPES))


class TestEveryBody:
    def test_is_found_by_the_walk(self, schema):
        paths = {path for _, path, _, _ in operations(schema)}

        assert len(operations(schema)) >= 40
        assert {
            "/api/v1/runs/", "/api/v1/datasets/", "/api/v1/strategies/", "/api/v1/tokens/",
            "/api/v1/experiments/", "/api/v1/experiments/{experiment_id}/assign/",
            "/api/v1/experiments/{experiment_id}/outcomes/", "/api/v1/models/",
        } <= paths  # fmt: skip

    def test_refuses_a_key_that_nobody_knows(self, schema, root):
        passed_over = []
        for method, path, kind, known in operations(schema):
            mistyped = f"{known[0]}_"
            form = "multipart" if kind == KINDS[1] else "json"

            answer = getattr(root, method)(address(path), {mistyped: "x"}, format=form)

            if answer.status_code != 422:
                passed_over.append((method, path, answer.status_code, answer.content[:200]))
                continue
            first = problem_of(answer, 422)["errors"][0]
            nearest = f"unknown key; did you mean {known[0]!r}?"
            if first != {"path": mistyped, "message": nearest}:
                passed_over.append((method, path, 422, first))
        assert passed_over == []


class TestEveryQuery:
    """Of addresses that read their parameters by a serializer; lists refuse by their filters."""

    @pytest.mark.parametrize(
        "path",
        [
            f"runs/{uuid.UUID(int=1)}/trials/?limits=5",
            f"experiments/{uuid.UUID(int=1)}/statistics/?metric=a&metrics=b",
        ],
    )
    def test_refuses_a_parameter_that_nobody_knows(self, root, path):
        problem = problem_of(root.get(f"/api/v1/{path}"), 422)

        assert "unknown key; did you mean" in problem["detail"]
        assert problem["errors"][0]["path"] in {"limits", "metrics"}


class TestAnUnknownKey:
    def test_is_told_before_what_else_is_wrong(self, root):
        answer = root.post("/api/v1/tokens/", {"nane": "x"})

        problem = problem_of(answer, 422)
        assert problem["detail"].startswith("nane: unknown key; did you mean 'name'? name: This")
        assert [fault["path"] for fault in problem["errors"]] == ["nane", "name", "scopes"]

    @pytest.mark.parametrize("key", ["\ud800", "a\0b", "k" * 10_000, ""])
    def test_may_be_anything_that_a_text_can_be(self, root, key):
        body = json.dumps({"name": "x", "scopes": ["runs:read"], key: 1})

        answer = root.post("/api/v1/tokens/", body, content_type="application/json")

        assert "unknown key" in problem_of(answer, 422)["detail"]
