"""Evidence that adds up: e-values, which on average are at most 1 when there is nothing.

They are kept as logarithms: those of long experiments overflow.

References
----------
.. [1] Vovk and Wang (2021), "E-values: calibration, combination and applications", Annals of
   Statistics 49(3).
.. [2] Wang and Ramdas (2022), "False discovery rate control with e-values", JRSS B 84(3).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from experiments.statistics.checks import FloatArray, require_fraction, vector_of
from experiments.statistics.errors import SampleError


def averaged(log_e_values: ArrayLike) -> float:
    """Return the logarithm of the mean of e-values: an e-value whatever their dependence [1]_."""
    logs = _logs_of(log_e_values)
    return float(logsumexp(logs) - math.log(logs.size))


def multiplied(log_e_values: ArrayLike) -> float:
    """Return the logarithm of the product of e-values: one if they are independent [1]_."""
    return float(_logs_of(log_e_values).sum())


def p_value_of(log_e_value: float) -> float:
    """Return ``min(1, 1 / e)``."""
    return math.exp(-max(log_e_value, 0.0))


def calibrated(p_value: float, exponent: float = 0.5) -> float:
    """Return the logarithm of the e-value ``k p^(k - 1)`` that a p-value is worth [1]_.

    Parameters
    ----------
    p_value : float
        0 < p <= 1, of one test with a time fixed beforehand.
    exponent : float
        0 < k < 1.
    """
    require_fraction(exponent=exponent)
    if not 0.0 < p_value <= 1.0:
        raise SampleError(f"A p-value lies above 0 and is at most 1, not {p_value!r}.")
    return math.log(exponent) + (exponent - 1.0) * math.log(p_value)


def discoveries(log_e_values: ArrayLike, level: float = 0.05) -> NDArray[np.bool_]:
    """Return which hypotheses the e-value version of Benjamini and Hochberg rejects [2]_.

    Parameters
    ----------
    log_e_values : float array, shape (k,)
        Of k hypotheses, however dependent, each stopped whenever one liked.
    level : float
        Bound of the expected share of false ones among the rejections, 0 < level < 1.

    Notes
    -----
    The largest m such that the m-th largest e-value is at least ``k / (m level)``.
    """
    require_fraction(level=level)
    logs = _logs_of(log_e_values)
    order = np.argsort(-logs, kind="stable")
    ranks = np.arange(1, logs.size + 1)
    passes = np.flatnonzero(logs[order] >= math.log(logs.size / level) - np.log(ranks))
    rejected = np.zeros(logs.size, dtype=np.bool_)
    if passes.size:
        rejected[order[: passes[-1] + 1]] = True
    return rejected


def _logs_of(log_e_values: ArrayLike) -> FloatArray:
    given = np.asarray(log_e_values, dtype=np.float64)
    # An e-value of 0 is one: all that was bet is lost.
    finite = vector_of(np.where(np.isneginf(given), 0.0, given), "log_e_values")
    return np.where(np.isneginf(given), given, finite)
