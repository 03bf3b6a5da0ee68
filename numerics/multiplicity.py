"""P-values of many tests, adjusted for their number.

An adjusted p-value is the smallest level at which its hypothesis is rejected when all are judged
together. Bonferroni, Sidak and Holm bound the probability of one false rejection;
Benjamini-Hochberg and Benjamini-Yekutieli the expected share of false ones among the rejections.

`n_tests` may exceed the number of p-values given: then these are the smallest of so many, and the
others are larger. That is how the tests of a search are counted whose losers were not kept.

References
----------
.. [1] Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal
   of Statistics 6(2).
.. [2] Sidak (1967), "Rectangular confidence regions for the means of multivariate normal
   distributions", Journal of the American Statistical Association 62.
.. [3] Benjamini and Hochberg (1995), "Controlling the false discovery rate", Journal of the Royal
   Statistical Society B 57(1).
.. [4] Benjamini and Yekutieli (2001), "The control of the false discovery rate in multiple testing
   under dependency", Annals of Statistics 29(4).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numerics.errors import DomainError


def bonferroni(p_values: ArrayLike, n_tests: int | None = None) -> NDArray[np.float64]:
    """Return ``min(1, m p)``.

    Parameters
    ----------
    p_values : float array, shape (k,), k >= 1
        0 <= p <= 1.
    n_tests : int, optional
        m >= k; k when not given.

    Returns
    -------
    float64 array, shape (k,)
        In the order of the p-values.

    Raises
    ------
    DomainError
        No p-values, one that is not a probability, or fewer tests than p-values.
    """
    p, m = _checked(p_values, n_tests)
    return np.minimum(1.0, m * p)


def sidak(p_values: ArrayLike, n_tests: int | None = None) -> NDArray[np.float64]:
    """Return ``1 - (1 - p)^m``, exact for independent tests; as `bonferroni` otherwise."""
    p, m = _checked(p_values, n_tests)
    with np.errstate(divide="ignore"):
        adjusted: NDArray[np.float64] = -np.expm1(m * np.log1p(-p))
    return adjusted


def holm(p_values: ArrayLike, n_tests: int | None = None) -> NDArray[np.float64]:
    """Return the running maximum of ``(m - i + 1) p_(i)``, at most 1; as `bonferroni` otherwise.

    Notes
    -----
    Bounds the family-wise error under any dependence and never rejects less than Bonferroni; the
    smallest p-value is adjusted alike by both.
    """
    p, m = _checked(p_values, n_tests)
    order = np.argsort(p, kind="stable")
    steps = (m - np.arange(p.size)) * p[order]
    return _restored(np.minimum(1.0, np.maximum.accumulate(steps)), order)


def benjamini_hochberg(p_values: ArrayLike, n_tests: int | None = None) -> NDArray[np.float64]:
    """Return the running minimum from above of ``m p_(i) / i``; as `bonferroni` otherwise.

    Notes
    -----
    Bounds the false discovery rate of independent or positively dependent tests. P-values that are
    not given count as 1.
    """
    p, m = _checked(p_values, n_tests)
    return _stepped_up(p, m, 1.0)


def benjamini_yekutieli(p_values: ArrayLike, n_tests: int | None = None) -> NDArray[np.float64]:
    """Return `benjamini_hochberg` times ``sum 1 / i``, which holds under any dependence."""
    p, m = _checked(p_values, n_tests)
    return _stepped_up(p, m, _harmonic(m))


def _harmonic(m: int) -> float:
    """Return ``1 + 1/2 + ... + 1/m``, by its expansion where so many terms would take long."""
    if m <= 1_000_000:
        return float(np.sum(1.0 / np.arange(1, m + 1)))
    return math.log(m) + float(np.euler_gamma) + 0.5 / m


def _stepped_up(p: NDArray[np.float64], m: int, factor: float) -> NDArray[np.float64]:
    order = np.argsort(p, kind="stable")
    steps = factor * m * p[order] / np.arange(1, p.size + 1)
    running = np.minimum.accumulate(steps[::-1])[::-1]
    return _restored(np.minimum(1.0, running), order)


def _restored(values: NDArray[np.float64], order: NDArray[np.intp]) -> NDArray[np.float64]:
    """Undo a sort."""
    out = np.empty_like(values)
    out[order] = values
    return out


def _checked(p_values: ArrayLike, n_tests: int | None) -> tuple[NDArray[np.float64], int]:
    p: NDArray[np.float64] = np.atleast_1d(np.asarray(p_values, dtype=np.float64))
    if p.ndim != 1 or p.size == 0:
        raise DomainError(f"P-values need one dimension and at least one value, not {p.shape}.")
    if not bool(np.all((p >= 0.0) & (p <= 1.0))):
        raise DomainError("A p-value is missing or not between 0 and 1.")
    m = p.size if n_tests is None else n_tests
    if m < p.size:
        raise DomainError(f"There are {p.size} p-values of only {m} tests.")
    return p, m
