"""Trials of a study: parameters → spec → simulation → one row of figures each.

The same steps as a backtest, for many parameter sets on one market: loaded once, measured together.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from backtests import search
from backtests.engine import Bars, Result, Targets, simulate
from backtests.engine.errors import EngineError
from backtests.engine.metrics import (
    DEFINITIONS,
    compute_metrics_table,
    infer_periods_per_year,
)
from backtests.jobs.backtest import periods_per_year
from backtests.jobs.folds import (
    Parts,
    beginning_of,
    figures_of,
    folds_of,
    judge_fold,
    measure_part,
)
from backtests.jobs.lease import Lease
from backtests.jobs.market import Market, benchmark_of, load_market
from backtests.jobs.settings import setup_of
from backtests.marketdata.errors import MarketDataError
from backtests.models import Run
from backtests.runspec import RunSpec, as_backtest
from backtests.search import Search, Trial
from backtests.validation import Split, StatisticsError
from crowetrade_site.core.errors import InvalidInput, translating
from strategies.pipeline import MarketHistory, PipelineError, StrategySpec, compose

N_BLOCKS = 16  # of bars, whose returns are summed for the statistics of many trials
FIGURES = ("final_equity", "n_fills", "n_closed_trades")
MOMENTS = ("n_returns", "mean_return", "std_return", "skew_return", "kurtosis_return")
_TOGETHER = 32  # trials measured together
REFUSALS = (EngineError, PipelineError, ValidationError)


class Moments(NamedTuple):
    """What the statistics of many trials need of one: of its returns per bar."""

    n_returns: float
    mean_return: float
    std_return: float
    skew_return: float
    kurtosis_return: float  # excess


@dataclass(frozen=True)
class Bench:
    """A study's market and spec, on which trial after trial is run."""

    spec: RunSpec
    document: dict[str, Any]
    market: Market
    bars: Bars
    benchmark: Any
    periods: float | None
    folds: tuple[Split, ...] = ()

    @property
    def periods_per_year(self) -> float | None:
        """Bars of a year, as the metrics have it."""
        return self.periods or infer_periods_per_year(self.bars.ts)[0]

    @classmethod
    def of(cls, run: Run) -> "Bench":
        """Open the data of a study.

        Raises
        ------
        InvalidInput
            Data and spec do not go together.
        """
        return _open(run.pk)

    def evaluate(self, found: Search, trials: Sequence[Trial], lease: Lease) -> pa.Table:
        """Return one row per trial: parameters, judgement, figures, metrics, moments, blocks."""
        parts = []
        if trials[0].budget < 1.0:  # those of a chunk have the same, and the same fold
            whole = [replace(trial, budget=1.0) for trial in trials]
            return self._within(trials[0]).evaluate(found, whole, lease)
        for begin in range(0, len(trials), _TOGETHER):
            lease.progress(begin, len(trials))
            parts.append(self._together(found, trials[begin : begin + _TOGETHER]))
        return pa.concat_tables(parts).combine_chunks()

    def _within(self, trial: Trial) -> "Bench":
        """Return the bench on the first share of the bars, or of the training of a fold."""
        n_bars, folds = max(2, math.ceil(trial.budget * self.bars.n_bars)), list(self.folds)
        if trial.fold is not None:
            folds[trial.fold] = beginning_of(folds[trial.fold], trial.budget)
            n_bars = folds[trial.fold].train_ranges[-1].stop
        last = self.market.start + n_bars
        past = self.market.history
        market = replace(
            self.market,
            panel=self.market.panel.rows(0, last),
            history=MarketHistory(past.ts[:last], past.symbols, past.close[:last]),
        )
        levels = None if self.benchmark is None else self.benchmark[:n_bars]
        return replace(
            self, market=market, bars=market.bars(), benchmark=levels, folds=tuple(folds)
        )

    def _together(self, found: Search, trials: Sequence[Trial]) -> pa.Table:
        results: list[Result | str] = [self._run(trial) for trial in trials]
        there = [result for result in results if not isinstance(result, str)]
        measured = iter(self._measure(there)) if there else iter(())
        rows = []
        for trial, result in zip(trials, results, strict=True):
            row: dict[str, Any] = {"parameters": json.dumps(trial.parameters, sort_keys=True)}
            if isinstance(result, str):
                judged, figures = found.failed(trial, result), dict[str, Any]()
            else:
                figures, reasons = next(measured)
                judged = found.judge(trial, figures, reasons)
            values = judged.values or (None,) * len(found.objectives)
            row |= {f"objective_{at}": value for at, value in enumerate(values)}
            row |= {"violation": judged.violation, "reason": judged.reason, **figures}
            rows.append(row)
        if self.folds and there:
            at = [at for at, result in enumerate(results) if not isinstance(result, str)]
            self._add_folds(found, [trials[i] for i in at], [rows[i] for i in at], there)
        columns = schema(
            len(found.objectives), len(self.folds), is_folded=trials[0].fold is not None
        )
        return pa.Table.from_pylist(rows, schema=columns)

    def _add_folds(
        self, found: Search, trials: Sequence[Trial], rows: Sequence[dict[str, Any]],
        results: Sequence[Result],
    ) -> None:  # fmt: skip
        """Write the objective of each trial on the two sides of each fold, or of its own alone.

        A training in which a constraint is broken has none: it must not be chosen, whatever all of
        the time says. The first share of a training, which has no test, is told and not chosen.
        """
        parts = [Parts.of(result, self.spec.capital) for result in results]
        own = trials[0].fold
        for number in range(len(self.folds)) if own is None else [own]:
            fold = self.folds[number]
            for side, ranges in (("train", fold.train_ranges), ("test", fold.test_ranges)):
                if not ranges:
                    continue
                table = measure_part(parts, ranges, self.bars.ts, self.periods, self.benchmark)
                judged = judge_fold(found, trials, parts, ranges, table)
                for row, one in zip(rows, judged, strict=True):
                    is_kept = bool(fold.test_ranges) and (side == "test" or one.is_feasible)
                    row[f"{side}_{number}"] = one.values[0] if one.values and is_kept else None
                    if side == "train" and own is not None:
                        row.update(_told(one))

    def _run(self, trial: Trial) -> Result | str:
        """Return what came of a trial, or why nothing could."""
        try:
            document = search.apply(self.document, trial.parameters)
            spec = RunSpec.model_validate(document)
            weights = compose(
                StrategySpec.model_validate(document["strategy"]),
                self.market.history, start=self.market.start,
            ).weights  # fmt: skip
            targets = Targets(weights[self.market.start :], kind="weights")
            return simulate(self.bars, targets, **setup_of(spec)._asdict())
        except REFUSALS as refusal:
            return _reason_of(refusal)

    def _measure(self, results: Sequence[Result]) -> list[tuple[dict[str, Any], dict[str, str]]]:
        """Return figures and metrics of each result, and why some metrics are not computed."""
        curves = np.column_stack([result.equity for result in results])
        table = compute_metrics_table(
            curves,
            self.bars.ts,
            activity=[result.activity() for result in results],
            trades=[result.round_trips() for result in results],
            periods_per_year=self.periods,
            benchmark=self.benchmark,
        )
        edges = edges_of(curves.shape[0])
        rows = []
        for at, result in enumerate(results):
            figures, reasons = figures_of(table, at)
            figures |= {
                "final_equity": float(result.equity[-1]),
                "n_fills": float(result.fills.size),
                "n_closed_trades": float(np.count_nonzero(result.fills["position"] == 0.0)),
            }
            returns = returns_of(result)
            figures |= moments_of(returns)._asdict() | blocks_of(returns, edges)
            rows.append((figures, reasons))
        return rows


