"""Checks over a filled panel: each instrument along time, then the panel as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.calendars import Calendar, Sessions
from backtests.marketdata.currencies import quote_currency
from backtests.marketdata.findings import Marks
from backtests.marketdata.panel_fill import Matrix
from backtests.marketdata.product import Job
from backtests.marketdata.quality import sessions as session_checks
from backtests.marketdata.quality.history import Series
from backtests.marketdata.quality.series import check_series
from backtests.marketdata.quality.universe import check_survivors
from backtests.marketdata.stamps import DAY_NS


@dataclass(frozen=True, slots=True)
class _Clock:
    calendar: Calendar | None
    market: Sessions | None
    bar_ns: int
    stamp: str


def check_panel(
    job: Job, matrix: Matrix, calendar: Calendar | None, bar_ns: int, stamp: str
) -> None:
    """Check every instrument's history and blank the bars refused.

    Notes
    -----
    Reads as many columns at a time as fit `options.memory_mb`, one as a minimum, so memory is
    proportional to the number of stamps, not of rows.
    """
    n_symbols = len(matrix.symbols)
    per_column = matrix.ts.size * 8 * (len(matrix.fields) + 1) * 3
    step = max(1, min(n_symbols, int(job.options.memory_mb * 1e6 / max(1, per_column))))
    first_bar, last_bar = (np.zeros(n_symbols, dtype=np.int64) for _ in range(2))
    market = None
    if calendar is not None and stamp != "day":
        market = calendar.sessions(int(matrix.ts[0] - bar_ns), int(matrix.ts[-1]))
    clock = _Clock(calendar, market, bar_ns, stamp)
    for start in range(0, n_symbols, step):
        columns = matrix.columns(start, min(n_symbols, start + step))
        for j in range(columns["row"].shape[1]):
            own = {name: array[:, j] for name, array in columns.items()}
            span = _check_column(job, matrix, own, start + j, clock)
            first_bar[start + j], last_bar[start + j] = span
        job.progress(0.85 + 0.1 * min(1.0, (start + step) / n_symbols), "checking")
    # Currencies are not companies: a pair that never ends says nothing about survivorship.
    mortal = np.array([quote_currency(s) == "" for s in matrix.symbols], dtype=bool)
    check_survivors(matrix.ts, first_bar[mortal], last_bar[mortal], job.ledger)


def _check_column(
    job: Job,
    matrix: Matrix,
    own: dict[str, NDArray[Any]],
    column: int,
    clock: _Clock,
) -> tuple[int, int]:
    """Check one instrument; return the positions of its first and last bar."""
    main = next((n for n in ("close", "adj_close") if n in matrix.fields), "")
    if not main:
        held = np.flatnonzero(own["row"] >= 0)
        return int(held[0]), int(held[-1])
    at = np.flatnonzero((own["row"] >= 0) & ~np.isnan(own[main]))
    if not at.size:
        return 0, -1
    syms = np.full(at.size, matrix.syms[column], dtype=np.int32)
    marks = Marks(own["row"][at], matrix.labels[at], syms)
    values = {n: own[n][at] for n in matrix.fields}
    values.setdefault("close", values[main])
    if main == "adj_close":
        del values["adj_close"]
    prices = "adjusted" if main == "adj_close" else job.options.stored_prices
    series = Series(matrix.symbols[column], marks, values, prices)
    refused = check_series(series, job.ledger)
    bar_ns = clock.bar_ns
    if clock.calendar is not None and clock.stamp == "day" and bar_ns == DAY_NS:
        session_checks.check_days(matrix.labels[at], clock.calendar, marks, job.ledger)
    elif clock.market is not None and 0 < bar_ns < DAY_NS:
        begins = matrix.ts[at] - bar_ns
        session_checks.check_intraday(begins, bar_ns, clock.market, marks, job.ledger)
    if refused.any():
        matrix.blank(at[refused], column)
    return int(at[0]), int(at[-1])
