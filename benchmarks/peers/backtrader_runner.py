"""backtrader, its orders matched by its own broker."""

import backtrader as bt
import numpy as np
from protocol import Columns, Outcome, Parameters, Untimed, round_trips, serve

SLIPS_ALWAYS = {"slip_open": True, "slip_match": True, "slip_out": True}  # past high and low too
LINES = ("open", "high", "low", "close")
NS_PER_DAY = 86_400 * 10**9
DAY_OF_1970 = 719_163


class Bars(bt.feed.DataBase):
    """Bars from arrays, one instrument; loading them all is not counted."""

    params = (("columns", None),)

    def start(self):
        super().start()
        self._rows = iter(self.p.columns)

    def _load(self):
        row = next(self._rows, None)
        if row is None:
            return False
        lines = self.lines
        (
            lines.datetime[0], lines.open[0], lines.high[0], lines.low[0], lines.close[0],
        ) = row  # fmt: skip
        lines.volume[0] = lines.openinterest[0] = 0.0
        return True

    def preload(self):
        with Untimed():
            super().preload()


class Recorded(bt.Strategy):
    """Keep each fill: bar, quantity, price, costs."""

    params = (("parameters", None), ("pairs", None))

    def __init__(self):
        self.fills = []

    def notify_order(self, order):
        if order.status in {order.Margin, order.Rejected}:
            raise RuntimeError(f"The broker refused an order: {order}")
        if order.status == order.Completed:
            done = order.executed
            self.fills.append((len(self) - 1, done.size, done.price, done.comm))


class Cross(Recorded):
    """Hold a unit, or all that cash buys, from a cross up to the cross down."""

    def __init__(self):
        super().__init__()
        parameters = self.p.parameters
        self.fast = bt.ind.SMA(self.data.close, period=parameters["fast"])
        self.slow = bt.ind.SMA(self.data.close, period=parameters["slow"])
        self.was_above = True  # the first bar with both averages is no cross

    def next(self):
        is_above = self.fast[0] > self.slow[0] * self.p.parameters["ratio"]
        if self.position.size == 0:
            if is_above and not self.was_above:
                self.enter()
        elif not is_above:
            self.leave()
        self.was_above = is_above

    def enter(self):
        self.buy(size=1)

    def leave(self):
        self.close()


class Bracket(Cross):
    """Leave by a stop or a limit of the fill's price instead."""

    def leave(self):
        """Stay: stop and limit are working."""

    def notify_order(self, order):
        super().notify_order(order)
        if order.status == order.Completed and order.isbuy():
            price, parameters = order.executed.price, self.p.parameters
            stop = self.sell(size=1, exectype=bt.Order.Stop, price=price * (1 - parameters["stop"]))
            self.sell(
                size=1, exectype=bt.Order.Limit, price=price * (1 + parameters["limit"]), oco=stop
            )


class Momentum(Recorded):
    """Hold a unit while the close is above the one of some bars ago, asked at fixed distances."""

    def next(self):
        back = self.p.parameters["look_back"]
        asked = len(self) - 1 - back
        if asked < 0 or asked % self.p.parameters["every"]:
            return
        is_up = self.data.close[0] > self.data.close[-back]
        if is_up and not self.position.size:
            self.buy(size=1)
        elif self.position.size and not is_up:
            self.close()


class Portfolio(Recorded):
    """Hold the strongest instruments in equal weights; sells are sent before buys."""

    def next(self):
        parameters = self.p.parameters
        back = parameters["look_back"]
        if len(self) - 1 < back or (len(self) - 1 - back) % parameters["every"]:
            return
        equity = self.broker.getvalue()
        ranked = sorted(self.datas, key=lambda data: -data.close[0] / data.close[-back])
        best = set(ranked[: parameters["top"]])
        changes = []
        for data in self.datas:
            wanted = parameters["weight"] * equity / data.close[0] if data in best else 0.0
            change = wanted - self.broker.getposition(data).size
            if change:
                changes.append((change, data))
        for change, data in changes:
            if change < 0:
                self.sell(data, size=-change)
        for change, data in changes:
            if change > 0:
                self.buy(data, size=change)


class AllCash(Cross):
    """Spend all cash of the moment of the fill: the size is set when the order meets the open."""

    def enter(self):
        self.waiting = True

    def next_open(self):
        if getattr(self, "waiting", False):
            parameters, self.waiting = self.p.parameters, False
            per_unit = self.data.open[0] * (1 + parameters["slip"]) * (1 + parameters["fee"])
            self.buy(size=self.broker.getcash() / per_unit * (1 - 1e-14))  # rounding is no debt


def simulate(columns: Columns, parameters: Parameters, strategy: type[Recorded]) -> Outcome:
    """Run one strategy over one instrument or many."""
    with Untimed():
        cerebro = _cerebro(columns, parameters, strategy)
    ran = cerebro.run()[0]
    equity, fills = cerebro.broker.getvalue(), ran.fills
    if strategy is Portfolio:
        return Outcome(equity, len(fills))
    n_sold = sum(1 for _, quantity, *_ in fills if quantity < 0)
    return Outcome(equity, n_sold, lambda: round_trips(fills))


def sweep(columns: Columns, parameters: Parameters) -> Outcome:
    """Run pair after pair, each a run of its own."""
    ran = [
        simulate(
            columns, {**parameters, "fast": int(fast), "slow": int(slow), "ratio": 1.0}, AllCash
        )
        for fast, slow in columns["pairs"]
    ]
    return Outcome(sum(one.equity for one in ran) / len(ran), sum(one.n_trades for one in ran))


def _cerebro(columns, parameters, strategy):
    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=strategy is AllCash)
    days, part = np.divmod(columns["ts"], NS_PER_DAY)
    days = (days + DAY_OF_1970 + part / NS_PER_DAY).tolist()
    prices = [columns[name].reshape(len(days), -1) for name in LINES]
    for asset in range(prices[0].shape[1]):
        rows = list(zip(days, *(price[:, asset].tolist() for price in prices), strict=True))
        cerebro.adddata(Bars(columns=rows, name=str(asset)))
    cerebro.addstrategy(strategy, parameters=parameters)
    cerebro.broker.set_checksubmit(strategy is not AllCash)  # it would look at this bar's close
    cerebro.broker.setcash(parameters["cash"])
    cerebro.broker.setcommission(commission=parameters["fee"])
    cerebro.broker.set_slippage_perc(parameters["slip"], **SLIPS_ALWAYS)
    return cerebro


if __name__ == "__main__":
    serve(
        f"backtrader {bt.__version__}",
        {
            "cross": lambda columns, parameters: simulate(columns, parameters, Cross),
            "bracket": lambda columns, parameters: simulate(columns, parameters, Bracket),
            "momentum": lambda columns, parameters: simulate(columns, parameters, Momentum),
            "portfolio": lambda columns, parameters: simulate(columns, parameters, Portfolio),
            "sweep": sweep,
        },
    )