@lru_cache(maxsize=2)
def _open(run_pk: int) -> Bench:
    run = Run.objects.select_related("dataset").get(pk=run_pk)
    spec = RunSpec.model_validate(run.spec)
    document = as_backtest(run.spec)
    with translating((*REFUSALS, MarketDataError, StatisticsError), InvalidInput):
        market = load_market(run, spec)
        aligned = benchmark_of(spec, market)
        levels = aligned.values if aligned and not aligned.n_missing else None
        bars = market.bars()
        folds = folds_of(spec, bars.ts)
        return Bench(spec, document, market, bars, levels, periods_per_year(run), folds)


def _told(judged: search.Result) -> dict[str, Any]:
    """Return the columns of what the search inside a fold is told."""
    values = {f"told_{at}": value for at, value in enumerate(judged.values or ())}
    return values | {"told_violation": judged.violation, "told_reason": judged.reason}


def unit_of(objective: str) -> str:
    """Return the unit of an objective that is a metric; empty of any other expression."""
    known = DEFINITIONS.get(objective)
    return "" if known is None else known.unit


def schema(n_objectives: int, n_folds: int = 0, *, is_folded: bool = False) -> pa.Schema:
    """Return the columns of a study's table of trials.

    `is_folded`: each fold has a search of its own, which is told what its training says.
    """
    numbers = [f"objective_{at}" for at in range(n_objectives)]
    numbers += ["violation", *FIGURES, *DEFINITIONS, *MOMENTS]
    numbers += [f"block_{at}" for at in range(N_BLOCKS)]
    numbers += [f"square_{at}" for at in range(N_BLOCKS)]
    numbers += [f"{side}_{at}" for at in range(n_folds) for side in ("train", "test")]
    texts = ["parameters", "reason"]
    if is_folded:
        numbers += [*(f"told_{at}" for at in range(n_objectives)), "told_violation"]
        texts.append("told_reason")
    fields: list[pa.Field[Any]] = [pa.field(name, pa.string()) for name in texts]
    return pa.schema(fields + [pa.field(name, pa.float64()) for name in numbers])


