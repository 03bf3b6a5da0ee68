"""From a plan's method to intervals after every period, in the way that its settings say."""

import numpy as np
from numpy.typing import NDArray

from experiments.plans.sections import AnalysisSpec
from experiments.statistics.dependent import mean_of_series
from experiments.statistics.errors import NotComputedError
from experiments.statistics.sequential import (
    Sequence,
    asymptotic_sequence,
    betting_sequence,
    group_sequential,
    planned_sequence,
    schedule,
)

FloatArray = NDArray[np.float64]
# Methods that say nothing while an experiment runs, or hardly: guardrails are not left to them.
RARE = ("fixed_horizon", "group_sequential")


def intervals_of(
    asked: AnalysisSpec, differences: FloatArray, confidence: float, *, bound: float | None,
    is_guardrail: bool = False,
) -> Sequence:  # fmt: skip
    """Return the intervals after every period that a plan's method has.

    Parameters
    ----------
    asked : AnalysisSpec
    differences : float64 array, shape (n,)
        One a period, in the order of time.
    confidence : float
        Of one interval.
    bound : float, optional
        Largest size of a difference, for `empirical_bernstein`; what lies beyond is cut.
    is_guardrail : bool
        Guardrails are looked at all the time, whatever the method.

    Raises
    ------
    StatisticsError
        There is nothing to compute yet, or the settings do not fit.
    """
    if differences.size == 0:
        raise NotComputedError("no period has outcomes of both arms yet")
    if asked.method == "planned_sequence" or (is_guardrail and asked.method in RARE):
        return planned_sequence(
            differences, horizon=asked.horizon_periods, confidence=confidence,
            batch=asked.batch, start=max(asked.start, 10 * asked.batch),
        )  # fmt: skip
    if asked.method == "asymptotic":
        return asymptotic_sequence(
            differences, best_at=asked.horizon_periods / 2, confidence=confidence,
            batch=asked.batch, start=asked.start,
        )  # fmt: skip
    if asked.method == "group_sequential":
        return _scheduled(asked, differences, confidence, asked.batch)
    if asked.method == "empirical_bernstein":
        assert bound is not None  # noqa: S101 - a rule of the document
        return betting_sequence(
            differences, low=-bound, high=bound, confidence=confidence, is_clipped=True
        )
    return _at_the_end(asked, differences, confidence)


def _scheduled(
    asked: AnalysisSpec, differences: FloatArray, confidence: float, batch: int
) -> Sequence:
    shares = np.arange(1, asked.n_looks + 1) / asked.n_looks
    boundary = schedule(shares, confidence=confidence).boundary(asked.horizon_periods)
    return group_sequential(differences, boundary, batch=batch, lag=1)


def _at_the_end(asked: AnalysisSpec, differences: FloatArray, confidence: float) -> Sequence:
    """Return one interval, at the horizon, and estimates before it."""
    n = np.arange(1, differences.size + 1)
    mean = np.cumsum(differences) / n
    lower, upper, unknown = (np.full(n.size, value) for value in (-np.inf, np.inf, np.nan))
    found = Sequence("one look at the end", confidence, n, mean, lower, upper, unknown)
    if differences.size < asked.horizon_periods:
        return found
    one = mean_of_series(differences[: asked.horizon_periods], confidence=confidence)
    at = asked.horizon_periods - 1
    lower[at:], upper[at:], unknown[at:] = one.lower, one.upper, one.p_value
    return found
