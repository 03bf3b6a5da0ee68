"""Quotes and trades: one-dimensional columns, kept in the order of the source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.arrays import ArrayWriter
from backtests.marketdata.currencies import settle_currency
from backtests.marketdata.findings import Marks
from backtests.marketdata.layout import Layout
from backtests.marketdata.product import Job, Product, store_array
from backtests.marketdata.quality.history import Series
from backtests.marketdata.quality.order import OrderTracker, RepeatTracker
from backtests.marketdata.quality.rows import check_quotes, check_trades
from backtests.marketdata.quality.series import check_spikes, log_moves
from backtests.marketdata.scan import nothing_left
from backtests.marketdata.spill import Spill

CHECK_ROWS = 1_000_000
OVERLAP = 64
BoolArray = NDArray[np.bool_]
Records = NDArray[Any]


def import_ticks(job: Job) -> Product:
    """Read, check and store quotes or trades.

    Raises
    ------
    DatasetRefused
        The file has errors and no quarantine, or errors that no quarantine mends.

    Notes
    -----
    Memory: one batch and one byte per row for the verdicts.
    """
    layout = Layout(job.source, job.schema, job.options, job.ledger, job.symbol)
    spill = _scan(job, layout)
    refused = _check_prices(job, spill, layout.symbols.names)
    currency = settle_currency(layout.symbols.names, job)
    job.ledger.judge(quarantine=job.options.quarantine)
    product = replace(_store(job, spill, layout.symbols.names, ~refused), currency=currency)
    spill.remove()
    return product


def _scan(job: Job, layout: Layout) -> Spill:
    ledger, order, repeats = job.ledger, OrderTracker(), RepeatTracker()
    check = check_quotes if job.schema.kind == "quotes" else check_trades
    repeated_code = f"identical_{job.schema.kind}"
    spill: Spill | None = None
    shared = 0
    for block, fraction in layout.blocks():
        job.progress(0.7 * fraction, "reading")
        if not len(block):
            continue
        good = check(block.values, block.marks, ledger)
        good &= ~ledger.flag("out_of_order", block.marks, order.follow(block.marks))
        copies = repeats.follow(block.marks, block.values)
        good &= ~ledger.flag(repeated_code, block.marks, copies, next(iter(block.values.values())))
        shared += int((np.diff(block.marks.stamps) == 0).sum())
        if spill is None:
            event = block.event is not None
            spill = Spill(job.scratch / "spill", list(block.values), event=event)
        kept = block.take(good)
        spill.append(kept, np.zeros(len(kept), dtype=bool))
    if not ledger.report.n_source_rows:
        raise ledger.refusal("empty_file", "The file holds no data row; check the export.")
    if spill is None or not spill.size:
        raise nothing_left(job)
    if shared:
        ledger.note("shared_stamps", shared)
    return spill


def _check_prices(job: Job, spill: Spill, names: list[str]) -> BoolArray:
    """Look for spikes along each instrument, in stretches that overlap a little."""
    refused = np.zeros(spill.size, dtype=bool)
    size = spill.dtype.itemsize
    start = 0
    carried: Records = np.empty(0, dtype=spill.dtype)
    for records in spill.blocks(CHECK_ROWS * size):
        joined = np.concatenate([carried, records])
        offset = start - carried.size
        for sym in np.unique(joined["sym"]):
            at = np.flatnonzero(joined["sym"] == sym)
            fresh = at >= carried.size
            bad = _spikes(job, spill, joined[at], fresh, names[sym])
            refused[offset + at[bad & fresh]] = True
        start += records.size
        carried = joined[-OVERLAP:]
        job.progress(0.7 + 0.15 * start / spill.size, "checking")
    return refused


def _spikes(job: Job, spill: Spill, own: Records, fresh: BoolArray, symbol: str) -> BoolArray:
    columns = {name: own[f"f{i}"] for i, name in enumerate(spill.fields)}
    if job.schema.kind == "quotes":
        price = 0.5 * (columns["bid"] + columns["ask"])
    else:
        price = columns["price"]
    if own.size < 3 or not (price > 0.0).all():
        return np.zeros(own.size, dtype=bool)
    moves = log_moves(price, None, None, "raw")
    # The carried head only lends its level: its own moves were judged with its stretch.
    moves[: int((~fresh).sum())] = 0.0
    marks = Marks(own["row"], own["stamp"], own["sym"])
    return check_spikes(moves, Series(symbol, marks, {"close": price}, "adjusted"), job.ledger)


def _kept(spill: Spill, keep: BoolArray) -> Iterator[Records]:
    start = 0
    for records in spill.blocks():
        yield records[keep[start : start + records.size]]
        start += records.size


def _store(job: Job, spill: Spill, names: list[str], keep: BoolArray) -> Product:
    n_rows = int(keep.sum())
    if not n_rows:
        raise nothing_left(job)
    used = np.zeros(len(names), dtype=bool)
    first, last = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    for records in _kept(spill, keep):
        used[np.unique(records["sym"])] = True
        if records.size:
            first = min(first, int(records["stamp"].min()))
            last = max(last, int(records["stamp"].max()))
    ordered = sorted(np.flatnonzero(used), key=lambda sym: names[sym])
    rank = np.zeros(len(names), dtype=np.int32)
    rank[ordered] = np.arange(len(ordered), dtype=np.int32)
    columns = {"ts": ("stamp", "<i8"), "symbol": ("sym", "<i4")}
    if "event" in (spill.dtype.names or ()):
        columns["event_ts"] = ("event", "<i8")
    columns |= {name: (f"f{i}", "<f8") for i, name in enumerate(spill.fields)}
    paths = {name: job.scratch / f"{name}.npy" for name in columns}
    writers = {n: ArrayWriter(paths[n], columns[n][1], (n_rows,)) for n in columns}
    for records in _kept(spill, keep):
        for name, (source, _) in columns.items():
            part = rank[records["sym"]] if name == "symbol" else records[source]
            writers[name].write(part)
    job.progress(0.95, "writing")
    fields = {n: store_array(paths[n], columns[n][1], (n_rows,)) for n in columns}
    files = {path.name: path for path in paths.values()}
    symbols = tuple(names[s] for s in ordered)
    return Product(files, fields, symbols, first, last, n_rows, n_rows)
