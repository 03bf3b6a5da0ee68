"""How a selection is judged."""

import math
from dataclasses import dataclass

from backtests.validation.errors import SettingsError
from backtests.validation.sharpe import Convention


@dataclass(frozen=True)
class SelectionSettings:
    """How a selection is judged.

    Attributes
    ----------
    benchmark_sharpe : float
        Annual ratio that the probabilistic Sharpe ratio, its p-values and the minimum track record
        are held against.
    confidence : float
        Of the decision and the minimum track record, 0.5 < p < 1.
    convention : "2012" or "2025"
        Of the variance of a Sharpe ratio; p-values of all trials are always those of 2012.
    autocorrelation : float
        First autocorrelation of the best trial's returns, for the convention of 2025 and the
        haircut.
    average_correlation : float, optional
        Of the trials, for the haircut, 0 to 0.8; that of their block returns when not given, held
        within these bounds, and 0.2 without block returns.
    n_resamples, mean_block
        Of the bootstrap; by Politis and White where no block is given.
    seed : int
        Of the bootstrap, of the companion tests and of the trials drawn for clustering.
    """

    benchmark_sharpe: float = 0.0
    confidence: float = 0.95
    convention: Convention = "2012"
    autocorrelation: float = 0.0
    average_correlation: float | None = None
    n_resamples: int = 1_000
    mean_block: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not math.isfinite(self.benchmark_sharpe):
            raise SettingsError(f"benchmark_sharpe may not be {self.benchmark_sharpe!r}.")
        if not 0.5 < self.confidence < 1.0:
            raise SettingsError(f"confidence must lie between 0.5 and 1, not {self.confidence!r}.")
