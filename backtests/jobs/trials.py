"""Trials of a study: parameters → spec → simulation → one row of figures each.

The same steps as a backtest, for many parameter sets on one market: loaded once, measured together.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError

from backtests import search
from backtests.engine import Bars, Result, Targets, simulate
from backtests.engine.errors import EngineError
from backtests.engine.metrics import (
    DEFINITIONS,
    MetricsTable,
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
    moved,
    names_in,
)
from backtests.jobs.lease import Lease
from backtests.jobs.market import Market, benchmark_of, load_market
from backtests.jobs.rows import (
    BLOCKS,
    FIGURES,
    MOMENTS,
    SQUARES,
    Rows,
    blocks_of,
    edges_of,
    moments_of,
    returns_of,
)
from backtests.jobs.settings import setup_of
from backtests.marketdata.errors import MarketDataError
from backtests.models import Run
from backtests.runspec import RunSpec, as_backtest
from backtests.search import Search, Trial
from backtests.validation import Split, StatisticsError
from crowetrade_site.core.errors import InvalidInput, translating
from strategies.pipeline import MarketHistory, PipelineError, StrategySpec, compose

_BESIDE = (*FIGURES, *MOMENTS, *BLOCKS, *SQUARES)
_TOGETHER = 32  # trials measured together
REFUSALS = (EngineError, PipelineError, ValidationError)


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
        if trials[0].budget < 1.0:  # those of a chunk have the same, and the same fold
            whole = [replace(trial, budget=1.0) for trial in trials]
            return self._within(trials[0]).evaluate(found, whole, lease)
        is_folded = trials[0].fold is not None
        rows = Rows(found, len(trials), len(self.folds), is_folded=is_folded)
        for begin in range(0, len(trials), _TOGETHER):
            lease.progress(begin, len(trials))
            self._together(found, trials[begin : begin + _TOGETHER], begin, rows)
        return rows.table()

    def _within(self, trial: Trial) -> "Bench":
        """Return the bench on the first share of the bars, or of the training of a fold.

        Signals still see all that came before. The bar before the training is kept: at its close a
        trial decides what it holds from the first bar of the training on.
        """
        begin, n_bars = 0, max(2, math.ceil(trial.budget * self.bars.n_bars))
        folds = list(self.folds)
        if trial.fold is not None:
            own = beginning_of(folds[trial.fold], trial.budget)
            begin, n_bars = max(0, own.train_ranges[0].start - 1), own.train_ranges[-1].stop
            folds[trial.fold] = moved(own, begin)
        last = self.market.start + n_bars
        past = self.market.history
        market = replace(
            self.market,
            panel=self.market.panel.rows(0, last),
            history=MarketHistory(past.ts[:last], past.symbols, past.close[:last]),
            start=self.market.start + begin,
        )
        levels = None if self.benchmark is None else self.benchmark[begin:n_bars]
        return replace(
            self, market=market, bars=market.bars(), benchmark=levels, folds=tuple(folds)
        )

    def _together(self, found: Search, trials: Sequence[Trial], begin: int, rows: Rows) -> None:
        """Run some trials, measure them together and write their rows from one on."""
        results = [self._run(trial) for trial in trials]
        there = [at for at, result in enumerate(results) if not isinstance(result, str)]
        done = [result for result in results if not isinstance(result, str)]
        figures = self._measure(done) if done else None
        asked = names_in(found)
        measured = iter(range(len(done)))
        for trial, result in zip(trials, results, strict=True):
            if isinstance(result, str) or figures is None:
                rows.add(trial, found.failed(trial, str(result)))
            else:
                rows.add(trial, found.judge(trial, *figures.known(next(measured), asked)))
        if figures is None:
            return
        places = begin + np.array(there)
        metrics = figures.metrics
        rows.fill(metrics.names, places, metrics.values, metrics.reasons == 0)
        rows.fill(_BESIDE, places, figures.beside)
        self._add_folds(found, [trials[at] for at in there], places, done, rows)

    def _add_folds(
        self, found: Search, trials: Sequence[Trial], places: NDArray[np.int64],
        results: Sequence[Result], rows: Rows,
    ) -> None:  # fmt: skip
        """Write the objective of each trial on the two sides of each fold, or of its own alone.

        A training in which a constraint is broken has none: it must not be chosen, whatever all of
        the time says. The first share of a training, which has no test, is told and not chosen.
        """
        parts = [Parts.of(result) for result in results if self.folds]
        own = trials[0].fold
        for number in range(len(self.folds)) if own is None else [own]:
            fold = self.folds[number]
            for side, ranges in (("train", fold.train_ranges), ("test", fold.test_ranges)):
                if not ranges:
                    continue
                table = measure_part(parts, ranges, self.bars.ts, self.periods, self.benchmark)
                judged = judge_fold(found, trials, parts, ranges, table)
                for row, one in zip(places.tolist(), judged, strict=True):
                    is_kept = bool(fold.test_ranges) and (side == "test" or one.is_feasible)
                    if one.values and is_kept:
                        rows.set(f"{side}_{number}", row, one.values[0])
                    if side == "train" and own is not None:
                        rows.tell(row, one)

    def _run(self, trial: Trial) -> Result | str:
        """Return what came of a trial, or why nothing could."""
        try:
            document = search.apply(self.document, trial.parameters)
            setup = self._setup_of(document)
            weights = compose(
                StrategySpec.model_validate(document["strategy"]),
                self.market.history, start=self.market.start,
            ).weights  # fmt: skip
            targets = Targets(weights[self.market.start :], kind="weights")
            return simulate(self.bars, targets, **setup)
        except REFUSALS as refusal:
            return _reason_of(refusal)

    def _setup_of(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the engine's settings; those of the study where only the strategy is searched."""
        fixed = self.document
        if all(document[name] == fixed[name] for name in fixed if name != "strategy"):
            return self._own_setup
        return setup_of(RunSpec.model_validate(document))._asdict()

    @cached_property
    def _own_setup(self) -> dict[str, Any]:
        return setup_of(RunSpec.model_validate(self.document))._asdict()

    def _measure(self, results: Sequence[Result]) -> "Figures":
        """Return metrics and figures of each result, and why some metrics are not computed."""
        equity = np.array([result.equity for result in results])
        table = compute_metrics_table(
            np.ascontiguousarray(equity.T),
            self.bars.ts,
            activity=[result.activity() for result in results],
            trades=[result.round_trips() for result in results],
            periods_per_year=self.periods,
            benchmark=self.benchmark,
        )
        returns = returns_of(equity)
        fills = [result.fills for result in results]
        beside = np.column_stack(
            [
                equity[:, -1],
                [float(one.size) for one in fills],
                [float(np.count_nonzero(one["position"] == 0.0)) for one in fills],
                moments_of(returns),
                *blocks_of(returns, edges_of(equity.shape[1])),
            ]
        )
        return Figures(table, beside)


class Figures(NamedTuple):
    """What was measured of some trials: metrics, and the columns `_BESIDE` them."""

    metrics: MetricsTable
    beside: np.ndarray[Any, np.dtype[np.float64]]

    def known(self, at: int, names: Collection[str]) -> tuple[dict[str, Any], dict[str, str]]:
        """Return some figures of one trial, and why some are not computed."""
        figures, reasons = figures_of(self.metrics, at, names)
        own = {
            name: float(self.beside[at, column])
            for column, name in enumerate(FIGURES)
            if name in names
        }
        return figures | own, reasons


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


def unit_of(objective: str) -> str:
    """Return the unit of an objective that is a metric; empty of any other expression."""
    known = DEFINITIONS.get(objective)
    return "" if known is None else known.unit


def _reason_of(refusal: Exception) -> str:
    if isinstance(refusal, ValidationError):
        return str(refusal.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
    return str(refusal)
