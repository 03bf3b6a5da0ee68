"""Eight rows of a running mean at once.

A processor adds eight pairs of numbers in the time of one, but a running sum waits for the number
before. So the eight steps of a group are first added up among themselves, each to the one before
it, then to the one two before, then four before (Hillis and Steele 1986); only the group as a whole
waits for the mean at its beginning. The order of the additions is part of the result: it is the
same in Python, and in a group that is cut short.

References
----------
.. [1] Hillis and Steele (1986), "Data parallel algorithms", Communications of the ACM 29(12).
"""

import ctypes
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from numerics.bits import WORD
from numerics.compilation import compile_as, njit

GROUP = 8  # rows
_NUMBER_BYTES = 8
_NUMBER = ir.DoubleType()
_NUMBERS = ir.VectorType(_NUMBER, GROUP)
_PLACE = ir.IntType(32)
_WORD = ir.IntType(WORD)
_FLAGS = ir.IntType(GROUP)


def _at(builder: Any, address: Any, row: Any) -> Any:
    """Return the pointer to the group that begins at a row of a series."""
    series = builder.inttoptr(address, _NUMBER.as_pointer())
    return builder.bitcast(builder.gep(series, [row]), _NUMBERS.as_pointer())


def _in_all(builder: Any, number: Any) -> Any:
    nowhere = ir.Constant(_NUMBERS, ir.Undefined)
    one = builder.insert_element(nowhere, number, _PLACE(0))
    firsts = ir.Constant(ir.VectorType(_PLACE, GROUP), [0] * GROUP)
    return builder.shuffle_vector(one, nowhere, firsts)


def _summed(builder: Any, steps: Any) -> Any:
    """Return the running sums of a group; -0.0 is what leaves every number as it is."""
    nothing = ir.Constant(_NUMBERS, [-0.0] * GROUP)
    for distance in (1, 2, 4):
        picked = [*range(GROUP, GROUP + distance), *range(GROUP - distance)]
        places = ir.Constant(ir.VectorType(_PLACE, GROUP), picked)
        steps = builder.fadd(steps, builder.shuffle_vector(steps, nothing, places))
    return steps


def _means(
    builder: Any, values: Any, row: Any, window: Any, scale: Any, mean: Any
) -> tuple[Any, Any]:
    """Return the eight means from a row on, and the last of them."""
    entering = builder.load(_at(builder, values, row), align=_NUMBER_BYTES)
    before = _at(builder, values, builder.sub(row, window))
    leaving = builder.load(before, align=_NUMBER_BYTES)
    steps = builder.fmul(builder.fsub(entering, leaving), _in_all(builder, scale))
    sums = _summed(builder, steps)
    # The last is added once more, alone: the next group waits for that and for nothing else.
    last = builder.fadd(mean, builder.extract_element(sums, _PLACE(GROUP - 1)))
    return builder.fadd(_in_all(builder, mean), sums), last


def _generate(
    _typing: Any, _values: Any, _row: Any, _window: Any, _scale: Any, _mean: Any, _out: Any,
    _place: Any,
) -> Any:  # fmt: skip
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        out, place = arguments[5:]
        means, last = _means(builder, *arguments[:5])
        builder.store(means, _at(builder, out, place), align=_NUMBER_BYTES)
        return last

    whole, number = types.int64, types.float64
    return number(whole, whole, whole, number, number, whole, whole), generate


