"""Two arms that met the same periods: differences in time, which depend on each other.

Two strategies on one market see the same shocks, so what is analyzed is the series of their
differences, one a period, and never two samples. Trades that overlap are one period's.

References
----------
.. [1] Newey and West (1987), "A simple, positive semi-definite, heteroskedasticity and
   autocorrelation consistent covariance matrix", Econometrica 55(3).
.. [2] Kiefer and Vogelsang (2005), "A new asymptotic theory for heteroskedasticity-autocorrelation
   robust tests", Econometric Theory 21(6).
.. [3] Lazarus, Lewis, Stock and Watson (2018), "HAR inference: recommendations for practice",
   Journal of Business & Economic Statistics 36(4).
.. [4] Politis and Romano (1994), "The stationary bootstrap", Journal of the American Statistical
   Association 89.
.. [5] Goncalves and Vogelsang (2011), "Block bootstrap HAC robust tests: the sophistication of the
   naive bootstrap", Econometric Theory 27(4).
.. [6] Ledoit and Wolf (2008), "Robust performance hypothesis testing with the Sharpe ratio",
   Journal of Empirical Finance 15(5).
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.checks import (
    FloatArray,
    is_still,
    pair_of,
    require,
    require_count,
    require_fraction,
    translating,
    vector_of,
)
from experiments.statistics.errors import SettingsError
from experiments.statistics.estimates import Estimate, student_estimate
from experiments.statistics.frequentist import NEAR_ZERO
from experiments.statistics.summaries import PeriodTable
from numerics.hac import fixed_b_law, long_run_variance
from numerics.resampling import optimal_block_lengths, stationary_indices
from numerics.sharpe_difference import ratio_difference, resampled_ratio_difference

FEWEST = 10  # periods, below which nothing can be said about their dependence
_MOST_B = 0.2  # lag over periods up to which the Student law fits
_CELLS = 2_000_000

_NEAR_TEXT = "A mean denominator is within five standard errors of zero: a ratio to it misleads."

Design = Literal["shadow", "assigned"]


def robust_lag(n_periods: int) -> int:
    """Return the highest autocovariance used, ``ceil(1.3 sqrt(n)) - 1``, below a fifth of n [3]_.

    Notes
    -----
    Longer than the lag of Newey and West (45 rather than 7 at n = 1,250), because the Student law
    of `mean_of_series` pays for it: the size stays where autocorrelation is strong.
    """
    return max(0, min(math.ceil(1.3 * math.sqrt(n_periods)), int(_MOST_B * n_periods)) - 1)


def period_differences(
    table: PeriodTable, arm: int, *, n_arms: int, design: Design = "shadow", control: int = 0
) -> FloatArray:
    """Return the difference of two arms in every period in which both have outcomes.

    Parameters
    ----------
    table : PeriodTable
        Of one metric; periods that are not over must have been left out (`PeriodTable.ended`).
    arm, control : int
        Positions.
    n_arms : int
    design : "shadow" or "assigned"
        Shadow: every arm is traded in every period, and its returns within one add up. Assigned:
        units meet one arm each, and share the period's shocks; the period is the cluster, and its
        arms' means are compared.

    Returns
    -------
    float64 array, shape (n_periods,)
        In the order of time; empty where the two never met.

    Raises
    ------
    SettingsError
        There is no such arm, or no such design.
    """
    if design not in {"shadow", "assigned"}:
        raise SettingsError(f'design must be "shadow" or "assigned", not {design!r}.')
    _require_arms(arm, control, n_arms)
    _, n = table.pivot("n", n_arms)
    _, total = table.pivot("total", n_arms)
    both = (n[:, arm] > 0.0) & (n[:, control] > 0.0)
    values = total[both] if design == "shadow" else total[both] / np.maximum(n[both], 1.0)
    differences: FloatArray = values[:, arm] - values[:, control]
    return differences


def mean_difference(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    lag: int | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Return the mean difference of two series of the same periods; see `mean_of_series`.

    Parameters
    ----------
    control, treatment : float array, shape (n,), n >= 10
        Returns in the same periods, in the order of time [fraction].
    """
    one, other = pair_of(control, treatment)
    return mean_of_series(other - one, lag=lag, confidence=confidence)


