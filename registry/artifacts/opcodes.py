"""Reading a pickle's opcodes, never stricter than the readers of pickles are.

Where `pickletools` would stop, at a number in base 16 or at a last line that does not end, readers
go on, and so would what comes after.

References
----------
.. [1] CPython, Modules/_pickle.c and Lib/pickle.py: two readers that differ in such corners.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any

from registry.artifacts.streams import Bounded

ANYTHING = object()  # also what can be called
SOME_VALUE = object()  # a number, a text or a container
_OPCODES: dict[str, Any] = {opcode.code: opcode for opcode in pickletools.opcodes}


class BrokenPickle(Exception):
    """The opcodes stop making sense here."""


def read_opcode(stream: Bounded) -> tuple[Any, Any]:
    """Return the next opcode, as pickletools describes it, and its argument.

    Raises
    ------
    BrokenPickle, ValueError
        There is none, or its argument is cut off.
    """
    code = stream.read(1)
    opcode = _OPCODES.get(code.decode("latin-1"))
    if opcode is None:
        raise BrokenPickle(f"no opcode {code!r}" if code else "it ends before STOP")
    if opcode.arg is None:
        return opcode, None
    read = _READERS.get(opcode.name)
    return opcode, read(opcode, stream) if read else opcode.arg.reader(stream)


def _line(stream: Bounded) -> str:
    # Whatever the last byte is, it is cut off: so do all readers.
    return stream.readline()[:-1].decode()


def _names(_: Any, stream: Bounded) -> tuple[str, str]:
    return _line(stream), _line(stream)


def _index(_: Any, stream: Bounded) -> str:
    return _line(stream).partition("\0")[0]  # where the compiled reader's number ends


def _quoted(_: Any, stream: Bounded) -> Any:
    text = stream.readline().decode("latin-1").strip()[1:-1]
    return SOME_VALUE if "\\" in text else text


def _lenient(opcode: Any, stream: Bounded) -> Any:
    place = stream.tell()
    try:
        return opcode.arg.reader(stream)
    except ValueError:
        stream.seek(place)
        stream.readline()
        return SOME_VALUE


_READERS: dict[str, Callable[[Any, Bounded], Any]] = {
    "GLOBAL": _names,
    "INST": _names,
    "GET": _index,
    "PUT": _index,
    "STRING": _quoted,
    **dict.fromkeys(("INT", "LONG", "FLOAT", "UNICODE", "PERSID"), _lenient),
}
