"""Sixty-four comparisons at once, kept as the bits of one word.

To look for the rare row at which one series goes above another, a loop of branches spends most of
its time where nothing happens. A processor compares several numbers in one step and gives a bit for
each; where a word of them is all zeros or all ones, sixty-four rows are done.

Called from Python, the same functions do the same bit by bit.
"""

import ctypes
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from numerics.compilation import compile_as, kernel_part

WORD = 64  # rows whose comparisons fill a word
_NUMBER_BYTES = 8
_LANES = 8  # compared in one step
_GROUP = ir.VectorType(ir.DoubleType(), _LANES)
_BITS = ir.IntType(WORD)


def _generate_comparison(_typing: Any, _first: Any, _second: Any, _at: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        first, second, at = arguments

        def group(address: Any, row: Any) -> Any:
            numbers = builder.inttoptr(address, ir.DoubleType().as_pointer())
            place = builder.bitcast(builder.gep(numbers, [row]), _GROUP.as_pointer())
            return builder.load(place, align=_NUMBER_BYTES)

        bits = _BITS(0)
        for offset in range(0, WORD, _LANES):
            row = builder.add(at, _BITS(offset))
            is_above = builder.fcmp_ordered(">", group(first, row), group(second, row))
            few = builder.zext(builder.bitcast(is_above, ir.IntType(_LANES)), _BITS)
            bits = builder.or_(bits, builder.shl(few, _BITS(offset)))
        return bits

    return types.int64(types.int64, types.int64, types.int64), generate


def _generate_count(_typing: Any, _bits: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), generate


def _generate_sum(_typing: Any, _bits: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), generate


_compare: Any = intrinsic(_generate_comparison)
_count_zeros: Any = intrinsic(_generate_count)
_count_ones: Any = intrinsic(_generate_sum)


def above_bits(first: int, second: int, at: int) -> int:
    """Return a bit for each of the rows ``at ... at + 63`` in which the first is above the second.

    Parameters
    ----------
    first, second : int
        Addresses of float64 series; row ``at + k`` gives bit k. NaN is above nothing.

    Returns
    -------
    int
        64 bits, two's complement.
    """
    rows = ctypes.c_double * WORD
    over = rows.from_address(int(first) + _NUMBER_BYTES * int(at))
    under = rows.from_address(int(second) + _NUMBER_BYTES * int(at))
    bits = sum(1 << k for k in range(WORD) if over[k] > under[k])
    return bits - (1 << WORD) if bits >> (WORD - 1) else bits


def first_bit(bits: int) -> int:
    """Return the number of the lowest bit of a word that is not 0; `WORD` if there is none."""
    bits = int(bits)
    return (bits & -bits).bit_length() - 1 if bits else WORD


def count_bits(bits: int) -> int:
    """Return how many bits of a word are not 0."""
    return (int(bits) & ((1 << WORD) - 1)).bit_count()


compile_as(above_bits, lambda first, second, at: _compare(first, second, at))  # noqa: PLW0108  (numba takes no intrinsic)
compile_as(first_bit, lambda bits: _count_zeros(bits))  # noqa: PLW0108
compile_as(count_bits, lambda bits: _count_ones(bits))  # noqa: PLW0108


@kernel_part
def changed_bits(above: int, was_above: bool) -> int:
    """Return the bits at which a word of comparisons differs from the row before.

    Parameters
    ----------
    above : int
        As `above_bits` gives it.
    was_above : bool
        Whether the row before the word's first was.
    """
    return above ^ ((above << 1) | was_above)


@kernel_part
def without_first(bits: int) -> int:
    """Return the bits without the lowest one; `first_bit` says which that is, of a word not 0."""
    return bits & (bits - 1)
