"""A run's data: the bars it trades, the past its signals may see, the series it is measured by."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests import selectors
from backtests.engine import Bars
from backtests.jobs.datasets import open_dataset
from backtests.marketdata.actions import total_return_index
from backtests.marketdata.alignment import Aligned, align
from backtests.marketdata.panel import Panel
from backtests.models import Run
from backtests.runspec import RunSpec
from crowetrade_site.core.errors import InvalidInput
from strategies.pipeline import MarketHistory

FloatArray = NDArray[np.float64]
BAR_FIELDS = (
    *("close", "open", "high", "low", "volume"),
    *("half_spread", "half_spread_open", "split", "dividend", "delisted"),
)


@dataclass(frozen=True)
class Market:
    """What is traded from bar `start` on, and the longer past that signals may see."""

    panel: Panel
    history: MarketHistory
    start: int
    currency: str

    def beginning(self, bar: int) -> "Market":
        """Return the same market, traded from another bar on."""
        return replace(self, start=bar)

    def bars(self) -> Bars:
        """Return the bars that are traded; views, not copies. Quotes are bars of one price."""
        fields = {name: values[self.start :] for name, values in self.panel.fields.items()}
        ts, symbols = self.panel.ts[self.start :], self.panel.symbols
        if self.panel.manifest.kind == "quotes":
            quoted = fields["bid"], fields["ask"]
            return Bars.from_quotes(ts, *quoted, symbols=symbols, currency=self.currency)
        if "close" not in fields:  # a panel of adjusted closes alone
            fields["close"] = fields["adj_close"]
        known: dict[str, Any] = {name: fields[name] for name in BAR_FIELDS if name in fields}
        return Bars(ts, **known, symbols=symbols, currency=self.currency)


def load_market(run: Run, spec: RunSpec) -> Market:
    """Open a run's dataset, up to the spec's end.

    Rows in which none of the chosen instruments has a bar are left out: they belong to the
    clock of others.
    """
    start, end = selectors.window(spec)
    panel = open_dataset(run.dataset, spec.instruments)
    last = panel.ts.size if end is None else int(np.searchsorted(panel.ts, end, side="right"))
    panel = panel.rows(0, last)
    closes = _closes(panel)
    printed: NDArray[np.bool_] = np.any(~np.isnan(closes), axis=1)
    if not printed.all():
        panel = panel.rows(0, last, where=printed)
    first = 0 if start is None else int(np.searchsorted(panel.ts, start))
    if first >= panel.ts.size:
        raise InvalidInput(f"The dataset has no bar between {spec.start} and {spec.end}.")
    return market_of(panel, first, spec.currency)


def market_of(panel: Panel, start: int, currency: str) -> Market:
    """Return bars as a market: all of them are seen, those from `start` on are traded."""
    history = MarketHistory(panel.ts, tuple(panel.symbols), adjusted_close(panel))
    return Market(panel=panel, history=history, start=start, currency=currency)


def _closes(panel: Panel) -> FloatArray:
    close = panel.fields.get("close", panel.fields.get("adj_close"))
    if close is None:
        raise InvalidInput("The dataset has no closes to decide on.")
    return close


def adjusted_close(panel: Panel) -> FloatArray:
    """Return the prices that signals see, shape (n_bars, n_assets): a split is no crash."""
    close = _closes(panel)
    if panel.manifest.prices == "adjusted":
        return close
    return total_return_index(close, panel.fields.get("split"), panel.fields.get("dividend"))


def benchmark_of(spec: RunSpec, market: Market) -> Aligned | None:
    """Return the benchmark on the run's clock; None when the spec names none.

    Raises
    ------
    InvalidInput
        The benchmark begins after the run's first bar.
    """
    if spec.benchmark is None:
        return None
    benchmark = selectors.resolve_benchmark(spec.benchmark)
    panel = open_dataset(benchmark.dataset, [benchmark.symbol])
    aligned = align(
        panel.ts,
        adjusted_close(panel)[:, 0],
        market.panel.ts[market.start :],
        source_bar_ns=panel.manifest.bar_ns,
        target_bar_ns=market.panel.manifest.bar_ns,
    )
    if aligned.first_missing == 0:
        raise InvalidInput(f"The benchmark {spec.benchmark} begins after the run's first bar.")
    return aligned
