"""Which of the usual conventions a figure follows."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, NamedTuple

from backtests.engine.errors import SettingsError
from numerics.sharpe import expected_maximum


@dataclass(frozen=True)
class Conventions:
    """What differs between the libraries of the field; the defaults are the house's.

    Attributes
    ----------
    risk_free_rate : float
        Per year, > -1; compounded down to a bar, ``(1 + rate)^(1 / q) - 1``. Enters the Sharpe
        family, alpha, Treynor and the Ulcer performance index.
    target_return : float
        Minimal acceptable return per year, > -1, compounded down likewise. Enters Sortino,
        downside volatility and Omega.
    ddof : 0 or 1
        Of the standard deviations in volatility, Sharpe, Gaussian and Cornish-Fisher value at risk,
        tracking error and information ratio.
    tail_probability : float
        Of value at risk, conditional value at risk and tail ratio, 0 < p < 0.5; the names of the
        figures say 95 for the default.
    annualization : "arithmetic" or "geometric"
        Whether Sortino, Treynor and information ratio have q times the mean or the CAGR above.
    sharpe : "arithmetic" or "cagr"
        Whether the Sharpe ratio has the mean or the compound growth of the excess returns above;
        its standard error and probabilities are always those of the mean.
    moments : "population" or "sample"
        Whether skewness and kurtosis are plain or corrected for bias.
    sharpe_benchmark : float
        Annual Sharpe ratio that probabilistic Sharpe and minimum track record are held against.
    confidence : float
        Of the minimum track record, 0.5 < p < 1.
    """

    risk_free_rate: float = 0.0
    target_return: float = 0.0
    ddof: Literal[0, 1] = 1
    tail_probability: float = 0.05
    annualization: Literal["arithmetic", "geometric"] = "arithmetic"
    sharpe: Literal["arithmetic", "cagr"] = "arithmetic"
    moments: Literal["population", "sample"] = "population"
    sharpe_benchmark: float = 0.0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        domains = {
            "risk_free_rate": -1.0 < self.risk_free_rate < math.inf,
            "target_return": -1.0 < self.target_return < math.inf,
            "ddof": self.ddof in (0, 1),
            "tail_probability": 0.0 < self.tail_probability < 0.5,
            "annualization": self.annualization in ("arithmetic", "geometric"),
            "sharpe": self.sharpe in ("arithmetic", "cagr"),
            "moments": self.moments in ("population", "sample"),
            "sharpe_benchmark": math.isfinite(self.sharpe_benchmark),
            "confidence": 0.5 < self.confidence < 1.0,
        }
        for name, is_inside in domains.items():
            if not is_inside:
                raise SettingsError(f"{name} may not be {getattr(self, name)!r}.")


@dataclass(frozen=True)
class Trials:
    """The search that a strategy was found in, for the deflated Sharpe ratio.

    Attributes
    ----------
    n_trials : float
        Number of independent trials, those thrown away included, >= 1.
    sharpe_variance : float
        Variance of the trials' annual Sharpe ratios, >= 0.
    """

    n_trials: float
    sharpe_variance: float

    def __post_init__(self) -> None:
        if not (1.0 <= self.n_trials < math.inf and 0.0 <= self.sharpe_variance < math.inf):
            raise SettingsError(
                f"Trials need n_trials >= 1 and sharpe_variance >= 0, not {self.n_trials!r} and "
                f"{self.sharpe_variance!r}."
            )


class Settings(NamedTuple):
    """Conventions as the kernels read them; `_bar` is per bar, z are normal quantiles."""

    periods: float
    risk_free_year: float
    risk_free_bar: float
    target_year: float
    target_bar: float
    ddof: int
    tail_probability: float
    tail_z: float
    tail_density: float
    is_geometric: bool
    is_cagr_sharpe: bool
    is_bias_corrected: bool
    sharpe_benchmark_bar: float
    confidence_z: float
    expected_maximum_bar: float


def build_settings(
    periods_per_year: float, conventions: Conventions, trials: Trials | None = None
) -> Settings:
    """Return what the kernels need; without trials the expected maximum is NaN.

    Parameters
    ----------
    periods_per_year : float
        Bars per year, > 0; NaN where unknown.
    conventions : Conventions
    trials : Trials, optional
    """
    law = NormalDist()
    z = law.inv_cdf(conventions.tail_probability)
    maximum = math.nan
    if trials is not None:
        maximum = expected_maximum(trials.n_trials) * math.sqrt(trials.sharpe_variance)
    return Settings(
        periods=periods_per_year,
        risk_free_year=conventions.risk_free_rate,
        risk_free_bar=_per_bar(conventions.risk_free_rate, periods_per_year),
        target_year=conventions.target_return,
        target_bar=_per_bar(conventions.target_return, periods_per_year),
        ddof=conventions.ddof,
        tail_probability=conventions.tail_probability,
        tail_z=z,
        tail_density=law.pdf(z),
        is_geometric=conventions.annualization == "geometric",
        is_cagr_sharpe=conventions.sharpe == "cagr",
        is_bias_corrected=conventions.moments == "sample",
        sharpe_benchmark_bar=conventions.sharpe_benchmark / math.sqrt(periods_per_year),
        confidence_z=law.inv_cdf(conventions.confidence),
        expected_maximum_bar=maximum / math.sqrt(periods_per_year),
    )


def _per_bar(rate: float, periods_per_year: float) -> float:
    return math.expm1(math.log1p(rate) / periods_per_year)
