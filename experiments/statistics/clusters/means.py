"""Means of arms over all their outcomes, with errors by unit.

References
----------
.. [1] Deng, Knoblich and Lu (2018), "Applying the delta method in metric analytics", KDD.
"""

import numpy as np

from experiments.statistics.checks import FloatArray
from experiments.statistics.clusters.differences import FEWEST_EFFECTIVE, FEWEST_UNITS, NO_VARIANCE
from experiments.statistics.clusters.products import SECOND, N, X, Y
from experiments.statistics.clusters.tables import UNIT_SUMS, UnitTable


def clustered_means(
    units: UnitTable, n_arms: int, *, is_ratio: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Return each arm's mean over all its outcomes and its standard error by unit [1]_.

    Parameters
    ----------
    units, is_ratio
        As `clustered_differences`.
    n_arms : int

    Returns
    -------
    means, errors : float64 arrays, shape (n_arms,)
        NaN where there is none.
    """
    sums = np.stack(
        [np.bincount(units.arm, getattr(units, name), n_arms) for name in UNIT_SUMS], axis=-1
    )
    n, first, second = sums[:, 0], sums[:, 1:4], sums[:, 4 + SECOND]
    below = X if is_ratio else N
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = first[:, Y] / first[:, below]
        weights = np.zeros((n_arms, 3))
        weights[:, Y] = 1.0 / first[:, below]
        weights[:, below] -= mean / first[:, below]
        effective = first[:, below] ** 2 / second[:, below, below]
        few = effective / (effective - 1.0)
        variance = np.einsum("am,amk,ak->a", weights, second, weights) * few
        size = np.einsum("am,amk,ak->a", np.abs(weights), np.abs(second), np.abs(weights))
        error = np.sqrt(variance)
        has_units = (n >= FEWEST_UNITS) & (effective >= FEWEST_EFFECTIVE)
    is_known = has_units & (first[:, below] > 0.0) & (variance > NO_VARIANCE * size)
    return np.where(np.isfinite(mean), mean, np.nan), np.where(is_known, error, np.nan)
