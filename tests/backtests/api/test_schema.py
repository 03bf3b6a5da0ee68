"""The published schema: valid OpenAPI, and no change of it goes unnoticed."""

import json

import pytest
from openapi_spec_validator import validate


@pytest.fixture
def schema(client):
    return json.loads(client.get("/api/schema/?format=json").content)


class TestSchema:
    def test_is_valid(self, schema):
        validate(schema)

    def test_is_the_one_that_was_reviewed(self, schema, golden):
        golden("openapi.json", json.dumps(schema, indent=1, sort_keys=True) + "\n")

    def test_answers_every_operation_with_a_problem(self, schema):
        operations = [
            operation
            for path in schema["paths"].values()
            for verb, operation in path.items()
            if verb in {"get", "post", "put", "patch", "delete"}
        ]

        assert operations
        for operation in operations:
            assert "application/problem+json" in operation["responses"]["default"]["content"]

    def test_offers_the_orderings(self, schema):
        offered = {
            parameter["name"] for parameter in schema["paths"]["/api/v1/runs/"]["get"]["parameters"]
        }

        assert {"ordering", "cursor", "page_size", "status"} <= offered

    def test_offers_the_idempotency_key(self, schema):
        for path in ("/api/v1/runs/", "/api/v1/datasets/", "/api/v1/strategies/"):
            named = [one["name"] for one in schema["paths"][path]["post"].get("parameters", [])]
            assert "Idempotency-Key" in named
