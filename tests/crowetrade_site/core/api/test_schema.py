import pytest
from openapi_spec_validator import validate
from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def document():
    from drf_spectacular.generators import SchemaGenerator

    return SchemaGenerator().get_schema(request=None, public=True)


class TestSchema:
    def test_is_valid_openapi(self, document):
        validate(document)

    def test_says_that_every_operation_may_answer_with_a_problem(self, document):
        operations = [
            (path, method, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

        assert operations
        for path, method, operation in operations:
            default = operation["responses"].get("default", {})
            schema = default.get("content", {}).get("application/problem+json", {}).get("schema")
            assert schema == {"$ref": "#/components/schemas/Problem"}, (path, method)

    def test_has_the_ground_floor_s_addresses(self, document):
        assert set(document["paths"]["/api/v1/tokens/"]) == {"get", "post"}
        assert set(document["paths"]["/api/v1/tokens/{token_id}/"]) == {"delete"}
        assert set(document["paths"]["/api/v1/audit/"]) == {"get"}

    def test_describes_filters_cursor_and_order(self, document):
        parameters = document["paths"]["/api/v1/audit/"]["get"]["parameters"]

        names = {parameter["name"]: parameter for parameter in parameters}
        assert {"actor", "verb", "since", "until", "cursor", "page_size", "ordering"} <= set(names)
        assert names["ordering"]["schema"]["enum"] == ["at", "-at"]

    def test_shows_a_token_s_text_where_it_is_issued_alone(self, document):
        schemas = document["components"]["schemas"]

        assert "token" in schemas["NewToken"]["properties"]
        assert "token" not in schemas["TokenRow"]["properties"]
        assert not any("digest" in schemas[name]["properties"] for name in ("NewToken", "TokenRow"))

    def test_is_served(self):
        response = APIClient().get("/api/schema/")

        assert response.status_code == 200
        assert APIClient().get("/api/docs/").status_code == 200
