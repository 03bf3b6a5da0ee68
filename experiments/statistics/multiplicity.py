"""Several arms and several metrics: p-values and intervals that know how many there are.

The scope says what counts together. Within a metric: one claim a metric, its arms compared to the
control. Over all: one claim of the experiment. The primary metric alone needs no correction for the
secondary ones; guardrails are judged by their own margins.

References
----------
.. [1] Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal
   of Statistics 6(2).
.. [2] Benjamini and Hochberg (1995), "Controlling the false discovery rate", Journal of the Royal
   Statistical Society B 57(1).
.. [3] Dunnett (1955), "A multiple comparison procedure for comparing several treatments with a
   control", Journal of the American Statistical Association 50.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtri, ndtr

from experiments.statistics.checks import (
    FloatArray,
    require,
    require_count,
    require_fraction,
    translating,
)
from experiments.statistics.errors import SettingsError
from experiments.statistics.estimates import Estimate, quantile, two_sided
from experiments.statistics.frequentist import Sample, moments_of
from numerics import multiplicity

Correction = Literal["none", "holm", "bonferroni", "benjamini_hochberg", "benjamini_yekutieli"]
Scope = Literal["metric", "experiment"]

_ADJUST: dict[str, Callable[[ArrayLike, int | None], FloatArray]] = {
    "holm": multiplicity.holm,
    "bonferroni": multiplicity.bonferroni,
    "benjamini_hochberg": multiplicity.benjamini_hochberg,
    "benjamini_yekutieli": multiplicity.benjamini_yekutieli,
}


@dataclass(frozen=True, slots=True)
class AdjustedPValues:
    """Adjusted p-values, and what they were adjusted for.

    Attributes
    ----------
    p_values : mapping of (metric, arm) to float or None
        None where there was no p-value.
    correction, scope : str
    n_tests : mapping of metric to int
        Tests that each metric's p-values were adjusted for.
    """

    p_values: Mapping[tuple[str, str], float | None]
    correction: str
    scope: str
    n_tests: Mapping[str, int]


def adjusted_p_values(
    p_values: Mapping[tuple[str, str], float | None],
    *,
    correction: Correction = "holm",
    scope: Scope = "metric",
) -> AdjustedPValues:
    """Adjust the p-values of several arms and metrics for their number [1]_ [2]_.

    Parameters
    ----------
    p_values : mapping of (metric, arm) to float or None
        0 <= p <= 1; None for a planned comparison that could not be computed, which still counts.
    correction : str
        "holm" and "bonferroni" bound the chance of one false claim, "benjamini_hochberg" the
        share of false ones among the claims.
    scope : "metric" or "experiment"
        Whether the arms of one metric count together, or everything.

    Raises
    ------
    SettingsError
        No such correction or scope, or a value that is no probability.
    """
    if correction != "none" and correction not in _ADJUST:
        raise SettingsError(f"There is no correction {correction!r}.")
    if scope not in {"metric", "experiment"}:
        raise SettingsError(f'scope must be "metric" or "experiment", not {scope!r}.')
    families: dict[str, list[tuple[str, str]]] = {}
    for key in p_values:
        families.setdefault(key[0] if scope == "metric" else "", []).append(key)
    found: dict[tuple[str, str], float | None] = dict.fromkeys(p_values)
    for keys in families.values():
        known = [(key, p) for key in keys if (p := p_values[key]) is not None]
        if not known:
            continue
        with translating():
            adjusted = _adjusted([p for _, p in known], len(keys), correction)
        found.update(zip((key for key, _ in known), adjusted, strict=True))
    sizes = {name: len(families[name if scope == "metric" else ""]) for name, _ in p_values}
    return AdjustedPValues(found, correction, scope, sizes)


def simultaneous_confidence(confidence: float, n_intervals: int) -> float:
    """Return the level at which each of several intervals makes all of them hold together.

    Notes
    -----
    Bonferroni's ``1 - (1 - c) / m``, under any dependence. An interval at this level excludes zero
    only if Bonferroni rejects; Holm may reject more.
    """
    require_fraction(confidence=confidence)
    return 1.0 - (1.0 - confidence) / require_count("n_intervals", n_intervals, 1)


def dunnett(
    control: Sample, treatments: Sequence[Sample], *, confidence: float = 0.95
) -> tuple[Estimate, ...]:
    """Compare several means with a control's at once, with one variance for all arms [3]_.

    Parameters
    ----------
    control : float array, shape (n,), or Moments
    treatments : sequence of the same, at least one
    confidence : float
        With which all intervals hold together.

    Returns
    -------
    tuple of Estimate
        In the order of the treatments; p-values are adjusted for all of them.

    Raises
    ------
    SettingsError
        No treatment.
    NotComputedError
        An arm with fewer than two units, or arms that do not vary.

    Notes
    -----
    ``P(max |T| > t)`` of a multivariate t law with correlations
    ``sqrt(n_i n_j / ((n_i + n_0)(n_j + n_0)))``, by quadrature over the control's mean and the
    deviation. Warns where one arm's variance is more than three times another's, for which there
    is no Dunnett: use `frequentist.welch` with Holm.
    """
    require_fraction(confidence=confidence)
    if len(treatments) == 0:
        raise SettingsError("There is no treatment.")
    base, *arms = (moments_of(sample) for sample in (control, *treatments))
    everyone = (base, *arms)
    variances = [arm.variance for arm in everyone]
    freedom = math.fsum(arm.n for arm in everyone) - len(everyone)
    pooled = math.fsum(arm.m2 for arm in everyone) / freedom
    require(pooled > 0.0, "the values of no arm vary")
    loadings = np.array([math.sqrt(arm.n / (arm.n + base.n)) for arm in arms])
    nodes = _nodes(freedom)
    reach = _critical_value(1.0 - confidence, loadings, freedom, nodes)
    rough = max(variances) > 3.0 * min(variances)
    warning = "The variances differ threefold: Dunnett takes them for equal."
    found = []
    for arm in arms:
        error = math.sqrt(pooled * (1.0 / arm.n + 1.0 / base.n))
        difference = arm.mean - base.mean
        found.append(
            Estimate(
                difference=difference,
                standard_error=error,
                lower=difference - reach * error,
                upper=difference + reach * error,
                p_value=_adjusted_tail(abs(difference) / error, loadings, freedom, nodes),
                confidence=confidence,
                freedom=freedom,
                method=f"Dunnett's test of {len(arms)} arms with a control",
                warnings=(warning,) if rough else (),
            )
        )
    return tuple(found)


Nodes = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


def _nodes(freedom: float) -> Nodes:
    """Return nodes and weights of a normal law and of the estimated deviation.

    What is integrated is even in the control's mean, so that half of its nodes are enough.
    """
    z = np.linspace(0.0, 8.5, 121)
    z_weights = np.exp(-0.5 * z * z)
    z_weights[0] *= 0.5
    u, u_weights = np.polynomial.legendre.leggauss(64)
    s = np.sqrt(chdtri(freedom, 0.5 - 0.5 * u) / freedom)
    return z, z_weights / z_weights.sum(), s, 0.5 * u_weights


def _adjusted_tail(t: float, loadings: FloatArray, freedom: float, nodes: Nodes) -> float:
    """Return the probability that the largest of the statistics exceeds t."""
    z, z_weights, s, s_weights = nodes
    inside = np.zeros((s.size, z.size))
    for loading, times in zip(*np.unique(loadings, return_counts=True), strict=True):
        rest = math.sqrt(1.0 - loading * loading)
        low = ndtr((-t * s[:, np.newaxis] - loading * z) / rest)
        high = ndtr((-t * s[:, np.newaxis] + loading * z) / rest)
        inside += times * np.log1p(-np.minimum(low + high, 1.0 - 1e-16))
    tail = float(s_weights @ (-np.expm1(inside)) @ z_weights)
    alone = two_sided(t, freedom)  # of a single comparison: between it and Bonferroni, always
    return min(1.0, loadings.size * alone, max(alone, tail))


def _critical_value(alpha: float, loadings: FloatArray, freedom: float, nodes: Nodes) -> float:
    low = quantile(1.0 - alpha / 2.0, freedom)  # of one comparison, and of Bonferroni
    high = quantile(1.0 - alpha / (2.0 * loadings.size), freedom)
    ends = [_adjusted_tail(t, loadings, freedom, nodes) - alpha for t in (low, high)]
    if ends[0] <= 0.0 or ends[1] >= 0.0:  # one comparison, or as good as Bonferroni's
        return low if ends[0] <= 0.0 else high
    from scipy.optimize import brentq

    return float(
        brentq(lambda t: _adjusted_tail(t, loadings, freedom, nodes) - alpha, low, high, xtol=1e-9)
    )


def _adjusted(p_values: list[float], n_tests: int, correction: str) -> list[float]:
    if correction == "none":
        return p_values
    adjusted = _ADJUST[correction](p_values, n_tests)
    return [float(p) for p in adjusted]
