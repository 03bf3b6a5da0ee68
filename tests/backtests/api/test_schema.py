"""The published schema: valid OpenAPI, and no change of it goes unnoticed."""

import json

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from backtests.runspec import CrossValidationSpec, RunSpec, WalkForwardSpec
from backtests.search import KINDS
from tests.factories.backtests import SEARCH, spec


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

    def test_describes_every_key_of_a_spec(self, schema):
        parts = schema["components"]["schemas"]

        def properties(name: str) -> set[str]:
            return set(parts[name]["properties"])

        assert properties("RunSpec") == set(RunSpec.model_fields)
        assert properties("WalkForwardSpec") == set(WalkForwardSpec.model_fields)
        assert properties("CrossValidationSpec") == set(CrossValidationSpec.model_fields)
        assert set(parts["SearchSpec"]["discriminator"]["mapping"]) == set(KINDS)
        for part in parts["SearchSpec"]["oneOf"]:
            assert {"kind", "over", "objective"} <= properties(part["$ref"].rsplit("/", 1)[-1])

    def test_accepts_a_study_and_tells_a_mistyped_key(self, schema):
        def faults(**more):
            document = spec(**{"kind": "sweep", "search": SEARCH} | more)
            whole = {"$ref": "#/components/schemas/RunSpec", "components": schema["components"]}
            return list(Draft202012Validator(whole).iter_errors(document))

        assert not faults()
        assert faults(capitol=1)
        assert faults(search={"kind": "grid"})
