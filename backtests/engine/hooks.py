"""Calling a strategy from inside the compiled loop, by the address of a C function.

The loop is compiled once and kept on disk; a strategy is compiled or wrapped on its own and handed
in as a number. Its signature is ``int64 (int64 bar, int64 table)``, `table` being the address of
whatever the other side needs.
"""

import ctypes
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _plain_hook(address: int, bar: int, table: int) -> int:
    """Call a hook without the compiler."""
    signature = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    return int(signature(int(address))(int(bar), int(table)))


@intrinsic
def _call_hook(_typing: Any, address: Any, bar: Any, table: Any) -> Any:
    """Call the function at an address with a bar and a table, and return its answer."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        function = ir.FunctionType(word, [word, word])
        pointer = builder.inttoptr(arguments[0], function.as_pointer())
        return builder.call(pointer, [arguments[1], arguments[2]])

    return types.int64(types.int64, types.int64, types.int64), generate


call_hook: Any = _plain_hook if numba.config.DISABLE_JIT else _call_hook  # type: ignore[attr-defined]  # from the environment


@intrinsic
def _call_loop(_typing: Any, address: Any, start: Any, stop: Any, run: Any) -> Any:
    """Call the event loop by its address; see `kernel.advance`."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        function = ir.FunctionType(word, [word, word, word])
        pointer = builder.inttoptr(arguments[0], function.as_pointer())
        return builder.call(pointer, list(arguments[1:]))

    return types.int64(types.int64, types.int64, types.int64, types.int64), generate


@intrinsic
def _as_pointer(_typing: Any, address: Any) -> Any:
    """Return an address as a pointer that `numba.carray` takes."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), generate


@intrinsic
def _frozen(_typing: Any, array: Any) -> Any:
    """Return the same array as one that does not compile to be written to."""
    return array.copy(readonly=True)(array), _same


def _same(_context: Any, _builder: Any, _signature: Any, arguments: Any) -> Any:
    return arguments[0]


# To mypy an intrinsic has the signature of its typing; to a kernel, that of the call.
call_loop: Any = _call_loop
as_pointer: Any = _as_pointer
frozen: Any = _frozen
