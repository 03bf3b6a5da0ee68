"""What a pickle would import and call, found without unpickling it."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any

from registry.artifacts.allowed import is_allowed
from registry.artifacts.errors import LimitExceededError
from registry.artifacts.findings import Finding
from registry.artifacts.limits import Limits
from registry.artifacts.machine import Built, Machine, Trace
from registry.artifacts.opcodes import BrokenPickle
from registry.artifacts.streams import Bounded, compression_of, expand

MAX_STREAMS = 16
_DTYPE = re.compile(r"[<>|=]?(?:[biufc]\d{1,2}|[?]|[mM]8|[SUV]\d{1,9}|O8?)")
_OBJECT_FLAGS = 3  # numpy.dtype.flags: holds references, is pickled as a list


@dataclass(frozen=True, slots=True)
class PickleScan:
    """What was found in a file that may be a pickle.

    Attributes
    ----------
    is_pickle : bool
        A reader of pickles would do something with it.
    globals : tuple of str
        Every name it imports, sorted: ``posix.system``. Also those of pickles inside it.
    findings : tuple of Finding
        ``forbidden_global`` for each name that is not on the list, and what else is wrong;
        empty for a pickle that imports nothing but what is allowed.
    """

    is_pickle: bool
    globals: tuple[str, ...]
    findings: tuple[Finding, ...]


def scan_pickle(stream: Bounded, path: str, limits: Limits, depth: int = 0) -> PickleScan:
    """Follow a stream's opcodes, and those of the pickles that follow or lie inside it.

    Parameters
    ----------
    stream : Bounded
        Uncompressed; scanned from where it stands.
    path : str
        What findings are said to be about.
    limits : Limits
    depth : int
        How many pickles this one lies in.
    """
    start = stream.tell()
    traces: list[Trace] = []
    while len(traces) < MAX_STREAMS and stream.tell() < stream.n_bytes:
        traces.append(Machine(stream, limits, _skip_array(limits)).run())
        if not traces[-1].is_complete:
            break
    first = traces[0] if traces else Trace()
    if not _is_pickle(first, stream, start):
        return PickleScan(False, (), ())
    names = {found for trace in traces for found in trace.globals}
    findings = _findings(traces, path)
    nested_names, nested = _nested(traces, path, limits, depth)
    listed = sorted({str(name) for name in names} | nested_names)
    return PickleScan(True, tuple(listed), tuple(dict.fromkeys(findings + nested)))


def _is_pickle(trace: Trace, stream: Bounded, start: int) -> bool:
    """Tell pickles from texts that begin like one: `catboost` is the opcode c and a module."""
    stream.seek(start)
    if stream.read(2) in {b"\x80%c" % protocol for protocol in range(6)}:
        return True
    if trace.has_calls or trace.is_cut_short:
        return True
    return trace.is_complete and (trace.end == stream.n_bytes or bool(trace.globals))


def _findings(traces: list[Trace], path: str) -> list[Finding]:
    first, *others = traces
    found = [
        Finding("forbidden_global", path, str(name))
        for trace in traces
        for name in sorted(trace.globals, key=str)
        if not is_allowed(name.module, name.name)
    ]
    found += [Finding(code, path, text) for code, text in first.faults]
    if others:
        found.append(Finding("trailing_bytes", path, "bytes follow the end of the pickle"))
    return found


def _nested(
    traces: list[Trace], path: str, limits: Limits, depth: int
) -> tuple[set[str], list[Finding]]:
    names: set[str] = set()
    findings: list[Finding] = []
    for literal in (text for trace in traces for text in trace.literals):
        if depth >= limits.depth:
            return names, [*findings, Finding("nested_pickle", path, "nested too deeply")]
        scan = scan_pickle(Bounded(io.BytesIO(literal)), f"{path}!literal", limits, depth + 1)
        if scan.is_pickle:
            names.update(scan.globals)
            findings += scan.findings
            text = ", ".join(scan.globals) or "without imports"
            findings.append(Finding("nested_pickle", path, f"a pickle in a literal: {text}"))
    return names, findings


def _skip_array(limits: Limits) -> Any:
    def skip(stream: Bounded, fields: dict[str, Any], trace: Trace) -> None:
        """Go past the bytes of an array, as joblib's reader would."""
        code = _dtype_code(fields.get("dtype"))
        if code.lstrip("<>|=").startswith("O"):
            _follow_nested(stream, trace, limits)
            return
        alignment = fields.get("numpy_array_alignment_bytes")
        if alignment is not None:
            (padding,) = stream.read(1) or b"\0"
            stream.seek(stream.tell() + padding)
        end = stream.tell() + _n_items(fields.get("shape")) * _item_bytes(code)
        if end > stream.n_bytes:
            raise BrokenPickle("an array that is longer than the file")
        stream.seek(end)

    return skip


def _follow_nested(stream: Bounded, trace: Trace, limits: Limits) -> None:
    """Follow the pickle that an array of objects is, as part of the one around it."""
    inner = Machine(stream, limits, _skip_array(limits)).run()
    trace.globals |= inner.globals
    trace.faults += inner.faults
    trace.literals += inner.literals
    trace.has_calls |= inner.has_calls
    if not inner.is_complete:
        raise BrokenPickle("an array of objects that does not end")


def _dtype_code(dtype: Any) -> str:
    """Return what a dtype is, where it is surely nothing else to joblib's reader.

    Its state may turn the flags of any type, and so make the reader expect a pickle.
    """
    arguments = dtype.arguments if isinstance(dtype, Built) else None
    code = arguments[0] if isinstance(arguments, tuple) and arguments else None
    is_dtype = str(getattr(dtype, "maker", "")) == "numpy.dtype"
    if not (is_dtype and isinstance(code, str) and _DTYPE.fullmatch(code)):
        raise BrokenPickle("an array of a type that is not read here")
    if not (code.startswith("O") or _is_plain(code, dtype.state)):
        raise BrokenPickle("an array of a type that hides another")
    return code


def _is_plain(code: str, state: Any) -> bool:
    """Return whether a dtype's state leaves it without objects and of the size in its code."""
    if state is None:
        return not code.startswith("V")
    if not isinstance(state, tuple) or len(state) not in {8, 9}:
        return False
    _, _, part, names, fields, n_bytes, _, flags = state[:8]
    if part is not None or type(flags) is not int or flags & _OBJECT_FLAGS:
        return False
    if not code.startswith("V"):
        return names is None and fields is None
    return n_bytes == int(code[1:]) and isinstance(fields, dict) and _are_plain(fields)


def _are_plain(fields: dict[str, Any]) -> bool:
    return all(
        isinstance(field, tuple) and field and not _dtype_code(field[0]).startswith("O")
        for field in fields.values()
    )


def _item_bytes(code: str) -> int:
    import numpy as np

    return np.dtype(code).itemsize


def _n_items(shape: Any) -> int:
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise BrokenPickle("an array without a shape")
    n_items = 1
    for n in shape:
        n_items *= n
    return n_items


def scan_compressed(stream: Bounded, path: str, limits: Limits, depth: int = 0) -> PickleScan:
    """Scan a pickle that may be compressed, any number of times over.

    Raises
    ------
    LimitExceededError, UnreadableError
        It is nested too deeply, expands too far, or cannot be expanded.
    """
    kind = compression_of(stream.head(8))
    if not kind:
        return scan_pickle(stream, path, limits)
    if depth >= limits.depth:
        raise LimitExceededError(f"compressed more than {limits.depth} times over")
    with expand(stream, kind, limits) as inner:
        return scan_compressed(inner, path, limits, depth + 1)
