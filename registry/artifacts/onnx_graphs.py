"""What goes into an ONNX graph and what comes out, read on the wire as `onnx_files` does.

References
----------
.. [1] onnx/onnx.proto3: ModelProto, GraphProto, ValueInfoProto, TypeProto, TensorShapeProto,
   StringStringEntryProto.
.. [2] MLflow, "Model Signatures": tensors are ``{"type": "tensor", "tensor-spec": {...}}``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from registry.artifacts.onnx_files import BYTES, fields
from registry.artifacts.onnx_writing import MISSING_VALUES, REFUSE

MOST_VALUES = 1000
LONGEST_NAME = 200
_GRAPH, _OPSETS, _PROPERTIES = 7, 8, 14
_PRODUCER = (2, 3)  # name, version
_INITIALIZER, _INPUT, _OUTPUT = 5, 11, 12
_INITIALIZER_NAME = 8
_NAME, _TYPE = 1, 2
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    8: "str", 9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip


def signature_of(model: memoryview) -> dict[str, list[dict[str, Any]]]:
    """Return the inputs and outputs of a model's graph as MLflow describes tensors.

    A size that is open is -1. What is no tensor has the type ``any``. An input that the file gives
    a value, as older ones do with weights, is none that a caller has to bring.

    Raises
    ------
    UnreadableError
        A part is no message.
    """
    graphs = list(_messages(model, _GRAPH))
    given = {
        _text(name)
        for graph in graphs
        for tensor in _messages(graph, _INITIALIZER)
        for name in _messages(tensor, _INITIALIZER_NAME)
    }
    inputs = [_described(one) for graph in graphs for one in _messages(graph, _INPUT)]
    outputs = [_described(one) for graph in graphs for one in _messages(graph, _OUTPUT)]
    wanted = [one for one in inputs if one["name"] not in given]
    return {"inputs": wanted[:MOST_VALUES], "outputs": outputs[:MOST_VALUES]}


def opsets_of(model: memoryview) -> dict[str, int]:
    """Return the versions of the sets of operators that a model asks for; ONNX's own is ``""``.

    Raises
    ------
    UnreadableError
        A part is no message.
    """
    found: dict[str, int] = {}
    for opset in _messages(model, _OPSETS):
        domain = "".join(_text(one) for one in _messages(opset, 1))
        found[domain] = _number(opset, 2)
        if len(found) == MOST_VALUES:
            break
    return found


def maker_of(model: memoryview) -> dict[str, str]:
    """Return which program wrote a model, and in which version of the format; what it says of them.

    Raises
    ------
    UnreadableError
        A part is no message.
    """
    said = [" ".join(_text(one) for one in _messages(model, number)) for number in _PRODUCER]
    found = {"ir_version": str(_number(model, 1)), "producer": " ".join(filter(None, said))}
    return {name: text for name, text in found.items() if text}


def property_of(model: memoryview, name: str) -> bytes | None:
    """Return what a model says of itself under a name, byte for byte; None where it says nothing.

    The last entry of that very name, as onnxruntime has it, however many others there are.

    Raises
    ------
    UnreadableError
        A part is no message.
    """
    found, wanted = None, name.encode()
    for number, wire, entry in fields(model):
        if number == _PROPERTIES and wire == BYTES and isinstance(entry, memoryview):
            key, value = _entry(entry)
            found = value if key == wanted else found
    return found


def is_for_complete_rows(model: memoryview) -> bool:
    """Return whether a model says that it is for complete rows alone; page and loader ask here.

    Raises
    ------
    UnreadableError
        As `property_of`.
    """
    return property_of(model, MISSING_VALUES) == REFUSE.encode()


def _entry(entry: memoryview) -> tuple[bytes, bytes]:
    """Return name and value of a property; of one that is given twice the last, as of any field."""
    parts = {1: b"", 2: b""}
    for number, wire, value in fields(entry):
        if number in parts and wire == BYTES and isinstance(value, memoryview):
            parts[number] = bytes(value)
    return parts[1], parts[2]


def _described(value: memoryview) -> dict[str, Any]:
    name = "".join(_text(one) for one in _messages(value, _NAME))
    for kind in _messages(value, _TYPE):
        for tensor in _messages(kind, 1):
            shape = [_size(size) for shape in _messages(tensor, 2) for size in _messages(shape, 1)]
            dtype = _DTYPES.get(_number(tensor, 1), "any")
            return {"name": name, "type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}
    return {"name": name, "type": "any"}


def _size(dimension: memoryview) -> int:
    """Return a dimension's size; -1 where it has a name, or nothing."""
    size = _number(dimension, 1)
    return size if 0 < size < 2**63 else -1


def _messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, _, value in fields(message):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _number(message: memoryview, wanted: int) -> int:
    found = (value for number, _, value in fields(message) if number == wanted)
    return next((value for value in found if isinstance(value, int)), 0)


def _text(raw: memoryview) -> str:
    """Return a name without what no database or page keeps: whoever wrote it may be hostile."""
    text = bytes(raw[:LONGEST_NAME]).decode(errors="replace")
    return "".join(sign for sign in text if sign.isprintable())
