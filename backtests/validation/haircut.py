"""What multiple testing takes off a Sharpe ratio.

The p-value of the observed ratio is adjusted for the tests around it and turned back into a ratio.
Bonferroni needs their number alone; Holm and Benjamini-Hochberg-Yekutieli need the other p-values,
which are drawn from the mixture that Harvey, Liu and Zhu fitted to published factors: a share of
them has no skill, the others an exponentially distributed mean, all equally correlated.

References
----------
.. [1] Harvey and Liu (2015), "Backtesting", Journal of Portfolio Management 42(1).
.. [2] Harvey, Liu and Zhu (2016), "... and the cross-section of expected returns", Review of
   Financial Studies 29(1), table 5.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtr, stdtrit

from backtests.validation.checks import FloatArray, require, require_count
from backtests.validation.errors import SettingsError
from backtests.validation.sharpe import annualized_sharpe_ratio

_MONTHS = 240  # of each published factor
_MONTHLY_VOLATILITY = 0.15 / math.sqrt(12.0)
_MOST_DRAWS = 10_000_000  # companion tests in all
_MOST_TESTS = 1_000_000  # companions of one set
_CORRELATIONS = (0.0, 0.2, 0.4, 0.6, 0.8)
_SHARE_WITHOUT_SKILL = (0.39660, 0.44589, 0.48604, 0.59902, 0.83901)
_MEAN_OF_SKILL = (0.0054995, 0.0055508, 0.0055413, 0.0055512, 0.0055956)  # per month


@dataclass(frozen=True)
class Adjusted:
    """One method's answer.

    Attributes
    ----------
    p_value : float
        Adjusted, two-sided.
    sharpe : float
        The annual ratio that alone would have that p-value, >= 0.
    haircut : float
        Share of the ratio that is taken off, 0 to 1.
    """

    p_value: float
    sharpe: float
    haircut: float


@dataclass(frozen=True)
class Haircut:
    """A Sharpe ratio before and after.

    Attributes
    ----------
    sharpe : float
        Annual, corrected for autocorrelation.
    p_value : float
        Of that ratio alone: two-sided, Student's t with `n_months` - 1 degrees of freedom.
    bonferroni : Adjusted
    holm, bhy : Adjusted or None
        None for more than a million tests, which are too many to draw.
    n_tests, n_months : int
    n_simulations, seed : int
        Sets of companion tests drawn for Holm and BHY, whose p-values are medians over them.
    average_correlation : float
        Of the companion tests.
    """

    sharpe: float
    p_value: float
    bonferroni: Adjusted
    holm: Adjusted | None
    bhy: Adjusted | None
    n_tests: int
    n_months: int
    n_simulations: int
    seed: int
    average_correlation: float


def haircut_sharpe_ratio(
    annual_sharpe: float,
    n_observations: int,
    *,
    periods_per_year: float,
    n_tests: int,
    average_correlation: float = 0.2,
    autocorrelation: float = 0.0,
    n_simulations: int = 2_000,
    seed: int = 0,
) -> Haircut:
    """Return an annual Sharpe ratio less what many tests explain of it.

    Parameters
    ----------
    annual_sharpe : float
        Observed, the root of `periods_per_year` times the ratio per bar, > 0.
    n_observations : int
        Returns it was observed over; at least three months of them.
    periods_per_year : float
        Returns per year, >= 1.
    n_tests : int
        M, the tests made, >= 1.
    average_correlation : float
        Of the returns of the tests, 0 to 0.8 (the range of the table, interpolated).
    autocorrelation : float
        First autocorrelation of the returns, -1 < r < 1; corrected as Lo (2002) has it.
    n_simulations : int
        Sets of companion tests, >= 1; fewer are drawn where more than ten million tests would be
        needed in all, and the result says how many.
    seed : int

    Returns
    -------
    Haircut

    Raises
    ------
    SettingsError
        An argument outside its domain.
    NotComputedError
        The ratio is not positive.

    Notes
    -----
    As the authors compute it: the observed test stands beside M companions in Holm and BHY, while
    Bonferroni multiplies by M; BHY leaves the largest p-value as it is. Their companions are one
    multivariate normal draw, ours the same law by one common factor. Years are counted at
    `periods_per_year`; the authors count 360 daily returns in one.

    References
    ----------
    .. [1] Harvey and Liu (2015), as above.
    """
    m = require_count("n_tests", n_tests, 1)
    n_sets = require_count("n_simulations", n_simulations, 1)
    if not 0.0 <= average_correlation <= _CORRELATIONS[-1]:
        raise SettingsError(
            f"average_correlation must lie between 0 and 0.8, not {average_correlation}."
        )
    if not periods_per_year >= 1.0:
        raise SettingsError(f"periods_per_year must be at least 1, not {periods_per_year!r}.")
    sharpe = annualized_sharpe_ratio(
        annual_sharpe / math.sqrt(periods_per_year),
        periods_per_year,
        autocorrelation=autocorrelation,
    )
    n = require_count("n_observations", n_observations, 1)
    n_months = int(n * 12.0 / periods_per_year + 1e-9)  # whole months that rounding took a hair off
    require(n_months >= 3, "the returns cover fewer than three months")
    require(sharpe > 0.0, "the Sharpe ratio is not positive")
    p = 2.0 * float(stdtr(n_months - 1, -sharpe * math.sqrt(n_months / 12.0)))
    n_sets = 0 if m > _MOST_TESTS else min(n_sets, _MOST_DRAWS // m)
    holm: Adjusted | None = None
    bhy: Adjusted | None = None
    if n_sets > 0:
        medians = _simulated(p, m, average_correlation, n_sets, np.random.default_rng(seed))
        holm, bhy = (_back(median, sharpe, n_months) for median in medians)
    return Haircut(
        sharpe=sharpe,
        p_value=p,
        bonferroni=_back(min(1.0, m * p), sharpe, n_months),
        holm=holm,
        bhy=bhy,
        n_tests=m,
        n_months=n_months,
        n_simulations=n_sets,
        seed=seed,
        average_correlation=average_correlation,
    )


def _back(p: float, sharpe: float, n_months: int) -> Adjusted:
    """Turn a two-sided p-value into the annual ratio that has it alone."""
    left = -float(stdtrit(n_months - 1, p / 2.0)) * math.sqrt(12.0 / n_months)
    left = min(max(0.0, left), sharpe)  # no less than nothing, even of a p-value of 1 and rounding
    return Adjusted(p, left, 1.0 - left / sharpe)


def _simulated(
    p: float, m: int, correlation: float, n_sets: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the medians of Holm's and BHY's adjustment of p among m companions."""
    holm, bhy = np.empty(n_sets), np.empty(n_sets)
    step = max(1, 1_000_000 // m)
    for first in range(0, n_sets, step):
        rows = slice(first, min(first + step, n_sets))
        companions = _companions(rows.stop - first, m, correlation, rng)
        both = np.sort(np.concatenate([companions, np.full((len(companions), 1), p)], axis=1))
        holm[rows], bhy[rows] = _adjusted(both, p)
    return float(np.median(holm)), float(np.median(bhy))


def _adjusted(ordered: FloatArray, p: float) -> tuple[FloatArray, FloatArray]:
    """Return Holm's and BHY's adjustment of the tests at p, in each row of sorted p-values."""
    n = ordered.shape[1]
    rank = np.arange(1, n + 1)
    at = np.argmax(ordered >= p, axis=1)[:, np.newaxis]  # where p stands in its row
    down = np.maximum.accumulate((n + 1 - rank) * ordered, axis=1)
    steps = n * np.sum(1.0 / rank) / rank * ordered
    steps[:, -1] = ordered[:, -1]
    up = np.minimum.accumulate(steps[:, ::-1], axis=1)[:, ::-1]
    holm = np.minimum(1.0, np.take_along_axis(down, at, axis=1))
    bhy = np.minimum(1.0, np.take_along_axis(up, at, axis=1))
    return holm[:, 0], bhy[:, 0]


def _companions(n_sets: int, m: int, correlation: float, rng: np.random.Generator) -> FloatArray:
    """Return two-sided p-values of tests drawn from the mixture, shape (n_sets, m)."""
    without = np.interp(correlation, _CORRELATIONS, _SHARE_WITHOUT_SKILL)
    mean = np.interp(correlation, _CORRELATIONS, _MEAN_OF_SKILL)
    noise = math.sqrt(1.0 - correlation) * rng.standard_normal((n_sets, m))
    noise += math.sqrt(correlation) * rng.standard_normal((n_sets, 1))
    skill = rng.exponential(mean, (n_sets, m)) * (rng.random((n_sets, m)) > without)
    t = noise + skill * (math.sqrt(_MONTHS) / _MONTHLY_VOLATILITY)
    p: FloatArray = 2.0 * ndtr(-np.abs(t))
    return p
