"""Sixty-four comparisons at once, kept as the bits of one word.

To look for the rare row at which one series goes above another, a loop of branches spends most of
its time where nothing happens. A processor compares several numbers in one step and gives a bit for
each; where a word of them is all zeros or all ones, sixty-four rows are done.

Without the compiler (NUMBA_DISABLE_JIT) the same functions do the same in Python.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from numerics.compilation import kernel_part

WORD = 64  # rows whose comparisons fill a word
_NUMBER_BYTES = 8
_BITS = ir.IntType(WORD)


@intrinsic
def _above_bits(_typing: Any, _first: Any, _second: Any, _at: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        first, second, at = arguments
        row = ir.VectorType(ir.DoubleType(), WORD)

        def rows_from(address: Any) -> Any:
            numbers = builder.inttoptr(address, ir.DoubleType().as_pointer())
            place = builder.bitcast(builder.gep(numbers, [at]), row.as_pointer())
            return builder.load(place, align=_NUMBER_BYTES)

        is_above = builder.fcmp_ordered(">", rows_from(first), rows_from(second))
        return builder.bitcast(is_above, _BITS)

    return types.int64(types.int64, types.int64, types.int64), generate


@intrinsic
def _first_bit(_typing: Any, _bits: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


def _plain_above_bits(first: int, second: int, at: int) -> int:
    rows = ctypes.c_double * WORD
    over = rows.from_address(int(first) + _NUMBER_BYTES * int(at))
    under = rows.from_address(int(second) + _NUMBER_BYTES * int(at))
    bits = sum(1 << k for k in range(WORD) if over[k] > under[k])
    return bits - (1 << WORD) if bits >> (WORD - 1) else bits


def _plain_first_bit(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


above_bits: Callable[[int, int, int], int]
first_bit: Callable[[int], int]
if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # set from the environment
    above_bits, first_bit = _plain_above_bits, _plain_first_bit
else:
    above_bits, first_bit = _above_bits, _first_bit  # type: ignore[assignment]  # as numba calls them


@kernel_part
def changed_bits(above: int, was_above: bool) -> int:
    """Return the bits at which a word of comparisons differs from the row before.

    Parameters
    ----------
    above : int
        As ``above_bits(first, second, at)`` gives it: bit k of 64, two's complement, says whether
        row ``at + k`` of the first series (by their addresses, float64) is above the second.
    was_above : bool
        Whether the row before the word's first was.
    """
    return above ^ ((above << 1) | was_above)


@kernel_part
def without_first(bits: int) -> int:
    """Return the bits without the lowest one; `first_bit` says which that is, of a word not 0."""
    return bits & (bits - 1)
