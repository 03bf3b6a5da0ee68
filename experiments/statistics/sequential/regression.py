"""A coefficient of a linear model under continuous looking: covariates that cut the noise.

References
----------
.. [1] Lindon, Ham, Tingley and Bojinov (2022), "Anytime-valid linear models and regression adjusted
   causal inference in randomized experiments", arXiv 2210.08589.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.checks import matrix_of, require_count, require_positive, vector_of
from experiments.statistics.errors import SettingsError, ShapeError
from experiments.statistics.sequential.boundaries import MixtureBoundary
from experiments.statistics.sequential.sequences import Sequence
from numerics.compilation import njit

_LOST = 1e-10  # of a column's square: what is left of one that the others explain


@njit(cache=True, error_model="numpy", nogil=True)
def coefficients(
    rows: NDArray[np.float64],
    estimate: NDArray[np.float64],
    error: NDArray[np.float64],
) -> None:
    """Write the least-squares coefficient of the last regressor and its error after each row.

    Parameters
    ----------
    rows : float64 array, shape (n, k + 1)
        Regressors, the one of interest last, and the outcome; finite.
    estimate, error : float64 arrays, shape (n,)
        Written; NaN while the rows do not determine them.

    Notes
    -----
    By the Cholesky factor of the products: its last two rows are all that is needed.
    """
    n, width = rows.shape
    k = width - 1
    cross, factor = np.zeros((width, width)), np.zeros((width, width))
    for t in range(n):
        for i in range(width):
            for j in range(i + 1):
                cross[i, j] += rows[t, i] * rows[t, j]
        is_determined = True
        for i in range(width):
            for j in range(i + 1):
                total = cross[i, j]
                for m in range(j):
                    total -= factor[i, m] * factor[j, m]
                if i == j:
                    if total <= _LOST * cross[i, i]:
                        is_determined = False
                        total = 1.0
                    factor[i, i] = math.sqrt(total)
                else:
                    factor[i, j] = total / factor[j, j]
        estimate[t], error[t] = np.nan, np.nan
        freedom = t + 1.0 - k
        if is_determined and freedom > 0.0:
            estimate[t] = factor[k, k - 1] / factor[k - 1, k - 1]
            error[t] = factor[k, k] / math.sqrt(freedom) / factor[k - 1, k - 1]


def regression_sequence(
    outcomes: ArrayLike,
    design: ArrayLike,
    *,
    coefficient: int,
    best_at: float,
    confidence: float = 0.95,
) -> Sequence:
    """Return intervals for one coefficient of a linear model, right at every look [1]_.

    Parameters
    ----------
    outcomes : float array, shape (n,)
        In the order in which they came; finite.
    design : float array, shape (n, k)
        Regressors; a column of ones is not added. For units: ones, 0 or 1 for the arm, covariates
        from before the assignment. For paired periods: ones and the market's return, and the
        coefficient of the ones is the difference beyond the market.
    coefficient : int
        Column of interest, 0 <= j < k.
    best_at : float
        Rows at which it shall be narrowest.
    confidence : float
        0 < c < 1.

    Notes
    -----
    The F-statistic mixed over a g-prior: with nu degrees of freedom and ``r = g / (g + n)`` the
    evidence is ``sqrt(r) ((1 + t^2 / nu) / (1 + r t^2 / nu))^((nu + 1) / 2)``. Exact for
    independent normal errors of one variance; not for autocorrelated returns.
    """
    y, x = vector_of(outcomes, "outcomes"), matrix_of(design, "design")
    if x.shape[0] != y.size:
        raise ShapeError(f"There are {y.size} outcomes and {x.shape[0]} rows of the design.")
    k = x.shape[1]
    if require_count("coefficient", coefficient, 0) >= k:
        raise SettingsError(f"The design has {k} columns, no column {coefficient}.")
    require_positive(best_at=best_at)
    others = np.delete(x, coefficient, axis=1)
    rows = np.column_stack([others, x[:, coefficient], y])
    estimate, error = np.empty(y.size), np.empty(y.size)
    coefficients(rows, estimate, error)

    periods = np.arange(1, y.size + 1)
    prior = MixtureBoundary.tuned(confidence, best_at).rho
    r, freedom = prior / (prior + periods), np.maximum(periods - k, 1).astype(np.float64)
    root = (r * (1.0 - confidence) ** 2) ** (1.0 / (freedom + 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.sqrt(np.where(root > r, freedom * (1.0 - root) / (root - r), math.inf))
        half = np.where(np.isfinite(error), reach * error, math.inf)
        square = (estimate / error) ** 2 / freedom
    evidence = 0.5 * np.log(r) + 0.5 * (freedom + 1.0) * (np.log1p(square) - np.log1p(r * square))
    p = np.fmin.accumulate(np.exp(-np.maximum(evidence, 0.0)))
    is_open = np.isinf(half)
    return Sequence(
        "anytime-valid regression",
        confidence,
        periods,
        estimate,
        np.where(is_open, -math.inf, estimate - half),
        np.where(is_open, math.inf, estimate + half),
        p,
        evidence,
    )
