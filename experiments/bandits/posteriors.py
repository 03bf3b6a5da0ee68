"""Posteriors of an arm's mean from mergeable sums, and the probability to be best.

References
----------
.. [1] Gelman, Carlin, Stern, Dunson, Vehtari and Rubin (2013), Bayesian Data Analysis, 3rd
   edition, sections 2.4, 2.5 and 3.3.
.. [2] Chapelle and Li (2011), "An empirical evaluation of Thompson sampling", NIPS 24.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from experiments.bandits.checks import FloatArray, require_settings
from numerics.compilation import njit

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_LEVELS = np.array([1e-13, 1e-9, 1e-6, 1e-4, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
_BREAKS = np.concatenate([_LEVELS, 1.0 - _LEVELS[:5][::-1]])

_MOST_ODDS = 700.0  # logarithm; beyond it float64 ends


@njit(cache=True, error_model="numpy")
def beta_after(a: float, b: float, n: float, total: float) -> tuple[float, float]:
    """Return the Beta posterior of a success rate after n trials with `total` successes [1]_.

    Parameters
    ----------
    a, b : float
        Prior, > 0.
    n, total : float
        0 <= total <= n; fractions of trials are allowed, as discounting makes them.

    Returns
    -------
    tuple of float
        ``a + total`` and ``b + n - total``, not below the prior.
    """
    return a + total, b + max(n - total, 0.0)


@njit(cache=True, error_model="numpy")
def normal_after(
    mean: float, variance: float, noise: float, n: float, total: float
) -> tuple[float, float]:
    """Return mean and variance of a normal mean of known noise variance after n rewards [1]_.

    Parameters
    ----------
    mean, variance : float
        Prior of the mean; variance > 0.
    noise : float
        Variance of one reward, > 0.
    n, total : float
        Number and sum of the rewards.
    """
    precision = 1.0 / variance + n / noise
    return (mean / variance + total / noise) / precision, 1.0 / precision


@njit(cache=True, error_model="numpy")
def nig_after(
    mean: float,
    nu: float,
    alpha: float,
    beta: float,
    n: float,
    total: float,
    squares: float,
) -> tuple[float, float, float, float]:
    """Return the Normal-Inverse-Gamma posterior after n rewards [1]_.

    Parameters
    ----------
    mean, nu, alpha, beta : float
        Prior: the mean is worth `nu` rewards, the variance has the inverse gamma distribution of
        shape `alpha` and scale `beta`; all but the mean > 0.
    n, total, squares : float
        Number, sum and sum of squares of the rewards.

    Returns
    -------
    tuple of float
        mean, nu, alpha, beta. The marginal of the mean is Student's t with ``2 alpha`` degrees of
        freedom, location `mean` and scale ``sqrt(beta / (alpha nu))``.

    Notes
    -----
    The spread is taken from sums, so a mean of 10^8 standard deviations is more than float64 can
    resolve; `beta` never falls below its prior, which is what the algebra says.
    """
    if n <= 0.0:
        return mean, nu, alpha, beta
    average = total / n
    off = average - mean
    spread = max(squares - total * average, 0.0)
    worth = nu + n
    after = beta + 0.5 * (spread + nu * n * off * off / worth)
    return (nu * mean + total) / worth, worth, alpha + 0.5 * n, after


@dataclass(frozen=True, slots=True)
class BetaPosterior:
    """Independent Beta distributions of the success rates of arms.

    Their laws are given on the scale of log odds, ``ln(x / (1 - x))``, where the densities of all
    shapes are bounded and the order of arms is the same.

    Attributes
    ----------
    a, b : float64 arrays, shape (n_arms,)
        Each > 0.
    """

    a: FloatArray
    b: FloatArray

    def cdf(self, odds: FloatArray) -> FloatArray:
        """Return the probability of each arm (row) to have at most each log odds (column)."""
        a, b, y = self.a[:, None], self.b[:, None], odds[None, :]
        low = special.betainc(a, b, special.expit(np.minimum(y, 0.0)))
        high = 1.0 - special.betainc(b, a, special.expit(-np.maximum(y, 0.0)))
        below: FloatArray = np.where(y < 0.0, low, high)
        return below

    def pdf(self, odds: FloatArray) -> FloatArray:
        """Return the density of each arm (row) at each log odds (column)."""
        a, b, y = self.a[:, None], self.b[:, None], odds[None, :]
        log = a * special.log_expit(y) + b * special.log_expit(-y) - special.betaln(a, b)
        density: FloatArray = np.exp(log)
        return density

    def quantile(self, p: FloatArray) -> FloatArray:
        """Return the log odds of each arm (row) at each p (column), within 700 of even."""
        a, b = self.a[:, None], self.b[:, None]
        with np.errstate(divide="ignore"):
            log = np.log(special.betaincinv(a, b, p)), np.log(special.betaincinv(b, a, 1.0 - p))
        odds: FloatArray = np.clip(log[0] - log[1], -_MOST_ODDS, _MOST_ODDS)
        return odds

    @property
    def mean(self) -> FloatArray:
        """Posterior mean of each arm."""
        return self.a / (self.a + self.b)


@dataclass(frozen=True, slots=True)
class LocationPosterior:
    """Independent Student t (or, at infinite degrees, normal) distributions of arms' means.

    Attributes
    ----------
    mean, scale : float64 arrays, shape (n_arms,)
        Location and scale > 0 [units of the reward].
    degrees : float64 array, shape (n_arms,)
        Degrees of freedom, > 0; infinite is the normal.
    """

    mean: FloatArray
    scale: FloatArray
    degrees: FloatArray

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return the probability of each arm (row) to be at most each x (column)."""
        z = (x[None, :] - self.mean[:, None]) / self.scale[:, None]
        below: FloatArray = special.ndtr(z)
        heavy = np.isfinite(self.degrees)
        below[heavy] = special.stdtr(self.degrees[heavy][:, None], z[heavy])
        return below

    def pdf(self, x: FloatArray) -> FloatArray:
        """Return the density of each arm (row) at each x (column)."""
        z = (x[None, :] - self.mean[:, None]) / self.scale[:, None]
        log = -0.5 * z * z - 0.5 * np.log(2.0 * np.pi)
        heavy = np.isfinite(self.degrees)
        df = self.degrees[heavy][:, None]
        norm = special.gammaln(0.5 * df + 0.5) - special.gammaln(0.5 * df)
        norm = norm - 0.5 * np.log(np.pi * df)
        log[heavy] = norm - (0.5 * df + 0.5) * np.log1p(z[heavy] ** 2 / df)
        density: FloatArray = np.exp(log) / self.scale[:, None]
        return density

    def quantile(self, p: FloatArray) -> FloatArray:
        """Return the quantile of each arm (row) at each p (column)."""
        z = np.broadcast_to(special.ndtri(p), (self.mean.size, p.size)).copy()
        heavy = np.isfinite(self.degrees)
        z[heavy] = special.stdtrit(self.degrees[heavy][:, None], p[None, :])
        x: FloatArray = self.mean[:, None] + self.scale[:, None] * z
        return x


