"""What the workers say of the folders that clients of MLflow hand in."""

import pytest
import yaml

from registry.models import ModelVersion
from tests.factories.mlflow import LOGGED_MODEL, model_files, refused, said

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def register(wire, admitted):
    """Register files as a client does; return what it is told of the version, and the row."""

    def registered(files):
        source = wire.hand_in_files(files)
        said(wire.post("registered-models/create", name="fx"))
        said(wire.post("model-versions/create", name="fx", source=source))
        told = said(wire.get("model-versions/get", name="fx", version="1"))["model_version"]
        return told, ModelVersion.objects.get()

    return registered


class TestFolders:
    def test_of_mlflow_3_are_ready(self, register, wire):
        told, version = register(model_files("3.17.2"))

        assert told["status"] == "READY", told
        assert (version.status, version.format, version.model_path) == (
            "ready", "skops", "model.skops",
        )  # fmt: skip
        assert version.findings == []
        assert version.signature["inputs"][0]["tensor-spec"]["dtype"] == "float64"
        assert version.framework["mlflow_version"] == "3.17.2"
        assert set(version.framework) >= {"skops", "protocol", "scikit-learn"}
        said(wire.get("model-versions/get-download-uri", name="fx", version="1"))

    def test_of_mlflow_2_are_pickles_and_go_to_quarantine(self, register, wire):
        told, version = register(model_files("2.22.5"))

        assert told["status"] == "FAILED_REGISTRATION"
        assert "quarantine" in told["status_message"]
        assert (version.status, version.format) == ("quarantined", "pickle")
        assert [finding["code"] for finding in version.findings] == ["pickle"]
        answer = wire.get("model-versions/get-download-uri", name="fx", version="1")
        assert "Convert it to skops or ONNX" in refused(answer, 403, "PERMISSION_DENIED")

    @pytest.mark.parametrize(
        ("key", "path"),
        [("data", "/tmp/evil.pkl"), ("model_path", "/tmp/evil.pkl"), ("model_path", "../evil.pkl")],
    )
    def test_that_have_a_client_open_something_else_are_refused(self, register, key, path):
        files = model_files("3.17.2")
        document = yaml.safe_load(files["MLmodel"])
        document["flavors"]["python_function"][key] = path

        told, version = register(files | {"MLmodel": yaml.safe_dump(document).encode()})

        assert told["status"] == "FAILED_REGISTRATION"
        assert f"python_function.{key} leads out of the version" in told["status_message"]
        assert version.status == "refused"

    def test_are_registered_under_the_id_of_the_logged_model(self, register):
        _, version = register(model_files("3.17.2"))

        assert version.source == f"models:/{LOGGED_MODEL}"
