"""The document that asks for a run."""

from backtests.runspec.spec import AccountSpec, CostsSpec, FillsSpec, RunSpec, printable

__all__ = ["AccountSpec", "CostsSpec", "FillsSpec", "RunSpec", "printable"]
