"""Source batches, long or wide, to blocks of observations in canonical form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from backtests.marketdata.columns import FIELDS_OF, Schema
from backtests.marketdata.findings import Ledger, Marks
from backtests.marketdata.options import ImportOptions
from backtests.marketdata.parsing import is_number, is_text, to_codes, to_floats
from backtests.marketdata.readers import Source, SourceBatch
from backtests.marketdata.stamps import DAY_NS, NAT, StampReader, parse_moment

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Int64Array = NDArray[np.int64]


@dataclass(slots=True)
class Block:
    """Observations of one batch.

    Attributes
    ----------
    marks : Marks
        Row number, stamp as labelled by the source [ns UTC, or midnight of a date], symbol index.
    values : dict of field name to float64 array, shape (n,)
    event : int64 array or None
        The second clock of ticks [ns UTC].
    """

    marks: Marks
    values: dict[str, FloatArray]
    event: Int64Array | None = None

    def __len__(self) -> int:
        return int(self.marks.rows.size)

    def take(self, keep: BoolArray) -> Block:
        """Return the masked observations."""
        if keep.all():
            return self
        marks = Marks(self.marks.rows[keep], self.marks.stamps[keep], self.marks.syms[keep])
        event = None if self.event is None else self.event[keep]
        return Block(marks, {k: v[keep] for k, v in self.values.items()}, event)


class SymbolTable:
    """Numbers instruments in order of appearance; trims, and refuses look-alikes."""

    def __init__(self, ledger: Ledger) -> None:
        self.names: list[str] = ledger.symbols
        self._ledger = ledger
        self._codes: dict[str, int] = {}
        self._written: dict[str, str] = {}

    def code(self, text: str) -> int:
        """Return the number of an instrument, adding it when new.

        Raises
        ------
        DatasetRefused
            It differs from a known one in case or surrounding spaces only.
        """
        if text in self._codes:
            return self._codes[text]
        name = text.strip()
        known = self._written.setdefault(name.upper(), text)
        if known != text:
            raise self._ledger.refusal(
                "symbol_twice",
                f"Instruments {known!r} and {text!r} differ only in case or spaces: "
                "rename one of them, or spell them alike.",
            )
        self._codes[text] = len(self.names)
        self.names.append(name)
        return self._codes[text]

    def codes(self, column: Any) -> NDArray[np.int32]:
        """Return the numbers of a text column, -1 where it is empty."""
        places, texts = to_codes(column)
        table = [-1 if t is None or not t.strip() else self.code(t) for t in texts]
        lookup = np.array([*table, -1], dtype=np.int32)
        return lookup[places]


class Layout:
    """Turns the batches of one source into blocks; reads stamps, filters, counts rows."""

    def __init__(
        self, source: Source, schema: Schema, options: ImportOptions, ledger: Ledger, symbol: str
    ) -> None:
        self._source = source
        self._schema = schema
        self._options = options
        self._ledger = ledger
        self.symbols = SymbolTable(ledger)
        self.fields: list[str] = []
        self.dates = True
        self._default = symbol
        self._stamps = StampReader(options, ledger, source.names[schema.time])
        self._events = StampReader(options, ledger, "event_ts")
        self._numeric: dict[str, int] | None = None
        self._where = {
            [n.strip().lower() for n in source.names].index(k.strip().lower()): v
            for k, v in options.where.items()
        }
        self._first = parse_moment(options.start) if options.start else None
        self._last = last_moment(options.end) if options.end else None
        if schema.layout == "wide":
            for name in schema.instruments:
                self.symbols.code(name)
        elif schema.symbol < 0:
            self.symbols.code(symbol)

    def blocks(self) -> Iterator[tuple[Block, float]]:
        """Yield blocks of readable observations and the part of the file read so far."""
        for batch in self._source.batches(self._options.batch_rows):
            self._ledger.report.n_source_rows += batch.rows.size
            block = self._block(self._filter(batch))
            yield block, batch.fraction
        flag_malformed(self._source, self._ledger)

    def _filter(self, batch: SourceBatch) -> SourceBatch:
        for place, wanted in self._where.items():
            column = pc.cast(batch.columns[place], pa.string())
            keep = pc.fill_null(pc.equal(column, pa.scalar(wanted)), False)
            rows = batch.rows[np.asarray(keep.to_numpy(zero_copy_only=False), dtype=bool)]
            columns = [pc.filter(c, keep) for c in batch.columns]
            batch = SourceBatch(rows, columns, batch.fraction)
        return batch

    def _block(self, batch: SourceBatch) -> Block:
        stamps = self._stamps.read(batch.columns[self._schema.time])
        if (stamps.ns != NAT).any():
            self.dates = self.dates and stamps.dates
        keep = np.ones(batch.rows.size, dtype=bool)
        if self._first is not None:
            keep &= (stamps.ns >= self._first) | (stamps.ns == NAT)
        if self._last is not None:
            keep &= (stamps.ns <= self._last) | (stamps.ns == NAT)
        wide = self._schema.layout == "wide"
        block, unreadable = self._wide(batch) if wide else self._long(batch)
        index = np.searchsorted(batch.rows, block.marks.rows)
        block.marks.stamps = stamps.ns[index]
        self._ledger.report.n_rows += int(keep[index].sum())
        flags = {
            "ambiguous_time": stamps.ambiguous[index],
            "nonexistent_time": stamps.absent[index],
            "unparsable": (stamps.bad[index]) | unreadable,
            "missing_stamp": (stamps.ns[index] == NAT)
            & ~stamps.bad[index]
            & ~stamps.ambiguous[index],
            "missing_symbol": block.marks.syms < 0,
        }
        good = keep[index].copy()
        for code, mask in flags.items():
            good &= ~self._ledger.flag(code, block.marks, mask & keep[index])
        return block.take(good)

    def _long(self, batch: SourceBatch) -> tuple[Block, BoolArray]:
        schema = self._schema
        if self._numeric is None and batch.rows.size:
            self._numeric = self._choose(batch)
            self.fields = list(self._numeric)
        unreadable = np.zeros(batch.rows.size, dtype=bool)
        values: dict[str, FloatArray] = {}
        for name, place in (self._numeric or schema.fields).items():
            values[name], bad = to_floats(batch.columns[place])
            unreadable |= bad
        if schema.symbol >= 0:
            syms = self.symbols.codes(batch.columns[schema.symbol])
        else:
            syms = np.zeros(batch.rows.size, dtype=np.int32)
        event = None
        if schema.event >= 0:
            event = self._events.read(batch.columns[schema.event]).ns
        marks = Marks(batch.rows, np.empty(0, dtype=np.int64), syms)
        return Block(marks, values, event), unreadable

    def _choose(self, batch: SourceBatch) -> dict[str, int]:
        """Keep the canonical columns and those extras that hold numbers."""
        chosen: dict[str, int] = {}
        ignored = []
        required = set(self._options.keep or ()) | set(self._options.columns)
        from_names = required.union(FIELDS_OF[self._schema.kind]) - {"trade_id"}
        for name, place in self._schema.fields.items():
            column = batch.columns[place]
            if name not in from_names and not _holds_numbers(column):
                ignored.append(self._source.names[place])
                continue
            chosen[name] = place
        if ignored:
            self._ledger.note(
                "ignored_columns",
                len(ignored),
                detail=f"Columns left out because they hold no numbers: {', '.join(ignored)}.",
            )
        return chosen

    def _wide(self, batch: SourceBatch) -> tuple[Block, BoolArray]:
        places = list(self._schema.instruments.values())
        n_rows, n_symbols = batch.rows.size, len(places)
        matrix = np.empty((n_rows, n_symbols), dtype=np.float64)
        bad = np.zeros((n_rows, n_symbols), dtype=bool)
        for j, place in enumerate(places):
            matrix[:, j], bad[:, j] = to_floats(batch.columns[place])
        filled = ~np.isnan(matrix) | bad
        at, syms = np.nonzero(filled)
        marks = Marks(batch.rows[at], np.empty(0, dtype=np.int64), syms.astype(np.int32))
        self.fields = [self._options.price]
        return Block(marks, {self._options.price: matrix[filled]}), bad[filled]


def flag_malformed(source: Source, ledger: Ledger) -> None:
    """Count the lines of a CSV file, read to its end, that have the wrong number of fields."""
    lines = source.malformed
    if not lines:
        return
    rows = np.array([row for row, _ in lines], dtype=np.int64)
    marks = Marks(rows, np.full(rows.size, NAT), np.full(rows.size, -1, dtype=np.int32))
    texts = np.array([text for _, text in lines], dtype=object)
    ledger.report.n_source_rows += rows.size
    ledger.report.n_rows += rows.size
    ledger.flag("malformed_line", marks, np.ones(rows.size, dtype=bool), texts)


def _holds_numbers(column: Any) -> bool:
    if is_number(column.type):
        return True
    if not is_text(column.type):
        return False
    values, bad = to_floats(column)
    return bool((~np.isnan(values)).sum() > bad.sum())


def last_moment(text: str) -> int:
    """Return the last nanosecond meant by an end: a plain date means all of its day."""
    moment = parse_moment(text)
    return moment + DAY_NS - 1 if len(text.strip()) <= 10 else moment
