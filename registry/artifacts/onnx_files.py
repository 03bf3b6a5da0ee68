"""The structure of an ONNX file, walked on the wire without building anything.

What it is for: telling ONNX from other bytes, and refusing tensors whose data lie in other files,
whose names the file chooses.

References
----------
.. [1] onnx/onnx.proto3: ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto.
.. [2] protobuf, "Encoding": keys are ``field << 3 | wire type``.
"""

from __future__ import annotations

from collections.abc import Iterator

from registry.artifacts.errors import UnreadableError

MAX_DEPTH = 64
_VARINT, _FIXED64, BYTES, _FIXED32 = 0, 1, 2, 5
# message -> field number -> message of that field
_MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_IR_VERSION, _GRAPH, _OPSETS = 1, 7, 8
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


def fields(buffer: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yield field number, wire type and value of each field of a message.

    Raises
    ------
    UnreadableError
        The bytes are no message.
    """
    place = 0
    while place < len(buffer):
        key, place = _varint(buffer, place)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise UnreadableError("a field without number")
        if wire == _VARINT:
            value, place = _varint(buffer, place)
            yield number, wire, value
            continue
        if wire == BYTES:
            length, place = _varint(buffer, place)
        elif wire in {_FIXED64, _FIXED32}:
            length = 8 if wire == _FIXED64 else 4
        else:
            raise UnreadableError(f"the wire type {wire}")
        if place + length > len(buffer):
            raise UnreadableError("a field that is longer than its message")
        yield number, wire, buffer[place : place + length]
        place += length


def _varint(buffer: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(buffer) and shift < 64:
        byte = buffer[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise UnreadableError("a number without end")


def is_onnx(buffer: memoryview) -> bool:
    """Return whether bytes are a message with what every ONNX model has: version, graph, opsets."""
    found: dict[int, int] = {}
    try:
        for number, wire, _ in fields(buffer):
            found.setdefault(number, wire)
            if number > 64:
                return False
    except UnreadableError:
        return False
    expected = {_IR_VERSION: _VARINT, _GRAPH: BYTES, _OPSETS: BYTES}
    return all(found.get(number) == wire for number, wire in expected.items())


def is_ort(head: bytes | memoryview) -> bool:
    """Return whether bytes begin as a model of onnxruntime's own format, a flatbuffer.

    onnxruntime asks nothing else, whatever follows: a file can be such a model to it and an ONNX
    file, with another graph, to everybody else.
    """
    return bytes(head[4:8]) == b"ORTM"


def external_tensors(buffer: memoryview) -> list[str]:
    """Return the names of the tensors of a model whose data lie in other files.

    Raises
    ------
    UnreadableError
        A part is no message, or nested too deeply.
    """
    found: list[str] = []
    _walk("model", buffer, found, 0)
    return found


def _walk(message: str, buffer: memoryview, found: list[str], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise UnreadableError("nested too deeply")
    inner = _MESSAGES[message]
    name, is_external = "", False
    for number, wire, value in fields(buffer):
        if isinstance(value, memoryview) and wire == BYTES and number in inner:
            _walk(inner[number], value, found, depth + 1)
        elif message == "tensor" and number == 8 and isinstance(value, memoryview):
            name = bytes(value[:100]).decode(errors="replace")
        elif message == "tensor":
            is_external |= number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == 1)
    if is_external:
        found.append(name or "a tensor without name")
