"""backtesting.py, which knows one instrument.

Its spread falls on entries alone, so slippage is charged as a fee; prices are those before it.
The function of fees hears neither the side nor the kind of an order: commission is taken on the
notional before slippage, and a limit's fill pays slippage too.
"""

import backtesting
import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy
from protocol import Columns, Outcome, Parameters, Untimed, serve


def average(close, window: int):
    """Return a simple moving average; backtesting.py has no indicators of its own."""
    return pd.Series(close).rolling(window).mean()


class Cross(Strategy):
    """Hold a unit, or all that cash buys, from a cross up to the cross down."""

    parameters: Parameters = {}

    def init(self):
        self.fast = self.I(average, self.data.Close, self.parameters["fast"])
        self.slow = self.I(average, self.data.Close, self.parameters["slow"])

    def is_above(self, bar: int) -> bool:
        return self.fast[bar] > self.slow[bar] * self.parameters["ratio"]

    def next(self):
        if not self.position:
            if self.is_above(-1) and not self.is_above(-2):
                self.buy(size=1)
        elif not self.is_above(-1):
            self.leave()

    def leave(self):
        self.position.close()


class Bracket(Cross):
    """Leave by a stop or a limit of the slipped fill instead, set once the fill is known."""

    def leave(self):
        """Stay: stop and limit are working."""

    def next(self):
        for trade in self.trades:
            if trade.sl is None:
                price = trade.entry_price * (1 + self.parameters["slip"])
                trade.sl = price * (1 - self.parameters["stop"])
                trade.tp = price * (1 + self.parameters["limit"])
        super().next()


class Momentum(Strategy):
    """Hold a unit while the close is above the one of some bars ago, asked at fixed distances."""

    parameters: Parameters = {}

    def init(self):
        """Nothing to compute."""

    def next(self):
        back = self.parameters["look_back"]
        asked = len(self.data) - 1 - back
        if asked < 0 or asked % self.parameters["every"]:
            return
        is_up = self.data.Close[-1] > self.data.Close[-1 - back]
        if is_up and not self.position:
            self.buy(size=1)
        elif self.position and not is_up:
            self.position.close()


def simulate(columns: Columns, parameters: Parameters, strategy: type[Strategy]) -> Outcome:
    """Run one strategy over one instrument."""
    fee, slip = parameters["fee"], parameters["slip"]

    def costs(size: float, price: float) -> float:
        return abs(size) * price * (fee + slip)

    with Untimed():
        frame = pd.DataFrame(
            {name.title(): columns[name] for name in ("open", "high", "low", "close")},
            index=pd.to_datetime(columns["ts"], utc=True),
        )
        test = Backtest(frame, strategy, cash=parameters["cash"], commission=costs)
    found = test.run(parameters=parameters)
    closed, held = found["_trades"], found["_strategy"].trades
    names = ("EntryBar", "ExitBar", "Size", "EntryPrice", "ExitPrice", "Commission")

    def rows():
        done = zip(*(closed[name] for name in names), strict=True)
        still = [
            (one.entry_bar, -1, one.size, one.entry_price, np.nan, costs(one.size, one.entry_price))
            for one in held
        ]
        return sorted([*done, *still])

    return Outcome(float(found["Equity Final [$]"]), len(closed), rows)


if __name__ == "__main__":
    serve(
        f"backtesting.py {backtesting.__version__}",
        {
            "cross": lambda columns, parameters: simulate(columns, parameters, Cross),
            "bracket": lambda columns, parameters: simulate(columns, parameters, Bracket),
            "momentum": lambda columns, parameters: simulate(columns, parameters, Momentum),
        },
    )
