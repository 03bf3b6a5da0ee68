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
from registry.artifacts.onnx_models import open_onnx
from registry.artifacts.streams import Bounded
from registry.artifacts.trusted import TRUSTED_TYPES, open_skops

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# An estimator in memory is larger than its file: objects, and arrays that were compressed.
_GROWTH = 3
_DOCUMENT_GROWTH = 12  # a number that is written in four signs takes 32 bytes


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
    seconds: float | None = None,
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
    seconds : float, optional
        How long an ONNX graph may take to predict [s]; without, as long as it likes.

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
        read_verified(folder, entry),
        model_format,
        trusted=trusted,
        n_threads=n_threads,
        seconds=seconds,
    )


def open_bytes(
    content: bytes,
    model_format: Format,
    *,
    trusted: Collection[str] = TRUSTED_TYPES,
    n_threads: int = 1,
    seconds: float | None = None,
) -> LoadedModel:
    """Open a model from bytes that are verified already; as `open_model`."""
    match model_format:
        case Format.SKOPS:
            return EstimatorModel(open_skops(content, trusted), _GROWTH * len(content))
        case Format.ONNX:
            return open_onnx(content, n_threads, seconds)
        case Format.SAFETENSORS:
            return _tensors_of(content, len(content))
        case Format.PARAMETERS:
            return ParameterModel(parameters_of(content), _DOCUMENT_GROWTH * len(content))
    raise NotAllowedError(f"A file that is {model_format.value} is not opened here.")


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
