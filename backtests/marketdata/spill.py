"""Observations on disk while a file streams: appended once, split by time, read back in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.layout import Block

READ_BYTES = 16 << 20
Records = NDArray[Any]


class Spill:
    """An append-only file of fixed-size records: row, stamp, sym, back, then one f8 per field."""

    def __init__(self, path: Path, fields: list[str], *, event: bool = False) -> None:
        self.fields = fields
        clock = [("event", "<i8")] if event else []
        self.dtype = np.dtype(
            [("row", "<i8"), ("stamp", "<i8"), ("sym", "<i4"), ("back", "?"), *clock]
            + [(f"f{i}", "<f8") for i in range(len(fields))]
        )
        self.path = path
        self.size = 0
        path.touch()

    def append(self, block: Block, back: NDArray[np.bool_]) -> None:
        """Write the observations of a block."""
        records = np.empty(len(block), dtype=self.dtype)
        records["row"], records["stamp"] = block.marks.rows, block.marks.stamps
        records["sym"], records["back"] = block.marks.syms, back
        if block.event is not None:
            records["event"] = block.event
        for i, name in enumerate(self.fields):
            records[f"f{i}"] = block.values[name]
        self.append_records(records)

    def append_records(self, records: Records) -> None:
        """Write records of this spill's own type."""
        # Opened for each block: an import cut short leaves no handle behind.
        with self.path.open("ab") as stream:
            records.tofile(stream)
        self.size += records.size

    def blocks(self, limit_bytes: int = READ_BYTES) -> Iterator[Records]:
        """Read the records back in the order written."""
        count = max(1, limit_bytes // self.dtype.itemsize)
        with self.path.open("rb") as stream:
            while True:
                records = np.fromfile(stream, dtype=self.dtype, count=count)
                if not records.size:
                    return
                yield records

    def columns(self, records: Records) -> NDArray[np.float64]:
        """Return the field values of records, shape (n, n_fields)."""
        return np.column_stack([records[f"f{i}"] for i in range(len(self.fields))])

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


class StampUnion:
    """The distinct stamps of a stream of blocks, sorted."""

    def __init__(self) -> None:
        self._settled = np.empty(0, dtype=np.int64)
        self._waiting: list[NDArray[np.int64]] = []
        self._pending = 0

    def add(self, stamps: NDArray[np.int64]) -> None:
        """Add a block's stamps; merges now and then so that memory follows the union."""
        fresh = np.unique(stamps)
        if self._settled.size:
            place = np.searchsorted(self._settled, fresh).clip(0, self._settled.size - 1)
            fresh = fresh[self._settled[place] != fresh]
        self._waiting.append(fresh)
        self._pending += fresh.size
        if self._pending > max(1_000_000, self._settled.size):
            self._merge()

    def sorted(self) -> NDArray[np.int64]:
        """Return the union, int64, strictly increasing."""
        self._merge()
        return self._settled

    def _merge(self) -> None:
        if self._waiting:
            self._settled = np.unique(np.concatenate([self._settled, *self._waiting]))
            self._waiting, self._pending = [], 0


def partition(spill: Spill, union: NDArray[np.int64], rows_per_part: int) -> list[Spill]:
    """Split a spill into consecutive stretches of time, each small enough to hold in memory.

    Parameters
    ----------
    spill : Spill
    union : int64 array, shape (T,)
        The distinct stamps.
    rows_per_part : int
        Stamps of one stretch.

    Returns
    -------
    list of Spill
        One per stretch, in time order; the source spill itself where one is enough.
    """
    n_parts = -(-union.size // rows_per_part)
    if n_parts <= 1:
        return [spill]
    parts = [
        Spill(
            spill.path.with_suffix(f".{i}"),
            spill.fields,
            event="event" in (spill.dtype.names or ()),
        )
        for i in range(n_parts)
    ]
    for records in spill.blocks():
        owner = np.searchsorted(union, records["stamp"]) // rows_per_part
        order = np.argsort(owner, kind="stable")
        bounds = np.searchsorted(owner[order], np.arange(n_parts + 1))
        for i in np.unique(owner):
            parts[i].append_records(records[order[bounds[i] : bounds[i + 1]]])
    spill.remove()
    return parts
