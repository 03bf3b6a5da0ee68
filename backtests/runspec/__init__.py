"""The document that asks for a run."""

from backtests.runspec.spec import AccountSpec, CostsSpec, FillsSpec, RunSpec

__all__ = ["AccountSpec", "CostsSpec", "FillsSpec", "RunSpec"]
