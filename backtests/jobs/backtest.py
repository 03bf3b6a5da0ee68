"""One backtest: data → signals → weights → simulation → metrics → artefacts.

Here, and only here, the pure packages of backtests and strategies meet.
"""

import time
from typing import Any

import numpy as np

from backtests.engine import Bars, Result, Targets, simulate
from backtests.engine.errors import EngineError
from backtests.jobs import artifacts, caveats, ledger, stressing
from backtests.jobs.lease import Lease
from backtests.jobs.market import Market, benchmark_of, load_market
from backtests.jobs.opening import opening_of
from backtests.jobs.settings import setup_of
from backtests.marketdata.errors import MarketDataError
from backtests.models import Run
from backtests.runspec import RunSpec
from backtests.search import Trial
from crowetrade_site.core.errors import InvalidInput, translating
from strategies.pipeline import (
    MarketHistory,
    PipelineError,
    StrategySpec,
    TargetWeights,
    builtin_examples,
    compose,
)

REFUSALS = (EngineError, MarketDataError, PipelineError)
DAY_NS = 86_400_000_000_000


def compute(run: Run, lease: Lease) -> dict[str, Any]:
    """Return the columns of a finished backtest; its arrays are in the store by then.

    Raises
    ------
    InvalidInput
        Data and spec do not go together, which only the data itself could show.
    Cancelled, LeaseLost
        As `Lease.progress`.
    """
    spec = RunSpec.model_validate(run.spec)
    lease.phase("loading")
    began = time.perf_counter()
    with translating(REFUSALS, InvalidInput):
        market = load_market(run, spec)
    seconds = round(time.perf_counter() - began, 4)
    alone = ledger.Block([Trial(0, {})])
    ledger.record(run, ledger.scope_of(market), [alone], run.worker)
    outcome = outcome_of(
        run, spec, market, lease, begins_with_strategy=spec.start is None,
        is_stressed=run.tested_version is not None,
    )  # fmt: skip
    outcome["summary"]["seconds"] = {"loading": seconds, **outcome["summary"]["seconds"]}
    return outcome


def outcome_of(
    run: Run,
    spec: RunSpec,
    market: Market,
    lease: Lease,
    *,
    begins_with_strategy: bool = False,
    decided: TargetWeights | None = None,
    is_stressed: bool = False,
) -> dict[str, Any]:
    """Return the columns of one simulation on an open market.

    Parameters
    ----------
    begins_with_strategy : bool
        Whether the account opens at the strategy's first decision; else with the market.
    decided : TargetWeights, optional
        Decisions already made; by default those of the spec's strategy.
    is_stressed : bool
        Whether it is told, too, what the account loses under stress: evidence for a version.
    """
    clock = time.perf_counter()
    seconds: dict[str, float] = {}

    def lap(phase: str) -> None:
        nonlocal clock
        seconds[phase], clock = round(time.perf_counter() - clock, 4), time.perf_counter()

    with translating(REFUSALS, InvalidInput):
        lease.phase("deciding")
        composed = decide(spec, market) if decided is None else decided
        if begins_with_strategy and composed.first_decision is not None:
            market = market.beginning(composed.first_decision)
        lap("deciding")
        lease.phase("simulating")
        result = run_engine(spec, market, composed, lease)
        lap("simulating")
        lease.phase("measuring")
        benchmark = benchmark_of(spec, market)
        whole = benchmark.values if benchmark and not benchmark.n_missing else None
        metrics = result.metrics(periods_per_year(run), benchmark=whole)
        _ = result.ambiguity  # runs twice more where the bars leave something open
        lap("measuring")
        under_stress: dict[str, Any] = {}
        if is_stressed:
            lease.phase("stressing")
            under_stress["stress"] = stressing.stressed(spec, market, composed, result, lease)
            lap("stressing")
        lease.phase("recording")
        values = benchmark.values if benchmark else None
        stored = artifacts.store(
            result, metrics, values, before_each=lambda: lease.phase("recording")
        )
        lap("recording")
    opened = opening_of(market, composed, result, periods_per_year(run))
    known = caveats.of_run(run, spec, market, composed, benchmark, opened)
    summary = artifacts.summarize(result, metrics, seconds, known)
    return {
        "result_digest": result.digest,
        "artifacts": stored,
        "summary": summary | under_stress | {"opening": opened and opened.to_dict()},
    }


def decide(spec: RunSpec, market: Market) -> TargetWeights:
    """Return the strategy's target weights on the whole history."""
    strategy = StrategySpec.model_validate(spec.strategy)
    return compose(strategy, market.history, start=market.start)


def run_engine(spec: RunSpec, market: Market, composed: TargetWeights, lease: Lease) -> Result:
    """Simulate the weights under the spec's fills, costs and account."""
    targets = Targets(composed.weights[market.start :], kind="weights")
    settings = setup_of(spec)._asdict()
    return simulate(market.bars(), targets, **settings, on_progress=lease.progress)


def periods_per_year(run: Run) -> float | None:
    """Return the bars a year has by the dataset's calendar; None to infer them from the stamps.

    Daily bars are annualized by the field's convention (252, or 365 where trading never stops),
    which the stamps tell; a calendar helps where bars are shorter than a day.
    """
    bar_ns = run.dataset.manifest["content"]["bar_ns"]
    return run.dataset.periods_per_year if 0 < bar_ns < DAY_NS else None


def warm_up() -> None:
    """Compile or load every kernel once, on four bars, before the first run needs them."""
    ts = np.arange(1, 5, dtype=np.int64) * 86_400_000_000_000
    close = np.array([[100.0], [101.0], [102.0], [103.0]])
    history = MarketHistory(ts=ts, symbols=("WARM",), close=close)
    weights = [compose(spec, history).weights for spec in builtin_examples().values()]
    bars = Bars(ts, close, close, close, close, symbols=("WARM",))
    simulate(bars, Targets(weights[0], kind="weights")).metrics()
