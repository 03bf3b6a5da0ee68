"""NautilusTrader: each bar is a quote at its open, then the bar, which its venue walks O-H-L-C.

A decision made on a bar fills at the quote of the next one: its order is a nanosecond on its way,
or is sent on that quote. The venue knows no proportional slippage, so a fee model charges it;
prices are those before slippage.
"""

from collections import deque

import nautilus_trader
import numpy as np
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.backtest.models import FeeModel, LatencyModel
from nautilus_trader.common.config import LoggingConfig
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import BTC
from nautilus_trader.model.data import Bar, BarType, QuoteTick
from nautilus_trader.model.enums import (
    AccountType,
    ContingencyType,
    CurrencyType,
    OmsType,
    OrderSide,
    OrderType,
    TriggerType,
)
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TraderId, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Currency, Money, Price, Quantity
from nautilus_trader.model.orders import LimitOrder, OrderList, StopMarketOrder
from nautilus_trader.risk.config import RiskEngineConfig
from nautilus_trader.trading.strategy import Strategy
from protocol import Columns, Outcome, Parameters, Untimed, round_trips, serve

VENUE = Venue("SIM")
MONEY = Currency("USX", 12, 0, "Dollars to twelve places", CurrencyType.FIAT)
PRICE_PLACES, SIZE_PLACES = 12, 9
DEEP = Quantity(1e9, SIZE_PLACES)  # a book never exhausted: nothing fills beyond its first level


class Proportional(FeeModel):
    """Charge commission on the slipped notional, and the slippage of all but limit orders."""

    def __init__(self, parameters: Parameters):
        super().__init__()
        self.fee, self.slip = parameters["fee"], parameters["slip"]

    def get_commission(self, order, fill_qty, fill_px, instrument):  # noqa: ARG002  # its signature
        slip = 0.0 if order.order_type == OrderType.LIMIT else self.slip
        signed = slip if order.side == OrderSide.BUY else -slip
        return Money(float(fill_qty) * float(fill_px) * (slip + self.fee * (1 + signed)), MONEY)


class Recorded(Strategy):
    """Keep each fill: bar, quantity, price, costs."""

    hears_quotes = False  # needed to act within the bar of a fill; a third slower

    def __init__(self, instruments, parameters: Parameters):
        super().__init__()
        self.instruments = instruments
        self.instrument = instruments[0]
        self.parameters = parameters
        self.n_bars = 0
        self.wanted = 0.0  # what the next quote is to buy or sell
        self.held = 0.0
        self.fills: list[tuple[int, float, float, float]] = []

    def on_start(self):
        for instrument in self.instruments:
            self.subscribe_bars(bar_type_of(instrument))
        if self.hears_quotes:
            self.subscribe_quote_ticks(self.instruments[-1].id)  # the last of a moment

    def on_bar(self, bar):
        self.decide(bar.close.as_double())
        self.n_bars += 1

    def want(self, quantity: float):
        """Send an order that is on its way until after the next quote, or wait to hear that."""
        if self.hears_quotes:
            self.wanted = quantity
        else:
            self.send(self.instrument, quantity)

    def on_quote_tick(self, tick):  # noqa: ARG002  # its signature
        if self.wanted:
            quantity, self.wanted = self.wanted, 0.0
            self.send(self.instrument, quantity)

    def send(self, instrument, quantity: float):
        side = OrderSide.BUY if quantity > 0 else OrderSide.SELL
        units = Quantity(abs(quantity), SIZE_PLACES)
        self.submit_order(self.order_factory.market(instrument.id, side, units))

    def on_order_filled(self, event):
        quantity = event.last_qty.as_double()
        quantity = quantity if event.order_side == OrderSide.BUY else -quantity
        self.held += quantity
        price, costs = event.last_px.as_double(), event.commission.as_double()
        self.fills.append((self.n_bars, quantity, price, costs))


class Cross(Recorded):
    """Hold a unit from a cross up to the cross down."""

    def __init__(self, instruments, parameters: Parameters):
        super().__init__(instruments, parameters)
        self.fast = SimpleMovingAverage(parameters["fast"])
        self.slow = SimpleMovingAverage(parameters["slow"])
        self.was_above = True  # the first bar with both averages is no cross

    def on_start(self):
        super().on_start()
        for average in (self.fast, self.slow):
            self.register_indicator_for_bars(bar_type_of(self.instrument), average)

    def decide(self, close: float):  # noqa: ARG002  # the averages have seen it
        if not self.slow.initialized:
            return
        is_above = self.fast.value > self.slow.value * self.parameters["ratio"]
        if not self.held:
            if is_above and not self.was_above:
                self.want(1.0)
        elif not is_above:
            self.leave()
        self.was_above = is_above

    def leave(self):
        self.want(-self.held)


