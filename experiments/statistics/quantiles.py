"""Differences of quantiles, from raw values or from sketches.

References
----------
.. [1] Schultzberg and Ankargren (2022), "Resampling-free bootstrap inference for quantiles",
   Proceedings of the Future Technologies Conference.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.checks import (
    FloatArray,
    require,
    require_count,
    require_fraction,
    vector_of,
)
from experiments.statistics.estimates import Estimate
from experiments.statistics.sketches import QuantileSketch

_FEWEST = 5.0  # values expected beyond the quantile


def quantile_difference(
    control: ArrayLike | QuantileSketch,
    treatment: ArrayLike | QuantileSketch,
    probability: float,
    *,
    n_resamples: int = 9_999,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """Return the difference of a quantile between two arms of independent units.

    Parameters
    ----------
    control, treatment : float array, shape (n,), or QuantileSketch
    probability : float
        0 < p < 1; 0.5 compares medians.
    n_resamples : int
        >= 99.
    seed : int
    confidence : float

    Raises
    ------
    SampleError, SettingsError
    NotComputedError
        Fewer than five values expected beyond the quantile in an arm, or quantiles that do not
        vary.

    Notes
    -----
    In a bootstrap resample the quantile is an order statistic of the sample whose rank follows
    ``Binomial(n + 1, p)``, so ranks are drawn and nothing is resampled [1]_. Percentile interval;
    the p-value is twice the smaller share of resamples on one side of zero, plus one. Between
    sketches the interval is widened, and the p-value moved, by both sketches' largest error. Units
    must be independent: for series compare periods.
    """
    require_fraction(probability=probability, confidence=confidence)
    require_count("n_resamples", n_resamples, 99)
    rng = np.random.default_rng(seed)
    points, resampled, slack = [], [], 0.0
    for name, sample in (("control", control), ("treatment", treatment)):
        n = sample.n if isinstance(sample, QuantileSketch) else float(vector_of(sample, name).size)
        require(
            n * min(probability, 1.0 - probability) >= _FEWEST,
            f"fewer than five of {n:g} values lie beyond the quantile",
        )
        ranks = np.clip(rng.binomial(round(n) + 1, probability, n_resamples), 1, round(n)) - 1
        point, values, error = _quantile_of(sample, name, probability, ranks)
        points.append(point)
        resampled.append(values)
        slack += error
    drawn = resampled[1] - resampled[0]
    spread = float(drawn.std(ddof=1))
    require(spread > 0.0, "the quantiles do not vary")
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail], method="inverted_cdf")
    beyond = min(int(np.sum(drawn <= slack)), int(np.sum(drawn >= -slack)))
    return Estimate(
        difference=points[1] - points[0],
        standard_error=spread,
        lower=float(low) - slack,
        upper=float(high) + slack,
        p_value=min(1.0, 2.0 * (1 + beyond) / (1 + n_resamples)),
        confidence=confidence,
        freedom=math.inf,
        method=f"difference of {probability:g} quantiles, bootstrap of ranks, {n_resamples} "
        f"resamples, seed {seed}",
    )


def _quantile_of(
    sample: ArrayLike | QuantileSketch,
    name: str,
    probability: float,
    ranks: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> tuple[float, FloatArray, float]:
    """Return the quantile, the order statistics of given ranks, and the largest error of both."""
    if isinstance(sample, QuantileSketch):
        at = np.searchsorted(np.cumsum(sample.counts), ranks, side="right")
        values = sample.values()[at]
        error = sample.relative_error * float(np.abs(values).max()) + sample.smallest
        return sample.quantile(probability), values, error
    ordered = np.sort(vector_of(sample, name))
    return float(np.quantile(ordered, probability)), ordered[ranks], 0.0
