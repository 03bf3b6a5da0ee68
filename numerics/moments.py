"""Population moments of a sample.

Moments divide by n, not n - 1, and kurtosis is excess (0 for a normal law), as in
`scipy.stats.skew` and `scipy.stats.kurtosis` with their default `bias=True`.
"""

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit


def skewness(values: NDArray[np.float64]) -> float:
    """Return the population skewness m3 / m2^1.5; NaN when the sample does not vary.

    Parameters
    ----------
    values : float64 array, shape (n,), n >= 1
        Finite.
    """
    return _standardized_moment(values, 3)


def excess_kurtosis(values: NDArray[np.float64]) -> float:
    """Return the population excess kurtosis m4 / m2^2 - 3; NaN when the sample does not vary.

    Parameters
    ----------
    values : float64 array, shape (n,), n >= 1
        Finite.
    """
    return _standardized_moment(values, 4) - 3.0


def is_constant(values: NDArray[np.float64]) -> bool:
    """Say whether a sample varies no more than rounding does.

    Notes
    -----
    The mean of n equal numbers may miss them by an ulp, which a ratio to a standard deviation
    would turn into an astronomically large result; hence a tolerance relative to the largest value.
    """
    if values.size == 0:
        return True
    spread = float(np.ptp(values))
    return spread <= 1e-13 * float(np.max(np.abs(values)))


@njit(cache=True, error_model="numpy")
def central_sums(
    values: NDArray[np.float64], mean: float, deviation: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Write the deviations from a mean and return the sums that moments are made of.

    Parameters
    ----------
    values : float64 array, shape (n,), n >= 1
        Finite.
    mean : float
        Of the values.
    deviation : float64 array, shape (n,)
        Written: the values less the mean.

    Returns
    -------
    tuple of float
        Sums of the squares, cubes and fourth powers of the deviations d, and of
        ``d[t] d[t - 1]``.

    Notes
    -----
    One pass; no allocation. Overflow gives inf or NaN.
    """
    squares, cubes, fourths, neighbors, last = 0.0, 0.0, 0.0, 0.0, 0.0
    for t in range(values.size):
        off = values[t] - mean
        square = off * off
        deviation[t] = off
        squares += square
        cubes += square * off
        fourths += square * square
        neighbors += off * last
        last = off
    return squares, cubes, fourths, neighbors


def _standardized_moment(values: NDArray[np.float64], order: int) -> float:
    if is_constant(values):
        return float("nan")
    deviation = values - np.mean(values)
    second = float(np.mean(deviation**2))
    return float(np.mean(deviation**order) / second ** (order / 2))
