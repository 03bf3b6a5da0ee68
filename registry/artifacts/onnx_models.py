"""ONNX graphs, opened from verified bytes as ONNX and nothing else, and run for a limited time.

References
----------
.. [1] onnxruntime, `SessionOptions`, key ``session.load_model_format``; `RunOptions.terminate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event, Timer
from typing import TYPE_CHECKING, Any

from registry.artifacts.contents import Format
from registry.artifacts.errors import (
    CannotPredictError,
    MissingValuesError,
    NotAllowedError,
    TooSlowError,
    UnreadableError,
)
from registry.artifacts.onnx_files import is_onnx, is_ort, structure_of
from registry.artifacts.onnx_graphs import is_for_complete_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COMPLETE_ALONE = (
    "the model was converted to ONNX for complete rows alone, and what it says of others is not "
    "what the original says. Fill the gaps, or use the version that it was converted from."
)


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """An ONNX graph with one input of rows.

    Attributes
    ----------
    session : onnxruntime.InferenceSession
        The graph itself, which refuses nothing.
    refuses_missing : bool
        Whether its file says that it is for complete rows alone.
    seconds : float or None
        How long it may take to predict [s].
    """

    session: Any
    n_bytes: int
    format: Format = Format.ONNX
    parameters: Mapping[str, Any] = field(default_factory=dict)
    refuses_missing: bool = False
    seconds: float | None = None

    def outputs(self, X: Any) -> dict[str, Any]:
        """Return every output of the graph by name.

        Raises
        ------
        CannotPredictError
            The graph has not exactly one input, or a value is infinite and it takes whole numbers.
        MissingValuesError
            A value is missing and the graph is for complete rows alone or takes whole numbers, or
            the rows are a masked array.
        TooSlowError
            It takes longer than it may, as a loop without end does.
        """
        inputs = self.session.get_inputs()
        if len(inputs) != 1:
            raise CannotPredictError(f"The graph has {len(inputs)} inputs; rows go to one.")
        rows = _as_input(X, inputs[0].type, self.refuses_missing)
        names = [output.name for output in self.session.get_outputs()]
        values = _run(self.session, names, {inputs[0].name: rows}, self.seconds)
        return dict(zip(names, values, strict=True))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the graph's first output, without a last axis of one."""
        import numpy as np

        first = np.asarray(next(iter(self.outputs(X).values())))
        return first[:, 0] if first.ndim == 2 and first.shape[1] == 1 else first


def _run(
    session: Any, names: list[str], fed: dict[str, NDArray[Any]], seconds: float | None
) -> list[Any]:
    """Run a session, and end it when its time is over: between two nodes, not within one."""
    import onnxruntime

    if seconds is None:
        return list(session.run(names, fed))
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    is_over = Event()

    def end() -> None:
        is_over.set()
        options.terminate = True

    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        return list(session.run(names, fed, options))
    except _onnx_errors() as error:
        if is_over.is_set():
            raise TooSlowError(f"The graph did not predict within {seconds:g} seconds.") from error
        raise
    finally:
        timer.cancel()


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


def open_onnx(content: bytes, n_threads: int = 1, seconds: float | None = None) -> OnnxModel:
    """Open a graph from bytes that are verified already.

    Raises
    ------
    UnreadableError
        It is no ONNX file, or one that onnxruntime cannot run.
    NotAllowedError
        Its tensors lie in other files, or a loop has nothing that could be ended.
    """
    session = _session(content, n_threads)
    with memoryview(content) as buffer:
        refuses = is_for_complete_rows(buffer)
    return OnnxModel(session, 2 * len(content), refuses_missing=refuses, seconds=seconds)


def _session(content: bytes, n_threads: int) -> Any:
    import onnxruntime

    if is_ort(content):
        raise UnreadableError("this is a model of onnxruntime's own format, no ONNX file")
    with memoryview(content) as buffer:
        if not is_onnx(buffer):
            raise UnreadableError("this is no ONNX file")
        structure = structure_of(buffer)
    if elsewhere := structure.external_tensors:
        raise NotAllowedError(f"tensors lie in other files: {', '.join(elsewhere[:5])}")
    if idle := structure.idle_bodies:
        raise NotAllowedError(f"no node computes in a loop: {', '.join(idle[:5])}")
    options = onnxruntime.SessionOptions()
    if structure.has_loops:
        # what computes in a loop's body stays there: without a node in it nothing ends the loop
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = n_threads
    options.log_severity_level = 4  # what it would print, it also raises
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _onnx_errors() as error:
        raise UnreadableError(f"onnxruntime: {error}") from error


def _onnx_errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises for a model it cannot run; its errors share no base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
    return (*(getattr(state, name) for name in (*names, "RuntimeException")), RuntimeError)
