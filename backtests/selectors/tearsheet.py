"""What a person sees of a finished run: curves thinned for the screen, tables, figures."""

import json
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from backtests.lifecycle import RunKind, RunStatus
from backtests.models import Run
from backtests.selectors import figures, ledgers
from backtests.selectors.claims import claim_of
from crowetrade_site.core import storage

if TYPE_CHECKING:
    from numpy.typing import NDArray

Columns = dict[str, "NDArray[Any]"]
MAX_POINTS = 1500
HEADLINES = (
    "total_return", "cagr", "annual_volatility", "sharpe", "max_drawdown", "turnover",
)  # fmt: skip


@dataclass(frozen=True)
class Tearsheet:
    """The content of a run's page and report."""

    run: Run
    claim: str  # "best of 4,186 trials" in a study: stands beside the figures
    headlines: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    costs: list[dict[str, Any]]
    total_cost: float
    interest_earned: float
    ambiguity: dict[str, Any] | None
    months: list[dict[str, Any]]
    months_reason: str
    fills: list[dict[str, Any]]
    fill_costs: list[str]
    trades: list[dict[str, Any]] | None
    clock: str
    opening: str  # which bars before the account opened are in no figure; empty where none are
    charts: dict[str, Any]


def get_tearsheet(run: Run) -> Tearsheet | None:
    """Return what there is to see of a run; None before it is over, or where nothing is left.

    Of a study it is its best trial; one that lost some chunks has one too, or no trial at all
    was feasible.
    """
    if run.artifacts_expired_at is not None:
        return None
    is_whole = run.status == RunStatus.SUCCEEDED or "trials.parquet" in run.artifacts
    if not is_whole or "curves.parquet" not in run.artifacts:
        return None  # a study without an account, or a replay, which has none of its own
    curves = _columns(run, "curves.parquet")
    document = json.loads(storage.read(run.artifacts["metrics.json"]["digest"]))
    known = {metric["name"]: _figure(metric) for metric in document["metrics"]}
    return Tearsheet(
        run=run,
        claim=claim_of(run),
        headlines=[known[name] for name in HEADLINES if name in known],
        groups=figures.grouped(known.values()),
        costs=ledgers.list_costs(run),
        total_cost=ledgers.total_cost(run),
        interest_earned=run.summary.get("interest_earned", 0.0),
        ambiguity=_ambiguity(run),
        months=_months(document["months"]),
        months_reason=document["months"]["reason"],
        fills=ledgers.latest_fills(run),
        fill_costs=[ledgers.label_of_cost(kind) for kind in ledgers.kinds_of_fills(run)],
        trades=ledgers.latest_trades(run),
        clock=ledgers.clock_of(run),
        opening=write_opening(run),
        charts=_charts(curves),
    )


def write_opening(run: Run) -> str:
    """Return why a backtest's figures differ from those of the same parameters in a study.

    What a study holds in cash before its best can decide is among the caveats.
    """
    kept = run.summary.get("opening")
    if run.kind != RunKind.BACKTEST or not kept or run.spec.get("start") is not None:
        return ""
    if not kept["n_bars_before"]:
        return ""
    return (
        f"The account opens on {kept['opened_at'][:10]}, when the strategy can first decide: the "
        f"{kept['n_bars_before']:,} bars of data before are warm-up, and in no figure. The trials "
        "of a study open together and hold cash through their warm-up, so that the same "
        f"parameters have other figures there: with start: {kept['data_from'][:10]} they are alike."
    )


def _columns(run: Run, name: str) -> Columns:
    import numpy as np
    import pyarrow.parquet as pq

    path = storage.locate(run.artifacts[name]["digest"])
    table = pq.read_table(path, memory_map=True)
    columns = {field: table[field].to_numpy() for field in table.column_names if field != "ts"}
    return columns | {"ts": table["ts"].to_numpy().view(np.int64)}


def _figure(metric: dict[str, Any]) -> dict[str, Any]:
    name = metric["name"]
    text = figures.write_figure(name, metric)
    return metric | {"label": figures.label_of(name), "text": text}


def _ambiguity(run: Run) -> dict[str, Any] | None:
    """Return between which final equities the bars leave the result open; None if nowhere."""
    found = run.summary.get("ambiguity")
    if not found:
        return None
    ends = {name: f"{found[name]:,.0f}" for name in ("pessimistic", "optimistic")}
    return {"n_fills": found["n_fills"], "final": f"{run.summary['final_equity']:,.0f}"} | ends


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
        **ledgers.accumulated_costs(curves),
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
