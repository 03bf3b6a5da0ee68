"""Every refusal has one shape, and says nothing it should not."""

import json
from io import BytesIO

import pytest
from django.core.cache import caches
from django.test import Client
from rest_framework.test import APIClient

from tests.crowetrade_site.core.api.sample_urls import SECRET

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("tests.crowetrade_site.core.api.sample_urls"),
]
MEMBERS = {"type", "title", "status", "detail", "instance", "request_id"}


def problem_of(response, status: int) -> dict:
    """Check that a response is a problem document, and return it."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    problem = json.loads(response.content)
    assert set(problem) >= MEMBERS
    assert problem["status"] == status
    assert problem["type"].startswith("urn:crowetrade:problem:")
    assert problem["request_id"] == response["X-Request-ID"]
    assert problem["detail"]
    return problem


@pytest.fixture
def client(as_user) -> APIClient:
    return as_user()


class TestExceptionHandler:
    @pytest.mark.parametrize(
        ("kind", "status", "slug", "detail"),
        [
            ("http404", 404, "not-found", "There is no such thing here."),
            ("denied", 403, "forbidden", "You may not do this."),
            ("gate", 422, "gate-not-met", "Sharpe is too low."),
            ("away", 503, "unavailable", "The broker is away."),
            ("forged", 400, "parse-error", "The request is malformed."),
            ("empty", 422, "invalid-input", "Invalid input."),
        ],
    )
    def test_turns_refusals_into_problems(self, client, kind, status, slug, detail):
        problem = problem_of(client.get(f"/api/v1/sample/{kind}/"), status)

        assert problem["type"].endswith(f":{slug}")
        assert problem["detail"] == detail
        assert problem["instance"] == f"/api/v1/sample/{kind}/"

    def test_keeps_extensions(self, client):
        problem = problem_of(client.get("/api/v1/sample/gate/"), 422)

        assert problem["failures"] == [{"gate": "sharpe"}]

    def test_echoes_the_request_id(self, client):
        response = client.get("/api/v1/sample/gate/", headers={"X-Request-ID": "from-the-client"})

        assert problem_of(response, 422)["request_id"] == "from-the-client"

    @pytest.mark.parametrize(
        ("body", "errors"),
        [
            ({}, [("name", "required"), ("legs", "required")]),
            ({"name": "x", "legs": [{}]}, [("legs.0.symbol", "req"), ("legs.0.weight", "req")]),
            (
                {
                    "name": "x",
                    "legs": [{"symbol": "A", "weight": 1}, {"symbol": "B", "weight": "x"}],
                },
                [("legs.1.weight", "valid number")],
            ),
            ({"name": "bad", "legs": []}, [("", "the whole is wrong")]),
            ({"name": "x", "legs": [], "tags": [1, "x"]}, [("tags.1", "valid integer")]),
            ({"name": "x", "legs": {}}, [("legs", "Expected a list")]),
            ({"name": "x", "leg": []}, [("leg", "did you mean 'legs'?"), ("legs", "required")]),
            ([], [("", "Invalid data")]),
            ({"name": "a\0b", "legs": []}, [("name", "Null characters")]),
        ],
    )
    def test_names_where_nested_input_is_wrong(self, client, body, errors):
        problem = problem_of(client.post("/api/v1/sample/x/", body, format="json"), 422)

        assert [each["path"] for each in problem["errors"]] == [path for path, _ in errors]
        for found, (path, words) in zip(problem["errors"], errors, strict=True):
            assert words in found["message"]
            assert path in problem["detail"] or found is not problem["errors"][0]

    def test_of_no_token_challenges(self):
        response = APIClient().get("/api/v1/sample/gate/")

        assert problem_of(response, 401)["type"].endswith("not-authenticated")
        assert response["WWW-Authenticate"] == 'Bearer realm="CroweTrade"'

    @pytest.mark.parametrize(
        "header", ["Bearer ct_unknown", "Bearer", "token  x", "BEARER \xff", "Bearer a b c"]
    )
    def test_of_a_bad_token_challenges(self, header):
        response = APIClient().get("/api/v1/sample/gate/", headers={"Authorization": header})

        assert "unknown, expired or revoked" in problem_of(response, 401)["detail"]
        assert response["WWW-Authenticate"] == 'Bearer realm="CroweTrade"'

    def test_of_another_scheme_is_none(self):
        response = APIClient().get("/api/v1/sample/gate/", headers={"Authorization": "Basic YTpi"})

        problem_of(response, 401)

    def test_of_a_wrong_method(self, client):
        response = client.delete("/api/v1/sample/x/")

        assert problem_of(response, 405)["type"].endswith("method-not-allowed")
        assert response["Allow"] == "GET, POST, HEAD, OPTIONS"

    def test_of_a_wrong_media_type(self, client):
        response = client.post("/api/v1/sample/x/", "<a/>", content_type="application/xml")

        problem_of(response, 415)

    def test_of_an_unacceptable_answer(self, client):
        response = client.get("/api/v1/sample/gate/", headers={"Accept": "text/html"})

        problem_of(response, 406)

    @pytest.mark.parametrize("body", ["{", '{"a": NaN}', "", "[" * 100_000, "\xff"])
    def test_of_no_json(self, client, body):
        response = client.post(
            "/api/v1/sample/x/", body.encode("latin-1"), content_type="application/json"
        )

        assert problem_of(response, 422 if body == "" else 400)

    def test_of_a_body_that_is_too_large(self, client, settings):
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
        body = json.dumps({"name": "x" * 100}).encode()

        response = client.post("/api/v1/sample/x/", body, content_type="application/json")

        assert "too large" in problem_of(response, 413)["detail"]

    @pytest.mark.parametrize(("n_bytes", "left"), [(10_000_000, 0), (30_000_000, 13_222_784)])
    def test_of_a_body_that_is_too_large_reads_it_up_to_a_point(self, client, n_bytes, left):
        """A client that was still sending saw its connection break, and no answer."""
        stream = BytesIO(b" " * n_bytes)

        response = client.generic(
            "POST", "/api/v1/sample/x/", content_type="application/json",
            CONTENT_LENGTH=str(n_bytes), **{"wsgi.input": stream},
        )  # fmt: skip

        problem_of(response, 413)
        assert n_bytes - stream.tell() == left

    def test_of_too_many_requests_says_when_to_come_back(self, client):
        caches["requests"].clear()
        for _ in range(2):
            assert client.get("/api/v1/busy/").status_code == 200

        response = client.get("/api/v1/busy/")

        assert problem_of(response, 429)["type"].endswith("throttled")
        assert 0 < int(response["Retry-After"]) <= 86_401
        caches["requests"].clear()

    def test_of_a_view_that_names_no_scope(self, client):
        problem_of(client.get("/api/v1/forgotten/"), 403)


class TestNotFound:
    @pytest.mark.parametrize("path", ["/api/", "/api/v1/nothing/", "/api/v2/", "/nothing"])
    def test_is_a_problem(self, client, path):
        problem = problem_of(client.get(path), 404)

        assert problem["instance"] == path

    def test_is_one_for_strangers_too(self):
        problem_of(Client().get("/api/v1/nothing/"), 404)


class TestServerError:
    def test_hides_the_text(self, client, caplog):
        client.raise_request_exception = False

        response = client.get("/api/v1/sample/bug/")

        assert "under the request id" in problem_of(response, 500)["detail"]
        assert SECRET not in response.content.decode()
        assert SECRET in caplog.text