class Bracket(Cross):
    """Leave by a stop or a limit of the slipped fill instead."""

    hears_quotes = True

    def leave(self):
        """Stay: stop and limit are working."""

    def on_order_filled(self, event):
        super().on_order_filled(event)
        if event.order_side != OrderSide.BUY:
            return
        price = event.last_px.as_double() * (1 + self.parameters["slip"])
        stop_id = self.order_factory.generate_client_order_id()
        limit_id = self.order_factory.generate_client_order_id()
        common = {
            "trader_id": self.trader_id,
            "strategy_id": self.id,
            "instrument_id": self.instrument.id,
            "order_side": OrderSide.SELL,
            "quantity": event.last_qty,
            "ts_init": self.clock.timestamp_ns(),
            "reduce_only": True,
            "contingency_type": ContingencyType.OCO,
        }
        stop = StopMarketOrder(
            client_order_id=stop_id,
            trigger_price=Price(price * (1 - self.parameters["stop"]), PRICE_PLACES),
            trigger_type=TriggerType.DEFAULT,
            linked_order_ids=[limit_id],
            init_id=UUID4(),
            **common,
        )
        limit = LimitOrder(
            client_order_id=limit_id,
            price=Price(price * (1 + self.parameters["limit"]), PRICE_PLACES),
            linked_order_ids=[stop_id],
            init_id=UUID4(),
            **common,
        )
        orders = OrderList(self.order_factory.generate_order_list_id(), [stop, limit])
        self.submit_order_list(orders)


class Momentum(Recorded):
    """Hold a unit while the close is above the one of some bars ago, asked at fixed distances."""

    def on_start(self):
        super().on_start()
        self.seen = deque(maxlen=self.parameters["look_back"] + 1)

    def decide(self, close: float):
        self.seen.append(close)
        asked = self.n_bars - self.parameters["look_back"]
        if asked < 0 or asked % self.parameters["every"]:
            return
        is_up = close > self.seen[0]
        if is_up and not self.held:
            self.want(1.0)
        elif self.held and not is_up:
            self.want(-self.held)


class AllCash(Cross):
    """Spend all cash of the moment of the fill."""

    hears_quotes = True

    def on_quote_tick(self, tick):
        if self.wanted > 0:
            cash = self.portfolio.account(VENUE).balance_total(MONEY).as_double()
            slip, fee = self.parameters["slip"], self.parameters["fee"]
            self.wanted = cash / (tick.ask_price.as_double() * (1 + slip) * (1 + fee))
        super().on_quote_tick(tick)


class Portfolio(Recorded):
    """Hold the strongest instruments in equal weights; sells are sent before buys."""

    hears_quotes = True
    n_paid, spent = 0, 0.0

    def on_start(self):
        super().on_start()
        n_assets = len(self.instruments)
        self.number = {each.id: at for at, each in enumerate(self.instruments)}
        self.position = np.zeros(n_assets)
        self.closes = np.zeros((self.parameters["look_back"] + 1, n_assets))
        self.changes: list[tuple[int, float]] = []

    def on_bar(self, bar):
        at = self.number[bar.bar_type.instrument_id]
        self.closes[self.n_bars % len(self.closes), at] = bar.close.as_double()
        if at == len(self.instruments) - 1:
            self.rank()
            self.n_bars += 1

    def rank(self):
        parameters = self.parameters
        asked = self.n_bars - parameters["look_back"]
        if asked < 0 or asked % parameters["every"]:
            return
        close = self.closes[self.n_bars % len(self.closes)]
        score = close / self.closes[(self.n_bars + 1) % len(self.closes)]
        equity = self.cash() + self.position @ close
        wanted = np.zeros(close.size)
        best = np.argpartition(score, -parameters["top"])[-parameters["top"] :]
        wanted[best] = parameters["weight"] * equity / close[best]
        changes = np.round(wanted - self.position, SIZE_PLACES)
        traded = np.flatnonzero(changes)
        self.changes = sorted(((at, changes[at]) for at in traded), key=lambda pair: pair[1] > 0)

    def cash(self) -> float:
        paid = sum(
            quantity * price + costs for _, quantity, price, costs in self.fills[self.n_paid :]
        )
        self.spent += paid
        self.n_paid = len(self.fills)
        return self.parameters["cash"] - self.spent

    def on_quote_tick(self, tick):  # noqa: ARG002  # its signature
        changes, self.changes = self.changes, []
        for at, quantity in changes:
            self.send(self.instruments[at], quantity)

    def on_order_filled(self, event):
        super().on_order_filled(event)
        self.position[self.number[event.instrument_id]] += self.fills[-1][1]


