"""Bars: from blocks of observations to one (T, N) array per field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backtests.marketdata.arrays import ArrayWriter
from backtests.marketdata.calendars import get_calendar
from backtests.marketdata.currencies import settle_currency
from backtests.marketdata.panel_checks import check_panel
from backtests.marketdata.panel_fill import Axis, Matrix, fill_matrix
from backtests.marketdata.product import Job, Product, known_moments, store_array
from backtests.marketdata.quality import sessions as session_checks
from backtests.marketdata.scan import Scan, nothing_left
from backtests.marketdata.stamps import DAY_NS

ACTIONS = ("split", "dividend")


def import_bars(job: Job) -> Product:
    """Read, check and store bars.

    Raises
    ------
    DatasetRefused
        The file has errors and no quarantine, or errors that no quarantine mends.
    """
    scan = Scan(job)
    spill = scan.run()
    stamp = settle_stamp(job, dates=scan.layout.dates)
    labels = scan.union.sorted()
    bar_ns = _bar_length(job, scan, stamp)
    calendar = get_calendar(job.options.calendar, int(labels[0]), int(labels[-1]))
    known = known_moments(labels, stamp, bar_ns, job.options, calendar)
    daily = stamp in ("day", "period_start") or bar_ns >= DAY_NS

    shifts: list[session_checks.Shift] = []
    if calendar is not None and not daily:
        market = calendar.sessions(int(known[0] - bar_ns), int(known[-1]))
        shifts = session_checks.find_shifts(known - bar_ns, bar_ns, market)
    present = np.flatnonzero(scan.counts > 0)
    currency = settle_currency([scan.layout.symbols.names[i] for i in present], job)
    matrix = fill_matrix(job, scan, spill, Axis(labels, known, bar_ns), shifts)
    if calendar is None:
        job.ledger.note("no_calendar", 1)
    if "close" in matrix.fields and "open" not in matrix.fields:
        job.ledger.note("closes_only", 1)
    check_panel(job, matrix, calendar, bar_ns, stamp)
    job.ledger.judge(quarantine=job.options.quarantine)
    return replace(_product(job, matrix, bar_ns), currency=currency)


def settle_stamp(job: Job, *, dates: bool) -> str:
    """Return what the stamps mark.

    Raises
    ------
    DatasetRefused
        They are clock times and it is not stated whether they mark the start or the end.
    """
    stated = job.options.stamp
    if stated == "auto":
        if dates:
            return "day"
        raise job.ledger.refusal(
            "stamp_not_stated",
            "The stamps are clock times; state stamp: start if they mark the start of a bar, "
            "stamp: end if its end. Guessing wrong would show a bar before it is known.",
        )
    return stated


def _bar_length(job: Job, scan: Scan, stamp: str) -> int:
    bar_ns = job.options.bar_ns or scan.order.usual_step()
    if stamp == "start" and not bar_ns:
        raise job.ledger.refusal(
            "bar_unknown",
            "The bar length cannot be inferred from the stamps; state it, for example bar='1h'.",
        )
    return bar_ns


def _product(job: Job, matrix: Matrix, bar_ns: int) -> Product:
    n_bars = matrix.compact()
    if not matrix.ts.size:
        raise nothing_left(job)
    names = tuple(matrix.symbols)
    path = job.scratch / "ts.npy"
    writer = ArrayWriter(path, "<i8", matrix.ts.shape)
    writer.write(matrix.ts)
    files = {"ts.npy": path}
    fields = {"ts": store_array(path, "<i8", matrix.ts.shape)}
    renamed = {a: f"{a}_applied" for a in ACTIONS if _is_applied(a, job.options.stored_prices)}
    for field, stored in matrix.fields.items():
        name = renamed.get(field, field)
        final = stored.with_name(f"{name}.npy")
        stored.rename(final)
        files[final.name] = final
        fields[name] = store_array(final, "<f8", (matrix.ts.size, len(names)))
    actions = tuple(a for a in ACTIONS if a in fields)
    first, last = int(matrix.ts[0]), int(matrix.ts[-1])
    return Product(files, fields, names, first, last, matrix.ts.size, n_bars, bar_ns, actions)


def _is_applied(action: str, prices: str) -> bool:
    """Prices that hold an action already must not meet it again in a simulation."""
    return prices == "adjusted" or (prices == "split" and action == "split")
