"""How sure a Sharpe ratio is, how long that takes, and what a search leaves of it.

Every ratio here is per observation ("per bar") unless its name or description says annual.
Kurtosis is excess, 0 for a normal law: libraries that ask for the raw one mean 3 more.

Two conventions for the variance of an estimated ratio, g3 the skewness and g4 the raw kurtosis:

- "2012": ``(1 - g3 S + (g4 - 1) / 4 S^2) / (n - 1)`` at the observed ratio S [1]_ [2]_;
- "2025": ``(a - b g3 S* + c (g4 - 1) / 4 S*^2) / n`` at the ratio S* it is held against, with
  ``a = (1 + r) / (1 - r)``, ``b = 1 + r / (1 - r) + r^2 / (1 - r^2)`` and
  ``c = (1 + r^2) / (1 - r^2)`` for returns with first autocorrelation r [4]_.

References
----------
.. [1] Bailey and Lopez de Prado (2012), "The Sharpe ratio efficient frontier", Journal of Risk
   15(2).
.. [2] Mertens (2002), "Comments on variance of the IID estimator in Lo (2002)".
.. [3] Bailey and Lopez de Prado (2014), "The deflated Sharpe ratio", Journal of Portfolio
   Management 40(5).
.. [4] Lopez de Prado, Lipton and Zoonekynd (2025), "How to use the Sharpe ratio", SSRN 5520741.
.. [5] Bailey, Borwein, Lopez de Prado and Zhu (2014), "Pseudo-mathematics and financial
   charlatanism", Notices of the AMS 61(5).
.. [6] Lo (2002), "The statistics of Sharpe ratios", Financial Analysts Journal 58(4).
"""

import math
from typing import Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from backtests.validation.checks import require, require_count, require_finite, vector_of
from backtests.validation.errors import SettingsError
from numerics.sharpe import expected_maximum, shape_factor

Convention = Literal["2012", "2025"]


class Shape(TypedDict, total=False):
    """Of the returns of a ratio, as `probabilistic_sharpe_ratio` describes and defaults it."""

    skewness: float
    excess_kurtosis: float
    convention: Convention
    autocorrelation: float


def probabilistic_sharpe_ratio(
    sharpe: float,
    n_observations: int,
    *,
    benchmark: float = 0.0,
    skewness: float = 0.0,
    excess_kurtosis: float = 0.0,
    convention: Convention = "2012",
    autocorrelation: float = 0.0,
) -> float:
    """Return the probability that the true Sharpe ratio exceeds a benchmark ratio.

    Parameters
    ----------
    sharpe : float
        Observed, per bar.
    n_observations : int
        Returns it was observed over, >= 2.
    benchmark : float
        Ratio it is held against, per bar.
    skewness, excess_kurtosis : float
        Population moments of the returns; the defaults are those of a normal law.
    convention : "2012" or "2025"
    autocorrelation : float
        First autocorrelation of the returns, -1 < r < 1; only the convention of 2025 knows it.

    Returns
    -------
    float
        ``Phi((S - S*) / sqrt(variance))``; one less the p-value of "the true ratio is at most S*".

    Raises
    ------
    SettingsError
        An argument outside its domain.
    NotComputedError
        The estimated variance of the ratio is not positive.
    """
    n = require_count("n_observations", n_observations, 2)
    spread = _spread(
        sharpe, benchmark, skewness=skewness, excess_kurtosis=excess_kurtosis,
        convention=convention, autocorrelation=autocorrelation,
    )  # fmt: skip
    n_free = n if convention == "2025" else n - 1
    return float(ndtr((sharpe - benchmark) * math.sqrt(n_free) / spread))


def expected_maximum_sharpe(n_trials: float, trial_sharpe_variance: float) -> float:
    """Return the Sharpe ratio that the best of N trials without skill is expected to show.

    Parameters
    ----------
    n_trials : float
        Independent trials, those thrown away included, >= 1.
    trial_sharpe_variance : float
        Variance of the trials' Sharpe ratios, >= 0; per bar gives a ratio per bar, annual an annual
        one.

    Notes
    -----
    ``sd ((1 - g) z(1 - 1/N) + g z(1 - 1/(N e)))`` with g = 0.5772 (Euler) and z the normal
    quantile [3]_; 0 for a single trial, where the formula diverges.
    """
    require_finite(n_trials=n_trials, trial_sharpe_variance=trial_sharpe_variance)
    if n_trials < 1.0 or trial_sharpe_variance < 0.0:
        raise SettingsError(
            f"Trials need a number of at least 1 and a variance of at least 0, not {n_trials!r} "
            f"and {trial_sharpe_variance!r}."
        )
    return expected_maximum(n_trials) * math.sqrt(trial_sharpe_variance)


def deflated_sharpe_ratio(
    sharpe: float,
    n_observations: int,
    *,
    n_trials: float,
    trial_sharpe_variance: float,
    **shape: Unpack[Shape],
) -> float:
    """Return the probability that the true ratio exceeds what luck gives the best of N trials.

    Parameters
    ----------
    sharpe, n_observations
        As for `probabilistic_sharpe_ratio`, of the trial that was selected.
    n_trials : float
        Independent trials, those thrown away included, >= 1.
    trial_sharpe_variance : float
        Variance of the trials' Sharpe ratios *per bar*, >= 0.
    **shape
        skewness, excess_kurtosis, convention and autocorrelation, as there.

    Notes
    -----
    `probabilistic_sharpe_ratio` against `expected_maximum_sharpe` [3]_. "Above 0.95" is not a test
    of size 5 %: without skill it happens far less often, because the mean of the maximum is taken
    off and 1.645 standard errors are then asked for on top. For a decision adjust the p-values of
    `probabilistic_sharpe_ratio` by Holm's method.

    Raises
    ------
    SettingsError, NotComputedError
        As there.
    """
    return probabilistic_sharpe_ratio(
        sharpe,
        n_observations,
        benchmark=expected_maximum_sharpe(n_trials, trial_sharpe_variance),
        **shape,
    )


