"""The transport of MLflow's clients: addresses, keys, and refusals in their shape."""

import json
from base64 import b64encode

import pytest
from django.test import Client
from rest_framework.exceptions import Throttled

from registry.api.mlflow import errors, urls
from registry.models import RegisteredModel
from tests.factories.accounts import token
from tests.factories.mlflow import ARTIFACTS, V2, Wire, refused, said
from tests.factories.registry import registered_model

pytestmark = pytest.mark.django_db(transaction=True)
GET = f"{V2}/registered-models/get"
# MLflow 3.17's; with any other code the user sees INTERNAL_ERROR.
KNOWN = {
    "BAD_REQUEST", "DATA_LOSS", "ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "INTERNAL_ERROR",
    "INVALID_PARAMETER_VALUE", "INVALID_STATE_TRANSITION", "PERMISSION_DENIED",
    "REQUEST_LIMIT_EXCEEDED", "RESOURCE_ALREADY_EXISTS", "RESOURCE_CONFLICT",
    "RESOURCE_DOES_NOT_EXIST", "RESOURCE_EXHAUSTED", "TEMPORARILY_UNAVAILABLE", "UNAUTHENTICATED",
}  # fmt: skip


def client(header=""):
    headers = {"HTTP_AUTHORIZATION": header} if header else {}
    return Client(raise_request_exception=False, enforce_csrf_checks=True, **headers)


def basic(name, password):
    return f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"


class TestKeys:
    @pytest.mark.parametrize("name", ["author", "anybody", ""])
    def test_come_as_bearer_or_as_password(self, author, name):
        registered_model(author, "fx")
        key = token(author)

        for header in (f"Bearer {key}", basic(name, key)):
            said(client(header).get(GET, {"name": "fx"}))

    @pytest.mark.parametrize(
        "header",
        ["", "Bearer x", "Bearer ", basic("author", "pw"), basic("x", ""), "Basic !", "Basic w6Q",
         "Basic /w==", "Digest x", "Bearer ä"],
    )  # fmt: skip
    def test_that_are_none_are_refused(self, author, header):
        answer = client(header).get(GET, {"name": "fx"})

        refused(answer, 401, "UNAUTHENTICATED")
        assert answer["WWW-Authenticate"]

    def test_are_not_sessions(self, author):
        web = client()
        web.force_login(author)

        refused(web.get(GET, {"name": "fx"}), 401, "UNAUTHENTICATED")

    def test_need_no_form_token(self, author):
        answer = client(f"Bearer {token(author)}").post(
            f"{V2}/registered-models/create", json.dumps({"name": "fx"}), "application/json"
        )

        said(answer)


