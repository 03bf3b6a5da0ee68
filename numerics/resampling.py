"""Bootstraps of time series by blocks, and how long a block should be.

Indices wrap round: the observation after the last is the first. All series of a study are resampled
with the same indices, which keeps what happened at one time together.

References
----------
.. [1] Politis and Romano (1992), "A circular block-resampling procedure for stationary data", in
   Exploring the Limits of Bootstrap.
.. [2] Politis and Romano (1994), "The stationary bootstrap", Journal of the American Statistical
   Association 89.
.. [3] Politis and White (2004), "Automatic block-length selection for the dependent bootstrap",
   Econometric Reviews 23(1).
.. [4] Patton, Politis and White (2009), "Correction to automatic block-length selection",
   Econometric Reviews 28(4).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numerics.errors import DomainError


class BlockLengths(NamedTuple):
    """Optimal block lengths of each series, float64 arrays of shape (k,).

    Attributes
    ----------
    stationary : float64 array
        Mean length for the stationary bootstrap [observations]; may be below 1, which means 1.
    circular : float64 array
        Length for the circular bootstrap.
    """

    stationary: NDArray[np.float64]
    circular: NDArray[np.float64]


def stationary_indices(
    n: int,
    n_resamples: int,
    mean_block: float,
    rng: np.random.Generator,
    *,
    length: int | None = None,
) -> NDArray[np.int64]:
    """Return rows of stationary-bootstrap resamples: blocks of geometric length.

    Parameters
    ----------
    n : int
        Observations, >= 1.
    n_resamples : int
        >= 1.
    mean_block : float
        Mean length of a block, >= 1; 1 is the bootstrap of independent observations.
    rng : numpy Generator
    length : int, optional
        Observations of a resample, >= 1; n when not given.

    Returns
    -------
    int64 array, shape (n_resamples, length)

    Raises
    ------
    DomainError
        An argument outside its domain.
    """
    shape = n_resamples, n if length is None else length
    _require(min(n, shape[1]), n_resamples, mean_block)
    begins = rng.random(shape) < 1.0 / mean_block
    begins[:, 0] = True
    return _continued(begins, rng.integers(0, n, shape), n)


def circular_indices(
    n: int, n_resamples: int, block: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return rows of circular-block-bootstrap resamples: blocks of one length, the last cut off.

    Parameters
    ----------
    n, n_resamples, rng
        As `stationary_indices`.
    block : int
        Length of a block, 1 <= block <= n.
    """
    _require(n, n_resamples, block)
    if block > n:
        raise DomainError(f"A block of {block} is longer than {n} observations.")
    n_blocks = -(-n // block)
    starts = rng.integers(0, n, (n_resamples, n_blocks, 1))
    rows: NDArray[np.int64] = ((starts + np.arange(block)) % n).reshape(n_resamples, -1)[:, :n]
    return rows


def resampling_counts(indices: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Return how often each of n observations occurs in each resample.

    Returns
    -------
    float64 array, shape (n_resamples, n)
        ``counts @ values / n`` are the means of all resamples of all columns in one product.
    """
    n_resamples = indices.shape[0]
    offsets = np.arange(n_resamples)[:, np.newaxis] * n
    counts = np.bincount((indices + offsets).ravel(), minlength=n_resamples * n)
    return counts.reshape(n_resamples, n).astype(np.float64)


def optimal_block_lengths(values: ArrayLike) -> BlockLengths:
    """Return the block lengths that estimate the variance of a mean best.

    Parameters
    ----------
    values : float array, shape (n,) or (n, k), n >= 8
        Finite; one series per column, none constant.

    Raises
    ------
    DomainError
        Too few observations, one that is not finite, or a constant series.

    Notes
    -----
    ``(2 g^2 / d)^(1/3) n^(1/3)`` [3]_ [4]_ with a flat-top kernel over twice the lag behind which
    ``max(5, log10 n)`` autocorrelations in a row are insignificant. At most
    ``ceil(min(3 sqrt(n), n / 3))``.
    """
    table = np.asarray(values, dtype=np.float64)
    table = table[:, np.newaxis] if table.ndim == 1 else table
    if table.ndim != 2 or table.shape[0] < 8 or not bool(np.isfinite(table).all()):
        raise DomainError("Block lengths need at least eight finite observations of each series.")
    n = table.shape[0]
    off = table - table.mean(axis=0)
    if bool(np.any(np.ptp(table, axis=0) <= 1e-13 * np.abs(table).max(axis=0))):
        raise DomainError("A constant series has no block length.")
    run = max(5, int(math.log10(n)))
    longest = min(math.ceil(math.sqrt(n)) + run, n - 2)
    covariance, correlation = _autocovariances(off, longest)
    lag = _last_significant_lags(correlation < 2.0 * math.sqrt(math.log10(n) / n), run, longest)
    k = np.arange(longest + 1)[:, np.newaxis]
    weight = np.where(k <= lag, np.clip(2.0 * (1.0 - k / lag), 0.0, 1.0), 0.0)
    weight[1:] *= 2.0  # both signs of the lag
    g = np.sum(weight * k * covariance, axis=0)
    spectrum = np.sum(weight * covariance, axis=0)
    most = math.ceil(min(3.0 * math.sqrt(n), n / 3.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.cbrt(n * (g / spectrum) ** 2)
    scaled = np.nan_to_num(scaled, nan=0.0, posinf=float(most))
    return BlockLengths(np.minimum(scaled, most), np.minimum(np.cbrt(1.5) * scaled, most))


def _autocovariances(
    off: NDArray[np.float64], longest: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return autocovariances over n, and absolute autocorrelations of the overlapping parts."""
    n = off.shape[0]
    covariance = np.empty((longest + 1, off.shape[1]))
    correlation = np.empty_like(covariance)
    squares = np.cumsum(off * off, axis=0)
    for lag in range(longest + 1):
        product = np.einsum("tk,tk->k", off[lag:], off[: n - lag])
        late, early = squares[-1] - squares[lag], squares[n - lag - 2]
        covariance[lag] = product / n
        with np.errstate(divide="ignore", invalid="ignore"):
            correlation[lag] = np.abs(product) / np.sqrt(late * early)
    return covariance, correlation


def _last_significant_lags(quiet: NDArray[np.bool_], run: int, longest: int) -> NDArray[np.int64]:
    """Return twice the first lag that begins a run of insignificant ones, at least 2."""
    runs = np.lib.stride_tricks.sliding_window_view(quiet, run, axis=0)[: longest + 1 - run]
    settled = runs.all(axis=2)
    first = np.argmax(settled, axis=0)
    doubled = np.minimum(2 * np.maximum(first, 1), longest)
    return np.where(settled.any(axis=0), doubled, longest).astype(np.int64)


def _continued(begins: NDArray[np.bool_], starts: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the start of the block in force at each place, plus the steps since it began."""
    at = np.arange(begins.shape[1])
    began = np.maximum.accumulate(np.where(begins, at, 0), axis=1)
    rows: NDArray[np.int64] = (np.take_along_axis(starts, began, axis=1) + at - began) % n
    return rows


def _require(n: int, n_resamples: int, block: float) -> None:
    if n < 1 or n_resamples < 1 or not 1.0 <= block < math.inf:
        raise DomainError(
            f"A bootstrap needs observations, resamples and blocks of at least one, not {n}, "
            f"{n_resamples} and {block}."
        )
