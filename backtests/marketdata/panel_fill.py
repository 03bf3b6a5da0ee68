"""The second pass over bars: from the spill to matrices on disk, one stretch of time at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.arrays import ArrayWriter, chunk_bounds, load_mapped
from backtests.marketdata.findings import Marks
from backtests.marketdata.product import Job
from backtests.marketdata.quality.order import flag_repeats
from backtests.marketdata.quality.sessions import Shift, describe_shifts, flag_shifts
from backtests.marketdata.scan import Scan
from backtests.marketdata.spill import Spill, partition

NEUTRAL = {"split": 1.0, "dividend": 0.0}
Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Axis:
    """The time axis of a panel under way.

    Attributes
    ----------
    labels, known : int64 arrays, shape (T,)
        The source's distinct stamps, and when the bars are known [ns UTC], both increasing.
    bar_ns : int
        Bar length [ns].
    """

    labels: Int64Array
    known: Int64Array
    bar_ns: int

    @property
    def begins(self) -> Int64Array:
        """Moments at which the bars begin [ns UTC]."""
        return self.known - self.bar_ns


@dataclass(slots=True)
class Matrix:
    """A panel on disk, still open to changes.

    Attributes
    ----------
    ts : int64 array, shape (T,)
        Moments at which the bars are known [ns UTC].
    labels : int64 array, shape (T,)
        The source's own stamps.
    symbols : list of str
        Sorted, one per column.
    syms : int32 array, shape (N,)
        Number of each column's instrument in the ledger.
    fields : dict of name to path
        `.npy` files, float64 (T, N).
    rows : Path
        `.npy` file, int64 (T, N): source row of each bar, -1 where there is none.
    """

    ts: Int64Array
    labels: Int64Array
    symbols: list[str]
    syms: NDArray[np.int32]
    fields: dict[str, Path]
    rows: Path

    def columns(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Read columns [start, stop) of every field, and of the source rows as ``row``."""
        arrays = {"row": self.rows, **self.fields}
        return {
            name: np.asfortranarray(load_mapped(path)[:, start:stop])
            for name, path in arrays.items()
        }

    def blank(self, at: NDArray[np.intp], column: int) -> None:
        """Take the bars at positions `at` out of one column."""
        for name, path in self.fields.items():
            array = np.load(path, mmap_mode="r+")
            array[at, column] = NEUTRAL.get(name, np.nan)
            array.flush()
        rows = np.load(self.rows, mmap_mode="r+")
        rows[at, column] = -1
        rows.flush()

    def compact(self) -> int:
        """Leave out stamps and instruments of which no bar is left; return how many bars are."""
        n_bars = 0
        rows = load_mapped(self.rows)
        keep_t = np.zeros(rows.shape[0], dtype=bool)
        keep_n = np.zeros(rows.shape[1], dtype=bool)
        for start, stop in chunk_bounds(rows.shape[0], rows.shape[1] * 8):
            present = rows[start:stop] >= 0
            keep_t[start:stop] = present.any(axis=1)
            keep_n |= present.any(axis=0)
            n_bars += int(present.sum())
        if keep_t.all() and keep_n.all():
            return n_bars
        for name, path in self.fields.items():
            self.fields[name] = _rewrite(path, keep_t, keep_n)
        self.ts, self.labels = self.ts[keep_t], self.labels[keep_t]
        self.symbols = [s for s, kept in zip(self.symbols, keep_n, strict=True) if kept]
        self.syms = self.syms[keep_n]
        return n_bars


def _rewrite(path: Path, keep_t: BoolArray, keep_n: BoolArray) -> Path:
    array = load_mapped(path)
    smaller = path.with_suffix(".kept.npy")
    writer = ArrayWriter(smaller, "<f8", (int(keep_t.sum()), int(keep_n.sum())))
    for start, stop in chunk_bounds(array.shape[0], array.shape[1] * 8):
        writer.write(np.asarray(array[start:stop])[keep_t[start:stop]][:, keep_n])
    path.unlink()
    return smaller


