"""What a person sees of a finished run: curves thinned for the screen, tables, figures."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests.lifecycle import RunStatus
from backtests.models import Run
from crowetrade_site.core import storage

FloatArray = NDArray[np.float64]
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
    fills: list[dict[str, Any]]
    charts: dict[str, Any]


def get_tearsheet(run: Run) -> Tearsheet | None:
    """Return what there is to see of a run; None before it has succeeded."""
    if run.status != RunStatus.SUCCEEDED:
        return None
    curves = _columns(run, "curves.parquet")
    figures = _figures(run.summary["metrics"])
    return Tearsheet(
        run=run,
        headlines=[figures[name] for name in HEADLINES if name in figures],
        metrics=sorted(figures.values(), key=lambda figure: figure["value"] is None),
        costs=_costs(run),
        months=_months(curves),
        fills=_latest_fills(run),
        charts=_charts(curves),
    )


def _columns(run: Run, name: str) -> dict[str, NDArray[Any]]:
    import pyarrow.parquet as pq

    path = storage.locate(run.artifacts[name]["digest"])
    table = pq.read_table(path, memory_map=True)
    columns = {field: table[field].to_numpy() for field in table.column_names if field != "ts"}
    return columns | {"ts": table["ts"].to_numpy().view(np.int64)}


def label_of(name: str) -> str:
    """Return a metric's name as people read it."""
    known = {"cagr": "CAGR", "sharpe": "Sharpe ratio", "r_squared": "R²", "payoff": "Payoff ratio"}
    return known.get(name, name.replace("_95", " 95 %").replace("_", " ").capitalize())


def _figures(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the metrics in the order of their definitions, written out."""
    from backtests.engine.metrics import DEFINITIONS

    return {
        name: {
            "label": label_of(name),
            "definition": definition.sentence,
            "text": _written(name, metrics[name]["value"], metrics[name]["unit"]),
            **metrics[name],
        }
        for name, definition in DEFINITIONS.items()
        if name in metrics
    }


def _written(name: str, value: float | None, unit: str) -> str:
    """Return a figure as people write it; a dash for what was not computed."""
    if value is None:
        return "–"
    if name == "turnover":
        return f"{value:,.1f}× a year"
    if unit in {"fraction", "probability", "per year"}:
        return f"{value:,.2%}"
    if unit in {"currency", "periods", "days"}:
        return f"{value:,.0f}"
    return f"{value:,.2f} bps" if unit == "bps" else f"{value:,.2f}"


def _costs(run: Run) -> list[dict[str, Any]]:
    rows = [
        {"kind": kind.replace("_", " "), "amount": f"{amount:,.2f}"}
        for kind, amount in run.summary["costs"].items()
    ]
    total = sum(run.summary["costs"].values())
    return [*rows, {"kind": "total", "amount": f"{total:,.2f}"}]


def _months(curves: dict[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """Return one row a year: twelve months and the year, each with a shade for the table."""
    from backtests.engine.metrics import monthly_returns

    table = monthly_returns(curves["equity"], curves["ts"])
    rows = []
    for year, months in zip(table.years, table.returns, strict=True):
        whole = float(np.nanprod(1.0 + months) - 1.0)
        rows.append({"year": int(year), "cells": [_cell(m) for m in months], "whole": _cell(whole)})
    return rows


def _capital(curves: dict[str, NDArray[Any]]) -> float:
    return float(curves["equity"][0] - curves["equity_change"][0])


def _cell(fraction: float) -> dict[str, Any]:
    if not np.isfinite(fraction):
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


def _charts(curves: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the series the page draws, thinned so that every extreme survives."""
    equity, ts = curves["equity"], curves["ts"]
    peak = np.maximum.accumulate(np.maximum(equity, _capital(curves)))
    series = {
        "equity": equity,
        "drawdown": equity / peak - 1.0,
        "exposure": curves["gross_exposure"] / equity,
        "commission": np.cumsum(curves["commission"]),
        "half_spread": np.cumsum(curves["half_spread"]),
    }
    if "benchmark" in curves:
        series["benchmark"] = curves["benchmark"] / curves["benchmark"][0] * equity[0]
    return {name: _thin(ts, values) for name, values in series.items()}


def _thin(ts: NDArray[np.int64], values: FloatArray) -> list[list[float]]:
    """Return ``[unix seconds, value]`` rows: lowest, highest and last value of each bucket."""
    n_bars = values.size
    if n_bars <= MAX_POINTS:
        kept = np.arange(n_bars)
    else:
        edges = np.linspace(0, n_bars, MAX_POINTS // 3 + 1).astype(np.int64)
        extremes = [
            (a + int(np.argmin(values[a:b])), a + int(np.argmax(values[a:b])), b - 1)
            for a, b in pairwise(edges)
        ]
        kept = np.unique(np.array(extremes))
    seconds = ts[kept] // 1_000_000_000
    _, first_of_second = np.unique(seconds, return_index=True)
    kept = kept[first_of_second]
    return [[int(ts[i] // 1_000_000_000), float(f"{values[i]:.10g}")] for i in kept]
