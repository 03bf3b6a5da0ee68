"""What a finished run leaves behind: Parquet tables in the store, a summary in its row."""

import io
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtests.engine import Result
from backtests.engine.dtypes import COST_KINDS, FloatArray
from backtests.engine.frames import to_arrow
from backtests.engine.metrics import Metrics, NotComputedError, monthly_returns
from crowetrade_site.core import storage

# Columns of the ledger that most runs do not have: written where one of their values is not 0.
OCCASIONAL = ("currency_pnl", "interest", "borrow", *COST_KINDS)
CHANGE = np.dtype([("position", np.float64), ("bar", np.int32), ("instrument", np.int32)])


def store(
    result: Result,
    metrics: Metrics,
    benchmark: FloatArray | None,
    *,
    before_each: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Write a result's tables and return what each is called, its digest and size.

    `before_each` is called before every file and once after the last; what it raises stops
    the writing. Files already in the store stay there, spoken of by nobody.
    """
    files: dict[str, Callable[[], bytes]] = {
        "curves.parquet": lambda: _parquet(_curves(result, benchmark)),
        "positions.parquet": lambda: _parquet(_position_changes(result)),
        "fills.parquet": lambda: _parquet(result.to_arrow("fills")),
        "orders.parquet": lambda: _parquet(result.to_arrow("orders")),
        "trades.parquet": lambda: _parquet(_trades(result)),
        "metrics.json": lambda: _figures(result, metrics),
    }
    stored = {}
    for name, content in files.items():
        before_each()
        stored[name] = _put(content())
    before_each()
    return stored


def _put(content: bytes) -> dict[str, Any]:
    return {"digest": storage.put(content), "bytes": len(content)}


def _parquet(table: pa.Table) -> bytes:
    """Return a table's bytes: the same for the same table on the same library versions."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", store_schema=False)
    return buffer.getvalue()


def _figures(result: Result, metrics: Metrics) -> bytes:
    """Return every metric with its convention, and the table of months, as JSON.

    The page shows them without loading the engine.
    """
    document = {
        "periods_per_year": metrics.periods_per_year,
        "periods_rule": metrics.periods_rule,
        "metrics": [
            {
                "name": name,
                "value": metric.value,
                "unit": metric.unit,
                "reason": metric.reason,
                "definition": metric.definition,
            }
            for name, metric in metrics.items()
        ],
        "months": _months(result),
    }
    return json.dumps(document, allow_nan=False).encode()


def _months(result: Result) -> dict[str, Any]:
    """Return the table of months; a curve that reached zero, or of one bar, has none."""
    try:
        months = monthly_returns(result.equity, result.ts)
    except NotComputedError as missing:
        return {"years": [], "returns": [], "reason": f"not computed, because {missing}"}
    return {
        "years": months.years.tolist(),
        "returns": [[_finite(m) for m in year] for year in months.returns.tolist()],
        "reason": "",
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _stamps(stamps: Any) -> pa.Array:
    return pa.array(stamps, pa.timestamp("ns", tz="UTC"))


def _curves(result: Result, benchmark: FloatArray | None) -> pa.Table:
    exposure = {"gross_exposure": result.gross_exposure(), "net_exposure": result.net_exposure()}
    ledger = {
        name: column
        for name, column in result.ledger().items()
        if name not in OCCASIONAL or np.any(column)
    }
    columns = {"equity": result.equity, "cash": result.cash, **exposure, **ledger}
    if benchmark is not None:
        columns["benchmark"] = benchmark
    arrays = {name: pa.array(column) for name, column in columns.items()}
    return pa.table({"ts": _stamps(result.ts), **arrays})


def _trades(result: Result) -> pa.Table:
    """Return the round trips with the stamp of their end, none for those still open."""
    table = result.to_arrow("trades")
    bar = table["exit_bar"].to_numpy()
    stamps = np.where(bar < 0, np.datetime64("NaT"), result.ts[bar].view("datetime64[ns]"))
    return table.add_column(1, "exit_ts", _stamps(stamps))


def _position_changes(result: Result) -> pa.Table:
    """Positions after each fill or corporate action: small even for a million bars."""
    parts = result.actions, result.fills  # actions come before fills within a bar
    changes = np.empty(sum(part.size for part in parts), CHANGE)
    for name in CHANGE.names or ():
        changes[name] = np.concatenate([part[name] for part in parts])
    order = np.argsort(changes["bar"], kind="stable")
    return to_arrow(changes[order], result.ts, result.symbols)


def summarize(
    result: Result,
    metrics: Metrics,
    seconds: dict[str, float],
    data_caveats: list[dict[str, str]],
) -> dict[str, Any]:
    """Return what the row itself keeps: figures, costs, caveats, sizes and timings."""
    trades = result.trades()
    n_closed = int(np.count_nonzero(trades["exit_bar"] >= 0))
    return {
        "metrics": {
            name: {"value": m.value, "unit": m.unit, "reason": m.reason}
            for name, m in metrics.items()
        },
        "costs": _costs(result),
        "interest_earned": _earned(result),
        "ambiguity": _ambiguity(result),
        "caveats": [*data_caveats, *({"code": c.code, "text": c.text} for c in result.caveats)],
        "engine_version": result.engine_version,
        "n_bars": int(result.ts.size),
        "n_instruments": len(result.symbols),
        "n_fills": int(result.fills.size),
        "n_orders": int(result.orders.size),
        "n_trades": n_closed,
        "n_open_trades": int(trades.size) - n_closed,
        "final_equity": float(result.equity[-1]),
        "first_at": moment(int(result.ts[0])),
        "last_at": moment(int(result.ts[-1])),
        "seconds": seconds,
    }


def _costs(result: Result) -> dict[str, float]:
    """Return the total of each kind of cost, financing that was paid included [currency]."""
    financing = result.financing_by_bar()
    paid = np.maximum(-financing["interest"], 0.0)
    return result.costs | {
        "borrow": float(financing["borrow"].sum()),
        "interest_paid": float(paid.sum()),
    }


def _earned(result: Result) -> float:
    """Return the interest earned on cash [currency]; it makes no cost smaller."""
    return float(np.maximum(result.financing_by_bar()["interest"], 0.0).sum())


def _ambiguity(result: Result) -> dict[str, Any] | None:
    """Return the final equity under either extreme of what the bars leave open."""
    found = result.ambiguity
    return None if found is None else asdict(found)


def moment(stamp_ns: int) -> str:
    """Return a stamp as ISO 8601 in UTC, as every other time of the API."""
    return f"{np.datetime64(stamp_ns, 'ns')}Z"
