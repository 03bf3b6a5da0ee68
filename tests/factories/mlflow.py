"""The wire of MLflow's clients: requests as they send them, answers as they read them."""

import json
from typing import Any
from urllib.parse import quote

from django.contrib.auth.models import User
from django.test import Client

from tests.factories.accounts import token

V2 = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
HOST = "http://testserver"
READ_BY_GET = ("get", "search", "get-download-uri", "alias")
LOGGED_MODEL = f"m-{'a1' * 16}"


class Wire:
    """One person's client."""

    def __init__(self, user: User | None, *scopes: str) -> None:
        self.plain = token(user, *scopes) if user else ""
        headers = {"HTTP_AUTHORIZATION": f"Bearer {self.plain}"} if user else {}
        self.client = Client(raise_request_exception=False, **headers)

    def send(self, method: str, path: str, **said: Any) -> Any:
        """Send a message to an endpoint; what is None is left out."""
        kept = {key: value for key, value in said.items() if value is not None}
        if method == "GET":
            return self.client.get(f"{V2}/{path}", kept)
        body = json.dumps(kept)
        return self.client.generic(method, f"{V2}/{path}", body, content_type="application/json")

    def get(self, path: str, **said: Any) -> Any:
        """Ask."""
        return self.send("GET", path, **said)

    def post(self, path: str, **said: Any) -> Any:
        """Tell."""
        return self.send("POST", path, **said)

    def patch(self, path: str, **said: Any) -> Any:
        """Change."""
        return self.send("PATCH", path, **said)

    def delete(self, path: str, **said: Any) -> Any:
        """Take away, with a body as the clients send it."""
        return self.send("DELETE", path, **said)

    def put_file(self, path: str, content: bytes = b"x", **extra: Any) -> Any:
        """Hand in a file."""
        return self.client.generic(
            "PUT", f"{ARTIFACTS}/{quote(path)}", content,
            content_type="application/octet-stream", **extra,
        )  # fmt: skip

    def get_file(self, path: str) -> Any:
        """Read a file."""
        return self.client.get(f"{ARTIFACTS}/{quote(path)}")

    def folder(self, path: str | None = None) -> list[dict[str, Any]]:
        """Return the names in a folder."""
        answer = self.client.get(ARTIFACTS, {} if path is None else {"path": path})
        return list(said(answer)["files"])

    def hand_in_model(self, root: str = "desk", model_id: str = LOGGED_MODEL) -> str:
        """Hand in the files of a logged model and return its source."""
        folder = f"{root}/models/{model_id}/artifacts"
        said(self.put_file(f"{folder}/MLmodel", f"model_id: {model_id}\n".encode()))
        said(self.put_file(f"{folder}/data/model.skops", b"not really"))
        return f"models:/{model_id}"

    def register(self, name: str = "fx", root: str = "desk", **said_: Any) -> dict[str, Any]:
        """Register a logged model as the client does: create, then create."""
        number = sum(map(ord, root))
        source = self.hand_in_model(root, f"m-{number:032x}")
        self.post("registered-models/create", name=name)
        answer = self.post("model-versions/create", name=name, source=source, **said_)
        return dict(said(answer)["model_version"])


def said(answer: Any) -> dict[str, Any]:
    """Return what a success says; it is 200 and a JSON object, or the client breaks."""
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def refused(answer: Any, status: int, code: str) -> str:
    """Return the message of a refusal in MLflow's shape."""
    assert (answer.status_code, answer.json().get("error_code")) == (status, code), answer.content
    assert answer["Content-Type"] == "application/json"
    message = answer.json()["message"]
    assert message
    return str(message)