def mean_of_series(
    differences: ArrayLike, *, lag: int | None = None, confidence: float = 0.95
) -> Estimate:
    """Return the mean of a series whose values depend on each other, with its interval.

    Parameters
    ----------
    differences : float array, shape (n,), n >= 10
        One a period, in the order of time.
    lag : int, optional
        Highest autocovariance used, ``0 <= lag < n / 2``; `robust_lag` when not given. 0 is
        Student's t-test.
    confidence : float

    Raises
    ------
    ShapeError, SampleError, SettingsError
    NotComputedError
        Fewer than ten periods, or differences that do not vary.

    Notes
    -----
    Newey and West's variance [1]_ over what it is of noise on average, with the Student law whose
    degrees of freedom match its scatter (`numerics.hac.fixed_b_law`): the fixed-b theory [2]_,
    which does not pretend that the variance is known.
    """
    d = vector_of(differences, "differences")
    require(d.size >= FEWEST, f"there are {d.size} of the ten periods that it takes")
    require(not is_still(d), "the differences do not vary")
    mean = float(d.mean())
    return robust_estimate(
        mean, d - mean, lag=lag, confidence=confidence, method="mean of paired differences"
    )


def ratio_difference_by_period(
    table: PeriodTable,
    arm: int,
    *,
    n_arms: int,
    control: int = 0,
    lag: int | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Return the difference of two arms' ratios of sums, with the periods as what is repeated.

    Parameters
    ----------
    table : PeriodTable
        The denominator is its covariate, as number of trades or capital.
    arm, n_arms, control
        As `period_differences`.
    lag, confidence
        As `mean_of_series`.

    Raises
    ------
    SettingsError
    NotComputedError
        Fewer than ten periods in which both arms have outcomes, or a denominator of zero.

    Notes
    -----
    ``sum(y_B) / sum(x_B) - sum(y_A) / sum(x_A)``; by the delta method a period contributes
    ``(y - R x) / mean(x)`` of each arm to its error, and these are taken as a series in time.
    """
    _require_arms(arm, control, n_arms)
    _, n = table.pivot("n", n_arms)
    both = (n[:, arm] > 0.0) & (n[:, control] > 0.0)
    n_periods = int(both.sum())
    require(n_periods >= FEWEST, f"there are {n_periods} of the ten periods that it takes")
    columns = [arm, control]
    y = table.pivot("total", n_arms)[1][both][:, columns]
    x = table.pivot("x_total", n_arms)[1][both][:, columns]
    below = x.mean(axis=0)
    require(bool(np.all(below != 0.0)), "the denominator of an arm is zero")
    ratio = y.mean(axis=0) / below
    parts = (y - ratio * x) / below
    error = x.std(axis=0, ddof=1) / math.sqrt(n_periods)
    is_near = bool(np.any(np.abs(below) < NEAR_ZERO * error))
    return robust_estimate(
        float(ratio[0] - ratio[1]), parts[:, 0] - parts[:, 1], lag=lag, confidence=confidence,
        method="difference of ratios by period, delta method",
    ).warned(_NEAR_TEXT if is_near else "")  # fmt: skip


def robust_estimate(
    point: float,
    influence: FloatArray,
    *,
    lag: int | None,
    confidence: float,
    method: str,
    n_fitted: int = 1,
) -> Estimate:
    """Return the estimate of which each period contributes its influence over n to the error.

    Parameters
    ----------
    point : float
    influence : float64 array, shape (n,)
        With mean zero, in the order of time.
    lag, confidence
        As `mean_of_series`.
    n_fitted : int
        Parameters that were fitted.
    """
    n = influence.size
    longest = robust_lag(n) if lag is None else require_count("lag", lag, 0)
    if longest >= n / 2:
        raise SettingsError(f"lag must lie below half of the {n} periods, not be {longest}.")
    expected, freedom = fixed_b_law(n, longest)
    kept = (n - float(n_fitted)) / (n - 1.0)
    variance = float(long_run_variance(influence, longest)) / (n * expected * kept)
    return student_estimate(
        point, variance, freedom=freedom * kept, confidence=confidence,
        method=f"{method}, Newey-West with {longest} lags, fixed-b",
    )  # fmt: skip


def mean_difference_bootstrap(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    mean_block: float | None = None,
    n_resamples: int = 1_999,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """Return the mean difference of two series by the stationary bootstrap of the pairs.

    Parameters
    ----------
    control, treatment
        As `mean_difference`.
    mean_block : float, optional
        Mean length of a block [periods], >= 1; by Politis and White when not given.
    n_resamples : int
        >= 99.
    seed : int
    confidence : float

    Raises
    ------
    ShapeError, SampleError, SettingsError, NotComputedError
        As `mean_of_series`.

    Notes
    -----
    Studentized: ``t* = |m* - m| / se*`` with Newey and West's error of each resample, over
    `robust_lag` [5]_; ``p = (1 + number of t* >= |m| / se) / (1 + resamples)``, never 0, and the
    interval is m plus and minus a quantile of t* times se. Without studentizing 250 periods of
    autocorrelation 0.2 reject 8 % at 5 %, and 11 % at 0.5.
    """
    one, other = pair_of(control, treatment)
    d = other - one
    require(d.size >= FEWEST, f"there are {d.size} of the ten periods that it takes")
    require(not is_still(d), "the differences do not vary")
    require_count("n_resamples", n_resamples, 99)
    require_fraction(confidence=confidence)
    lag, length = robust_lag(d.size), mean_block
    if length is None:
        length = max(1.0, float(optimal_block_lengths(d).stationary[0]))
    mean, error = float(d.mean()), _error(d, lag)
    with translating():
        distance = _resampled_distances(d, length, lag, n_resamples, seed)
    reach = float(np.quantile(distance, confidence, method="higher")) * error
    require(math.isfinite(reach), "too many resamples do not vary")
    return Estimate(
        difference=mean,
        standard_error=error,
        lower=mean - reach,
        upper=mean + reach,
        p_value=(1 + int(np.sum(distance >= abs(mean) / error))) / (1 + n_resamples),
        confidence=confidence,
        freedom=math.inf,
        method=f"studentized stationary bootstrap of paired differences, mean block {length:.1f}, "
        f"{n_resamples} resamples, seed {seed}",
    )


def sharpe_difference(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    is_prewhitened: bool = False,
    confidence: float = 0.95,
) -> Estimate:
    """Return the difference of two Sharpe ratios per period, with robust errors [6]_.

    Parameters
    ----------
    control, treatment : float array, shape (n,), n >= 10
        Returns in the same periods, in the order of time [fraction].
    is_prewhitened : bool
        Better where returns are strongly autocorrelated.
    confidence : float

    Raises
    ------
    ShapeError, SampleError, SettingsError
    NotComputedError
        Fewer than ten periods, a constant series, or proportional series.
    """
    pairs = _pairs(control, treatment)
    with translating():
        found = ratio_difference(pairs, prewhitened=is_prewhitened)
    note = ", prewhitened" if is_prewhitened else ""
    return student_estimate(
        found.difference, found.standard_error**2, confidence=confidence,
        method=f"difference of Sharpe ratios, HAC, bandwidth {found.bandwidth:.2f}{note}",
    )  # fmt: skip


def sharpe_difference_bootstrap(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    block: int | None = None,
    n_resamples: int = 999,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """Return the difference of two Sharpe ratios by the studentized circular bootstrap [6]_.

    Parameters
    ----------
    control, treatment, confidence
        As `sharpe_difference`.
    block : int, optional
        Length of a block [periods], 1 <= block <= n / 2; by Politis and White when not given.
    n_resamples : int
        >= 99.
    seed : int
    """
    pairs = _pairs(control, treatment)
    require_count("n_resamples", n_resamples, 99)
    require_fraction(confidence=confidence)
    with translating():
        difference, error, _ = ratio_difference(pairs, prewhitened=True)
        drawn = resampled_ratio_difference(pairs, block=block, n_resamples=n_resamples, seed=seed)
    varies = drawn.standard_error > 0.0
    distance = np.full(n_resamples, math.inf)
    off = np.abs(drawn.difference - difference)
    distance[varies] = off[varies] / drawn.standard_error[varies]
    reach = float(np.quantile(distance, confidence, method="higher")) * error
    require(math.isfinite(reach), "too many resamples do not vary")
    return Estimate(
        difference=difference,
        standard_error=error,
        lower=difference - reach,
        upper=difference + reach,
        p_value=(1 + int(np.sum(distance >= abs(difference) / error))) / (1 + n_resamples),
        confidence=confidence,
        freedom=math.inf,
        method=f"difference of Sharpe ratios, studentized bootstrap, blocks of {drawn.block}, "
        f"{n_resamples} resamples, seed {seed}",
    )


def _require_arms(arm: int, control: int, n_arms: int) -> None:
    for at in (arm, control):
        if not 0 <= at < n_arms:
            raise SettingsError(f"There is no arm {at} among {n_arms}.")


def _pairs(control: ArrayLike, treatment: ArrayLike) -> FloatArray:
    one, other = pair_of(control, treatment)
    return np.stack([other, one], axis=1)


def _resampled_distances(
    d: FloatArray, length: float, lag: int, n_resamples: int, seed: int
) -> FloatArray:
    """Return how many of its own errors each resample's mean is from the sample's; inf if none."""
    rng, mean = np.random.default_rng(seed), float(d.mean())
    distance = np.full(n_resamples, math.inf)
    at_once = max(1, _CELLS // d.size)
    for start in range(0, n_resamples, at_once):
        size = min(at_once, n_resamples - start)
        for at, row in enumerate(d[stationary_indices(d.size, size, length, rng)], start):
            error = _error(row, lag)
            if error > 0.0:
                distance[at] = abs(float(row.mean()) - mean) / error
    return distance


def _error(d: FloatArray, lag: int) -> float:
    return math.sqrt(float(long_run_variance(d - d.mean(), lag)) / d.size)
