"""Opening verified models: each byte is hashed before it is opened, and those very bytes are."""

from __future__ import annotations

import io
import mmap
from codecs import BOM_UTF8
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from registry.artifacts.arrays import read_tensor_header, view_tensors
from registry.artifacts.contents import Format
from registry.artifacts.documents import DocumentError, read_json, read_yaml
from registry.artifacts.errors import (
    ArtifactError,
    CannotPredictError,
    MissingValuesError,
    NotAllowedError,
    UnreadableError,
)
from registry.artifacts.limits import Limits
from registry.artifacts.manifest import (
    FileEntry,
    Manifest,
    open_regular,
    read_verified,
    require_digest,
)
from registry.artifacts.onnx_files import external_tensors, is_onnx
from registry.artifacts.onnx_graphs import is_for_complete_rows
from registry.artifacts.streams import Bounded
from registry.artifacts.trusted import TRUSTED_TYPES, open_skops

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COMPLETE_ALONE = (
    "the model was converted to ONNX for complete rows alone, and what it says of others is not "
    "what the original says. Fill the gaps, or use the version that it was converted from."
)
# An estimator in memory is larger than its file: objects, and arrays that were compressed.
_GROWTH = 3


class LoadedModel(Protocol):
    """A model that is open.

    Attributes
    ----------
    format : Format
    n_bytes : int
        About what it takes of memory [bytes].
    parameters : mapping
        Names to values or arrays, for formats that are nothing else; empty for the others.
    """

    @property
    def format(self) -> Format: ...
    @property
    def n_bytes(self) -> int: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...

    def predict(self, X: Any) -> NDArray[Any]:
        """Return one prediction for each row.

        Raises
        ------
        CannotPredictError
            The model is a set of parameters.
        """


@dataclass(frozen=True, slots=True)
class EstimatorModel:
    """A scikit-learn estimator, from skops."""

    estimator: Any
    n_bytes: int
    format: Format = Format.SKOPS
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return what the estimator predicts for each row: an array of (n_rows,) or (n_rows, k)."""
        import numpy as np

        if not hasattr(self.estimator, "predict"):
            raise CannotPredictError(f"{type(self.estimator).__name__} has no predict.")
        return np.asarray(self.estimator.predict(X))


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """An ONNX graph with one input of rows.

    Attributes
    ----------
    session : onnxruntime.InferenceSession
        The graph itself, which refuses nothing.
    refuses_missing : bool
        Whether its file says that it is for complete rows alone.
    """

    session: Any
    n_bytes: int
    format: Format = Format.ONNX
    parameters: Mapping[str, Any] = field(default_factory=dict)
    refuses_missing: bool = False

    def outputs(self, X: Any) -> dict[str, Any]:
        """Return every output of the graph by name.

        Raises
        ------
        CannotPredictError
            The graph has not exactly one input, or a value is infinite and it takes whole numbers.
        MissingValuesError
            A value is missing and the graph is for complete rows alone or takes whole numbers, or
            the rows are a masked array.
        """
        inputs = self.session.get_inputs()
        if len(inputs) != 1:
            raise CannotPredictError(f"The graph has {len(inputs)} inputs; rows go to one.")
        rows = _as_input(X, inputs[0].type, self.refuses_missing)
        names = [output.name for output in self.session.get_outputs()]
        values = self.session.run(names, {inputs[0].name: rows})
        return dict(zip(names, values, strict=True))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the graph's first output, without a last axis of one."""
        import numpy as np

        first = np.asarray(next(iter(self.outputs(X).values())))
        return first[:, 0] if first.ndim == 2 and first.shape[1] == 1 else first


def _as_input(X: Any, kind: str, refuses_missing: bool) -> NDArray[Any]:
    import numpy as np

    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
    if kind not in kinds:
        raise CannotPredictError(f"The graph's input is a {kind}; rows are numbers.")
    if isinstance(X, np.ma.MaskedArray):
        raise MissingValuesError(
            "The rows are a masked array, and a graph sees what lies under the mask: fill it, with "
            "NaN where the model takes missing values."
        )
    rows = np.asarray(X)
    # before the cast: a whole number has no NaN, and becomes one that looks like a value
    if refuses_missing:
        _require_complete(rows, _COMPLETE_ALONE)
    if kinds[kind] is np.int64:
        _require_complete(
            rows, "the graph takes whole numbers, of which none is NaN. Fill the gaps."
        )
        _require_finite(rows)
    return np.ascontiguousarray(rows, dtype=kinds[kind])


def _require_complete(rows: NDArray[Any], why: str) -> None:
    import numpy as np

    if rows.dtype.kind not in "fO" or not (is_missing := np.isnan(_as_floats(rows))).any():
        return
    has_gaps = is_missing.reshape(len(rows), -1).any(axis=1)
    raise MissingValuesError(
        f"{np.count_nonzero(has_gaps)} of {len(rows)} rows have missing values, row "
        f"{np.argmax(has_gaps)} (from 0) first: {why}"
    )


def _require_finite(rows: NDArray[Any]) -> None:
    import numpy as np

    if rows.dtype.kind in "fO" and np.isinf(_as_floats(rows)).any():
        raise CannotPredictError("The graph takes whole numbers, and a value is infinite.")


