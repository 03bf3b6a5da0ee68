"""The program that opens one model inside the sandbox; started by `sandbox`, never imported there.

It imports what the format needs, forks so that a single thread is left, locks that process up and
only then reads the file.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from registry.artifacts.agreement import Agreement, Outputs, compare, outputs_of
from registry.artifacts.contents import Format
from registry.artifacts.errors import DigestMismatchError, NotAllowedError
from registry.artifacts.limits import Limits
from registry.artifacts.loading import EstimatorModel, open_bytes
from registry.artifacts.locks import (
    LockError,
    SandboxLimits,
    die_with_parent,
    library_folders,
    lock_down,
)
from registry.artifacts.onnx_writing import NotExpressibleError, write_onnx
from registry.artifacts.trusted import open_skops
from registry.artifacts.unpickling import import_allowed, unpickle

MAX_PREDICTIONS = 16
_MOST_VALUES = 1 << 20  # of rows with gaps at once, 8 MB
_SIGNAL_BASE = 128
_DTYPES = {
    "float": "f4", "double": "f8", "float16": "f2", "bool": "?", "string": "U",
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
_WITHOUT_PREDICTIONS = frozenset({Format.PARAMETERS, Format.SAFETENSORS})


def main() -> None:
    """Read the request, open the model in a locked process, and end as that process ended."""
    die_with_parent()
    request_file, answer_file = int(sys.argv[1]), int(sys.argv[2])
    request = json.loads(os.pread(request_file, os.fstat(request_file).st_size, 0))
    _prepare(request)
    pid = os.fork()
    if pid == 0:
        os.close(request_file)
        _locked(request, answer_file)
    os.close(answer_file)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    sys.exit(_SIGNAL_BASE - code if code < 0 else code)


def _prepare(request: dict[str, Any]) -> None:
    """Import everything that opening needs: nobody may be unable to read it afterwards."""
    import yaml  # noqa: F401 - before the lock

    for encoding in ("ascii", "latin-1"):
        codecs.lookup(encoding)
    model_format = Format(request["format"])
    rows = request["rows"] or [[0.0]]
    if isinstance(rows[0], dict):
        import pandas as pd

        rows = pd.DataFrame({"a": ["x", "y"]})
    if model_format is Format.ONNX:
        import onnxruntime  # noqa: F401 - before the lock
    if model_format in {Format.SKOPS, Format.PICKLE}:
        import skops.io  # imports every estimator of scikit-learn
        from sklearn.preprocessing import OneHotEncoder

        # Rehearsed on something small: what these import at their first call is there then.
        again = skops.io.dumps(OneHotEncoder().fit(rows))
        skops.io.loads(again, trusted=["numpy.dtype"]).transform(rows)
    if request.get("target") == Format.ONNX:
        _rehearse_onnx()
    if model_format is Format.PICKLE:
        import_allowed(frozenset(request["names"]))


def _rehearse_onnx() -> None:
    """Write and open a graph: the converters import what they need when they are called."""
    from sklearn.tree import DecisionTreeClassifier

    small = DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1])
    graph: Any = open_bytes(write_onnx(small, 1), Format.ONNX)
    graph.outputs([[0.0]])


def _locked(request: dict[str, Any], answer_file: int) -> None:
    """Lock up, work, answer, end: this process returns to nobody."""
    payload = b""
    try:
        limits = SandboxLimits(**request["limits"])
        locks = lock_down(limits, library_folders(), needs_landlock=request["needs_landlock"])
    except (LockError, OSError) as error:
        _answer(answer_file, {"status": "pending", "reason": str(error)}, payload)
        os._exit(0)
    try:
        answer, payload = _work(request)
    except NotAllowedError as error:
        answer = {"status": "refused", "reason": str(error)}
    except NotExpressibleError as error:
        answer = {"status": "failed", "reason": str(error)}
    except Exception as error:
        answer = {"status": "failed", "reason": f"{type(error).__name__}: {error}"[:2000]}
    _answer(answer_file, answer | {"locks": locks}, payload)
    os._exit(0)


def _answer(answer_file: int, answer: dict[str, Any], payload: bytes) -> None:
    with os.fdopen(answer_file, "wb") as file:
        file.write(json.dumps(answer, default=str).encode() + b"\n")
        file.write(payload)


def _work(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    began = time.perf_counter()
    content = _read(request)
    rows = _rows(request["rows"])
    task = _convert if request["task"] == "convert" else _probe
    answer, payload = task(request, content, rows)
    return answer | {"seconds": time.perf_counter() - began}, payload


def _read(request: dict[str, Any]) -> bytes:
    with os.fdopen(request["file"], "rb") as file:
        content = file.read(request["n_bytes"] + 1)
    if hashlib.sha256(content).hexdigest() != request["sha256"]:
        raise DigestMismatchError("The bytes are not those that were registered.")
    return content


def _rows(rows: list[Any] | None) -> Any:
    """Return rows as the array or the table a model expects."""
    if not rows:
        return None
    if isinstance(rows[0], dict):
        import pandas as pd

        return pd.DataFrame(rows)
    is_text = any(isinstance(value, str) for row in rows for value in row)
    return np.array(rows, dtype=object if is_text else np.float64)


def _open(request: dict[str, Any], content: bytes) -> Any:
    """Return something that predicts, or parameters."""
    model_format = Format(request["format"])
    if model_format is not Format.PICKLE:
        return open_bytes(content, model_format, trusted=request["trusted"])
    if not request["opens_pickles"]:
        raise NotAllowedError("A pickle is opened only where that was asked for.")
    estimator = unpickle(content, frozenset(request["names"]), Limits())
    return EstimatorModel(estimator, len(content), Format.PICKLE)


def _probe(request: dict[str, Any], content: bytes, rows: Any) -> tuple[dict[str, Any], bytes]:
    model = _open(request, content)
    answer: dict[str, Any] = {"status": "opened", "predictions": [], "n_predictions": 0}
    if rows is not None and model.format not in _WITHOUT_PREDICTIONS:
        predictions = np.asarray(model.predict(rows))
        answer["n_predictions"] = len(predictions)
        answer["predictions"] = predictions.ravel()[:MAX_PREDICTIONS].tolist()
    elif rows is None:
        answer["reason"] = _try_zeros(model)
    return answer, b""


def _try_zeros(model: Any) -> str:
    """Predict rows of zeros: what crashes or never ends here would do so to its users.

    Return what went wrong.
    """
    try:
        if model.format is Format.ONNX:
            model.session.run(None, zeros_for(model.session))
        elif n_features := getattr(getattr(model, "estimator", None), "n_features_in_", 0):
            model.predict(np.zeros((2, n_features)))
    except Exception as error:  # it may want names or words, which says nothing against it
        return f"It does not predict rows of zeros: {type(error).__name__}: {error}"[:500]
    return ""


def zeros_for(session: Any) -> dict[str, Any]:
    """Return zeros, or empty words, of the shape of each input; open sizes are two rows, then one.

    Raises
    ------
    NotAllowedError
        An input is no tensor of numbers or words.
    """
    fed = {}
    for one in session.get_inputs():
        kind = one.type.removeprefix("tensor(").removesuffix(")")
        if kind not in _DTYPES:
            raise NotAllowedError(f"the input {one.name} is a {one.type}")
        shape = [size if isinstance(size, int) and size > 0 else 1 for size in one.shape]
        if one.shape and not isinstance(one.shape[0], int):
            shape[0] = 2
        fed[one.name] = np.full(shape, "") if kind == "string" else np.zeros(shape, _DTYPES[kind])
    return fed


def _convert(request: dict[str, Any], content: bytes, rows: Any) -> tuple[dict[str, Any], bytes]:
    estimator = _open(request, content).estimator
    write = _as_onnx if request["target"] == Format.ONNX else _as_skops
    agreement, payload = write(estimator, rows, request)
    answer = {"status": "opened", "n_predictions": agreement.n_rows}
    return answer | {"agreement": asdict(agreement)}, payload


def _as_skops(estimator: Any, rows: Any, request: dict[str, Any]) -> tuple[Agreement, bytes]:
    import skops.io

    before = outputs_of(estimator, rows)
    payload = skops.io.dumps(estimator)
    return compare(before, outputs_of(open_skops(payload, request["trusted"]), rows)), payload


def _as_onnx(estimator: Any, rows: Any, request: dict[str, Any]) -> tuple[Agreement, bytes]:
    refuses = request["refuses_missing"]
    payload = write_onnx(estimator, rows.shape[1], refuses_missing=refuses)
    graph: Any = open_bytes(payload, Format.ONNX)
    said: list[tuple[Outputs, Outputs]] = []
    for piece, before in _asked_of(estimator, rows, with_gaps=not refuses):
        said.append(_side_by_side(graph, piece, before))
    before, after = (
        {name: np.concatenate([pair[side][name] for pair in said]) for name in said[0][side]}
        for side in (0, 1)
    )
    return compare(before, after, request["tolerance"]), payload


def _side_by_side(graph: Any, rows: Any, before: Outputs) -> tuple[Outputs, Outputs]:
    """Return what an estimator said of rows, and a graph of the same, under the same names."""
    said = [np.asarray(output) for output in graph.outputs(rows).values()]
    scores = [name for name in ("predict_proba", "decision_function") if name in before][:1]
    names = ["predict", *scores]
    after = dict(zip(names, said, strict=False))  # what else a graph says is not compared
    shaped = {
        name: output.reshape(before[name].shape) if output.size == before[name].size else output
        for name, output in after.items()
    }
    return {name: before[name] for name in names}, shaped


def _asked_of(estimator: Any, rows: Any, *, with_gaps: bool) -> Iterator[tuple[Any, Outputs]]:
    """Give rows and what is predicted of them: as they are, and with gaps if those are taken.

    Where a missing value goes, each tree learned by itself, and not every converter writes it down.
    So each row has one value missing, each column one, and one row has nothing.
    """
    yield rows, outputs_of(estimator, rows)
    for gaps in _gaps(rows) if with_gaps else ():
        try:
            before = outputs_of(estimator, gaps)
        except ValueError:
            continue
        yield gaps, before


def _gaps(rows: Any) -> Iterator[Any]:
    """Give rows with values missing, so many at once as fit into memory."""
    n_rows, n_columns = rows.shape
    numbers = np.arange(max(n_rows, n_columns))
    at_once = max(1, _MOST_VALUES // n_columns)
    for first in range(0, len(numbers), at_once):
        number = numbers[first : first + at_once]
        gaps = rows[number % n_rows]
        gaps[np.arange(len(number)), number % n_columns] = np.nan
        yield gaps
    yield np.full((1, n_columns), np.nan)
