"""Canonical `.npy` files: written from the start to the end, never held whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK_BYTES = 8 << 20


def canonical(values: NDArray[Any]) -> NDArray[Any]:
    """Return values with one bit pattern for NaN and none for minus zero, C-contiguous."""
    if values.dtype.kind != "f":
        return np.ascontiguousarray(values)
    plain = np.ascontiguousarray(values + 0.0)
    plain[np.isnan(plain)] = np.nan
    return plain


class ArrayWriter:
    """Writes one `.npy` file block by block along its first axis."""

    def __init__(self, path: Path, dtype: str, shape: tuple[int, ...]) -> None:
        header = {"descr": dtype, "fortran_order": False, "shape": shape}
        with path.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, header)
        self._path = path
        self._dtype = np.dtype(dtype)

    def write(self, block: NDArray[Any]) -> None:
        """Append a block of rows."""
        with self._path.open("ab") as stream:
            canonical(block.astype(self._dtype, copy=False)).tofile(stream)


def load_mapped(path: Path) -> NDArray[Any]:
    """Map a `.npy` file read-only, without reading it."""
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def chunk_bounds(n_rows: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield [start, stop) stretches of about `CHUNK_BYTES` each."""
    step = max(1, CHUNK_BYTES // max(1, row_bytes))
    for start in range(0, n_rows, step):
        yield start, min(n_rows, start + step)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
