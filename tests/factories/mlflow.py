"""The wire of MLflow's clients: requests as they send them, answers as they read them."""

import json
import pickle
from functools import cache
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


@cache
def model_files(
    client: str = "3.17.2", folder: str = "", *, is_bare: bool = False
) -> dict[str, bytes]:
    """Return the files of a small linear model as a client of MLflow lays them out.

    MLflow 3 writes skops, MLflow 2 knows pickles alone. Bare are those without an environment.
    """
    import skops.io
    import yaml
    from sklearn.linear_model import LinearRegression

    is_3 = client.startswith("3.")
    name = f"{folder}model.skops" if is_3 else f"{folder}model.pkl"
    fitted = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    column = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 1]}}]
    env = {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}
    sklearn = {
        "code": None, "pickled_model": name, "sklearn_version": "1.9.1",
        "serialization_format": "skops" if is_3 else "cloudpickle",
    }  # fmt: skip
    if is_3:
        sklearn["skops_trusted_types"] = None
    document = {
        "flavors": {
            "python_function": {
                "env": None if is_bare else env, "loader_module": "mlflow.sklearn",
                "model_path": name, "predict_fn": "predict", "python_version": "3.11.7",
            },
            "sklearn": sklearn,
        },
        "is_signature_from_type_hint": False, "mlflow_version": client, "model_size_bytes": 700,
        "model_uuid": "c6866a50aa524ac4a6abcccf3987a4ed", "prompts": None,
        "signature": {"inputs": json.dumps(column), "outputs": json.dumps(column), "params": None},
        "type_hint_from_example": False, "utc_time_created": "2026-11-28 20:38:09.516346",
    }  # fmt: skip
    conda = "channels:\n- conda-forge\ndependencies:\n- python=3.11.7\n- pip\n- pip:\n"
    files = {
        "MLmodel": yaml.safe_dump(document).encode(),
        name: skops.io.dumps(fitted) if is_3 else pickle.dumps(fitted),
    }
    if is_bare:
        return files
    return files | {
        "conda.yaml": f"{conda}  - mlflow=={client}\nname: mlflow-env\n".encode(),
        "python_env.yaml": b"python: 3.11.7\nbuild_dependencies:\n- pip==24.0\n- setuptools\n"
        b"dependencies:\n- -r requirements.txt\n",
        "requirements.txt": f"mlflow=={client}\nscikit-learn==1.9.1\n".encode(),
    }


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
        """Hand in the files of a logged model that load it and return its source."""
        files = model_files(folder="data/", is_bare=True)
        own = {"MLmodel": files["MLmodel"] + f"model_id: {model_id}\n".encode()}
        return self.hand_in_files(files | own, root, model_id)

    def hand_in_files(
        self, files: dict[str, bytes], root: str = "desk", model_id: str = LOGGED_MODEL
    ) -> str:
        """Hand in files as those of a logged model and return its source."""
        for path, content in files.items():
            said(self.put_file(f"{root}/models/{model_id}/artifacts/{path}", content))
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
