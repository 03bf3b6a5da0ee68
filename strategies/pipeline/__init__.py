"""A strategy as a document, and its target weights on a history.

`compose` and `MarketHistory` load the compiled signals when first asked for: whoever only
validates documents does not pay for the compiler.
"""

from typing import TYPE_CHECKING, Any

from strategies.pipeline.errors import HistoryError, PipelineError, UnknownSymbolError
from strategies.pipeline.examples import builtin_examples
from strategies.pipeline.spec import StrategySpec

if TYPE_CHECKING:
    from strategies.pipeline.composition import TargetWeights, compose
    from strategies.pipeline.history import MarketHistory

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
_LAZY = {"compose": "composition", "TargetWeights": "composition", "MarketHistory": "history"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
