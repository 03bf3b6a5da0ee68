"""One backtest: data → signals → weights → simulation → metrics → artefacts.

Here, and only here, the pure packages of backtests and strategies meet.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests import selectors
from backtests.engine import Account, Bars, Costs, Fills, Result, Targets, simulate
from backtests.engine.errors import EngineError
from backtests.jobs import artifacts
from backtests.jobs.datasets import open_dataset
from backtests.jobs.lease import Lease
from backtests.marketdata.actions import total_return_index
from backtests.marketdata.errors import MarketDataError
from backtests.marketdata.panel import Panel
from backtests.models import Run
from backtests.runspec import RunSpec
from crowetrade_site.core.errors import InvalidInput, translating
from strategies.pipeline import MarketHistory, PipelineError, StrategySpec, compose

FloatArray = NDArray[np.float64]
REFUSALS = (EngineError, MarketDataError, PipelineError)
BAR_FIELDS = ("close", "open", "high", "low", "volume", "half_spread", "split", "dividend")


@dataclass(frozen=True)
class Market:
    """A run's data: what is traded from bar `start` on, and the longer past signals may see."""

    panel: Panel
    history: MarketHistory
    start: int
    currency: str

    def bars(self) -> Bars:
        """Return the bars that are traded; views, not copies."""
        fields = {name: values[self.start :] for name, values in self.panel.fields.items()}
        if "close" not in fields:  # a panel of adjusted closes alone
            fields["close"] = fields["adj_close"]
        known: dict[str, Any] = {name: fields[name] for name in BAR_FIELDS if name in fields}
        return Bars(
            self.panel.ts[self.start :],
            **known,
            symbols=self.panel.symbols,
            currency=self.currency,
        )


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
    clock = time.perf_counter()
    seconds: dict[str, float] = {}

    def lap(phase: str) -> None:
        nonlocal clock
        seconds[phase], clock = round(time.perf_counter() - clock, 4), time.perf_counter()

    with translating(REFUSALS, InvalidInput):
        lease.phase("loading")
        market = load_market(run, spec)
        bars = market.bars()
        lap("loading")
        lease.phase("deciding")
        weights = decide(spec, market)
        lap("deciding")
        lease.phase("simulating")
        result = run_engine(spec, bars, weights, lease)
        lap("simulating")
        lease.phase("measuring")
        benchmark = benchmark_curve(spec, result)
        metrics = result.metrics(benchmark=benchmark)
        lap("measuring")
        lease.phase("recording")
        stored = artifacts.store(
            result, metrics, benchmark, before_each=lambda: lease.phase("recording")
        )
        lap("recording")
    return {
        "result_digest": result.digest,
        "artifacts": stored,
        "summary": artifacts.summarize(result, metrics, seconds, data_caveats(run)),
    }


def load_market(run: Run, spec: RunSpec) -> Market:
    """Open a run's dataset: bars to trade, and all the past before them for the signals."""
    start, end = selectors.window(spec)
    panel = open_dataset(run.dataset)
    if spec.instruments:
        panel = panel.select(spec.instruments)
    last = panel.ts.size if end is None else int(np.searchsorted(panel.ts, end, side="right"))
    first = 0 if start is None else int(np.searchsorted(panel.ts, start))
    if first >= last:
        raise InvalidInput(f"The dataset has no bar between {spec.start} and {spec.end}.")
    panel = panel.rows(0, last)
    history = MarketHistory(panel.ts, tuple(panel.symbols), adjusted_close(panel))
    return Market(panel=panel, history=history, start=first, currency=spec.currency)


def adjusted_close(panel: Panel) -> FloatArray:
    """Return the prices that signals see, shape (n_bars, n_assets): a split is no crash."""
    close = panel.fields.get("close", panel.fields.get("adj_close"))
    if close is None:
        raise InvalidInput("The dataset has no closes to decide on.")
    if panel.manifest.prices == "adjusted":
        return close
    return total_return_index(close, panel.fields.get("split"), panel.fields.get("dividend"))


def decide(spec: RunSpec, market: Market) -> FloatArray:
    """Return the target weights of the bars that are traded, shape (n_bars, n_assets)."""
    strategy = StrategySpec.model_validate(spec.strategy)
    composed = compose(strategy, market.history, start=market.start)
    return composed.weights[market.start :]


def run_engine(spec: RunSpec, bars: Bars, weights: FloatArray, lease: Lease) -> Result:
    """Simulate the weights under the spec's fills, costs and account."""
    return simulate(
        bars,
        Targets(weights, kind="weights"),
        fills=Fills(**spec.fills.model_dump()),
        costs=Costs(**spec.costs.model_dump()),
        account=Account(capital=spec.capital, currency=spec.currency, **spec.account.model_dump()),
        on_progress=lease.progress,
    )


def benchmark_curve(spec: RunSpec, result: Result) -> FloatArray | None:
    """Return the benchmark's value at each bar, its last known one where it did not trade."""
    if spec.benchmark is None:
        return None
    benchmark = selectors.resolve_benchmark(spec.benchmark)
    panel = open_dataset(benchmark.dataset).select([benchmark.symbol])
    values = adjusted_close(panel)[:, 0]
    known = np.flatnonzero(np.isfinite(values))
    latest = np.searchsorted(panel.ts[known], result.ts, side="right") - 1
    if latest[0] < 0:
        raise InvalidInput(f"The benchmark {spec.benchmark} begins after the run's first bar.")
    curve: FloatArray = values[known][latest]
    return curve


def data_caveats(run: Run) -> list[dict[str, str]]:
    """Return what a reader must know about the data, beside the engine's own caveats."""
    caveats = []
    if run.dataset.report.get("survivors"):
        caveats.append(
            {
                "code": "survivors",
                "text": "The dataset holds survivors only: no instrument of it ever stopped "
                "trading, so every past return looks better than it was.",
            }
        )
    if run.dataset.n_refused:
        caveats.append(
            {
                "code": "quarantined_rows",
                "text": f"{run.dataset.n_refused} faulty rows were left out of the dataset.",
            }
        )
    return caveats


def warm_up() -> None:
    """Compile or load every kernel once, on four bars, before the first run needs them."""
    ts = np.arange(1, 5, dtype=np.int64) * 86_400_000_000_000
    close = np.array([[100.0], [101.0], [102.0], [103.0]])
    history = MarketHistory(ts=ts, symbols=("WARM",), close=close)
    spec = StrategySpec.model_validate(
        {"signals": [{"kind": "buy_and_hold"}], "portfolio": {"kind": "equal_weight"}}
    )
    weights = compose(spec, history).weights
    bars = Bars(ts, close, close, close, close, symbols=("WARM",))
    simulate(bars, Targets(weights, kind="weights")).metrics()