def fill_matrix(job: Job, scan: Scan, spill: Spill, axis: Axis, shifts: list[Shift]) -> Matrix:
    """Place every observation in its row and column, refusing repeats and rows out of order.

    Parameters
    ----------
    job, scan, spill
        The import, what the first pass learned, and its observations.
    axis : Axis
        The panel's time axis.
    shifts : list of Shift
        Stretches whose clock is wrong.

    Notes
    -----
    Memory: one stretch of time, chosen to fit `options.memory_mb`, and one field's block of it.
    """
    names = scan.layout.symbols.names
    present = np.flatnonzero(scan.counts > 0)
    ordered = sorted(present, key=lambda sym: names[sym])
    rank = np.full(len(names), -1, dtype=np.int64)
    rank[ordered] = np.arange(len(ordered))
    descending = np.zeros(len(names), dtype=bool)
    falling = scan.order.descending()
    descending[: falling.size] = falling
    for sym in np.flatnonzero(descending):
        job.ledger.note("descending_order", 1, symbol=names[sym])
    filler = _Filler(job, spill.fields, axis, _Columns(rank, descending), shifts)
    labels = axis.labels
    per_stamp = spill.size * spill.dtype.itemsize / labels.size * 8 + len(ordered) * 24
    step = max(1, int(job.options.memory_mb * 1e6 / per_stamp))
    parts = partition(spill, labels, step)
    for i, part in enumerate(parts):
        filler.fill(part, i * step, min(labels.size, (i + 1) * step))
        part.remove()
        job.progress(0.6 + 0.25 * (i + 1) / len(parts), "placing")
    if shifts:
        for finding in job.ledger.report_findings("clock_shift"):
            finding.sentence = describe_shifts(shifts)
    syms = np.array(ordered, dtype=np.int32)
    symbols = [names[s] for s in ordered]
    return Matrix(axis.known, labels, symbols, syms, filler.paths, filler.row_path)


@dataclass(frozen=True, slots=True)
class _Columns:
    rank: Int64Array  # column of each instrument, -1 for those left out
    descending: BoolArray  # instruments listed from new to old


class _Filler:
    def __init__(
        self,
        job: Job,
        fields: list[str],
        axis: Axis,
        columns: _Columns,
        shifts: list[Shift],
    ) -> None:
        self._job = job
        self._fields = fields
        self._labels, self._begins = axis.labels, axis.begins
        self._rank, self._descending = columns.rank, columns.descending
        self._shifts = shifts
        self._width = int((columns.rank >= 0).sum())
        shape = (axis.labels.size, self._width)
        self.paths = {name: job.scratch / f"draft-{i}.npy" for i, name in enumerate(fields)}
        self.row_path = job.scratch / "rows.npy"
        self._writers = {n: ArrayWriter(p, "<f8", shape) for n, p in self.paths.items()}
        self._row_writer = ArrayWriter(self.row_path, "<i8", shape)

    def fill(self, part: Spill, start: int, stop: int) -> None:
        """Write rows [start, stop) of every matrix."""
        gathered = list(part.blocks())
        records = np.concatenate(gathered) if gathered else np.empty(0, dtype=part.dtype)
        at = np.searchsorted(self._labels, records["stamp"])
        column = self._rank[records["sym"]]
        keep = self._keep(part, records, at, column)
        place = (at - start)[keep], column[keep]
        for i, name in enumerate(self._fields):
            block = np.full((stop - start, self._width), NEUTRAL.get(name, np.nan))
            block[place] = records[f"f{i}"][keep]
            self._writers[name].write(block)
        rows = np.full((stop - start, self._width), -1, dtype=np.int64)
        rows[place] = records["row"][keep]
        self._row_writer.write(rows)

    def _keep(
        self, part: Spill, records: NDArray[Any], at: NDArray[np.intp], column: Int64Array
    ) -> BoolArray:
        ledger = self._job.ledger
        marks = Marks(records["row"], records["stamp"], records["sym"])
        keys = at.astype(np.int64) * self._width + column
        refused = flag_repeats(keys, part.columns(records), marks, ledger)
        back = records["back"] & ~self._descending[records["sym"]]
        refused |= ledger.flag("out_of_order", marks, back)
        if self._shifts:
            refused |= flag_shifts(self._shifts, self._begins[at], marks, ledger)
        return ~refused
