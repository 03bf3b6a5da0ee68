"""What a simulation leaves behind: curves, tables, caveats, and one name for all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backtests.engine import frames, positions
from backtests.engine.config import ENGINE_VERSION
from backtests.engine.digests import content_digest
from backtests.engine.dtypes import ActionKind, FloatArray, RecordArray
from backtests.engine.metrics import Metrics, TradingActivity, compute_metrics
from numerics.compilation import environment

if TYPE_CHECKING:
    import pandas as pd

    from backtests.engine.inputs import Bars


@dataclass(frozen=True, slots=True)
class Caveat:
    """Something a reader of the result must know: a stable code and a sentence."""

    code: str
    text: str


@dataclass(frozen=True, eq=False)
class Result:
    """All that happened in one simulation; arrays cannot be written to.

    Attributes
    ----------
    bars : Bars
        What was traded on.
    settings : mapping
        Fills, costs and account as one plain document.
    capital : float
        Cash before the first bar [account currency].
    equity, cash, price_pnl : float64 array, shape (n_bars,)
        At each close [account currency]; `price_pnl` is the profit of prices alone in each bar,
        before costs and dividends.
    fills, orders, actions : structured array
        One row per fill, order, and corporate action that touched a position; the fields are
        those of `dtypes.FILL`, `ORDER` and `ACTION`.
    caveats : tuple of Caveat
    engine_version : str
    """

    bars: Bars
    decisions_digest: Callable[[], str] = field(repr=False)
    settings: Mapping[str, Mapping[str, object]]
    capital: float
    equity: FloatArray = field(repr=False)
    cash: FloatArray = field(repr=False)
    price_pnl: FloatArray = field(repr=False)
    fills: RecordArray = field(repr=False)
    orders: RecordArray = field(repr=False)
    actions: RecordArray = field(repr=False)
    caveats: tuple[Caveat, ...] = ()
    engine_version: str = ENGINE_VERSION

    def __post_init__(self) -> None:
        for name in ("equity", "cash", "price_pnl", "fills", "orders", "actions"):
            getattr(self, name).flags.writeable = False

    @property
    def ts(self) -> NDArray[np.int64]:
        """Stamps of the bars [ns UTC], shape (n_bars,)."""
        return self.bars.ts

    @property
    def symbols(self) -> tuple[str, ...]:
        """One name per instrument column."""
        return tuple(self.bars.symbols)

    def positions(self) -> FloatArray:
        """Return the units held at each close, shape (n_bars, n_assets); computed when asked."""
        shape = self.bars.close.shape
        return positions.expand(*positions.changes_of(self.fills, self.actions), *shape)

    def gross_exposure(self) -> FloatArray:
        """Return the sum of absolute position values at each close [currency], (n_bars,)."""
        split = np.empty((0, 0)) if self.bars.split is None else self.bars.split
        split.flags.writeable = False
        changes = positions.changes_of(self.fills, self.actions)
        return positions.gross_exposure(*changes, self.bars.close, split)

    def net_exposure(self) -> FloatArray:
        """Return the signed value of all positions at each close [currency], (n_bars,)."""
        return self.equity - self.cash

    @property
    def costs(self) -> dict[str, float]:
        """Total of each kind of cost [currency], >= 0."""
        return {kind: float(self.fills[kind].sum()) for kind in ("commission", "half_spread")}

    def costs_by_bar(self) -> dict[str, FloatArray]:
        """Return each kind of cost in each bar [currency], shape (n_bars,) each."""
        return {kind: self._by_bar(self.fills, self.fills[kind]) for kind in self.costs}

    def dividends_by_bar(self) -> FloatArray:
        """Return dividends received less dividends paid in each bar [currency], (n_bars,)."""
        dividends = self.actions[self.actions["kind"] == int(ActionKind.DIVIDEND)]
        return self._by_bar(dividends, dividends["cash"])

    def traded_notional(self) -> FloatArray:
        """Return what was bought plus what was sold at reference prices per bar, (n_bars,)."""
        return self._by_bar(
            self.fills, np.abs(self.fills["quantity"]) * self.fills["reference_price"]
        )

    def ledger(self) -> dict[str, FloatArray]:
        """Return the columns whose sum explains every change of equity, shape (n_bars,) each.

        Returns
        -------
        dict
            ``equity_change = price_pnl + dividends - commission - half_spread`` at every bar;
            the first change is against the capital.
        """
        return {
            "equity_change": np.diff(self.equity, prepend=self.capital),
            "price_pnl": self.price_pnl,
            "dividends": self.dividends_by_bar(),
            **self.costs_by_bar(),
        }

    def metrics(
        self, periods_per_year: float | None = None, benchmark: FloatArray | None = None
    ) -> Metrics:
        """Return the performance metrics of the run; see `compute_metrics`."""
        activity = TradingActivity(
            traded_notional=self.traded_notional(),
            costs=sum(self.costs_by_bar().values(), np.zeros(self.equity.size)),
            gross_exposure=self.gross_exposure(),
            net_exposure=self.net_exposure(),
        )
        return compute_metrics(
            self.equity,
            self.ts,
            activity=activity,
            periods_per_year=periods_per_year,
            benchmark=benchmark,
        )

    @cached_property
    def environment(self) -> dict[str, str]:
        """Versions and processor on which the same inputs give the same bytes."""
        return environment()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the inputs' digests, settings, engine version and output arrays."""
        outputs = ("equity", "cash", "price_pnl", "fills", "orders", "actions")
        document = {
            "bars": self.bars.content_digest,
            "decisions": self.decisions_digest(),
            "settings": {name: dict(part) for name, part in self.settings.items()},
            "engine_version": self.engine_version,
            "caveats": [caveat.code for caveat in self.caveats],
        }
        return content_digest(document, {name: getattr(self, name) for name in outputs})

    def curves_to_pandas(self) -> pd.DataFrame:
        """Return the per-bar columns as a frame indexed by UTC stamp."""
        columns = {"equity": self.equity, "cash": self.cash, **self.ledger()}
        return frames.by_stamp(self.ts, columns)

    def positions_to_pandas(self) -> pd.DataFrame:
        """Return the units held at each close, one column per symbol."""
        return frames.by_stamp(self.ts, dict(zip(self.symbols, self.positions().T, strict=True)))

    def fills_to_pandas(self) -> pd.DataFrame:
        """Return the fills with stamps and symbols."""
        return frames.of_records(self.fills, self.ts, self.symbols)

    def orders_to_pandas(self) -> pd.DataFrame:
        """Return the orders with stamps, symbols, and status and reason in words."""
        return frames.of_orders(self.orders, self.ts, self.symbols)

    def _by_bar(self, rows: RecordArray, amounts: FloatArray) -> FloatArray:
        summed: FloatArray = np.bincount(
            rows["bar"], weights=amounts, minlength=self.equity.size
        ).astype(np.float64)
        return summed
