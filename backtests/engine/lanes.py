"""Several bars of one instrument at once, by the wide registers of a processor.

Each function does the same arithmetic in every lane that `coasting` does bar by bar, and gives a
bit for each bar that needs a closer look.

Called from Python, the same functions do the same bar by bar.
"""

import ctypes
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from numerics.compilation import compile_as

LANES = 64  # bars
_NUMBER_BYTES = 8
_LINE_BYTES = 64
_LINES = LANES * _NUMBER_BYTES // _LINE_BYTES
_AHEAD = 2 * _LINES  # lines of the cache: what is read now was asked for two steps before
_NUMBER = ir.DoubleType()
_NUMBERS = ir.VectorType(_NUMBER, LANES)
_BITS = ir.IntType(LANES)
_WORD = ir.IntType(64)
_PLACE = ir.IntType(32)


def _lanes_at(builder: Any, address: Any, bar: Any) -> Any:
    """Return the pointer to the lanes that begin at a bar of a column."""
    column = builder.inttoptr(address, _NUMBER.as_pointer())
    return builder.bitcast(builder.gep(column, [bar]), _NUMBERS.as_pointer())


def _read(builder: Any, address: Any, bar: Any) -> Any:
    return builder.load(_ask_ahead(builder, address, bar), align=_NUMBER_BYTES)


def _ask_ahead(builder: Any, address: Any, bar: Any) -> Any:
    """Ask for the lanes after the next of a column, and return where those of a bar begin."""
    place = _lanes_at(builder, address, bar)
    for line in range(_AHEAD, _AHEAD + _LINES):
        _prefetch(builder, place, line)
    return place


def _prefetch(builder: Any, place: Any, line: int) -> None:
    """Ask for a line of the cache behind a place; beyond an array, nothing happens."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, _PLACE, _PLACE, _PLACE])
    hint = builder.module.declare_intrinsic("llvm.prefetch", (byte,), kind)
    there = builder.gep(builder.bitcast(place, byte), [_WORD(_LINE_BYTES * line)])
    builder.call(hint, [there, _PLACE(0), _PLACE(3), _PLACE(1)])


def _in_all_lanes(builder: Any, number: Any) -> Any:
    one = builder.insert_element(ir.Constant(_NUMBERS, ir.Undefined), number, _PLACE(0))
    nowhere = ir.Constant(_NUMBERS, ir.Undefined)
    firsts = ir.Constant(ir.VectorType(_PLACE, LANES), [0] * LANES)
    return builder.shuffle_vector(one, nowhere, firsts)


def _as_word(builder: Any, flags: Any) -> Any:
    return builder.zext(builder.bitcast(flags, _BITS), _WORD)


def _generate_mark(
    _typing: Any, _close: Any, _curve: Any, _bar: Any, _cash: Any, _position: Any, _floor: Any
) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        close, curve, bar = arguments[:3]
        cash, position, floor = (_in_all_lanes(builder, number) for number in arguments[3:])
        worth = _read(builder, close, bar)
        equity = builder.fadd(cash, builder.fmul(position, worth))
        builder.store(equity, _lanes_at(builder, curve, bar), align=_NUMBER_BYTES)
        is_short = builder.fcmp_unordered("<", equity, builder.fmul(floor, worth))
        return _as_word(builder, is_short)

    numbers = (types.float64,) * 3
    return types.int64(types.int64, types.int64, types.int64, *numbers), generate


def _generate_reach(
    _typing: Any, _high: Any, _low: Any, _bar: Any, _above: Any, _below: Any
) -> Any:  # fmt: skip
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        high, low, bar = arguments[:3]
        above, below = (_in_all_lanes(builder, number) for number in arguments[3:])
        goes_up = builder.fcmp_ordered(">=", _read(builder, high, bar), above)
        goes_down = builder.fcmp_ordered("<=", _read(builder, low, bar), below)
        return _as_word(builder, builder.or_(goes_up, goes_down))

    numbers = (types.float64,) * 2
    return types.int64(types.int64, types.int64, types.int64, *numbers), generate


def _generate_value(
    _typing: Any, _close: Any, _curve: Any, _bar: Any, _cash: Any, _position: Any
) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        close, curve, bar = arguments[:3]
        cash, position = (_in_all_lanes(builder, number) for number in arguments[3:])
        equity = builder.fadd(cash, builder.fmul(position, _read(builder, close, bar)))
        builder.store(equity, _lanes_at(builder, curve, bar), align=_NUMBER_BYTES)
        return context.get_dummy_value()

    numbers = (types.float64,) * 2
    return types.void(types.int64, types.int64, types.int64, *numbers), generate


def _generate_fill(_typing: Any, _close: Any, _curve: Any, _bar: Any, _worth: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        close, curve, bar, worth = arguments
        _ask_ahead(builder, close, bar)
        equity = _in_all_lanes(builder, worth)
        builder.store(equity, _lanes_at(builder, curve, bar), align=_NUMBER_BYTES)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.float64), generate


_mark: Any = intrinsic(_generate_mark)
_value: Any = intrinsic(_generate_value)
_fill: Any = intrinsic(_generate_fill)
_reach: Any = intrinsic(_generate_reach)


def _column(address: int, bar: int) -> Any:
    return (ctypes.c_double * LANES).from_address(int(address) + _NUMBER_BYTES * int(bar))


def mark_lanes(close: int, curve: int, bar: int, cash: float, position: float, floor: float) -> int:
    """Write ``cash + position * close`` to the curve from a bar on, and say where that is too low.

    Parameters
    ----------
    close, curve : int
        Addresses of columns, float64, which reach at least as far as the lanes.
    floor : float
        Units of maintenance margin.

    Returns
    -------
    int
        A bit for each bar whose equity is below ``floor * close``, or not a number.
    """
    bits, out = 0, _column(curve, bar)
    for lane, worth in enumerate(_column(close, bar)):
        out[lane] = cash + position * worth
        bits |= (not out[lane] >= floor * worth) << lane
    return bits


def value_lanes(close: int, curve: int, bar: int, cash: float, position: float) -> None:
    """Write ``cash + position * close`` to the curve from a bar on.

    Parameters
    ----------
    close, curve : int
        Addresses of columns, float64, which reach at least as far as the lanes.
    """
    _column(curve, bar)[:] = [cash + position * worth for worth in _column(close, bar)]


def fill_lanes(_close: int, curve: int, bar: int, worth: float) -> None:
    """Write the same number to the curve from a bar on; the closes will be read where it ends."""
    _column(curve, bar)[:] = [worth] * LANES


def reach_lanes(high: int, low: int, bar: int, above: float, below: float) -> int:
    """Return a bit for each bar from `bar` on whose high or low reaches a level."""
    highs, lows = _column(high, bar), _column(low, bar)
    return sum((highs[k] >= above or lows[k] <= below) << k for k in range(LANES))


compile_as(
    mark_lanes,
    lambda close, curve, bar, cash, position, floor: _mark(  # noqa: PLW0108  (numba takes no
        close,
        curve,
        bar,
        cash,
        position,
        floor,  # intrinsic)
    ),
)
compile_as(
    reach_lanes,
    lambda high, low, bar, above, below: _reach(high, low, bar, above, below),  # noqa: PLW0108
)
compile_as(
    value_lanes,
    lambda close, curve, bar, cash, position: _value(  # noqa: PLW0108
        close, curve, bar, cash, position
    ),
)
compile_as(
    fill_lanes,
    lambda _close, curve, bar, worth: _fill(_close, curve, bar, worth),  # noqa: PLW0108
)
