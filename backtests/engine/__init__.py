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
from backtests.engine.runner import simulate

__all__ = [
    "ENGINE_VERSION",
    "Account",
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
    "Result",
    "SquareRootImpact",
    "Targets",
    "simulate",
]
