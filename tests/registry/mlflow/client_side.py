"""The side of the client: what every check of `client_suite.py` needs.

A line of JSON on standard output tells of a check. A line ``{"ask": …}`` asks the process that
started this one to do something to the server, and waits for a line on standard input.
"""

import json
import os
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

URL, KEY, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
os.environ |= {
    "MLFLOW_TRACKING_TOKEN": KEY, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "HOME": str(FOLDER),
}  # fmt: skip

import mlflow  # noqa: E402
import numpy as np  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.models import infer_signature  # noqa: E402
from sklearn.linear_model import LinearRegression  # noqa: E402

ARTIFACTS = f"{URL}/api/2.0/mlflow-artifacts/artifacts"
IS_3 = int(mlflow.__version__.split(".")[0]) >= 3
X = np.arange(20.0).reshape(10, 2)
Y = X @ [1.5, -0.5] + 2
PREDICTED = LinearRegression().fit(X, Y).predict(X)
mlflow.set_tracking_uri(f"sqlite:///{FOLDER}/mlflow.db")
mlflow.set_registry_uri(URL)
client = mlflow.MlflowClient()
EXPERIMENT = mlflow.create_experiment("fx-alpha", artifact_location=f"{ARTIFACTS}/desk")
known = {}


def tell(**words):
    sys.stdout.write(f"{json.dumps(words)}\n")
    sys.stdout.flush()


def ask(*words):
    tell(ask=words)
    answer = json.loads(sys.stdin.readline())
    if isinstance(answer, dict) and "error" in answer:
        raise AssertionError(answer["error"])
    return answer


@contextmanager
def refusal(code, *words):
    """Expect a refusal with a code, whose text has these words."""
    start, found = time.monotonic(), None
    try:
        yield
    except MlflowException as error:
        found = error
    assert found is not None, "it was not refused"
    assert code is None or found.error_code == code, f"{found.error_code}: {found}"
    for word in words:
        assert word in str(found), f"{word!r} is not in: {found}"
    assert time.monotonic() - start < 10, "it was tried again and again"


def log_model(name, *, pickled=False, slope=1.0, note=None, **more):
    """Log a linear model, whose files are others for each slope, with a note in it.

    As skops, or as a pickle; the client of MLflow 2 has ONNX where it may be no pickle.
    """
    more |= {"signature": infer_signature(X, Y), "pip_requirements": ["scikit-learn"]}
    if not IS_3 and not pickled:
        return mlflow.onnx.log_model(onnx_model(slope), artifact_path=name, **more)
    model = LinearRegression().fit(X, Y * slope)
    if note is not None:
        model.note_ = note
    if IS_3:
        more |= {"name": name, "serialization_format": "cloudpickle" if pickled else "skops"}
    else:
        more |= {"artifact_path": name}
    return mlflow.sklearn.log_model(model, **more)


def onnx_model(slope):
    """Return the same line as a graph: x W + b."""
    from onnx import TensorProto, helper, numpy_helper

    weights = {"W": np.array([[1.5], [-0.5]]) * slope, "b": np.array([2.0]) * slope}
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "W"], ["xW"]),
            helper.make_node("Add", ["xW", "b"], ["y"]),
        ],
        "line",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def predicted(uri):
    """Return what the model at an address predicts, as any client loads it."""
    found = mlflow.pyfunc.load_model(uri).predict(X)
    return np.ravel(found["y"] if isinstance(found, dict) else found)


def predicted_by_flavor(uri):
    """Return what the model at an address predicts, loaded as what it is."""
    if IS_3:
        return mlflow.sklearn.load_model(uri).predict(X)
    import onnxruntime

    content = mlflow.onnx.load_model(uri).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.ravel(session.run(None, {"x": X})[0])


def run():
    return mlflow.start_run(experiment_id=EXPERIMENT)


def close(one, other):
    assert np.allclose(one, other), f"{one} is not {other}"


@contextmanager
def key_of(key):
    """Be somebody else for a while."""
    os.environ["MLFLOW_TRACKING_TOKEN"] = key
    try:
        yield
    finally:
        os.environ["MLFLOW_TRACKING_TOKEN"] = KEY


def make(checks):
    """Make every check, whatever becomes of those before it, and tell of each."""
    for check in checks:
        try:
            check()
        except Exception:  # the next check shall be made
            error = briefly(traceback.format_exc())
        else:
            error = ""
        tell(check=check.__name__, error=error)


def briefly(text):
    """Return the lines of a traceback that are of the suite, and how it ended."""
    lines = text.splitlines()
    own = [line.strip() for line in lines if "client_suite" in line]
    return "\n".join([*own[-2:], *lines[-4:]])
