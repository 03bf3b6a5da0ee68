"""What a person sees of a finished run: curves thinned for the screen, tables, figures."""

import json
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from backtests.lifecycle import RunStatus
from backtests.models import Run
from crowetrade_site.core import storage

if TYPE_CHECKING:
    from numpy.typing import NDArray

Columns = dict[str, "NDArray[Any]"]
MAX_POINTS = 1500
LATEST_FILLS = 50
HEADLINES = (
    "total_return", "cagr", "annual_volatility", "sharpe", "max_drawdown", "turnover",
)  # fmt: skip


@dataclass(frozen=True)
class Tearsheet:
    """The content of a run's page and report."""

    run: Run
    headlines: list[dict[str, Any]]
    metrics: list[dict[str, Any]]
    costs: list[dict[str, Any]]
    months: list[dict[str, Any]]
    months_reason: str
    fills: list[dict[str, Any]]
    charts: dict[str, Any]


def get_tearsheet(run: Run) -> Tearsheet | None:
    """Return what there is to see of a run; None before it has succeeded."""
    if run.status != RunStatus.SUCCEEDED:
        return None
    curves = _columns(run, "curves.parquet")
    document = json.loads(storage.read(run.artifacts["metrics.json"]["digest"]))
    figures = {metric["name"]: _figure(metric) for metric in document["metrics"]}
    return Tearsheet(
        run=run,
        headlines=[figures[name] for name in HEADLINES if name in figures],
        metrics=sorted(figures.values(), key=lambda figure: figure["value"] is None),
        costs=_costs(run),
        months=_months(document["months"]),
        months_reason=document["months"]["reason"],
        fills=_latest_fills(run),
        charts=_charts(curves),
    )


def _columns(run: Run, name: str) -> Columns:
    import numpy as np
    import pyarrow.parquet as pq

    path = storage.locate(run.artifacts[name]["digest"])
    table = pq.read_table(path, memory_map=True)
    columns = {field: table[field].to_numpy() for field in table.column_names if field != "ts"}
    return columns | {"ts": table["ts"].to_numpy().view(np.int64)}


def label_of(name: str) -> str:
    """Return a metric's name as people read it."""
    known = {"cagr": "CAGR", "sharpe": "Sharpe ratio", "r_squared": "R²", "payoff": "Payoff ratio"}
    return known.get(name, name.replace("_95", " 95 %").replace("_", " ").capitalize())


def _figure(metric: dict[str, Any]) -> dict[str, Any]:
    name = metric["name"]
    return metric | {"label": label_of(name), "text": write_figure(name, metric)}


def write_figure(name: str, metric: dict[str, Any]) -> str:
    """Return a figure as people write it; a dash for what was not computed."""
    value, unit = metric["value"], metric["unit"]
    if value is None:
        return "–"
    if name == "turnover":
        return f"{value:,.1f}× a year"
    if unit in {"fraction", "probability", "per year"}:
        return f"{value:,.0%}" if abs(value) >= 10 else f"{value:.2%}"
    if unit in {"currency", "periods", "days"}:
        return f"{value:,.0f}"
    return f"{value:,.2f} bps" if unit == "bps" else f"{value:,.2f}"


def _costs(run: Run) -> list[dict[str, Any]]:
    costs = run.summary["costs"]
    amounts = {kind.replace("_", " "): amount for kind, amount in costs.items()}
    amounts["total"] = sum(costs.values())
    return [
        {"kind": kind, "amount": f"{amount:,.2f}", "rounded": f"{amount:,.0f}"}
        for kind, amount in amounts.items()
    ]


def _months(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row a year: twelve months and the year, each with a shade for the table."""
    rows = []
    for year, months in zip(table["years"], table["returns"], strict=True):
        whole = math.prod(1.0 + month for month in months if month is not None) - 1.0
        rows.append({"year": year, "cells": [_cell(m) for m in months], "whole": _cell(whole)})
    return rows


def _capital(curves: Columns) -> float:
    return float(curves["equity"][0] - curves["equity_change"][0])


def _cell(fraction: float | None) -> dict[str, Any]:
    if fraction is None:
        return {"text": "", "shade": 0, "sign": ""}
    shade = min(9, int(abs(fraction) * 100))
    return {"text": f"{fraction:.1%}", "shade": shade, "sign": "up" if fraction >= 0 else "down"}


def _latest_fills(run: Run) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    path = storage.locate(run.artifacts["fills.parquet"]["digest"])
    table = pq.read_table(
        path, columns=["ts", "symbol", "quantity", "price", "commission", "half_spread"]
    )
    rows: list[dict[str, Any]] = table.slice(max(0, table.num_rows - LATEST_FILLS)).to_pylist()
    return [row | {"cost": row["commission"] + row["half_spread"]} for row in reversed(rows)]


def _charts(curves: Columns) -> dict[str, Any]:
    """Return the series the page draws, thinned so that every extreme survives."""
    import numpy as np

    equity, ts = curves["equity"], curves["ts"]
    peak = np.maximum.accumulate(np.maximum(equity, _capital(curves)))
    # a share of an exhausted equity has no meaning: those bars stay empty
    share = np.full(equity.size, np.nan)
    np.divide(curves["gross_exposure"], equity, out=share, where=equity > 0.0)
    series = {
        "equity": equity,
        "drawdown": equity / peak - 1.0,
        "exposure": share,
        "commission": np.cumsum(curves["commission"]),
        "half_spread": np.cumsum(curves["half_spread"]),
    }
    if "benchmark" in curves:
        series["benchmark"] = curves["benchmark"] / curves["benchmark"][0] * equity[0]
    return {name: _thin(ts, values) for name, values in series.items()}


def _thin(ts: "NDArray[Any]", values: "NDArray[Any]") -> list[list[float]]:
    """Return ``[unix seconds, value]`` rows: the first, and of each bucket lowest, highest, last.

    Values that are not finite are left out: JSON has no word for them.
    """
    import numpy as np

    finite = np.isfinite(values)
    ts, values = ts[finite], values[finite]
    n_bars = values.size
    if n_bars <= MAX_POINTS:
        kept = np.arange(n_bars)
    else:
        edges = np.linspace(0, n_bars, MAX_POINTS // 3).astype(np.int64)
        extremes = [
            (a + int(np.argmin(values[a:b])), a + int(np.argmax(values[a:b])), b - 1)
            for a, b in pairwise(edges)
        ]
        kept = np.unique([0, *(place for bucket in extremes for place in bucket)])
    return [[_seconds(int(ts[i])), float(f"{values[i]:.10g}")] for i in kept]


def _seconds(stamp_ns: int) -> float:
    """Return Unix seconds, whole ones as integers: bars below a second keep their own place."""
    whole, rest = divmod(stamp_ns, 1_000_000_000)
    return whole + rest / 1e9 if rest else whole