def minimum_track_record_length(
    sharpe: float,
    *,
    benchmark: float = 0.0,
    confidence: float = 0.95,
    **shape: Unpack[Shape],
) -> float:
    """Return how many returns it takes to be as sure as asked that a benchmark is exceeded.

    Parameters
    ----------
    sharpe, benchmark, **shape
        As for `probabilistic_sharpe_ratio`.
    confidence : float
        0.5 < p < 1.

    Returns
    -------
    float
        [bars]; over bars per year it is years.

    Raises
    ------
    SettingsError
        An argument outside its domain.
    NotComputedError
        The observed ratio does not exceed the benchmark: no length would do.
    """
    if not 0.5 < confidence < 1.0:
        raise SettingsError(f"confidence must lie between 0.5 and 1, not {confidence!r}.")
    spread = _spread(sharpe, benchmark, **shape)
    require(sharpe > benchmark, "the Sharpe ratio does not exceed the benchmark")
    needed = float(ndtri(confidence)) * spread / (sharpe - benchmark)
    return needed * needed + (0.0 if shape.get("convention") == "2025" else 1.0)


def minimum_backtest_length(n_trials: float, annual_sharpe: float) -> float:
    """Return the years below which the best of N trials without skill reaches an annual ratio.

    Parameters
    ----------
    n_trials : float
        Independent trials, >= 1.
    annual_sharpe : float
        The ratio to be beaten by more than luck, > 0.

    Notes
    -----
    ``(E[max of N standard normals] / S)^2``, which is below ``2 ln N / S^2`` [5]_: the annual
    ratio of a trial without skill over y years has a standard error of ``1 / sqrt(y)``.
    """
    require_finite(annual_sharpe=annual_sharpe)
    require(annual_sharpe > 0.0, "the Sharpe ratio is not positive")
    return (expected_maximum_sharpe(n_trials, 1.0) / annual_sharpe) ** 2


def annualized_sharpe_ratio(
    sharpe: float,
    periods_per_year: float,
    *,
    autocorrelation: float = 0.0,
    autocorrelations: ArrayLike | None = None,
) -> float:
    """Return the annual Sharpe ratio of returns that may be autocorrelated.

    Parameters
    ----------
    sharpe : float
        Per bar.
    periods_per_year : float
        q >= 1.
    autocorrelation : float
        r of a first-order autoregression, -1 < r < 1.
    autocorrelations : float array, shape (k,), optional
        At lags 1 to k instead, any process; those at lags from q on do not enter, and those not
        given count as 0.

    Returns
    -------
    float
        ``S sqrt(q)`` times ``(1 + 2 r / (1 - r) (1 - (1 - r^q) / (q (1 - r))))^(-1/2)``, or
        ``q S / sqrt(q + 2 sum_{k < q} (q - k) r_k)`` [6]_.

    Raises
    ------
    SettingsError
        An argument outside its domain.
    NotComputedError
        The autocorrelations give a year no positive variance.
    """
    require_finite(sharpe=sharpe, periods_per_year=periods_per_year)
    _require_autocorrelation(autocorrelation)
    q, r = periods_per_year, autocorrelation
    if q < 1.0:
        raise SettingsError(f"periods_per_year must be at least 1, not {q!r}.")
    if autocorrelations is None:
        ratio = 1.0 + 2.0 * r / (1.0 - r) * (
            1.0 - (1.0 - abs(r) ** q * _sign(r, q)) / (q * (1 - r))
        )
    else:
        given = vector_of(autocorrelations, "autocorrelations")
        lags = np.arange(1, given.size + 1)
        ratio = 1.0 + 2.0 * float(np.sum(np.maximum(q - lags, 0.0) * given)) / q
    require(ratio > 0.0, "the autocorrelations give a year no positive variance")
    return sharpe * math.sqrt(q / ratio)


def _sign(r: float, q: float) -> float:
    """Return the sign of ``r^q``; a q that is not whole is rounded for a negative r."""
    return -1.0 if r < 0.0 and round(q) % 2 == 1 else 1.0


def _spread(
    sharpe: float,
    benchmark: float,
    *,
    skewness: float = 0.0,
    excess_kurtosis: float = 0.0,
    convention: str = "2012",
    autocorrelation: float = 0.0,
) -> float:
    """Return the standard error of a ratio times the root of the number of returns."""
    g3, excess, r = skewness, excess_kurtosis, autocorrelation
    require_finite(sharpe=sharpe, benchmark=benchmark, skewness=g3, excess_kurtosis=excess)
    _require_autocorrelation(r)
    if convention == "2012":
        if r != 0.0:
            raise SettingsError("The convention of 2012 knows no autocorrelation; 2025 does.")
        variance = float(shape_factor(float(sharpe), float(g3), float(excess)))
    elif convention == "2025":
        a, b = (1 + r) / (1 - r), 1 + r / (1 - r) + r * r / (1 - r * r)
        c = (1 + r * r) / (1 - r * r)
        variance = a - b * g3 * benchmark + c * (excess + 2.0) / 4.0 * benchmark**2
    else:
        raise SettingsError(f'convention must be "2012" or "2025", not {convention!r}.')
    require(variance > 0.0, "the estimated variance of the Sharpe ratio is not positive")
    return math.sqrt(variance)


def _require_autocorrelation(r: float) -> None:
    if not -1.0 < r < 1.0:
        raise SettingsError(f"autocorrelation must lie between -1 and 1, not {r!r}.")
