"""The law of an estimated Sharpe ratio, and of the largest of many.

All ratios here are per bar, not annual.
"""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit

_EULER_GAMMA = 0.5772156649015329


@njit(cache=True, error_model="numpy")
def shape_factor(sharpe: float, skewness: float, excess_kurtosis: float) -> float:
    """Return n - 1 times the variance of an estimated Sharpe ratio per bar.

    Parameters
    ----------
    sharpe : float
        Per bar, not annual.
    skewness, excess_kurtosis : float
        Population moments; the kurtosis is 0 for a normal law.

    References
    ----------
    .. [1] Mertens (2002), "Comments on variance of the IID estimator in Lo (2002)".
    .. [2] Opdyke (2007), "Comparing Sharpe ratios: so where are the p-values?", Journal of Asset
       Management 8(5).
    """
    return 1.0 - skewness * sharpe + (excess_kurtosis + 2.0) / 4.0 * sharpe * sharpe


@njit(cache=True, error_model="numpy")
def sharpe_probability(sharpe: float, threshold: float, n: float, factor: float) -> float:
    """Return the probability that a true Sharpe ratio exceeds a threshold, both per bar.

    Parameters
    ----------
    sharpe, threshold : float
        Observed over n returns, and held against.
    n : float
        >= 2.
    factor : float
        `shape_factor`, > 0.

    References
    ----------
    .. [1] Bailey and Lopez de Prado (2012), "The Sharpe ratio efficient frontier", Journal of
       Risk 15(2).
    """
    z = (sharpe - threshold) * math.sqrt((n - 1) / factor)
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


@njit(cache=True, error_model="numpy")
def track_record_length(sharpe: float, threshold: float, z: float, factor: float) -> float:
    """Return how many returns it takes to be as sure as z that a threshold is exceeded.

    Parameters
    ----------
    sharpe, threshold : float
        Per bar; sharpe > threshold.
    z : float
        Normal quantile of the confidence.
    factor : float
        `shape_factor`.

    References
    ----------
    .. [1] Bailey and Lopez de Prado (2012), as above, equation 11.
    """
    needed = z / (sharpe - threshold)
    return 1.0 + factor * needed * needed


@njit(cache=True, error_model="numpy")
def write_luck(
    sharpe: NDArray[np.float64],
    n: NDArray[np.float64],
    skewness: NDArray[np.float64],
    excess_kurtosis: NDArray[np.float64],
    threshold: float,
    out: NDArray[np.float64],
) -> None:
    """Write the probability of each observed Sharpe ratio, or a larger one, under a true one.

    Parameters
    ----------
    sharpe, n, skewness, excess_kurtosis : float64 array, shape (n_trials,)
        Of each trial, as for `shape_factor` and `sharpe_probability`.
    threshold : float
        The true ratio supposed.
    out : float64 array, shape (n_trials,)
        Written: one less `sharpe_probability`, without cancellation; NaN where the estimated
        variance is not positive.
    """
    for at in range(sharpe.size):
        factor = shape_factor(sharpe[at], skewness[at], excess_kurtosis[at])
        if factor > 0.0:
            out[at] = sharpe_probability(-sharpe[at], -threshold, n[at], factor)
        else:
            out[at] = np.nan


def expected_maximum(n_trials: float) -> float:
    """Return about what the largest of n independent standard normal numbers is on average.

    Parameters
    ----------
    n_trials : float
        >= 1; the approximation diverges at 1, where the exact 0 is returned. Between 1 and 1.3,
        as an effective number may be, it would be negative, and 0 is returned too.

    References
    ----------
    .. [1] Bailey and Lopez de Prado (2014), "The deflated Sharpe ratio", Journal of Portfolio
       Management 40(5).
    """
    if n_trials <= 1.0:
        return 0.0
    law = NormalDist()
    rest = law.inv_cdf(1.0 - 1.0 / (n_trials * math.e))
    luck = (1.0 - _EULER_GAMMA) * law.inv_cdf(1.0 - 1.0 / n_trials) + _EULER_GAMMA * rest
    return max(0.0, luck)
