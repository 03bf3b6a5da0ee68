"""Whether one account earns more than cash, or than a benchmark on the same bars.

Returns and benchmark are always taken together, bar by bar: what is tested is their difference, by
its probabilistic Sharpe ratio and, keeping its dependence in time, by the stationary bootstrap.

References
----------
.. [1] Bailey and López de Prado (2012), "The Sharpe ratio efficient frontier", Journal of Risk
   15(2).
.. [2] Hansen (2005), "A test for superior predictive ability", Journal of Business and Economic
   Statistics 23(4): here of a single strategy.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from backtests.validation.checks import FloatArray, require, require_count, vector_of
from backtests.validation.errors import SettingsError, ShapeError
from backtests.validation.figure import Figure, figure_of
from backtests.validation.judging import FEWEST_FOR_BOOTSTRAP
from backtests.validation.settings import SelectionSettings
from backtests.validation.sharpe import probabilistic_sharpe_ratio
from backtests.validation.superiority import superior_predictive_ability
from backtests.validation.trials import TrialSummaries


@dataclass(frozen=True)
class ExcessReport:
    """What an account earns over cash or a benchmark, and whether that may be luck.

    Attributes
    ----------
    figures : mapping of str to Figure
        In the order a page shows them.
    is_accepted : bool or None
        Whether the p-value times the trials is at most 1 - confidence: the decision. None where it
        is not computed.
    n_trials, n_observations : int
        Trials the account was chosen among, and bars compared.
    """

    figures: Mapping[str, Figure]
    is_accepted: bool | None
    n_trials: int
    n_observations: int

    def __getitem__(self, name: str) -> Figure:
        return self.figures[name]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {
            "figures": {name: figure.to_dict() for name, figure in self.figures.items()},
            "is_accepted": self.is_accepted,
            "n_trials": self.n_trials,
            "n_observations": self.n_observations,
        }


def excess_report(
    returns: ArrayLike,
    benchmark: ArrayLike | None = None,
    *,
    periods_per_year: float,
    n_trials: int = 1,
    settings: SelectionSettings | None = None,
) -> ExcessReport:
    """Test whether an account earns more than a benchmark.

    Parameters
    ----------
    returns : float array, shape (n_bars,)
        Of the account, per bar [fraction]; finite.
    benchmark : float array, shape (n_bars,), optional
        Of the benchmark at the same bars [fraction]; cash (0) when not given.
    periods_per_year : float
        Bars per year, >= 1.
    n_trials : int
        Trials ever made on these bars, if the account is one that was chosen among them for these
        returns; 1 if the choice did not see them.
    settings : SelectionSettings, optional

    Returns
    -------
    ExcessReport

    Raises
    ------
    ShapeError, SampleError, SettingsError
        Arrays or settings that cannot be. What merely is not determined becomes a reason.

    Notes
    -----
    The p-value times `n_trials` (Bonferroni) holds whichever trial was chosen, so also one that was
    chosen for another figure than its excess return.
    """
    asked = SelectionSettings() if settings is None else settings
    if not 1.0 <= periods_per_year < math.inf:
        raise SettingsError(f"periods_per_year must be at least 1, not {periods_per_year!r}.")
    n = require_count("n_trials", n_trials, 1)
    excess = _difference(returns, benchmark)
    figures = _figures(_Tested(excess, periods_per_year, asked), n)
    decided = figures["adjusted_p_value"].value
    return ExcessReport(
        figures=MappingProxyType(figures),
        is_accepted=None if decided is None else decided <= 1.0 - asked.confidence,
        n_trials=n,
        n_observations=excess.size,
    )


def _difference(returns: ArrayLike, benchmark: ArrayLike | None) -> FloatArray:
    own = vector_of(returns, "returns")
    if benchmark is None:
        return own
    other = vector_of(benchmark, "benchmark")
    if own.size != other.size:
        raise ShapeError(f"There are {own.size} returns and {other.size} of the benchmark.")
    difference: FloatArray = own - other
    return difference


class _Tested:
    """Excess returns and what is asked of them; what is not determined raises."""

    def __init__(self, excess: FloatArray, periods: float, asked: SelectionSettings) -> None:
        self.excess, self.periods, self.asked = excess, periods, asked

    def _summary(self) -> TrialSummaries:
        require(self.excess.size >= 2, "there are fewer than two bars")
        found = TrialSummaries.of_returns(self.excess[:, np.newaxis])
        require(bool(np.isfinite(found.sharpe[0])), "the excess return does not vary")
        return found

    def annual_ratio(self) -> float:
        return float(self._summary().sharpe[0]) * math.sqrt(self.periods)

    def probability(self) -> float:
        found = self._summary()
        return probabilistic_sharpe_ratio(
            float(found.sharpe[0]), self.excess.size, skewness=float(found.skewness[0]),
            excess_kurtosis=float(found.excess_kurtosis[0]),
        )  # fmt: skip

    def p_value(self) -> float:
        return float(self._summary().p_values()[0])

    def bootstrap(self) -> float:
        n, asked = self.excess.size, self.asked
        fewest = FEWEST_FOR_BOOTSTRAP
        require(n >= fewest, f"{n} returns are fewer than the {fewest} that the bootstrap needs")
        return superior_predictive_ability(
            self.excess[:, np.newaxis], n_resamples=asked.n_resamples,
            mean_block=asked.mean_block, seed=asked.seed,
        ).p_value  # fmt: skip


def _figures(tested: _Tested, n_trials: int) -> dict[str, Figure]:
    times = (
        "The same: there was no choice to pay for."
        if n_trials == 1
        else f"The same times all {n_trials} trials, whichever was chosen: the decision."
    )
    return {
        "excess_sharpe": figure_of(
            tested.annual_ratio, "ratio per year",
            "Mean over standard deviation of the excess return per bar, a year.",
        ),
        "probabilistic_sharpe": figure_of(
            tested.probability, "probability", "That its true ratio exceeds 0; no search."
        ),
        "p_value": figure_of(tested.p_value, "probability", "One-sided: one less that."),
        "adjusted_p_value": figure_of(
            lambda: min(1.0, n_trials * tested.p_value()), "probability", times
        ),
        "bootstrap_p_value": figure_of(
            tested.bootstrap, "probability",
            "Of a mean excess return above 0, bars drawn in blocks, so that what follows on each "
            "other stays together; no search.",
        ),
    }  # fmt: skip
