"""Whether two strategies on the same bars have different Sharpe ratios.

The mathematics is `numerics.sharpe_difference`; here are the checks and the p-values.

References
----------
.. [1] Ledoit and Wolf (2008), "Robust performance hypothesis testing with the Sharpe ratio",
   Journal of Empirical Finance 15(5).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from backtests.validation.checks import FloatArray, require_count, vector_of
from backtests.validation.errors import NotComputedError, SettingsError, ShapeError
from numerics.errors import DomainError, UndeterminedError
from numerics.sharpe_difference import ratio_difference, resampled_ratio_difference


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
    with _translating():
        found = ratio_difference(_pair(first, second), prewhitened=prewhitened)
    p = 2.0 * float(ndtr(-abs(found.difference) / found.standard_error))
    note = ", prewhitened" if prewhitened else ""
    method = f"HAC, Parzen kernel, bandwidth {found.bandwidth:.2f}{note}"
    return SharpeDifference(found.difference, found.standard_error, p, method)


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
    require_count("n_resamples", n_resamples, 1)
    if block is not None:
        require_count("block", block, 1)
    with _translating():
        difference, error, _ = ratio_difference(r, prewhitened=True)
        drawn = resampled_ratio_difference(r, block=block, n_resamples=n_resamples, seed=seed)
    reached = np.abs(drawn.difference - difference) * error >= abs(difference) * drawn[1]
    return SharpeDifference(
        difference,
        error,
        (1 + int(np.sum(reached))) / (1 + n_resamples),
        f"studentized circular block bootstrap, blocks of {drawn.block}, {n_resamples} resamples, "
        f"seed {seed}",
    )


def _pair(first: ArrayLike, second: ArrayLike) -> FloatArray:
    one, other = vector_of(first, "first"), vector_of(second, "second")
    if one.size != other.size:
        raise ShapeError(f"There are {one.size} returns and {other.size} of the other.")
    return np.stack([one, other], axis=1)


@contextmanager
def _translating() -> Iterator[None]:
    """Let what the mathematics refuses be a refusal of this package."""
    try:
        yield
    except UndeterminedError as refusal:
        raise NotComputedError(str(refusal)) from refusal
    except DomainError as refusal:
        raise SettingsError(str(refusal)) from refusal
