"""The document that asks for a run."""

from backtests.runspec.spec import RunSpec
from backtests.runspec.study import (
    SECTIONS,
    CrossValidationSpec,
    WalkForwardSpec,
    as_backtest,
    search_of,
    with_search,
)
from backtests.runspec.trading import (
    AccountSpec,
    CostsSpec,
    FillsSpec,
    LinearImpactSpec,
    SquareRootImpactSpec,
)

__all__ = [
    "SECTIONS",
    "AccountSpec",
    "CostsSpec",
    "CrossValidationSpec",
    "FillsSpec",
    "LinearImpactSpec",
    "RunSpec",
    "SquareRootImpactSpec",
    "WalkForwardSpec",
    "as_backtest",
    "search_of",
    "with_search",
]
