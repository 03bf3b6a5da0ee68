"""Reference tables: rates, factors, corporate actions, sectors, index levels.

Small by nature, they are read whole, sorted canonically and stored as one Parquet file. Their
digest covers the values of the columns, not the bytes of the file, which depend on the writer.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtests.marketdata.arrays import canonical
from backtests.marketdata.calendars import get_calendar
from backtests.marketdata.findings import NAT, Marks
from backtests.marketdata.layout import flag_malformed, last_moment
from backtests.marketdata.manifest import StoredField
from backtests.marketdata.parsing import is_text, to_floats, to_texts
from backtests.marketdata.product import Job, Product, known_moments
from backtests.marketdata.scan import nothing_left
from backtests.marketdata.stamps import StampReader, parse_moment

MAX_ROWS = 5_000_000
BoolArray = NDArray[np.bool_]


@dataclass(slots=True)
class _Table:
    rows: NDArray[np.int64]
    stamps: NDArray[np.int64] | None
    dates: bool
    texts: dict[str, NDArray[Any]] = field(default_factory=dict)
    numbers: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def take(self, keep: BoolArray | NDArray[np.intp]) -> _Table:
        return _Table(
            self.rows[keep],
            None if self.stamps is None else self.stamps[keep],
            self.dates,
            {k: v[keep] for k, v in self.texts.items()},
            {k: v[keep] for k, v in self.numbers.items()},
        )


def import_reference(job: Job) -> Product:
    """Read, check and store a reference table.

    Raises
    ------
    DatasetRefused
        The table has errors and no quarantine, is empty, larger than `MAX_ROWS`, or its monthly
        dates do not say when the values were known.
    """
    table = _read(job)
    job.progress(0.7, "checking")
    known = None
    if table.stamps is not None:
        known = _known(job, table)
    table, known = _ordered(job, table, known)
    _note_gaps(job, table)
    job.ledger.judge(quarantine=job.options.quarantine)
    if not table.rows.size:
        raise nothing_left(job)
    return _store(job, table, known)


def _read(job: Job) -> _Table:
    schema, options, ledger = job.schema, job.options, job.ledger
    batches = list(job.source.batches(options.batch_rows))
    n_rows = sum(b.rows.size for b in batches)
    ledger.report.n_source_rows = n_rows
    if not n_rows:
        raise ledger.refusal("empty_file", "The file holds no data row; check the export.")
    if n_rows > MAX_ROWS:
        raise ledger.refusal(
            "too_large", f"A reference table may hold {MAX_ROWS:,} rows, not {n_rows:,}."
        )
    rows = np.concatenate([b.rows for b in batches])
    columns = [
        pa.concat_arrays([b.columns[i] for b in batches]) for i in range(len(job.source.names))
    ]
    table = _Table(rows, None, dates=False)
    marks = Marks(rows, np.full(n_rows, NAT), np.full(n_rows, -1, dtype=np.int32))
    faults: dict[str, BoolArray] = {}
    if schema.time >= 0:
        stamps = StampReader(options, ledger, job.source.names[schema.time]).read(
            columns[schema.time]
        )
        table.stamps, table.dates = stamps.ns, stamps.dates
        marks.stamps = stamps.ns
        faults["ambiguous_time"], faults["nonexistent_time"] = stamps.ambiguous, stamps.absent
        faults["unparsable"] = stamps.bad
        faults["missing_stamp"] = (stamps.ns == NAT) & ~stamps.bad & ~stamps.ambiguous
    keep = _wanted(job, table, columns)
    ledger.report.n_rows = int(keep.sum())
    flag_malformed(job.source, ledger)
    good = keep.copy()
    for code, fault in faults.items():
        good &= ~ledger.flag(code, marks, fault & keep)
    good &= _read_values(job, table, columns, marks, keep)
    return table.take(good)


def _read_values(
    job: Job, table: _Table, columns: list[Any], marks: Marks, keep: BoolArray
) -> BoolArray:
    good = np.ones(marks.rows.size, dtype=bool)
    for place, source in enumerate(job.source.names):
        name = source.strip() or f"column_{place}"
        if place == job.schema.time:
            continue
        column = columns[place]
        numbers, bad = to_floats(column)
        given = int((~np.isnan(numbers)).sum())
        if place == job.schema.symbol or (is_text(column.type) and bad.sum() > given):
            texts = ["" if t is None else t.strip() for t in to_texts(column)]
            table.texts["symbol" if place == job.schema.symbol else name] = np.array(
                texts, dtype=object
            )
            continue
        written = np.array(to_texts(column), dtype=object) if bad.any() else None
        good &= ~job.ledger.flag("unparsable", marks, bad & keep, written)
        table.numbers[name] = numbers
    return good


def _wanted(job: Job, table: _Table, columns: list[Any]) -> BoolArray:
    """Return the mask of rows inside the filters and the date range."""
    options = job.options
    keep = np.ones(table.rows.size, dtype=bool)
    lowered = [n.strip().lower() for n in job.source.names]
    for source, wanted in options.where.items():
        texts = to_texts(columns[lowered.index(source.strip().lower())])
        keep &= np.array([t == wanted for t in texts])
    if table.stamps is not None and options.start:
        keep &= (table.stamps >= parse_moment(options.start)) | (table.stamps == NAT)
    if table.stamps is not None and options.end:
        keep &= table.stamps <= last_moment(options.end)
    return keep


def _known(job: Job, table: _Table) -> NDArray[np.int64]:
    """Moments at which the rows are known."""
    stamps = table.stamps
    if stamps is None or not stamps.size:
        return np.empty(0, dtype=np.int64)
    stamp = job.options.stamp
    if stamp == "auto" and table.dates:
        days = stamps.view("M8[ns]").astype("M8[D]")
        if stamps.size > 2 and (days == days.astype("M8[M]").astype("M8[D]")).all():
            raise job.ledger.refusal(
                "stamp_not_stated",
                "Every date is the first day of a month: state stamp: period_start, bar: 1mo if "
                "the values cover that month (they are known only after it), or stamp: day if "
                "they were known on that day.",
            )
        stamp = "day"
    calendar = get_calendar(job.options.calendar, int(stamps.min()), int(stamps.max()))
    bar_ns = job.options.bar_ns
    if stamp == "start" and not bar_ns:
        raise job.ledger.refusal(
            "bar_unknown", "stamp: start needs the length of the period in bar."
        )
    known = known_moments(stamps, stamp, bar_ns, job.options, calendar)
    return known + job.options.lag_ns


def _ordered(
    job: Job, table: _Table, known: NDArray[np.int64] | None
) -> tuple[_Table, NDArray[np.int64] | None]:
    """Sort by stamp and text columns and refuse rows whose key stands twice."""
    keys = dict(table.texts)
    if table.stamps is not None:
        keys = {"\0": table.stamps, **keys}
    if not keys or not table.rows.size:
        return table, known
    frame = pd.DataFrame(keys)
    doubled = frame.duplicated(keep=False).to_numpy()
    refused = np.zeros(table.rows.size, dtype=bool)
    if doubled.any():
        refused = _repeats(job, table, frame)
    order = frame[~refused].sort_values(list(frame.columns), kind="stable").index.to_numpy()
    return table.take(order), None if known is None else known[order]


def _repeats(job: Job, table: _Table, frame: pd.DataFrame) -> BoolArray:
    stamps = table.stamps if table.stamps is not None else np.full(table.rows.size, NAT)
    marks = Marks(table.rows, stamps, np.full(table.rows.size, -1, dtype=np.int32))
    whole = frame.assign(**table.numbers)
    copies = whole.duplicated(keep="first").to_numpy()
    left = frame[~copies]
    conflict = np.zeros(table.rows.size, dtype=bool)
    conflict[left.index[left.duplicated(keep=False)]] = True
    refused = job.ledger.flag("duplicate_identical", marks, copies)
    return refused | job.ledger.flag("duplicate_conflicting", marks, conflict)


def _note_gaps(job: Job, table: _Table) -> None:
    for name, numbers in table.numbers.items():
        missing = int(np.isnan(numbers).sum())
        if missing:
            job.ledger.note("empty_values", missing, symbol=name)


def _store(job: Job, table: _Table, known: NDArray[np.int64] | None) -> Product:
    columns: dict[str, Any] = {}
    fields: dict[str, StoredField] = {}
    if table.stamps is not None and known is not None:
        name = "date" if table.dates else "ts"
        target = pa.date32() if table.dates else pa.timestamp("ns", tz="UTC")
        columns[name] = pa.array(table.stamps.view("M8[ns]")).cast(target, safe=False)
        columns["known_at"] = pa.array(known)
        fields[name] = _describe(table.stamps)
        fields["known_at"] = _describe(known)
    for name, texts in table.texts.items():
        columns[name] = pa.array(texts.tolist(), pa.string())
        fields[name] = _describe_texts(texts)
    for name, numbers in table.numbers.items():
        columns[name] = pa.array(canonical(numbers))
        fields[name] = _describe(canonical(numbers))
    path = job.scratch / "reference.parquet"
    pq.write_table(pa.table(columns), path, compression="zstd")
    symbols = tuple(sorted(set(table.texts.get("symbol", np.array([])).tolist()) - {""}))
    if not symbols and job.schema.symbol < 0:
        symbols = tuple(table.numbers)
    first = int(known.min()) if known is not None else 0
    last = int(known.max()) if known is not None else 0
    n_rows = table.rows.size
    return Product({path.name: path}, fields, symbols, first, last, n_rows, n_rows)


def _describe(values: NDArray[Any]) -> StoredField:
    raw = np.ascontiguousarray(values).tobytes()
    return StoredField(
        hashlib.sha256(raw).hexdigest(), values.dtype.str, tuple(values.shape), len(raw)
    )


def _describe_texts(texts: NDArray[Any]) -> StoredField:
    raw = json.dumps(texts.tolist(), ensure_ascii=False, separators=(",", ":")).encode()
    return StoredField(hashlib.sha256(raw).hexdigest(), "text", (texts.size,), len(raw))
