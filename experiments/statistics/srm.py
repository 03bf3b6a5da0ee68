"""Sample-ratio mismatch: whether units arrived in the arms as the allocation says.

A mismatch means that the assignment, the logging or the exposure is broken, and then no difference
between the arms can be believed. The weights are those in force: a bandit changes them, so counts
are kept, and held against their own weights, by allocation.

References
----------
.. [1] Fabijan et al. (2019), "Diagnosing sample ratio mismatch in online controlled experiments",
   KDD.
.. [2] Lindon and Malek (2022), "Anytime-valid inference for multinomial count data", NeurIPS.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc, gammaln, logsumexp

from experiments.statistics.checks import (
    FloatArray,
    matrix_of,
    require,
    require_finite,
    require_fraction,
    require_positive,
)
from experiments.statistics.errors import SampleError, SettingsError, ShapeError
from experiments.statistics.estimates import never_zero

_FEW = 5.0  # expected counts below which the chi-square law is rough
# No tilt in between is further than a fifth from one of these, which costs 4 % of the evidence.
_SIZES = 0.002 * 2.0 ** (np.arange(23) / 2.0)
_TILTS = np.concatenate([-_SIZES, _SIZES])
_IMPOSSIBLE = "Units arrived in an arm that has no weight."


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """What a test of the sample ratio found.

    Attributes
    ----------
    p_value : float
        0 only where units arrived in an arm of weight 0.
    is_mismatch : bool
        Whether the p-value is below the level.
    level : float
    statistic : float
        Chi-square, or the logarithm of the e-value.
    freedom : float
        Degrees of freedom; 0 for the anytime-valid test.
    method : str
    warnings : tuple of str
    """

    p_value: float
    is_mismatch: bool
    level: float
    statistic: float
    freedom: float
    method: str
    warnings: tuple[str, ...] = ()


def sample_ratio(counts: ArrayLike, weights: ArrayLike, *, level: float = 0.001) -> SampleRatio:
    """Test the numbers of units against the allocation, once [1]_.

    Parameters
    ----------
    counts : float array, shape (n_arms,) or (n_allocations, n_arms)
        Units that met each arm, by allocation where it changed.
    weights : float array, same shape
        Weights in force, >= 0, in any unit; each allocation's own sum is 1.
    level : float
        0 < a < 1. Low, because a mismatch stops the experiment.

    Raises
    ------
    ShapeError, SampleError, SettingsError
    NotComputedError
        No units, or only one arm with a weight.

    Notes
    -----
    ``sum (o - e)^2 / e``, added over the allocations, with arms of positive weight less one degrees
    of freedom for each. The p-value is the survival function, so it does not become 0 by rounding
    at 1e-16.
    """
    require_fraction(level=level)
    o, w = _checked(counts, weights)
    statistic, freedom, fewest = 0.0, 0.0, math.inf
    for observed, share in zip(o, w, strict=True):
        n, met = float(observed.sum()), share > 0.0
        if n == 0.0:
            continue
        expected = n * share[met]
        fewest = min(fewest, float(expected.min()))
        freedom += float(np.sum(met)) - 1.0
        statistic += float(np.sum((observed[met] - expected) ** 2 / expected))
        if bool(np.any(observed[~met])):
            return SampleRatio(0.0, True, level, math.inf, freedom, "chi-square", (_IMPOSSIBLE,))
    require(freedom > 0.0, "only one arm has a weight")
    p = never_zero(float(chdtrc(freedom, statistic)))
    few = "Fewer than five units are expected in an arm: the chi-square law is rough."
    return SampleRatio(
        p, p < level, level, statistic, freedom, "chi-square", (few,) if fewest < _FEW else ()
    )


def anytime_sample_ratio(
    counts: ArrayLike,
    weights: ArrayLike,
    *,
    level: float = 0.01,
    concentration: float = 100.0,
    largest_log_e: float = 0.0,
) -> SampleRatio:
    """Test the numbers of units against the allocation, as often as one looks [2]_.

    Parameters
    ----------
    counts, weights
        As `sample_ratio`.
    level : float
        Chance of ever raising a false alarm, however long one looks.
    concentration : float
        > 0: strength of the prior round the weights. The larger, the smaller the mismatch that is
        found first.
    largest_log_e : float
        The largest `statistic` seen before, >= 0: evidence is not lost when it recedes.

    Returns
    -------
    SampleRatio
        `statistic` is the larger of this log e-value and `largest_log_e`, to be handed in next
        time.

    Raises
    ------
    ShapeError, SampleError, SettingsError
    NotComputedError
        No units, or only one arm with a weight.

    Notes
    -----
    The mean of two e-values, each a martingale where units come as allocated, whatever the
    allocations looked at; ``p = min(1, 1 / max O)``.

    For a mismatch of each allocation's own ``B(a + c) / (B(a) prod w_i^c_i)``, with ``a =
    concentration w`` and B the multivariate beta function, multiplied over the allocations. Each
    begins anew and pays for it, so that of many short ones it sees nothing.

    For one that they share, as where an arm loses units, an arm's chance under every allocation is
    tilted to ``w_k exp(t) / (1 - w_k + w_k exp(t))``: ``exp(t c_k) / prod (1 - w_k + w_k
    exp(t))^n``, the product over allocations of n units each, averaged over the arms and a grid of
    tilts from 0.002 to 4 either way. Of one arm at a time, because any mismatch that does not
    average out changes the share of some arm.
    """
    require_fraction(level=level)
    require_positive(concentration=concentration)
    require_finite(largest_log_e=largest_log_e)
    if largest_log_e < 0.0:
        raise SettingsError(f"largest_log_e must not be negative, as {largest_log_e!r} is.")
    o, w = _checked(counts, weights)
    if bool(np.any(o[w <= 0.0])):
        return SampleRatio(0.0, True, level, math.inf, 0.0, "anytime-valid", (_IMPOSSIBLE,))
    require(bool(np.any(np.sum(w > 0.0, axis=1) > 1)), "only one arm has a weight")
    each, shared = _log_e_of_each(o, w, concentration), _log_e_shared(o, w)
    largest = max(largest_log_e, float(np.logaddexp(each, shared)) - math.log(2.0))
    p = never_zero(math.exp(-largest))
    return SampleRatio(p, p < level, level, largest, 0.0, "anytime-valid multinomial")


def _log_e_of_each(o: FloatArray, w: FloatArray, concentration: float) -> float:
    """Return the log e-value against mismatches that each allocation has for itself."""
    met, n = w > 0.0, o.sum(axis=1)
    prior, count = concentration * w[met], o[met]
    by_arm = gammaln(prior + count) - gammaln(prior) - count * np.log(w[met])
    by_allocation = gammaln(concentration + n) - gammaln(concentration)
    return float(np.sum(by_arm) - np.sum(by_allocation))


def _log_e_shared(o: FloatArray, w: FloatArray) -> float:
    """Return the log e-value against one tilt of an arm under all allocations."""
    n, log_e = o.sum(axis=1), []
    for share, count in zip(w.T, o.sum(axis=0), strict=True):
        log_e.append(_TILTS * count - n @ np.log1p(np.outer(share, np.expm1(_TILTS))))
    return float(logsumexp(log_e)) - math.log(_TILTS.size * len(log_e))


def _checked(counts: ArrayLike, weights: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return counts and shares, one row an allocation."""
    o = matrix_of(counts, "counts")
    w = matrix_of(weights, "weights")
    if o.shape != w.shape:
        raise ShapeError(f"There are counts of shape {o.shape} and weights of {w.shape}.")
    if bool(np.any(o < 0.0)) or bool(np.any(o != np.floor(o))):
        raise SampleError("Counts must be whole and not negative.")
    if bool(np.any(w < 0.0)) or not bool(np.all(w.sum(axis=1) > 0.0)):
        raise SettingsError("Weights must not be negative, and some must be above zero.")
    require(float(o.sum()) > 0.0, "no unit has met an arm")
    return o, w / w.sum(axis=1, keepdims=True)
