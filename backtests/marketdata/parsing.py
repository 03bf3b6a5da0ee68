"""Source columns to numbers and text, with a mask of what could not be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
_NUMBER = r"^[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|nan|Infinity)$"


def is_text(kind: Any) -> bool:
    """Say whether an Arrow type is text, also when dictionary-encoded."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_number(kind: Any) -> bool:
    """Say whether an Arrow type holds numbers or booleans."""
    checks = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return any(check(kind) for check in checks)


def to_floats(column: Any) -> tuple[FloatArray, BoolArray]:
    """Convert a column to float64.

    Returns
    -------
    values : float64 array, shape (n,)
        NaN where the source is empty or unreadable.
    bad : bool array, shape (n,)
        True where something stands in the source that is no finite number.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    bad = np.zeros(len(column), dtype=bool)
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    try:
        floats = pc.cast(column, pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        floats, bad = _salvage(column)
    values = np.array(floats.to_numpy(zero_copy_only=False), dtype=np.float64)
    infinite = np.isinf(values)
    if infinite.any():
        values[infinite] = np.nan
        bad = bad | infinite
    return values, bad


def _salvage(column: Any) -> tuple[Any, BoolArray]:
    """Read what is readable, row by row, after the whole column failed to convert."""
    if not is_text(column.type):
        missing = pa.nulls(len(column), pa.float64())
        return missing, ~column.is_null().to_numpy(zero_copy_only=False)
    trimmed = pc.utf8_trim_whitespace(column)
    blank = pc.equal(trimmed, pa.scalar("", trimmed.type))
    good = pc.fill_null(pc.match_substring_regex(trimmed, _NUMBER), True)
    floats = pc.cast(pc.if_else(pc.and_(good, pc.invert(blank)), trimmed, None), pa.float64())
    bad = pc.and_not(pc.invert(good), pc.fill_null(blank, False))
    return floats, np.asarray(bad.to_numpy(zero_copy_only=False), dtype=bool)


def to_codes(column: Any) -> tuple[NDArray[np.int32], list[str | None]]:
    """Encode a text column.

    Returns
    -------
    codes : int32 array, shape (n,)
        Index into `texts`, -1 where the source is empty.
    texts : list of str
        The distinct texts as written, not trimmed.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not is_text(column.type):
        column = pc.cast(column, pa.string())
    encoded = pc.dictionary_encode(column)
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return np.asarray(codes, dtype=np.int32), encoded.dictionary.to_pylist()


def to_texts(column: Any) -> list[str | None]:
    """Return a column as text, None where empty."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    texts: list[str | None] = pc.cast(column, pa.string()).to_pylist()
    return texts
