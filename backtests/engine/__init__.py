"""Event-driven simulation: one door, `simulate()`."""

from backtests.engine.callback import BarView, Callback
from backtests.engine.compiled import Compiled
from backtests.engine.config import (
    ENGINE_VERSION,
    Account,
    Costs,
    Fills,
    LinearImpact,
    SquareRootImpact,
)
from backtests.engine.decisions import Bracket, Cancel, Order, Orders, Targets
from backtests.engine.errors import EngineError
from backtests.engine.inputs import Bars
from backtests.engine.result import Caveat, Result
from backtests.engine.rules import AverageCross, Position, Trend
from backtests.engine.runner import simulate
from backtests.engine.sinks import ParquetSink
from backtests.engine.sweeping import Sweep, sweep

__all__ = [
    "ENGINE_VERSION",
    "Account",
    "AverageCross",
    "BarView",
    "Bars",
    "Bracket",
    "Callback",
    "Cancel",
    "Caveat",
    "Compiled",
    "Costs",
    "EngineError",
    "Fills",
    "LinearImpact",
    "Order",
    "Orders",
    "ParquetSink",
    "Position",
    "Result",
    "SquareRootImpact",
    "Sweep",
    "Targets",
    "Trend",
    "simulate",
    "sweep",
]
