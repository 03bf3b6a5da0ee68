"""A long curve, written on a small sheet that stays in the cache and laid down whole.

A curve of a million bars is eight megabytes that nobody reads before the run is over. Written
where it belongs, every line of it is first fetched from memory, and drives out of the cache what
the next fills need. So the loop writes on a sheet, and a full sheet goes to memory past the cache
(the non-temporal stores of [1]_, section 10.4.6.2), which asks for nothing to be fetched.

References
----------
.. [1] Intel, "Intel 64 and IA-32 Architectures Software Developer's Manual", volume 1.
"""

import ctypes
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from backtests.engine.lanes import LANES
from backtests.engine.memory import load, store
from numerics.compilation import compile_as, inlined_part, kernel_part

SHEET = 2_048  # bars: a third of a first-level cache
SLOTS = SHEET + LANES  # whole lanes are written, beyond the last bar too
LONG = 1 << 18  # bars: from here on a curve is larger than the caches before the shared one
NUMBER_BYTES = 8
_LINE = 8  # numbers in a line of the cache
_LINE_BYTES = _LINE * NUMBER_BYTES
_NUMBERS = ir.VectorType(ir.DoubleType(), _LINE)
_WORD = ir.IntType(64)


def _generate_line(_typing: Any, _source: Any, _target: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, target = (builder.inttoptr(address, _NUMBERS.as_pointer()) for address in arguments)
        line = builder.load(source, align=NUMBER_BYTES)
        stored = builder.store(line, target, align=_LINE_BYTES)
        once = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        stored.set_metadata("nontemporal", once)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _generate_fence(_typing: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


_line: Any = intrinsic(_generate_line)
_fence: Any = intrinsic(_generate_fence)


def lay_line(source: int, target: int) -> None:
    """Copy eight numbers past the cache.

    Parameters
    ----------
    source, target : int
        Addresses; the second that of a whole line.
    """
    ctypes.memmove(int(target), int(source), _LINE_BYTES)


def settle_lines() -> None:
    """Wait until what was laid down can be read by everybody."""


compile_as(lay_line, lambda source, target: _line(source, target))  # noqa: PLW0108
compile_as(settle_lines, lambda: _fence())  # noqa: PLW0108


@inlined_part
def end_of_sheet(bar: int, stop: int, curve: int) -> int:
    """Return where a sheet that begins at a bar ends: with a line of the curve, or at `stop`."""
    place = curve // NUMBER_BYTES + bar
    return int(min(stop, bar + SHEET - place % _LINE))


@kernel_part
def lay_down(sheet: int, place: int, n_bars: int) -> None:
    """Copy the beginning of a sheet to its place in the curve."""
    size = NUMBER_BYTES * n_bars
    at = 0
    while at < size:
        if (place + at) % _LINE_BYTES == 0 and at + _LINE_BYTES <= size:
            lay_line(sheet + at, place + at)
            at += _LINE_BYTES
        else:
            store(place + at, 0, load(sheet + at, 0))
            at += NUMBER_BYTES