def returns_of(result: Result) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the simple return of every bar after the first; NaN where equity was not positive."""
    before = result.equity[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before > 0.0, result.equity[1:] / before - 1.0, np.nan)


def moments_of(returns: np.ndarray[Any, np.dtype[np.float64]]) -> Moments:
    """Return count, mean, standard deviation (ddof 1) and population shape of returns."""
    known = returns[~np.isnan(returns)]
    if known.size < 2:
        return Moments(float(known.size), *(float("nan"),) * 4)
    centered = known - known.mean()
    variance = float(np.mean(centered**2))
    std = float(np.std(known, ddof=1))
    if variance == 0.0:
        return Moments(float(known.size), float(known.mean()), std, float("nan"), float("nan"))
    skew = float(np.mean(centered**3)) / variance**1.5
    return Moments(
        float(known.size), float(known.mean()), std, skew,
        float(np.mean(centered**4)) / variance**2 - 3.0,
    )  # fmt: skip


def blocks_of(
    returns: np.ndarray[Any, np.dtype[np.float64]], edges: np.ndarray[Any, np.dtype[np.int64]]
) -> dict[str, float]:
    """Return the sums of returns, and of their squares, over blocks of bars of equal length."""
    padded = np.append(returns, 0.0)
    sums, squares = (np.add.reduceat(values, edges[:-1]) for values in (padded, padded**2))
    found = {f"block_{at}": float(value) for at, value in enumerate(sums)}
    return found | {f"square_{at}": float(value) for at, value in enumerate(squares)}


def edges_of(n_bars: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the returns at which the blocks begin, and their number at the end."""
    return np.linspace(0, n_bars - 1, N_BLOCKS + 1).astype(np.int64)


def _reason_of(refusal: Exception) -> str:
    if isinstance(refusal, ValidationError):
        return str(refusal.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
    return str(refusal)
