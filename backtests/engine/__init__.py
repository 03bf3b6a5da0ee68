"""Event-driven simulation: one door, `simulate()`."""

from backtests.engine.config import ENGINE_VERSION, Account, Costs, Fills
from backtests.engine.errors import EngineError
from backtests.engine.inputs import Bars, Targets
from backtests.engine.result import Caveat, Result
from backtests.engine.runner import simulate

__all__ = [
    "ENGINE_VERSION",
    "Account",
    "Bars",
    "Caveat",
    "Costs",
    "EngineError",
    "Fills",
    "Result",
    "Targets",
    "simulate",
]