def _as_floats(rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows in which None is NaN, as a cast to floats has it."""
    return rows.astype(float) if rows.dtype.kind == "O" else rows


@dataclass(frozen=True, slots=True)
class ParameterModel:
    """Named values or arrays, from safetensors, JSON or YAML."""

    parameters: Mapping[str, Any]
    n_bytes: int
    format: Format = Format.PARAMETERS

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: ARG002 - the protocol's
        """Refuse: parameters cannot be called.

        Raises
        ------
        CannotPredictError
            Always.
        """
        raise CannotPredictError("The model is a set of parameters; there is nothing to call.")


def open_model(
    folder: Path,
    manifest: Manifest,
    *,
    model_path: str,
    model_format: Format,
    trusted: Collection[str] = TRUSTED_TYPES,
    n_threads: int = 1,
) -> LoadedModel:
    """Open a version's model after hashing what is opened.

    Parameters
    ----------
    folder : Path
        Where its files lie.
    manifest : Manifest
    model_path : str
        Which file the model is, as the `Verdict` said at registration.
    model_format : Format
        What that file is, from the same place.
    trusted : collection of str
        The registry's list of skops types, with a desk's additions.
    n_threads : int
        Threads of an ONNX session.

    Raises
    ------
    DigestMismatchError
        The file's bytes are not those registered; nothing was opened.
    NotAllowedError
        The format, or a type in the file, is not one that is opened outside the sandbox.
    ArtifactError
        The file is not there, damaged, or too large.
    """
    entry = manifest.get(model_path)
    if entry is None:
        raise ArtifactError(f"The manifest has no file {model_path!r}.")
    if model_format is Format.SAFETENSORS:
        return _open_tensors(folder, entry)
    return open_bytes(
        read_verified(folder, entry), model_format, trusted=trusted, n_threads=n_threads
    )


def open_bytes(
    content: bytes,
    model_format: Format,
    *,
    trusted: Collection[str] = TRUSTED_TYPES,
    n_threads: int = 1,
) -> LoadedModel:
    """Open a model from bytes that are verified already; as `open_model`."""
    match model_format:
        case Format.SKOPS:
            return EstimatorModel(open_skops(content, trusted), _GROWTH * len(content))
        case Format.ONNX:
            return _graph(content, n_threads)
        case Format.SAFETENSORS:
            return _tensors_of(content, len(content))
        case Format.PARAMETERS:
            return ParameterModel(parameters_of(content), _GROWTH * len(content))
    raise NotAllowedError(f"A file that is {model_format.value} is not opened here.")


def _graph(content: bytes, n_threads: int) -> OnnxModel:
    session = _session(content, n_threads)
    with memoryview(content) as buffer:
        refuses = is_for_complete_rows(buffer)
    return OnnxModel(session, 2 * len(content), refuses_missing=refuses)


def _session(content: bytes, n_threads: int) -> Any:
    import onnxruntime

    with memoryview(content) as buffer:
        if not is_onnx(buffer):
            raise UnreadableError("this is no ONNX file")
        if elsewhere := external_tensors(buffer):
            raise NotAllowedError(f"tensors lie in other files: {', '.join(elsewhere[:5])}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = n_threads
    options.log_severity_level = 4  # what it would print, it also raises
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _onnx_errors() as error:
        raise UnreadableError(f"onnxruntime: {error}") from error


def _onnx_errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises for a model it cannot run; its errors share no base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
    return (*(getattr(state, name) for name in (*names, "RuntimeException")), RuntimeError)


def _open_tensors(folder: Path, entry: FileEntry) -> ParameterModel:
    """Map a file and hash the mapping: the tensors are views of what was hashed."""
    if entry.n_bytes == 0:
        raise UnreadableError(f"{entry.path} is empty")
    with open_regular(folder / entry.path) as file:
        buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    require_digest(buffer, entry)
    return _tensors_of(buffer, entry.n_bytes)


def _tensors_of(buffer: Any, n_bytes: int) -> ParameterModel:
    stream = buffer if isinstance(buffer, mmap.mmap) else io.BytesIO(buffer)
    found = read_tensor_header(Bounded(stream))
    if found is None:
        raise UnreadableError("this is no safetensors file")
    tensors: dict[str, NDArray[np.generic]] = view_tensors(buffer, *found)
    return ParameterModel(tensors, n_bytes, Format.SAFETENSORS)


def parameters_of(content: bytes) -> Mapping[str, Any]:
    """Return what a file of parameters holds; a list has the name ``values``.

    Raises
    ------
    UnreadableError
        It is neither JSON nor YAML of plain values.
    """
    try:
        document = _read_document(content)
    except DocumentError as error:
        raise UnreadableError(str(error)) from error
    if not isinstance(document, dict):
        return {"values": document}
    return document


def _read_document(content: bytes) -> Any:
    if content.removeprefix(BOM_UTF8).lstrip()[:1] in {b"{", b"["}:
        return read_json(content, Limits())
    return read_yaml(content, Limits())
