"""The strategies on real prices that every engine trades, and how ours is asked to."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtests.engine import Account, Bars, Bracket, Costs, Result, Targets, simulate
from numerics.indicators import simple_moving_average

Floats = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]

COMMISSION_BPS, SLIPPAGE_BPS, CASH = 5.0, 2.0, 1_000_000.0
MONEY = {"fee": COMMISSION_BPS / 1e4, "slip": SLIPPAGE_BPS / 1e4, "cash": CASH}
# Prices are whole cents: now and then both averages are equal, and which of them is above would be
# a matter of rounding. Above means by more than a billionth.
_CROSS = {"fast": 20, "slow": 50, "ratio": 1.0 + 1e-9, **MONEY}
_AVERAGES = ("fast", "slow", "ratio")
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Strategy:
    """A strategy by name, and the numbers of the request that asks a peer for it."""

    name: str
    parameters: dict[str, Any]

    def wanted(self, close: Floats) -> Floats:
        """Return units wanted after each close, shape (n_bars,); NaN leaves the position alone."""
        if self.parameters["task"] == "momentum":
            return _momentum(close, self.parameters["look_back"], self.parameters["every"])
        above, ups = _crossings(close, *(self.parameters[name] for name in _AVERAGES))
        if self.parameters["task"] == "bracket":
            return np.where(ups, 1.0, np.nan)
        return np.where(ups, 1.0, np.where(above, np.nan, 0.0))


STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        Strategy("cross", {"task": "cross", **_CROSS}),
        Strategy("momentum", {"task": "momentum", "look_back": 126, "every": 21, **MONEY}),
        Strategy(
            "bracket",
            {"task": "bracket", "stop": 0.05, "limit": 0.10, **_CROSS},
        ),
    )
}


def instruments(folder: Path) -> Iterator[tuple[str, Columns]]:
    """Yield the real bars: stocks that never split, hours of ETHUSDT, minutes of SPY.

    Prices are as traded; nobody is told of dividends.
    """
    days = pq.read_table(folder / "equities_daily_us40a.parquet")
    days = days.append_column("ts", pc.cast(days["date"], "timestamp[ns]"))
    split = pc.unique(days.filter(pc.not_equal(days["split"], 1.0))["symbol"])
    whole = days.filter(pc.invert(pc.is_in(days["symbol"], value_set=split)))
    for symbol in sorted(pc.unique(whole["symbol"]).to_pylist()):
        yield symbol, _columns(whole.filter(pc.equal(whole["symbol"], symbol)))
    yield "ETHUSDT 1h", _columns(pq.read_table(folder / "crypto_1h_ethusdt.parquet"))
    yield "SPY 1m", _columns(pq.read_table(folder / "equity_spy_1m_2011_01.parquet"))


def ours(strategy: Strategy, columns: Columns) -> Result:
    """Simulate a strategy on one instrument with our engine."""
    bars = Bars(**{name: columns[name] for name in ("ts", *PRICES)}, symbols="A")
    exits = None
    if strategy.parameters["task"] == "bracket":
        exits = Bracket(strategy.parameters["stop"], strategy.parameters["limit"])
    return simulate(
        bars,
        Targets(strategy.wanted(columns["close"]), "units", bracket=exits),
        costs=Costs(commission_bps=COMMISSION_BPS, slippage_bps=SLIPPAGE_BPS),
        account=Account(CASH),
    )


def _columns(table: Any) -> Columns:
    ts = table["ts"].to_numpy().astype("datetime64[ns]").astype(np.int64)
    prices = {name: table[name].to_numpy().astype(np.float64) for name in PRICES}
    return {"ts": ts, **prices}


def _crossings(
    close: Floats, fast: int, slow: int, ratio: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where the fast average is above, and where it has come to be since the last bar."""
    fast_average = simple_moving_average(close, fast)
    slow_average = simple_moving_average(close, slow)
    above = fast_average > slow_average * ratio
    ups = above.copy()
    ups[1:] &= ~above[:-1] & ~np.isnan(slow_average[:-1])
    ups[0] = False
    return above, ups


def _momentum(close: Floats, look_back: int, every: int) -> Floats:
    wanted = np.full(close.size, np.nan)
    asked = np.arange(look_back, close.size, every)
    wanted[asked] = close[asked] > close[asked - look_back]
    return wanted
