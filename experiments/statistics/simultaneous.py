"""Several estimates that depend on each other, and intervals that hold for all of them together.

References
----------
.. [1] Dunnett (1955), "A multiple comparison procedure for comparing several treatments with a
   control", Journal of the American Statistical Association 50.
.. [2] Hothorn, Bretz and Westfall (2008), "Simultaneous inference in general parametric models",
   Biometrical Journal 50(3).
.. [3] Bartlett (1933), "On the theory of statistical regression", Proceedings of the Royal Society
   of Edinburgh 53: the triangular root of a Wishart matrix.
"""

import math

import numpy as np
from scipy.special import stdtr

from experiments.statistics.checks import FloatArray, require_fraction
from experiments.statistics.errors import SettingsError

N_DRAWS = 50_000
_CHUNK = 10_000  # of draws, as many as there is memory for
_SHARING = 5  # draws of the estimates to one of their errors, which cost k times as much


def confidence_of_each(
    correlation: FloatArray, *, freedom: float, confidence: float = 0.95, seed: int = 0
) -> float:
    """Return the confidence of each interval at which all hold together with a confidence.

    Parameters
    ----------
    correlation : float64 array, shape (k, k)
        Of the errors of k estimates, positive semidefinite with ones on its diagonal.
    freedom : float
        Degrees of freedom of each one's error, > 0; inf where they are known.
    confidence : float
        0 < c < 1.
    seed : int
        Of the draws.

    Returns
    -------
    float
        From `confidence` (they are all the same estimate) to Bonferroni's ``1 - (1 - c) / k``.

    Raises
    ------
    SettingsError
        A setting outside its domain, or a matrix that is no correlation.

    Notes
    -----
    The quantile of ``max |T_i|`` [2]_ of k Student ratios with correlated numerators and errors
    that are the diagonal of a Wishart matrix of the same correlation [3]_, by 50,000 draws, five
    of the numerators to one of the errors: the chance that some interval misses is off by 0.001.
    A correlation that was estimated is no product of loadings, and each error is its own, so that
    the quadrature of `multiplicity.dunnett` does not apply. With equal numbers of
    independent units and known errors these are Dunnett's intervals [1]_. Where the degrees of
    freedom are no more than k the law has no density, and the answer is Bonferroni's.
    """
    require_fraction(confidence=confidence)
    if not freedom > 0.0:
        raise SettingsError(f"freedom must be above zero, not {freedom!r}.")
    k = int(correlation.shape[0])
    is_square = correlation.shape == (k, k) and bool(np.isfinite(correlation).all())
    if not is_square or not np.allclose(np.diag(correlation), 1.0):
        raise SettingsError("A correlation is a finite square matrix with ones on its diagonal.")
    least = 1.0 - (1.0 - confidence) / k
    if k == 1 or freedom <= k:
        return least
    largest = _largest_ratios(_root(correlation), freedom, np.random.default_rng(seed))
    reach = float(np.quantile(largest, confidence))
    each = math.erf(reach / math.sqrt(2.0))
    if math.isfinite(freedom):
        each = 1.0 - 2.0 * float(stdtr(freedom, -reach))
    return min(max(each, confidence), least)


def _root(correlation: FloatArray) -> FloatArray:
    """Return the symmetric root of a correlation, the rounding of singular ones taken off.

    Eigenvectors of eigenvalues that are alike are turned about by the last bit, their signs too,
    and the draws with them; this root moves as little as the correlation does.
    """
    values, vectors = np.linalg.eigh(correlation)
    root: FloatArray = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


def _largest_ratios(root: FloatArray, freedom: float, rng: np.random.Generator) -> FloatArray:
    """Return draws of the largest Student ratio in size."""
    k = root.shape[0]
    below, each = np.tril_indices(k, -1), np.arange(k)
    parts = []
    for _ in range(N_DRAWS // _CHUNK):
        ratio = rng.standard_normal((_CHUNK, k)) @ root.T
        if math.isfinite(freedom):
            n_errors = _CHUNK // _SHARING
            half = np.zeros((n_errors, k, k))
            half[:, below[0], below[1]] = rng.standard_normal((n_errors, below[0].size))
            half[:, each, each] = np.sqrt(rng.chisquare(freedom - each, (n_errors, k)))
            square = ((root @ half) ** 2).sum(axis=2)
            ratio *= np.repeat(np.sqrt(freedom / square), _SHARING, axis=0)
        parts.append(np.abs(ratio).max(axis=1))
    return np.concatenate(parts)
