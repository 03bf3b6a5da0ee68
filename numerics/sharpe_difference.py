"""The difference of two Sharpe ratios on the same bars, and how far it scatters.

The two series are always taken together, bar by bar: they see the same shocks. Deviations here
divide by n, not n - 1, as the paper has them.

References
----------
.. [1] Ledoit and Wolf (2008), "Robust performance hypothesis testing with the Sharpe ratio",
   Journal of Empirical Finance 15(5).
.. [2] Andrews (1991), "Heteroskedasticity and autocorrelation consistent covariance matrix
   estimation", Econometrica 59(3).
.. [3] Andrews and Monahan (1992), "An improved heteroskedasticity and autocorrelation consistent
   covariance matrix estimator", Econometrica 60(4).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numerics.errors import DomainError, UndeterminedError
from numerics.hac import andrews_bandwidth, parzen_covariance
from numerics.moments import is_constant
from numerics.resampling import circular_indices, optimal_block_lengths

FloatArray = NDArray[np.float64]

_MOST_PERSISTENCE = 0.97  # singular value of the prewhitening regression
_NO_VARIANCE = 1e-20  # a ratio has no unit: about 1 is usual
_CELLS = 2_000_000


class RatioDifference(NamedTuple):
    """A difference of Sharpe ratios per bar, first less second.

    Attributes
    ----------
    difference, standard_error : float
    bandwidth : float
        Of the Parzen kernel [bars].
    """

    difference: float
    standard_error: float
    bandwidth: float


class ResampledDifference(NamedTuple):
    """The difference in each resample, first less second.

    Attributes
    ----------
    difference, standard_error : float64 array, shape (n_resamples,)
        The error by the sums over the resample's own blocks; 0 where a resample does not vary.
    block : int
        Length of a block [bars].
    """

    difference: FloatArray
    standard_error: FloatArray
    block: int


def ratio_difference(returns: FloatArray, *, prewhitened: bool = False) -> RatioDifference:
    """Return the difference of two Sharpe ratios with its robust standard error.

    Parameters
    ----------
    returns : float64 array, shape (n, 2), n >= 10
        Returns at the same bars [fraction]; finite.
    prewhitened : bool
        Take a first-order vector autoregression off beforehand and put it back afterwards: better
        where returns are strongly autocorrelated.

    Raises
    ------
    UndeterminedError
        Fewer than ten bars, a constant series, or a difference without variance.

    Notes
    -----
    Delta method on the means of r and r^2 of both; their long-run covariance by the Parzen kernel
    with Andrews' bandwidth and the factor n / (n - 4) [1]_.
    """
    _require_spread(returns)
    difference, gradient, moments = _difference(returns)
    covariance, bandwidth = _long_run(moments, prewhitened)
    error = _error(float(gradient @ covariance @ gradient), returns.shape[0])
    return RatioDifference(difference, error, bandwidth)


def resampled_ratio_difference(
    returns: FloatArray, *, block: int | None = None, n_resamples: int = 999, seed: int = 0
) -> ResampledDifference:
    """Return the difference of two Sharpe ratios in circular-block resamples of the pairs.

    Parameters
    ----------
    returns
        As `ratio_difference`.
    block : int, optional
        Length of a block [bars], 1 <= block <= n / 2; by Politis and White for the difference's
        influence function when not given.
    n_resamples : int
        >= 1.
    seed : int

    Raises
    ------
    DomainError
        A block that does not fit.
    UndeterminedError
        As `ratio_difference`.
    """
    _require_spread(returns)
    n = returns.shape[0]
    length = block
    if length is None:
        _, gradient, moments = _difference(returns)
        length = max(1, round(float(optimal_block_lengths(moments @ gradient).circular[0])))
    if not 1 <= length <= n // 2:
        raise DomainError(f"block must lie between 1 and {n // 2} bars, not {length}.")
    rng, ratios, errors = np.random.default_rng(seed), [], []
    for start in range(0, n_resamples, max(1, _CELLS // n)):
        size = min(max(1, _CELLS // n), n_resamples - start)
        ratio, error = _resampled(returns, circular_indices(n, size, length, rng), length)
        ratios.append(ratio)
        errors.append(error)
    return ResampledDifference(np.concatenate(ratios), np.concatenate(errors), length)


def _require_spread(returns: FloatArray) -> None:
    if returns.shape[0] < 10:
        raise UndeterminedError("there are fewer than ten bars")
    for series in returns.T:
        if is_constant(series):
            raise UndeterminedError("a series of returns is constant")


def _difference(r: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """Return the difference, its gradient and the moments (r and r^2 of both) less their means."""
    mean, square = r.mean(axis=0), np.square(r).mean(axis=0)
    variance = r.var(axis=0)
    ratio = mean / np.sqrt(variance)
    by_mean, by_square = square / variance**1.5, -0.5 * mean / variance**1.5
    gradient = np.array([by_mean[0], -by_mean[1], by_square[0], -by_square[1]])
    moments = np.concatenate([r - mean, np.square(r) - square], axis=1)
    _error(float(np.var(moments @ gradient)), 1)  # prewhitening would make something of rounding
    return float(ratio[0] - ratio[1]), gradient, moments


def _long_run(moments: FloatArray, prewhitened: bool) -> tuple[FloatArray, float]:
    """Return the long-run covariance of the moments, and the bandwidth."""
    if not prewhitened:
        bandwidth = andrews_bandwidth(moments)
        return parzen_covariance(moments, bandwidth), bandwidth
    before, after = moments[:-1], moments[1:]
    scale = moments.std(axis=0)  # r and r^2 differ by orders of magnitude
    slopes = np.linalg.lstsq(before / scale, after, rcond=None)[0] / scale[:, np.newaxis]
    u, d, v = np.linalg.svd(slopes.T)
    matrix = (u * np.minimum(d, _MOST_PERSISTENCE)) @ v
    white = after - before @ matrix.T
    bandwidth = andrews_bandwidth(white)
    color = np.linalg.inv(np.eye(4) - matrix)
    covariance: FloatArray = color @ parzen_covariance(white, bandwidth) @ color.T
    return covariance, bandwidth


def _resampled(
    r: FloatArray, indices: NDArray[np.int64], block: int
) -> tuple[FloatArray, FloatArray]:
    """Return the difference and its standard error in each resample, by its own blocks."""
    n = r.shape[0]
    influence, ratio = np.zeros(indices.shape), np.zeros(indices.shape[0])
    for series, sign in ((r[:, 0], 1.0), (r[:, 1], -1.0)):
        drawn = series[indices]
        mean = drawn.mean(axis=1, keepdims=True)
        deviation = np.sqrt(drawn.var(axis=1, keepdims=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(deviation > 0.0, (drawn - mean) / deviation, 0.0)
            own = np.where(deviation > 0.0, mean / deviation, 0.0)
        influence += sign * (z - 0.5 * own * (z * z - 1.0))
        ratio += sign * own[:, 0]
    n_blocks = n // block
    sums = influence[:, : n_blocks * block].reshape(-1, n_blocks, block).sum(axis=2)
    return ratio, np.sqrt(np.mean(sums * sums, axis=1) / (block * n))


def _error(variance: float, n: int) -> float:
    """Return the root of a variance over n, which for equal or proportional series is rounding."""
    if not variance > _NO_VARIANCE:
        raise UndeterminedError("the difference of the Sharpe ratios has no variance")
    return math.sqrt(variance / n)