def _generate_word(
    _typing: Any, _values: Any, _row: Any, _windows: Any, _scales: Any, _last: Any
) -> Any:
    whole, number = types.int64, types.float64
    pair, numbers = types.UniTuple(whole, 2), types.UniTuple(number, 2)
    result = types.Tuple((whole, number, number))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, row = arguments[:2]
        windows, scales, means = (
            [builder.extract_value(both, k) for k in range(2)] for both in arguments[2:]
        )
        bits = _WORD(0)
        for group in range(WORD // GROUP):
            at = builder.add(row, _WORD(GROUP * group))
            lines = []
            for k in range(2):
                line, means[k] = _means(builder, values, at, windows[k], scales[k], means[k])
                lines.append(line)
            above = builder.bitcast(builder.fcmp_ordered(">", *lines), _FLAGS)
            bits = builder.or_(bits, builder.shl(builder.zext(above, _WORD), _WORD(GROUP * group)))
        return context.make_tuple(builder, signature.return_type, [bits, *means])

    return result(whole, whole, pair, numbers, numbers), generate


_eight_means: Any = intrinsic(_generate)
_word_above: Any = intrinsic(_generate_word)


def eight_means(
    values: int, row: int, window: int, scale: float, mean: float, out: int, place: int
) -> float:
    """Write the means of eight rows and return the last.

    Parameters
    ----------
    values : int
        Address of the series, float64, without gaps between its numbers.
    row : int
        First of the eight, at least `window`.
    window : int
        Values per mean.
    scale : float
        ``1 / window``.
    mean : float
        At the row before the first.
    out, place : int
        Address of a float64 array, and the element of it that the first mean goes to.
    """
    means = _plain_means(values, row, window, scale, mean)
    _group(out, place)[:] = means
    return means[-1]


def word_above(
    values: int,
    row: int,
    windows: tuple[int, int],
    scales: tuple[float, float],
    means: tuple[float, float],
) -> tuple[int, float, float]:
    """Return in which of sixty-four rows one mean is above another, and both at the last row.

    Parameters
    ----------
    values, row
        As for `eight_means`.
    windows, scales, means : tuple
        The same of each mean, the first compared with the second.

    Returns
    -------
    bits : int
        Row ``row + k`` gives bit k; two's complement.
    first, second : float
    """
    bits = 0
    first, second = means
    for at in range(0, WORD, GROUP):
        over = _plain_means(values, row + at, windows[0], scales[0], first)
        under = _plain_means(values, row + at, windows[1], scales[1], second)
        bits |= sum(1 << (at + k) for k in range(GROUP) if over[k] > under[k])
        first, second = over[-1], under[-1]
    return (bits - (1 << WORD) if bits >> (WORD - 1) else bits), first, second


def _plain_means(values: int, row: int, window: int, scale: float, mean: float) -> list[float]:
    entering, leaving = _group(values, row), _group(values, row - window)
    sums = np.array([(x - y) * scale for x, y in zip(entering, leaving, strict=True)])
    add_up(sums)
    return [float(mean + total) for total in sums]


def _group(address: int, row: int) -> Any:
    return (ctypes.c_double * GROUP).from_address(int(address) + _NUMBER_BYTES * int(row))


# Lambdas, because numba compiles no intrinsic that is handed over by itself.
compile_as(
    eight_means,
    lambda values, row, window, scale, mean, out, place: _eight_means(  # noqa: PLW0108
        values, row, window, scale, mean, out, place
    ),
)
compile_as(
    word_above,
    lambda values, row, windows, scales, means: _word_above(  # noqa: PLW0108
        values, row, windows, scales, means
    ),
)


@njit(cache=True, error_model="numpy")
def add_up(steps: NDArray[np.float64]) -> None:
    """Turn the steps of a group, or of its beginning, into their running sums, in place."""
    for distance in (1, 2, 4):
        for at in range(steps.size - 1, distance - 1, -1):
            steps[at] += steps[at - distance]


@njit(cache=True, error_model="numpy")
def few_means(
    values: NDArray[np.float64],
    row: int,
    window: int,
    mean: float,
    out: NDArray[np.float64],
) -> float:
    """Do what `eight_means` does for the first rows of a group: as many as `out` holds, 1 to 7."""
    scale = 1.0 / window
    steps = np.empty(out.size)
    for at in range(out.size):
        steps[at] = (values[row + at] - values[row + at - window]) * scale
    add_up(steps)
    for at in range(out.size):
        out[at] = mean + steps[at]
    return float(out[-1])
