"""What a simulation leaves behind: curves, tables, caveats, and one name for all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from backtests.engine import frames, ledger
from backtests.engine.config import ENGINE_VERSION, Setup, as_document
from backtests.engine.digests import content_digest
from backtests.engine.dtypes import (
    COST_KINDS,
    FloatArray,
    RecordArray,
)
from backtests.engine.errors import SettingsError
from backtests.engine.metrics import (
    Conventions,
    Metrics,
    RoundTrips,
    TradingActivity,
    compute_metrics,
)
from backtests.engine.trades import round_trips
from numerics.compilation import environment

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from backtests.engine.inputs import Bars
    from backtests.engine.record import Prepared

DEFAULT_CONVENTIONS = Conventions()
TABLES = ("fills", "orders", "actions", "trades")


@dataclass(frozen=True, slots=True)
class Caveat:
    """Something a reader of the result must know: a stable code and a sentence."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """What the bars do not say, and how much depends on it.

    Attributes
    ----------
    n_fills : int
        Times another order of events inside a bar would have filled otherwise.
    pessimistic, optimistic : float
        Final equity under either policy [account currency].
    """

    n_fills: int
    pessimistic: float
    optimistic: float


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """All that happened in one simulation; arrays cannot be written to.

    Attributes
    ----------
    bars, intrabar : Bars
        What was traded on.
    setup : Setup
        Fills, costs and account.
    equity : float64 array, shape (n_bars,)
        At each close [account currency].
    fills, orders, actions : structured array
        One row per fill, order, and corporate action that touched a position; the fields are
        those of `dtypes.FILL`, `ORDER` and `ACTION`.
    engine_version : str
    """

    bars: Bars
    decisions_digest: Callable[[], str]
    setup: Setup
    equity: FloatArray
    fills: RecordArray
    orders: RecordArray
    actions: RecordArray
    prepared: Prepared
    rerun: Callable[[str], Result]
    find_caveats: Callable[[Result], tuple[Caveat, ...]]
    intrabar: Bars | None = None
    engine_version: str = ENGINE_VERSION

    def __post_init__(self) -> None:
        for array in (self.equity, self.fills, self.orders, self.actions):
            array.flags.writeable = False

    def __repr__(self) -> str:
        codes = ", ".join(caveat.code for caveat in self.caveats) or "none"
        return (
            f"Result(equity {self.capital:,.2f} to {self.equity[-1]:,.2f}, "
            f"{self.fills.size:,} fills, {self.orders.size:,} orders, caveats: {codes})"
        )

    @cached_property
    def caveats(self) -> tuple[Caveat, ...]:
        """What a reader must know, in a fixed order."""
        return self.find_caveats(self)

    @property
    def settings(self) -> dict[str, dict[str, object]]:
        """Fills, costs and account as one plain document."""
        return as_document(*self.setup)

    @property
    def capital(self) -> float:
        """Cash before the first bar [account currency]."""
        return float(self.setup.account.capital)

    @property
    def ts(self) -> NDArray[np.int64]:
        """Stamps of the bars [ns UTC], shape (n_bars,)."""
        return self.bars.ts

    @property
    def symbols(self) -> tuple[str, ...]:
        """One name per instrument column."""
        return tuple(self.bars.symbols)

    @cached_property
    def journal(self) -> ledger.Journal:
        """The account replayed from its records alone."""
        journal: ledger.Journal = ledger.replay(self.fills, self.actions, self.prepared.address)
        for column in journal:
            column.flags.writeable = False
        return journal

    @property
    def cash(self) -> FloatArray:
        """Cash at each close [account currency], shape (n_bars,)."""
        return self.journal.cash

    @property
    def price_pnl(self) -> FloatArray:
        """Profit of prices alone in each bar, before costs and dividends, shape (n_bars,)."""
        return self.journal.price_pnl

    def positions(self) -> FloatArray:
        """Return the units held at each close, shape (n_bars, n_assets); computed when asked."""
        table: FloatArray = ledger.positions(self.fills, self.actions, *self.bars.close.shape)
        return table

    def gross_exposure(self) -> FloatArray:
        """Return the sum of absolute position values at each close [currency], (n_bars,)."""
        return self.journal.gross_exposure

    def net_exposure(self) -> FloatArray:
        """Return the signed value of all positions at each close [currency], (n_bars,)."""
        return self.journal.net_exposure

    def trades(self, method: Literal["fifo", "average"] = "fifo") -> RecordArray:
        """Return the round trips, those still open last, as `trades.TRADE`.

        Parameters
        ----------
        method : {"fifo", "average"}
            Whether the oldest entry closes first, or entries are averaged into one.
        """
        if method not in ("fifo", "average"):
            raise SettingsError(f"method must be fifo or average, not {method!r}.")
        found: RecordArray = round_trips(
            self.fills, self.actions, self.prepared.address, method == "average"
        )
        found.flags.writeable = False
        return found

    @property
    def costs(self) -> dict[str, float]:
        """Total of each kind of cost of the fills [currency], >= 0."""
        return {kind: float(self.fills[kind].sum()) for kind in COST_KINDS}

    def costs_by_bar(self) -> dict[str, FloatArray]:
        """Return each kind of cost of the fills in each bar [currency], shape (n_bars,) each."""
        return {kind: self._by_bar(self.fills, self.fills[kind]) for kind in COST_KINDS}

    def _total_costs(self, others: FloatArray) -> FloatArray:
        """Return all costs of the fills in each bar and others, shape (n_bars,)."""
        paid = (kind for kind in COST_KINDS if self.fills[kind].any())
        return sum((self._by_bar(self.fills, self.fills[kind]) for kind in paid), others)

    def dividends_by_bar(self) -> FloatArray:
        """Return dividends received less dividends paid in each bar [currency], (n_bars,)."""
        return self.journal.dividends

    def financing_by_bar(self) -> dict[str, FloatArray]:
        """Return interest earned less paid, and borrow fees paid, in each bar [currency]."""
        if not self.prepared.number("is_financed"):
            nothing = np.zeros(self.equity.size)
            return {"interest": nothing, "borrow": nothing}
        return {kind: self.prepared.arrays[f"{kind}_curve"] for kind in ("interest", "borrow")}

    def traded_notional(self) -> FloatArray:
        """Return what was bought plus what was sold at reference prices per bar, (n_bars,)."""
        fills = self.fills
        notional = np.abs(fills["quantity"]) * fills["reference_price"]
        return self._by_bar(fills, notional * self._unit_values())

    def _unit_values(self) -> FloatArray:
        """Return the account currency per unit and price of every fill."""
        if self.prepared.number("is_plain"):
            return np.ones(self.fills.size)
        values: FloatArray = ledger.unit_values(self.fills, self.prepared.address)
        return values

    def ledger(self) -> dict[str, FloatArray]:
        """Return the columns whose sum explains every change of equity, shape (n_bars,) each.

        Returns
        -------
        dict
            ``equity_change = price_pnl + currency_pnl + dividends + interest - borrow - costs`` at
            every bar, the costs being those of `dtypes.COST_KINDS`; the first change is against
            the capital.
        """
        return {
            "equity_change": np.diff(self.equity, prepend=self.capital),
            "price_pnl": self.price_pnl,
            "currency_pnl": self.journal.currency_pnl,
            "dividends": self.dividends_by_bar(),
            **self.financing_by_bar(),
            **self.costs_by_bar(),
        }

    @cached_property
    def ambiguity(self) -> Ambiguity | None:
        """What the bars left open, by running again under either policy; None if nothing."""
        n_fills = int(self.prepared.number("ambiguous"))
        if n_fills == 0:
            return None
        ends = (float(self.rerun(policy).equity[-1]) for policy in ("pessimistic", "optimistic"))
        return Ambiguity(n_fills, *ends)

    def metrics(
        self,
        periods_per_year: float | None = None,
        benchmark: FloatArray | None = None,
        conventions: Conventions = DEFAULT_CONVENTIONS,
    ) -> Metrics:
        """Return the performance metrics of the run; see `compute_metrics`."""
        return compute_metrics(
            self.equity,
            self.ts,
            activity=self.activity(),
            trades=self.round_trips(),
            periods_per_year=periods_per_year,
            benchmark=benchmark,
            conventions=conventions,
        )

    def activity(self) -> TradingActivity:
        """Return what the account did, as the metrics read it; financing counts as a cost."""
        financing = self.financing_by_bar()
        paid = financing["borrow"] + np.maximum(-financing["interest"], 0.0)
        return TradingActivity(
            traded_notional=self.traded_notional(),
            costs=self._total_costs(paid),
            gross_exposure=self.gross_exposure(),
            net_exposure=self.net_exposure(),
            participation=self.participation(),
        )

    def participation(self) -> FloatArray:
        """Return the share of its bar's volume that every fill took; NaN where none is known."""
        if self.bars.volume is None:
            return np.full(self.fills.size, np.nan)
        volume = self.bars.volume[self.fills["bar"], self.fills["instrument"]]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.abs(self.fills["quantity"]) / volume
        return np.where(volume > 0.0, share, np.nan)

    def round_trips(self) -> RoundTrips:
        """Return the closed trades as the metrics read them."""
        trades = self.trades()
        closed = trades[trades["exit_bar"] >= 0]
        held = self.ts[closed["exit_bar"]] - self.ts[closed["entry_bar"]]
        return RoundTrips(
            pnl=closed["pnl"].copy(),
            return_=closed["pnl"] / closed["entry_notional"],
            holding_ns=held,
        )

    @cached_property
    def environment(self) -> dict[str, str]:
        """Versions and processor on which the same inputs give the same bytes."""
        return environment()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the inputs' digests, settings, engine version and output arrays."""
        document = {
            "bars": self.bars.content_digest,
            "decisions": self.decisions_digest(),
            "settings": self.settings,
            "engine_version": self.engine_version,
            "caveats": [caveat.code for caveat in self.caveats],
        }
        if self.intrabar is not None:
            document["intrabar"] = self.intrabar.content_digest
        return content_digest(document, self.outputs)

    @property
    def outputs(self) -> dict[str, NDArray[Any]]:
        """The arrays that the digest covers, by name."""
        outputs: dict[str, NDArray[Any]] = {
            "equity": self.equity, "fills": self.fills, "orders": self.orders,
            "actions": self.actions,
        }  # fmt: skip
        if self.prepared.number("is_financed"):
            outputs |= self.financing_by_bar()
        return outputs

    def curves_to_pandas(self) -> pd.DataFrame:
        """Return the per-bar columns as a frame indexed by UTC stamp."""
        columns = {"equity": self.equity, "cash": self.cash, **self.ledger()}
        return frames.by_stamp(self.ts, columns)

    def positions_to_pandas(self) -> pd.DataFrame:
        """Return the units held at each close, one column per symbol."""
        return frames.by_stamp(self.ts, dict(zip(self.symbols, self.positions().T, strict=True)))

    def to_arrow(self, table: Literal["fills", "orders", "actions", "trades"]) -> pa.Table:
        """Return one of the tables with stamps and symbols, and codes in words, as Arrow."""
        return frames.to_arrow(self._records(table), self.ts, self.symbols)

    def to_pandas(self, table: Literal["fills", "orders", "actions", "trades"]) -> pd.DataFrame:
        """Return one of the tables with stamps and symbols, and codes in words, as a frame."""
        return frames.to_pandas(self._records(table), self.ts, self.symbols)

    def fills_to_pandas(self) -> pd.DataFrame:
        """Return the fills with stamps and symbols."""
        return self.to_pandas("fills")

    def orders_to_pandas(self) -> pd.DataFrame:
        """Return the orders with stamps, symbols, and status and reason in words."""
        return self.to_pandas("orders")

    def _records(self, table: str) -> RecordArray:
        if table not in TABLES:
            raise SettingsError(f"table must be one of {', '.join(TABLES)}, not {table!r}.")
        return self.trades() if table == "trades" else getattr(self, table)

    def _by_bar(self, rows: RecordArray, amounts: FloatArray) -> FloatArray:
        summed: FloatArray = np.bincount(
            rows["bar"], weights=amounts, minlength=self.equity.size
        ).astype(np.float64)
        return summed