class TestAddresses:
    @pytest.mark.parametrize(
        "path",
        [
            V2, f"{V2}/", f"{V2}/registered-models/get/", f"{V2}/registered-models",
            f"{V2}/runs/create", "/api/3.0/mlflow/server-info", "/api/2.0/mlflow-artifacts",
            "/api/2.0/mlflow-artifacts/mpu/create/x", f"{V2}/a%0Ab",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_that_are_unknown_say_so_and_never_redirect(self, path, method, db):
        refused(client().generic(method, path), 404, "ENDPOINT_NOT_FOUND")

    def test_take_no_other_method(self, wire):
        refused(wire.client.post(GET), 405, "ENDPOINT_NOT_FOUND")
        refused(wire.client.get(f"{V2}/registered-models/create"), 405, "ENDPOINT_NOT_FOUND")
        refused(wire.client.post(ARTIFACTS), 405, "ENDPOINT_NOT_FOUND")

    def test_answer_in_json_whatever_is_accepted(self, author, wire):
        registered_model(author, "fx")

        answer = wire.client.get(GET, {"name": "fx"}, HTTP_ACCEPT="text/html")

        assert said(answer)
        assert answer["Content-Type"] == "application/json"


class TestBodies:
    def create(self, wire, body, kind="application/json"):
        return wire.client.generic(
            "POST", f"{V2}/registered-models/create", body, content_type=kind
        )

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"{", 400, "BAD_REQUEST"), (b"\xff", 400, "BAD_REQUEST"),
            (b"[" * 100_000, 400, "BAD_REQUEST"), (b"[]", 400, "INVALID_PARAMETER_VALUE"),
            (b'"x"', 400, "INVALID_PARAMETER_VALUE"), (b"null", 400, "INVALID_PARAMETER_VALUE"),
            (b'{"name": {"a": 1}}', 400, "INVALID_PARAMETER_VALUE"),
            (b'{"name": "\\ud800"}', 400, "INVALID_PARAMETER_VALUE"),
            (b'{"name": "fx", "tags": [{"key": "k"}]}', 400, "INVALID_PARAMETER_VALUE"),
            (b'{"name": "fx", "tags": "x"}', 400, "INVALID_PARAMETER_VALUE"),
            (b" " * 3_000_000, 413, "BAD_REQUEST"), (b"", 400, "INVALID_PARAMETER_VALUE"),
        ],
    )  # fmt: skip
    def test_that_say_nothing_are_refused(self, wire, body, status, code):
        refused(self.create(wire, body), status, code)
        assert not RegisteredModel.objects.exists()

    def test_of_another_kind_are_refused(self, wire):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
            refused(self.create(wire, b'{"name": "fx"}', kind), 415, "BAD_REQUEST")

    def test_may_hold_more_than_is_known(self, wire):
        said(self.create(wire, b'{"name": "fx", "deployment_job_id": "x"}'))

    def test_may_ask_with_more_than_is_known(self, wire):
        said(self.create(wire, b'{"name": "fx"}'))

        body = said(wire.get("registered-models/get", name="fx", workspace="default"))

        assert body["registered_model"]["name"] == "fx"


class TestErrors:
    def test_are_those_that_clients_know(self):
        codes = {code for _, code, _ in errors.CODES} | {c for c, _ in errors.BY_STATUS.values()}

        assert codes <= KNOWN

    def test_that_are_decisions_are_never_tried_again(self):
        tried_again = {408, 429, 500, 502, 503, 504}
        statuses = {kind.__name__: status for kind, _, status in errors.CODES}

        assert {name for name, status in statuses.items() if status in tried_again} == {
            "Unavailable"
        }

    def test_of_our_own_hide_their_text(self, wire, monkeypatch):
        def fail(*_args):
            raise RuntimeError("secret")

        monkeypatch.setattr("registry.selectors.get_model", fail)

        message = refused(wire.get("registered-models/get", name="fx"), 500, "INTERNAL_ERROR")

        assert "secret" not in message

    def test_of_too_many_requests_say_how_long_to_wait(self, wire, monkeypatch):
        def throttled(*_args):
            raise Throttled(wait=3)

        monkeypatch.setattr("registry.api.mlflow.base.MlflowView.check_throttles", throttled)

        answer = wire.get("registered-models/get", name="fx")

        refused(answer, 429, "REQUEST_LIMIT_EXCEEDED")
        assert answer["Retry-After"] == "4"


class TestRoles:
    def test_every_endpoint_needs_a_key_and_a_scope(self, author):
        stranger = Wire(author, "runs:read")
        for pattern in urls.urlpatterns[:-1]:
            path = str(pattern.pattern).replace(r"^", "").replace(r"(?P<path>[\s\S]*)$", "x")
            view = pattern.callback.view_class
            for method in view.scopes:
                body = {} if method == "GET" else {"content_type": "application/json"}
                answer = client().generic(method, f"/{path}", b"{}" if body else b"", **body)
                refused(answer, 401, "UNAUTHENTICATED")
                answer = stranger.client.generic(method, f"/{path}", b"{}" if body else b"", **body)
                refused(answer, 403, "PERMISSION_DENIED")