def bar_type_of(instrument) -> BarType:
    """Return the only kind of bars here; its length has no meaning."""
    return BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")


def simulate(columns: Columns, parameters: Parameters, strategy: type[Recorded]) -> Outcome:
    """Run one strategy over one instrument or many."""
    with Untimed():
        instruments, events = prepared(columns)
    return run(columns, parameters, strategy, instruments, events)


def sweep(columns: Columns, parameters: Parameters) -> Outcome:
    """Run pair after pair, each in an engine of its own."""
    with Untimed():
        instruments, events = prepared(columns)
    ran = [
        run(
            columns,
            {**parameters, "fast": int(fast), "slow": int(slow), "ratio": 1.0},
            AllCash,
            instruments,
            events,
        )
        for fast, slow in columns["pairs"]
    ]
    return Outcome(sum(one.equity for one in ran) / len(ran), sum(one.n_trades for one in ran))


def run(columns, parameters, strategy, instruments, events) -> Outcome:
    """Return the outcome of an engine of its own."""
    with Untimed():
        engine = BacktestEngine(
            BacktestEngineConfig(
                trader_id=TraderId("PEER-001"),
                logging=LoggingConfig(bypass_logging=True),
                risk_engine=RiskEngineConfig(bypass=True),
                run_analysis=False,
            )
        )
        engine.add_venue(
            VENUE,
            oms_type=OmsType.NETTING,
            account_type=AccountType.MARGIN,
            base_currency=MONEY,
            starting_balances=[Money(parameters["cash"], MONEY)],
            fee_model=Proportional(parameters),
            latency_model=None if strategy.hears_quotes else LatencyModel(1),
        )
        for instrument in instruments:
            engine.add_instrument(instrument)
        engine.add_data(events, validate=False, sort=False)
        trading = strategy(instruments, parameters)
        engine.add_strategy(trading)
    engine.run()
    last = {
        instrument.id: close
        for instrument, close in zip(instruments, np.atleast_1d(columns["close"][-1]), strict=True)
    }
    equity = engine.cache.account_for_venue(VENUE).balance_total(MONEY).as_double()
    for position in engine.cache.positions_open():
        price = Price(float(last[position.instrument_id]), PRICE_PLACES)
        equity += position.unrealized_pnl(price).as_double()
    fills = trading.fills
    with Untimed():
        engine.dispose()
    if strategy is Portfolio:
        return Outcome(equity, len(fills))
    n_sold = sum(1 for _, quantity, *_ in fills if quantity < 0)
    return Outcome(equity, n_sold, lambda: round_trips(fills))


def prepared(columns: Columns):
    """Return instruments, and quotes and bars in the order of their stamps."""
    names = ("open", "high", "low", "close")
    prices = [columns[name].reshape(len(columns["ts"]), -1) for name in names]
    instruments = [_instrument(number) for number in range(prices[0].shape[1])]
    types = [bar_type_of(instrument) for instrument in instruments]
    events = []
    for ts, *rows in zip(
        columns["ts"].tolist(), *(price.tolist() for price in prices), strict=True
    ):
        bars = []
        for instrument, bar_type, *row in zip(instruments, types, *rows, strict=True):
            points = [Price(point, PRICE_PLACES) for point in row]
            quoted = points[0]
            events.append(QuoteTick(instrument.id, quoted, quoted, DEEP, DEEP, ts, ts))
            bars.append(Bar(bar_type, *points, DEEP, ts + 1, ts + 1))
        events += bars
    return instruments, events


def _instrument(number: int) -> CurrencyPair:
    return CurrencyPair(
        instrument_id=InstrumentId(Symbol(f"S{number:03d}"), VENUE),
        raw_symbol=Symbol(f"S{number:03d}"),
        base_currency=BTC,
        quote_currency=MONEY,
        price_precision=PRICE_PLACES,
        size_precision=SIZE_PLACES,
        price_increment=Price(10.0**-PRICE_PLACES, PRICE_PLACES),
        size_increment=Quantity(10.0**-SIZE_PLACES, SIZE_PLACES),
        ts_event=0,
        ts_init=0,
    )


if __name__ == "__main__":
    serve(
        f"NautilusTrader {nautilus_trader.__version__}",
        {
            "cross": lambda columns, parameters: simulate(columns, parameters, Cross),
            "bracket": lambda columns, parameters: simulate(columns, parameters, Bracket),
            "momentum": lambda columns, parameters: simulate(columns, parameters, Momentum),
            "portfolio": lambda columns, parameters: simulate(columns, parameters, Portfolio),
            "sweep": sweep,
        },
    )
