"""Variance of means under autocorrelation and heteroscedasticity.

References
----------
.. [1] Newey and West (1987), "A simple, positive semi-definite, heteroskedasticity and
   autocorrelation consistent covariance matrix", Econometrica 55(3).
.. [2] Andrews (1991), "Heteroskedasticity and autocorrelation consistent covariance matrix
   estimation", Econometrica 59(3).
"""

import math

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


def andrews_bandwidth(values: NDArray[np.float64]) -> float:
    """Return Andrews' plug-in bandwidth of the Parzen kernel, ``2.6614 (a n)^(1/5)``.

    Parameters
    ----------
    values : float64 array, shape (n, k), n >= 4
        Finite, no column constant.

    Notes
    -----
    a comes from a first-order autoregression of each column, all columns weighted alike [2]_,
    equations 5.3 and 6.4. A column near a unit root is held at 0.97.
    """
    n = values.shape[0]
    before, after = values[:-1], values[1:]
    before, after = before - before.mean(axis=0), after - after.mean(axis=0)
    rho = np.clip(np.sum(before * after, axis=0) / np.sum(before * before, axis=0), -0.97, 0.97)
    variance = np.mean((after - rho * before) ** 2, axis=0)
    above = np.sum(4.0 * rho**2 * variance**2 / (1.0 - rho) ** 8)
    alpha = above / np.sum(variance**2 / (1.0 - rho) ** 4)
    return float(2.6614 * (alpha * n) ** 0.2)


def parzen_covariance(values: NDArray[np.float64], bandwidth: float) -> NDArray[np.float64]:
    """Return the long-run covariance of columns with zero mean by the Parzen kernel.

    Parameters
    ----------
    values : float64 array, shape (n, k), n > k
        Finite, in time order, less their mean.
    bandwidth : float
        >= 0; lags below it enter.

    Returns
    -------
    float64 array, shape (k, k)
        As `long_run_covariance`, times the small-sample factor ``n / (n - k)``; positive
        semidefinite.
    """
    n, k = values.shape
    total: NDArray[np.float64] = values.T @ values / n
    for lag in range(1, min(math.ceil(bandwidth), n)):
        x = lag / bandwidth
        weight = 1.0 - 6.0 * x * x * (1.0 - x) if x <= 0.5 else 2.0 * (1.0 - x) ** 3
        covariance = values[lag:].T @ values[:-lag] / n
        total = total + weight * (covariance + covariance.T)
    total *= n / (n - k)
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


def fixed_b_law(n: int, lag: int) -> tuple[float, float]:
    """Return the mean and the degrees of freedom of `long_run_variance` of noise of variance 1.

    Parameters
    ----------
    n : int
        Observations, >= 2, of which the estimated mean has been taken off.
    lag : int
        Highest autocovariance used, 0 <= lag < n.

    Returns
    -------
    mean : float
        Expected value; below 1, because the mean is estimated and lags pull towards zero.
    freedom : float
        Degrees of freedom of the chi-square law with the same mean and variance.

    Notes
    -----
    The estimate is ``u' K u / n`` with K the Bartlett weights, so for normal noise it has mean
    ``tr(P K) / n`` and variance ``2 tr(P K P K) / n^2``, P taking the mean off. The estimate over
    the first, with a Student law of the second, has the critical values of [3]_ within 2 % up to
    b = 0.2, and is the exact t-test at lag 0.

    References
    ----------
    .. [3] Kiefer and Vogelsang (2005), "A new asymptotic theory for heteroskedasticity-
       autocorrelation robust tests", Econometric Theory 21(6).
    """
    weights = 1.0 - np.arange(1, lag + 1) / (lag + 1.0)
    reach = np.concatenate([[0.0], np.cumsum(weights)])
    at = np.minimum(np.arange(n), lag)
    rows = 1.0 + reach[at] + reach[at[::-1]]  # sums of the rows of K
    total = float(rows.sum())
    left = n - np.arange(1, lag + 1)
    trace = n - total / n
    square = n + 2.0 * float(left @ weights**2) - 2.0 * float(rows @ rows) / n + (total / n) ** 2
    return trace / n, trace * trace / square
