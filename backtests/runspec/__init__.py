"""The document that asks for a run."""

from backtests.runspec.features import ReturnsFeatureSpec, SeriesFeatureSpec
from backtests.runspec.replay import ReplaySpec
from backtests.runspec.spec import OF_CONTROL, PARTS, RunSpec
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
    "OF_CONTROL",
    "PARTS",
    "SECTIONS",
    "AccountSpec",
    "CostsSpec",
    "CrossValidationSpec",
    "FillsSpec",
    "LinearImpactSpec",
    "ReplaySpec",
    "ReturnsFeatureSpec",
    "RunSpec",
    "SeriesFeatureSpec",
    "SquareRootImpactSpec",
    "WalkForwardSpec",
    "as_backtest",
    "search_of",
    "with_search",
]
