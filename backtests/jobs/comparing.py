"""Strategies side by side: what they earned on the same bars, and how sure one can be."""

from typing import Any

import numpy as np

from backtests.engine import Result
from backtests.jobs import accounts
from backtests.jobs.lease import Lease
from backtests.jobs.trials import Bench
from backtests.search import Search
from backtests.validation import StatisticsError, compare_strategies, pareto_front

FIGURES = ("total_return", "cagr", "annual_volatility", "sharpe", "max_drawdown", "turnover")
# Which way each figure of the front is better.
AXES = {"cagr": True, "max_drawdown": False, "annual_volatility": False, "turnover": False}


def compare(bench: Bench, found: Search, lease: Lease) -> dict[str, Any]:
    """Return the comparison of a study's strategies, by their labels.

    Notes
    -----
    The overlap of two strategies is the mean over bars of the weight that both hold on the same
    side, as a share of the larger of their gross weights; 1 where they hold the same.
    """
    asked = bench.spec.comparison
    assert asked is not None  # noqa: S101 - the kind has it
    names = tuple(asked.strategies)
    returns, weights, rows = [], [], []
    for number in range(len(names)):
        lease.progress(number, len(names))
        result = accounts.account_of(bench, found.trial(number).parameters)
        returns.append(accounts.returns_of(result))
        weights.append(_weights(result))
        metrics = result.metrics(bench.periods, bench.benchmark)
        rows.append({name: metrics[name].value for name in FIGURES})
    benchmark = None if asked.benchmark is None else names.index(asked.benchmark)
    known: dict[str, Any] = {
        "names": list(names), "figures": rows, "front": _front(rows),
        "overlap": [[_overlap(one, other) for other in weights] for one in weights],
        "periods_per_year": bench.periods_per_year,
    }  # fmt: skip
    try:
        compared = compare_strategies(
            np.column_stack(returns), names=names, benchmark=benchmark, seed=bench.spec.seed
        )
    except StatisticsError as error:
        return known | {"reason": f"not computed, because {error}"}
    return known | compared.to_dict()


def _front(rows: list[dict[str, Any]]) -> list[int] | None:
    """Return which strategies no other beats in every axis; None where one has no figure."""
    table = [[row[name] for name in AXES] for row in rows]
    if any(value is None for row in table for value in row):
        return None
    chosen = pareto_front(np.array(table, dtype=np.float64), maximize=list(AXES.values()))
    return [int(at) for at in np.flatnonzero(chosen)]


def _weights(result: Result) -> Any:
    """Return what was held at each close, as shares of equity."""
    worth = result.positions() * np.nan_to_num(result.bars.close)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(result.equity[:, None] > 0.0, worth / result.equity[:, None], 0.0)


def _overlap(one: Any, other: Any) -> float | None:
    shared = np.where(one * other > 0.0, np.minimum(np.abs(one), np.abs(other)), 0.0).sum(axis=1)
    gross = np.maximum(np.abs(one).sum(axis=1), np.abs(other).sum(axis=1))
    held = gross > 0.0
    return float(np.mean(shared[held] / gross[held])) if held.any() else None
