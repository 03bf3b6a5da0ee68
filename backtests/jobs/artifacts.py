"""What a finished run leaves behind: Parquet tables in the store, a summary in its row."""

import io
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtests.engine import Result
from backtests.engine.dtypes import (
    REASON_SENTENCES,
    FloatArray,
    OrderReason,
    OrderStatus,
    RecordArray,
)
from backtests.engine.metrics import Metrics, NotComputedError, monthly_returns
from crowetrade_site.core import storage

Table = dict[str, Any]


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
        "fills.parquet": lambda: _parquet(_records(result, result.fills)),
        "orders.parquet": lambda: _parquet(_orders(result)),
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


def _parquet(table: Table) -> bytes:
    """Return a table's bytes: the same for the same table on the same library versions."""
    buffer = io.BytesIO()
    pq.write_table(pa.table(table), buffer, compression="zstd", store_schema=False)
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


def _stamps(result: Result, rows: Any = slice(None)) -> pa.Array:
    return pa.array(result.ts[rows], pa.timestamp("ns", tz="UTC"))


def _curves(result: Result, benchmark: FloatArray | None) -> Table:
    exposure = {"gross_exposure": result.gross_exposure(), "net_exposure": result.net_exposure()}
    columns = {"equity": result.equity, "cash": result.cash, **exposure, **result.ledger()}
    if benchmark is not None:
        columns["benchmark"] = benchmark
    return {"ts": _stamps(result), **columns}


def _names(result: Result, columns: Any) -> pa.Array:
    """Return instrument columns as symbols, dictionary-encoded."""
    return pa.DictionaryArray.from_arrays(
        pa.array(columns.astype(np.int32)), pa.array(list(result.symbols))
    )


def _records(result: Result, records: RecordArray) -> Table:
    named = {"ts": _stamps(result, records["bar"]), "symbol": _names(result, records["instrument"])}
    rest = {name: records[name] for name in records.dtype.names or () if name != "instrument"}
    return named | rest


def _orders(result: Result) -> Table:
    table = _records(result, result.orders)
    status = np.array([member.name.lower() for member in OrderStatus])
    reason = np.array([REASON_SENTENCES[member] for member in OrderReason])
    table["status"] = pa.DictionaryArray.from_arrays(
        pa.array(result.orders["status"], pa.int8()), pa.array(status)
    )
    table["reason"] = pa.DictionaryArray.from_arrays(
        pa.array(result.orders["reason"], pa.int8()), pa.array(reason)
    )
    return table


def _position_changes(result: Result) -> Table:
    """Positions after each fill or corporate action: small even for a million bars."""
    bar = np.concatenate([result.actions["bar"], result.fills["bar"]])
    instrument = np.concatenate([result.actions["instrument"], result.fills["instrument"]])
    units = np.concatenate([result.actions["position"], result.fills["position"]])
    order = np.argsort(bar, kind="stable")  # actions come before fills within a bar
    return {
        "ts": _stamps(result, bar[order]),
        "bar": bar[order],
        "symbol": _names(result, instrument[order]),
        "position": units[order],
    }


def summarize(
    result: Result,
    metrics: Metrics,
    seconds: dict[str, float],
    data_caveats: list[dict[str, str]],
) -> dict[str, Any]:
    """Return what the row itself keeps: figures, costs, caveats, sizes and timings."""
    return {
        "metrics": {
            name: {"value": m.value, "unit": m.unit, "reason": m.reason}
            for name, m in metrics.items()
        },
        "costs": result.costs,
        "caveats": [*data_caveats, *({"code": c.code, "text": c.text} for c in result.caveats)],
        "engine_version": result.engine_version,
        "n_bars": int(result.ts.size),
        "n_instruments": len(result.symbols),
        "n_fills": int(result.fills.size),
        "n_orders": int(result.orders.size),
        "final_equity": float(result.equity[-1]),
        "first_at": _moment(int(result.ts[0])),
        "last_at": _moment(int(result.ts[-1])),
        "seconds": seconds,
    }


def _moment(stamp_ns: int) -> str:
    """Return a stamp as ISO 8601 in UTC, as every other time of the API."""
    return f"{np.datetime64(stamp_ns, 'ns')}Z"
