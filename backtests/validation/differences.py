"""Whether two strategies on the same bars have different Sharpe ratios.

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
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from backtests.validation.checks import FloatArray, require, require_count, vector_of
from backtests.validation.errors import SettingsError, ShapeError
from numerics.hac import andrews_bandwidth, parzen_covariance
from numerics.resampling import circular_indices, optimal_block_lengths

_MOST_PERSISTENCE = 0.97  # singular value of the prewhitening regression
_NO_VARIANCE = 1e-20  # a ratio has no unit: about 1 is usual
_CELLS = 2_000_000


@dataclass(frozen=True)
class SharpeDifference:
    """A difference of two Sharpe ratios per bar.

    Attributes
    ----------
    difference : float
        First less second.
    standard_error : float
    p_value : float
        Two-sided, of "the ratios are equal".
    method : str
        How the p-value was found, with its bandwidth or block.
    """

    difference: float
    standard_error: float
    p_value: float
    method: str


def sharpe_difference(
    first: ArrayLike, second: ArrayLike, *, prewhitened: bool = False
) -> SharpeDifference:
    """Test whether two Sharpe ratios are equal, with robust standard errors.

    Parameters
    ----------
    first, second : float array, shape (n,), n >= 10
        Returns at the same bars [fraction]; finite, neither constant.
    prewhitened : bool
        Take a first-order vector autoregression off beforehand and put it back afterwards: better
        where returns are strongly autocorrelated.

    Returns
    -------
    SharpeDifference

    Raises
    ------
    ShapeError, SampleError
        Two series that do not fit, or missing values.
    NotComputedError
        Fewer than ten bars, a constant series, or a difference without variance.

    Notes
    -----
    Delta method on the means of r and r^2 of both; their long-run covariance by the Parzen kernel
    with Andrews' bandwidth and the factor n / (n - 4) [1]_.
    """
    r = _pair(first, second)
    difference, gradient, moments = _difference(r)
    covariance, bandwidth = _long_run(moments, prewhitened)
    error = _error(float(gradient @ covariance @ gradient), r.shape[0])
    p = 2.0 * float(ndtr(-abs(difference) / error))
    note = ", prewhitened" if prewhitened else ""
    return SharpeDifference(
        difference, error, p, f"HAC, Parzen kernel, bandwidth {bandwidth:.2f}{note}"
    )


def sharpe_difference_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    *,
    block: int | None = None,
    n_resamples: int = 999,
    seed: int = 0,
) -> SharpeDifference:
    """Test whether two Sharpe ratios are equal by the studentized circular block bootstrap.

    Parameters
    ----------
    first, second
        As `sharpe_difference`.
    block : int, optional
        Length of a block [bars], 1 <= block <= n / 2; by Politis and White for the difference's
        influence function when not given.
    n_resamples : int
        >= 1.
    seed : int

    Notes
    -----
    p = (1 + the resamples with ``|d* - d| / se* >= |d| / se``) / (1 + resamples), where se is the
    prewhitened HAC error and se* comes from the sums over the blocks of the resample [1]_.
    """
    r = _pair(first, second)
    n = r.shape[0]
    require_count("n_resamples", n_resamples, 1)
    difference, gradient, moments = _difference(r)
    covariance, _ = _long_run(moments, prewhitened=True)
    error = _error(float(gradient @ covariance @ gradient), n)
    length = block
    if length is None:
        length = max(1, round(float(optimal_block_lengths(moments @ gradient).circular[0])))
    if not 1 <= require_count("block", length, 1) <= n // 2:
        raise SettingsError(f"block must lie between 1 and {n // 2} bars, not {length}.")
    rng, n_reached = np.random.default_rng(seed), 0
    for start in range(0, n_resamples, max(1, _CELLS // n)):
        size = min(max(1, _CELLS // n), n_resamples - start)
        distance, spread = _resampled(r, circular_indices(n, size, length, rng), length)
        n_reached += int(np.sum(np.abs(distance - difference) * error >= abs(difference) * spread))
    return SharpeDifference(
        difference,
        error,
        (1 + n_reached) / (1 + n_resamples),
        f"studentized circular block bootstrap, blocks of {length}, {n_resamples} resamples, "
        f"seed {seed}",
    )


def _pair(first: ArrayLike, second: ArrayLike) -> FloatArray:
    one, other = vector_of(first, "first"), vector_of(second, "second")
    if one.size != other.size:
        raise ShapeError(f"There are {one.size} returns and {other.size} of the other.")
    require(one.size >= 10, "there are fewer than ten bars")
    for series in (one, other):
        spread = float(np.ptp(series))
        require(spread > 1e-13 * float(np.abs(series).max()), "a series of returns is constant")
    return np.stack([one, other], axis=1)


def _difference(r: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """Return the difference, its gradient and the moments (r and r^2 of both) less their means."""
    mean, square = r.mean(axis=0), np.square(r).mean(axis=0)
    variance = r.var(axis=0)
    ratio = mean / np.sqrt(variance)
    by_mean, by_square = square / variance**1.5, -0.5 * mean / variance**1.5
    gradient = np.array([by_mean[0], -by_mean[1], by_square[0], -by_square[1]])
    moments = np.concatenate([r - mean, np.square(r) - square], axis=1)
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
    r: FloatArray, indices: np.ndarray[tuple[int, ...], np.dtype[np.int64]], block: int
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
    require(variance > _NO_VARIANCE, "the difference of the Sharpe ratios has no variance")
    return math.sqrt(variance / n)
