"""Reading and writing the arrays of a run by their addresses.

A run is one record (`dtypes.RUN`) that holds every setting, every running figure, and the address
of every array. Compiled functions take that record, one pointer, where they would otherwise take
some seventy arrays apart at each call: compiling them took minutes so. The caller keeps the arrays
alive, and their sizes are checked before the loop begins.

Without the compiler (NUMBA_DISABLE_JIT) the same functions read the same memory from Python.
"""

import ctypes
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from backtests.engine.dtypes import (
    ACTION,
    BATCH,
    FILL,
    ORDER,
    REQUEST,
    RUN,
)
from numerics.compilation import kernel_part

_WORD = ir.IntType(64)
_WORD_BYTES = 8


def _reader(kind: Any, type_: Any) -> Any:
    @intrinsic
    def read(_typing: Any, _address: Any, _index: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], kind.as_pointer())
            return builder.load(builder.gep(pointer, [arguments[1]]))

        return type_(types.int64, types.int64), generate

    return read


def _writer(kind: Any, type_: Any) -> Any:
    @intrinsic
    def write(_typing: Any, _address: Any, _index: Any, _value: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], kind.as_pointer())
            builder.store(arguments[2], builder.gep(pointer, [arguments[1]]))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, type_), generate

    return write


@intrinsic
def _prefetch(_typing: Any, _address: Any, _index: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        pointer = builder.gep(
            builder.inttoptr(arguments[0], ir.DoubleType().as_pointer()), [arguments[1]]
        )
        byte = ir.IntType(8).as_pointer()
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        hint = builder.module.declare_intrinsic("llvm.prefetch", (byte,), kind)
        read, keep, numbers = (ir.Constant(flag, value) for value in (0, 3, 1))
        builder.call(hint, [builder.bitcast(pointer, byte), read, keep, numbers])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _record_reader(dtype: Any) -> Any:
    record = numba.from_dtype(dtype)

    @intrinsic
    def at(_typing: Any, _address: Any, _index: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            offset = builder.mul(arguments[1], ir.Constant(_WORD, dtype.itemsize))
            place = builder.add(arguments[0], offset)
            return builder.inttoptr(place, context.get_value_type(record))

        return record(types.int64, types.int64), generate

    return at


def _plain_reader(kind: Any) -> Any:
    return lambda address, index: kind.from_address(int(address) + _WORD_BYTES * int(index)).value


def _plain_writer(kind: Any) -> Any:
    def write(address: int, index: int, value: float) -> None:
        kind.from_address(int(address) + _WORD_BYTES * int(index)).value = value

    return write


def _plain_record(dtype: Any) -> Any:
    def at(address: int, index: int) -> Any:
        place = int(address) + dtype.itemsize * int(index)
        buffer = (ctypes.c_char * dtype.itemsize).from_address(place)
        return np.frombuffer(buffer, dtype).view(np.recarray)[0]

    return at


if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # set from the environment
    load, store = _plain_reader(ctypes.c_double), _plain_writer(ctypes.c_double)
    load_int, store_int = _plain_reader(ctypes.c_int64), _plain_writer(ctypes.c_int64)

    def prefetch(_address: int, _index: int) -> None:
        """Nothing to do: a hint to the processor."""

    _order, _fill, _action, _request, _batch, run_at = (
        _plain_record(dtype) for dtype in (ORDER, FILL, ACTION, REQUEST, BATCH, RUN)
    )
else:
    load, store = (make(ir.DoubleType(), types.float64) for make in (_reader, _writer))
    load_int, store_int = (make(_WORD, types.int64) for make in (_reader, _writer))
    prefetch = _prefetch
    _order, _fill, _action, _request, _batch, run_at = (
        _record_reader(dtype) for dtype in (ORDER, FILL, ACTION, REQUEST, BATCH, RUN)
    )


@kernel_part
def cell(address: int, bar: int, asset: int, run: Any) -> float:
    """Return one number of a table of shape (n_bars, n_assets)."""
    return load(address, bar * run.n_assets + asset)


@kernel_part
def order_at(at: int, run: Any) -> Any:
    """Return a row of the order table, to read and to write."""
    return _order(run.orders, at)


@kernel_part
def working_at(k: int, run: Any) -> int:
    """Return the row of the k-th working order."""
    return load_int(run.working, k)


@kernel_part
def fill_at(at: int, run: Any) -> Any:
    """Return a row of the table of fills."""
    return _fill(run.fills, at)


@kernel_part
def action_at(at: int, run: Any) -> Any:
    """Return a row of the table of corporate actions."""
    return _action(run.actions, at)


@kernel_part
def request_at(at: int, run: Any) -> Any:
    """Return a row of the requests."""
    return _request(run.requests, at)


@kernel_part
def batch_at(i: int, run: Any) -> Any:
    """Return an order that meets the market now."""
    return _batch(run.batch, i)
