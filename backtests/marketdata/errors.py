"""Errors of the market data package."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backtests.marketdata.findings import QualityReport


class MarketDataError(ValueError):
    """Base of everything this package refuses."""


class OptionsError(MarketDataError):
    """An import option is unknown, contradictory or out of range."""


class UnreadableFileError(MarketDataError):
    """The file is absent, truncated, or not in a format this package reads."""


class ManifestError(MarketDataError):
    """A manifest is not one of ours, or does not match the arrays it names."""


class OutsideRangeError(MarketDataError):
    """The moments or symbols asked for are not in the dataset."""


class DatasetRefused(MarketDataError):
    """The file has errors and was not imported.

    Attributes
    ----------
    report : QualityReport
        Every finding, with counts and the first examples.
    """

    def __init__(self, report: QualityReport) -> None:
        super().__init__(report.headline)
        self.report = report
