"""A strategy as a document, and its target weights on a history."""

from strategies.pipeline.compose import TargetWeights, compose
from strategies.pipeline.errors import HistoryError, PipelineError, UnknownSymbolError
from strategies.pipeline.examples import builtin_examples
from strategies.pipeline.history import MarketHistory
from strategies.pipeline.spec import StrategySpec

__all__ = [
    "HistoryError",
    "MarketHistory",
    "PipelineError",
    "StrategySpec",
    "TargetWeights",
    "UnknownSymbolError",
    "builtin_examples",
    "compose",
]
