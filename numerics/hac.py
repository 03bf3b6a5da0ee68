"""Variance of means under autocorrelation and heteroscedasticity.

References
----------
.. [1] Newey and West (1987), "A simple, positive semi-definite, heteroskedasticity and
   autocorrelation consistent covariance matrix", Econometrica 55(3).
"""

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit


def newey_west_lag(n_observations: int) -> int:
    """Return the plug-in lag ``floor(4 (n / 100)^(2/9))``, below the number of observations.

    Parameters
    ----------
    n_observations : int
        Sample size, >= 1.
    """
    return int(min(4.0 * (n_observations / 100.0) ** (2.0 / 9.0), n_observations - 1))


def long_run_covariance(values: NDArray[np.float64], lag: int | None = None) -> NDArray[np.float64]:
    """Return the Newey-West estimate of the long-run covariance of the columns.

    Parameters
    ----------
    values : float64 array, shape (n, k), n >= 1
        Finite observations in time order, one series per column.
    lag : int, optional
        Highest autocovariance used, 0 <= lag < n; `newey_west_lag` when not given.

    Returns
    -------
    float64 array, shape (k, k)
        ``G_0 + sum_j (1 - j / (lag + 1)) (G_j + G_j')`` with ``G_j = u[j:]' u[:-j] / n`` and u the
        observations less their mean. Divide by n for the covariance of the means. No
        small-sample factor and no prewhitening.
    """
    n = values.shape[0]
    highest = newey_west_lag(n) if lag is None else lag
    deviation = values - values.mean(axis=0)
    total: NDArray[np.float64] = deviation.T @ deviation / n
    for j in range(1, highest + 1):
        covariance = deviation[j:].T @ deviation[:-j] / n
        total = total + (1.0 - j / (highest + 1.0)) * (covariance + covariance.T)
    return total


@njit(cache=True, error_model="numpy")
def long_run_variance(deviation: NDArray[np.float64], lag: int) -> float:
    """Return the Newey-West long-run variance of one series whose mean is zero.

    Parameters
    ----------
    deviation : float64 array, shape (n,), n >= 1
        Finite observations less their mean, in time order.
    lag : int
        Highest autocovariance used, 0 <= lag < n.

    Returns
    -------
    float
        What `long_run_covariance` has on its diagonal, >= 0. Divide by n for the variance of the
        mean.

    Notes
    -----
    Bartlett weights are those of a moving sum: with the series continued by zeros,
    ``sum_t (u[t] + ... + u[t - lag])^2 / (n (lag + 1))`` over all n + lag windows. One pass
    whatever the lag; cannot be negative; no allocation.
    """
    n = deviation.size
    window, total = 0.0, 0.0
    for t in range(lag + 1):
        window += deviation[t]
        total += window * window
    for t in range(lag + 1, n):
        window += deviation[t] - deviation[t - lag - 1]
        total += window * window
    for t in range(n - lag - 1, n - 1):
        window -= deviation[t]
        total += window * window
    return total / (n * (lag + 1.0))
