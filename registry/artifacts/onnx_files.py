"""The structure of an ONNX file, walked on the wire without building anything.

What it is for: telling ONNX from other bytes, and refusing tensors whose data lie in other files,
whose names the file chooses, and loops that nothing ends.

References
----------
.. [1] onnx/onnx.proto3: ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto.
.. [2] protobuf, "Encoding": keys are ``field << 3 | wire type``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

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
_OPERATOR, _NAME = 4, {"tensor": 8, "node": 3}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_LOOPS = frozenset({"Loop", "Scan"})
# No nodes any more once onnxruntime has read them, whatever it is told to leave alone: constants,
# and casts of which a later one takes back what the first did.
_VANISHING = frozenset({"Constant", "Cast", "CastLike"})
_LARGEST_KEY = 2**32  # protobuf's own reader drops what is above, and finds another field


@dataclass(slots=True)
class Structure:
    """What of a model's parts decides whether, and how, it may be run.

    Attributes
    ----------
    external_tensors : list of str
        Names of the tensors whose data lie in other files.
    idle_bodies : list of str
        Loops whose body has no node that stays, and, beside loops, functions without one, which a
        body may call. onnxruntime looks between two nodes whether it shall end: here it never does.
    idle_functions : list of str
        The functions, whether there is a loop or none.
    has_loops : bool
    """

    external_tensors: list[str] = field(default_factory=list)
    idle_bodies: list[str] = field(default_factory=list)
    idle_functions: list[str] = field(default_factory=list)
    has_loops: bool = False


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
        if number == 0 or key >= _LARGEST_KEY:
            raise UnreadableError("a field without number, or with none that all read alike")
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


def structure_of(buffer: memoryview) -> Structure:
    """Return what a model has that may not be, or needs care.

    Raises
    ------
    UnreadableError
        A part is no message, or nested too deeply.
    """
    found = Structure()
    _walk("model", buffer, found, 0)
    found.idle_bodies += found.idle_functions if found.has_loops else []
    return found


def _walk(message: str, buffer: memoryview, found: Structure, depth: int) -> list[bool]:
    """Take down what a message holds; return whether it computes, of an attribute each graph."""
    if depth > MAX_DEPTH:
        raise UnreadableError("nested too deeply")
    inner = _MESSAGES[message]
    nodes: list[bool] = []
    graphs: list[bool] = []
    operators: set[str] = set()
    name, is_external = "", False
    for number, wire, value in fields(buffer):
        if isinstance(value, memoryview) and wire == BYTES and number in inner:
            within = _walk(inner[number], value, found, depth + 1)
            nodes += within if inner[number] == "node" else []
            graphs += within if inner[number] in {"attribute", "graph"} else []
        elif number == _NAME.get(message) and isinstance(value, memoryview):
            name = bytes(value[:100]).decode(errors="replace")
        elif message == "node" and number == _OPERATOR and isinstance(value, memoryview):
            operators.add(bytes(value[:100]).decode(errors="replace"))
        elif message == "tensor":
            is_external |= number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)
    if is_external:
        found.external_tensors.append(name or "a tensor without name")
    if operators & _LOOPS:
        found.has_loops = True
        # a body that a function hands in would not stand here
        if not graphs or not all(graphs):
            found.idle_bodies.append(name or "a loop without name")
    if message == "function" and not any(nodes):
        found.idle_functions.append("a function")
    if message == "attribute":
        return graphs
    return [operators.isdisjoint(_VANISHING) if message == "node" else any(nodes)]