Posterior = BetaPosterior | LocationPosterior


def probability_best(posterior: Posterior) -> FloatArray:
    """Return the probability of each arm to have the largest mean.

    Parameters
    ----------
    posterior : BetaPosterior or LocationPosterior
        Of one or more arms.

    Returns
    -------
    float64 array, shape (n_arms,)
        Sums to one.

    Notes
    -----
    ``integral f_k(x) prod_{j != k} F_j(x) dx`` by Gauss-Legendre of 20 nodes between the quantiles
    of all arms, so that narrow posteriors beside wide ones are met; relative error below 1e-8
    where every density is bounded. The integral is over all nodes at once: memory is
    n_arms * 320 n_arms numbers.
    """
    breaks = np.unique(posterior.quantile(_BREAKS).ravel())
    middle, half = 0.5 * (breaks[1:] + breaks[:-1]), 0.5 * np.diff(breaks)
    x = (middle[:, None] + half[:, None] * _NODES).ravel()
    weight = (half[:, None] * _WEIGHTS).ravel()
    with np.errstate(divide="ignore"):
        others = np.log(posterior.cdf(x))
        density = posterior.pdf(x)
        total = others.sum(axis=0)
        best = np.array(
            [density[k] * _product_without(others, total, k) @ weight for k in range(len(density))]
        )
    probabilities: FloatArray = best / best.sum()
    return probabilities


def _product_without(logs: FloatArray, total: FloatArray, k: int) -> FloatArray:
    """Return the product of all rows but the k-th, from their logarithms."""
    lost = np.isinf(total)
    product = np.exp(np.where(lost, 0.0, total - np.where(lost, 0.0, logs[k])))
    if lost.any():
        product[lost] = np.exp(np.delete(logs[:, lost], k, axis=0).sum(axis=0))
    result: FloatArray = product
    return result


def without(posterior: Posterior, k: int) -> Posterior:
    """Return the posteriors of all arms but the k-th."""
    if isinstance(posterior, BetaPosterior):
        return BetaPosterior(np.delete(posterior.a, k), np.delete(posterior.b, k))
    kept = (np.delete(column, k) for column in (posterior.mean, posterior.scale, posterior.degrees))
    return LocationPosterior(*kept)


def beta_posterior(prior: tuple[float, float], n: ArrayLike, total: ArrayLike) -> BetaPosterior:
    """Return the posteriors of success rates from the sums of each arm."""
    require_settings(prior=min(prior) > 0.0)
    return BetaPosterior(*_by_arm(beta_after, prior, n, total))


def normal_posterior(
    prior: tuple[float, float], noise: float, n: ArrayLike, total: ArrayLike
) -> LocationPosterior:
    """Return the posteriors of means under noise of known variance from the sums of each arm."""
    require_settings(prior=prior[1] > 0.0, noise=noise > 0.0)
    mean, variance = _by_arm(normal_after, (*prior, noise), n, total)
    return LocationPosterior(mean, np.sqrt(variance), np.full(mean.size, np.inf))


def nig_posterior(
    prior: tuple[float, float, float, float],
    n: ArrayLike,
    total: ArrayLike,
    squares: ArrayLike,
) -> LocationPosterior:
    """Return the posteriors of means under unknown variances from the sums of each arm."""
    require_settings(prior=min(prior[1:]) > 0.0)
    mean, nu, alpha, beta = _by_arm(nig_after, prior, n, total, squares)
    return LocationPosterior(mean, np.sqrt(beta / (alpha * nu)), 2.0 * alpha)


def _by_arm(
    update: Callable[..., tuple[float, ...]], prior: tuple[float, ...], *sums: ArrayLike
) -> tuple[FloatArray, ...]:
    columns = [np.asarray(column, dtype=np.float64).tolist() for column in sums]
    rows = [update(*(float(p) for p in prior), *row) for row in zip(*columns, strict=True)]
    return tuple(np.array(column) for column in zip(*rows, strict=True))
