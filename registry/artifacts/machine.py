"""A pickle machine that builds nothing: it follows a pickle's opcodes with stand-ins.

It imports, calls and constructs nothing. What a pickle would import is found on its stack by name,
whichever way the name got there: as a literal, through the memo, by duplication.

References
----------
.. [1] `pickletools`, the opcodes and their stack effects.
.. [2] joblib, `numpy_pickle.NumpyArrayWrapper`: an array's bytes follow the opcode that completes
   its wrapper, in the middle of the pickle.
"""

from __future__ import annotations

import itertools
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from registry.artifacts.limits import Limits
from registry.artifacts.opcodes import ANYTHING, SOME_VALUE, BrokenPickle, read_opcode
from registry.artifacts.streams import Bounded

_MARK = object()
_WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
_CONSTANTS = frozenset(
    {
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "BINSTRING",
        "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE",
        "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "FLOAT", "BINFLOAT",
    }
)  # fmt: skip
# A protocol of 2 or later says so; one of 0 or 1 begins with a mark, or with what it imports.
_MAY_BE_PICKLE = re.compile(rb"\x80[\x00-\x05]|[(c\]})][^\x00]*[Rbio]", re.DOTALL)
_FIXED = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


@dataclass(frozen=True, slots=True)
class Global:
    """A name that the pickle imports."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True)
class Built:
    """What a call would return."""

    maker: Any
    arguments: Any = None
    state: Any = None
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Trace:
    """What a pickle would do.

    Attributes
    ----------
    globals : set of Global
        Every name it imports.
    faults : list of (code, text)
        Names made by calls, extension codes, persistent identifiers, damage.
    literals : list of bytes
        Texts and bytes in it that may be pickles themselves.
    has_calls : bool
        It calls something.
    is_complete : bool
        It ends by STOP.
    is_cut_short : bool
        It was not followed to its end.
    end : int
        Place after the last opcode read [bytes from the start of the stream].
    """

    globals: set[Global] = field(default_factory=set)
    faults: list[tuple[str, str]] = field(default_factory=list)
    literals: list[bytes] = field(default_factory=list)
    has_calls: bool = False
    is_complete: bool = False
    is_cut_short: bool = False
    end: int = 0


class Machine:
    """Follows one pickle from the present place of a stream.

    Parameters
    ----------
    stream : Bounded
        Standing at the first opcode; left after the last one.
    limits : Limits
        `n_opcodes` bounds the work.
    skip_array : callable
        Called with the stream and a joblib wrapper's fields when the bytes of its array follow;
        moves the stream beyond them. Raises `BrokenPickle` where it cannot.
    """

    def __init__(
        self,
        stream: Bounded,
        limits: Limits,
        skip_array: Callable[[Bounded, dict[str, Any], Trace], None],
    ) -> None:
        self.trace = Trace()
        self._stream, self._limits, self._skip_array = stream, limits, skip_array
        self._stack: list[Any] = []
        self._memo: dict[Any, Any] = {}
        self._frame_end = 0

    def run(self) -> Trace:
        """Follow the opcodes to STOP, or to where every reader gives up."""
        try:
            for count in itertools.count():
                if self._step(count):
                    break
            self.trace.is_complete = True
        except (BrokenPickle, ValueError, IndexError, OverflowError, RecursionError) as error:
            self.trace.faults.append(("broken_pickle", str(error) or "the stack is empty"))
        return self.trace

    def _step(self, count: int) -> bool:
        """Follow one opcode; return whether it was STOP."""
        if count >= self._limits.n_opcodes:
            self.trace.is_cut_short = True
            raise BrokenPickle(f"more than {self._limits.n_opcodes} opcodes")
        opcode, argument = read_opcode(self._stream)
        self._follow(opcode, argument)
        self.trace.end = self._stream.tell()
        return bool(opcode.name == "STOP")

    def _follow(self, opcode: Any, argument: Any) -> None:
        name = opcode.name
        if name in _CONSTANTS:
            self._note_literal(argument)
            self._stack.append(argument)
        elif name in _FIXED:
            self._stack.append(_FIXED[name])
        elif special := self._SPECIAL.get(name):
            special(self, argument)
        else:
            self._follow_table(opcode)

    def _follow_table(self, opcode: Any) -> None:
        """Take off and put on what pickletools says the opcode does."""
        before, after = opcode.stack_before, opcode.stack_after
        if pickletools.markobject in before:
            self._to_mark()
            before = before[: before.index(pickletools.markobject)]
        for _ in before:
            self._pop()
        for _ in after:
            self._stack.append(SOME_VALUE)

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise BrokenPickle("a mark where a value belongs")
        return value

    def _to_mark(self) -> list[Any]:
        values = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _top(self) -> Any:
        if self._stack[-1] is _MARK:
            raise BrokenPickle("a mark where a value belongs")
        return self._stack[-1]

    def _note_literal(self, value: Any) -> None:
        if isinstance(value, str):
            value = value.encode("latin-1", "replace")
        if isinstance(value, bytes | bytearray) and _MAY_BE_PICKLE.match(value):
            self.trace.literals.append(bytes(value))

    def _import(self, module: Any, name: Any) -> Global | Any:
        if not (isinstance(module, str) and isinstance(name, str)):
            self.trace.faults.append(("computed_global", "a name that only a call would make"))
            return ANYTHING
        found = Global(module, name)
        self.trace.globals.add(found)
        return found

    def _on_global(self, names: tuple[str, str]) -> None:
        self._stack.append(self._import(*names))

    def _on_stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._stack.append(self._import(module, name))

    def _on_inst(self, names: tuple[str, str]) -> None:
        arguments = self._to_mark()
        self._call(self._import(*names), tuple(arguments))

    def _on_object(self, _: Any) -> None:
        maker, *arguments = self._to_mark()
        self._call(maker, tuple(arguments))

    def _on_call(self, _: Any) -> None:
        arguments, maker = self._pop(), self._pop()
        self._call(maker, arguments)

    def _call(self, maker: Any, arguments: Any) -> None:
        if not (isinstance(maker, Global | Built) or maker is ANYTHING):
            raise BrokenPickle("a call of what cannot be called")
        self.trace.has_calls = True
        self._stack.append(Built(maker, arguments))

    def _on_call_with_words(self, _: Any) -> None:
        self._pop()
        self._on_call(None)

    def _on_build(self, _: Any) -> None:
        state, target = self._pop(), self._top()
        self.trace.has_calls |= isinstance(target, Global | Built) or target is ANYTHING
        if not isinstance(target, Built):
            return
        if target.state is not None and str(target.maker) != _WRAPPER:
            state = ANYTHING  # two states: what is left of the first is not followed here
        target.state = state
        if str(target.maker) == _WRAPPER:
            if not isinstance(state, dict):
                raise BrokenPickle("an array wrapper without fields")
            target.fields |= state  # a second BUILD adds to what the first has set
            self._on_array(target.fields)

    def _on_array(self, fields: dict[str, Any]) -> None:
        # Inside a frame the bytes would lie after its end, and opcodes before them: two readers
        # of one file. joblib ends the frame here.
        if self._stream.tell() < self._frame_end:
            raise BrokenPickle("the bytes of an array inside a frame")
        self._skip_array(self._stream, fields, self.trace)
        self._stack[-1] = ANYTHING

    def _on_frame(self, length: int) -> None:
        if self._stream.tell() < self._frame_end:
            raise BrokenPickle("a frame inside a frame")
        self._frame_end = self._stream.tell() + length

    def _on_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._to_mark()))

    def _on_tuple_of_one(self, _: Any) -> None:
        self._stack.append((self._pop(),))

    def _on_tuple_of_two(self, _: Any) -> None:
        last, first = self._pop(), self._pop()
        self._stack.append((first, last))

    def _on_tuple_of_three(self, _: Any) -> None:
        last, middle, first = self._pop(), self._pop(), self._pop()
        self._stack.append((first, middle, last))

    def _on_empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def _on_mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _on_pop_mark(self, _: Any) -> None:
        self._to_mark()

    def _on_duplicate(self, _: Any) -> None:
        self._stack.append(self._top())

    def _on_set_item(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._put(key, value)

    def _on_set_items(self, _: Any) -> None:
        pairs = self._to_mark()
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            self._put(key, value)

    def _put(self, key: Any, value: Any) -> None:
        target = self._top()
        if isinstance(target, dict) and isinstance(key, str):
            target[key] = value

    def _on_append(self, _: Any) -> None:
        self._pop()
        self._top()

    def _on_appends(self, _: Any) -> None:
        self._to_mark()
        self._top()

    def _on_persistent(self, argument: Any) -> None:
        self.trace.faults.append(("persistent_id", f"asks its reader for {argument!r}"))
        self._stack.append(ANYTHING)

    def _on_persistent_top(self, _: Any) -> None:
        self._on_persistent(self._pop())

    def _on_buffer(self, _: Any) -> None:
        self._on_persistent("a buffer")

    def _on_extension(self, code: int) -> None:
        self.trace.faults.append(("extension_code", f"extension code {code}"))
        self._stack.append(ANYTHING)

    def _on_get(self, index: Any) -> None:
        if int(index) not in self._memo:
            raise BrokenPickle(f"nothing is remembered under {index}")
        self._stack.append(self._memo[int(index)])

    def _on_put(self, index: Any) -> None:
        self._memo[int(index)] = self._top()

    def _on_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._top()

    def _on_pop(self, _: Any) -> None:
        self._stack.pop()  # a mark too: that is what both picklers do

    def _nothing(self, _: Any) -> None:
        """Follow an opcode that changes neither stack nor memo."""

    _SPECIAL: ClassVar[dict[str, Callable[..., None]]] = {
        "GLOBAL": _on_global,
        "STACK_GLOBAL": _on_stack_global,
        "INST": _on_inst,
        "OBJ": _on_object,
        "REDUCE": _on_call,
        "NEWOBJ": _on_call,
        "NEWOBJ_EX": _on_call_with_words,
        "BUILD": _on_build,
        "FRAME": _on_frame,
        "PROTO": _nothing,
        "MARK": _on_mark,
        "TUPLE": _on_tuple,
        "TUPLE1": _on_tuple_of_one,
        "TUPLE2": _on_tuple_of_two,
        "TUPLE3": _on_tuple_of_three,
        "EMPTY_DICT": _on_empty_dict,
        "SETITEM": _on_set_item,
        "SETITEMS": _on_set_items,
        "APPEND": _on_append,
        "APPENDS": _on_appends,
        "ADDITEMS": _on_appends,
        "PERSID": _on_persistent,
        "BINPERSID": _on_persistent_top,
        "EXT1": _on_extension,
        "EXT2": _on_extension,
        "EXT4": _on_extension,
        "GET": _on_get,
        "BINGET": _on_get,
        "LONG_BINGET": _on_get,
        "PUT": _on_put,
        "BINPUT": _on_put,
        "LONG_BINPUT": _on_put,
        "MEMOIZE": _on_memoize,
        "POP": _on_pop,
        "POP_MARK": _on_pop_mark,
        "DUP": _on_duplicate,
        "READONLY_BUFFER": _nothing,
        "NEXT_BUFFER": _on_buffer,
    }
