"""The document that asks for a run."""

from backtests.runspec.spec import RunSpec
from backtests.runspec.trading import (
    AccountSpec,
    CostsSpec,
    FillsSpec,
    LinearImpactSpec,
    SquareRootImpactSpec,
)

__all__ = [
    "AccountSpec",
    "CostsSpec",
    "FillsSpec",
    "LinearImpactSpec",
    "RunSpec",
    "SquareRootImpactSpec",
]
