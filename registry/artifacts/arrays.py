"""Files of arrays, read by their structure: .npy headers and safetensors.

References
----------
.. [1] numpy, "The NPY format". .. [2] huggingface/safetensors, "Format": a length, a JSON header,
   the bytes of the tensors without gap or overlap.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

from registry.artifacts.errors import UnreadableError
from registry.artifacts.streams import Bounded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NPY_MAGIC = b"\x93NUMPY"
METADATA = "__metadata__"
_DAMAGED_HEADER = (
    ValueError, SyntaxError, TokenError, KeyError, RecursionError, MemoryError,
)  # fmt: skip
MAX_HEADER_BYTES = 100_000_000
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "C64": "<c8", "BOOL": "|b1",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1",
}  # fmt: skip


def npy_holds_objects(stream: Bounded) -> bool:
    """Return whether a .npy stream is an array of objects, that is, a pickle.

    The stream is left where the array begins.

    Raises
    ------
    UnreadableError
        The header is damaged.
    """
    from numpy.lib import format as npy

    stream.seek(0)
    readers = {1: npy.read_array_header_1_0, 2: npy.read_array_header_2_0}
    try:
        version = npy.read_magic(stream.raw)
        reader = readers[min(2, version[0])]
        _, _, dtype = reader(stream.raw)
    except _DAMAGED_HEADER as error:
        raise UnreadableError(f"a damaged .npy header: {error}") from error
    return dtype.hasobject


def read_tensor_header(stream: Bounded) -> tuple[dict[str, Any], int] | None:
    """Return the header of a safetensors file and where its tensors begin.

    Returns
    -------
    (dict, int) or None
        None where the stream does not begin as one: it is another format.

    Raises
    ------
    UnreadableError
        It begins as one and is none: the tensors overlap, leave gaps or exceed the file.
    """
    found = _read_header(stream)
    if found is None:
        return None
    header, begin = found
    tensors = {name: field for name, field in header.items() if name != METADATA}
    _require_words(header.get(METADATA))
    _require_gapless(tensors, stream.n_bytes - begin)
    return tensors, begin


def read_tensor_metadata(stream: Bounded) -> dict[str, str]:
    """Return what a safetensors file says of itself: texts by name, or nothing.

    Raises
    ------
    UnreadableError
        As `read_tensor_header`.
    """
    found = _read_header(stream)
    said = found[0].get(METADATA) if found else None
    _require_words(said)
    return dict(said or {})


def _read_header(stream: Bounded) -> tuple[dict[str, Any], int] | None:
    head = stream.head(9)
    if len(head) < 9 or head[8:9] != b"{":
        return None
    (length,) = struct.unpack("<Q", head[:8])
    if not 2 <= length <= min(MAX_HEADER_BYTES, stream.n_bytes - 8):
        return None
    stream.seek(8)
    try:
        header = json.loads(stream.read(length), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"a damaged safetensors header: {error}") from error
    return header, 8 + length


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key is given twice")
    return dict(pairs)


def _require_words(metadata: Any) -> None:
    is_plain = isinstance(metadata, dict) and all(isinstance(t, str) for t in metadata.values())
    if metadata is not None and not is_plain:
        raise UnreadableError(f"its {METADATA} is no map of texts")


def _require_gapless(tensors: Mapping[str, Any], n_bytes: int) -> None:
    try:
        spans = sorted((*_span(field),) for field in tensors.values())
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableError(f"a damaged safetensors header: {error}") from error
    end = 0
    for first, last in spans:
        if first != end:
            raise UnreadableError("the tensors overlap or leave gaps")
        end = last
    if end != n_bytes:
        raise UnreadableError("the tensors do not fill the file")


def _span(field: Mapping[str, Any]) -> tuple[int, int]:
    """Return first and last offset of a tensor, checked against its shape and type."""
    import numpy as np

    first, last = field["data_offsets"]
    if not type(first) is type(last) is int:
        raise ValueError(f"the offsets {field['data_offsets']}")
    n_items = 1
    for n in field["shape"]:
        if type(n) is not int or n < 0:
            raise ValueError(f"the shape {field['shape']}")
        n_items *= n
    if field["dtype"] not in _DTYPES:
        raise ValueError(f"the type {field['dtype']!r} is not read here")
    if last - first != n_items * np.dtype(_DTYPES[field["dtype"]]).itemsize or first < 0:
        raise ValueError("a tensor whose shape is not its size")
    return first, last


def view_tensors(
    buffer: Any, header: Mapping[str, Any], begin: int
) -> dict[str, NDArray[np.generic]]:
    """Return the tensors of a safetensors buffer as read-only views of it, without a copy.

    Parameters
    ----------
    buffer : bytes or mmap
        The whole file.
    header, begin
        As `read_tensor_header` returns them.
    """
    import numpy as np

    tensors = {}
    for name, field in header.items():
        dtype = np.dtype(_DTYPES[field["dtype"]])
        first, last = field["data_offsets"]
        n_items = (last - first) // dtype.itemsize
        flat = np.frombuffer(buffer, dtype, n_items, begin + first)
        tensors[name] = flat.reshape(field["shape"])
    return tensors
