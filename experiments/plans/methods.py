"""From a plan's method to intervals after every period, in the way that its settings say."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from experiments.plans.analysis_spec import AnalysisSpec, Spending
from experiments.plans.document import ExperimentPlan
from experiments.plans.sections import MetricSpec
from experiments.statistics.dependent import mean_of_series
from experiments.statistics.errors import NotComputedError
from experiments.statistics.sequential import (
    Schedule,
    Sequence,
    asymptotic_sequence,
    betting_sequence,
    group_sequential,
    planned_sequence,
    schedule,
    with_futility,
)
from experiments.statistics.summaries import PeriodTable

FloatArray = NDArray[np.float64]
# Methods that say nothing while an experiment runs, or hardly: guardrails are not left to them.
RARE = ("fixed_horizon", "group_sequential")


def intervals_of(
    asked: AnalysisSpec, differences: FloatArray, confidence: float, *, bound: float | None,
    is_guardrail: bool = False, tuned_for: float | None = None,
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
        Largest size of a difference, for `betting`, from `bound_of`.
    is_guardrail : bool
        Guardrails are looked at all the time, whatever the method.
    tuned_for : float, optional
        Confidence for which an asymptotic sequence is narrowest, where it is not its own.

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
            batch=asked.batch, start=asked.start, tuned_for=tuned_for,
        )  # fmt: skip
    if asked.method == "group_sequential":
        boundary = design_of(asked, confidence).boundary(asked.horizon_periods)
        return group_sequential(differences, boundary, batch=asked.batch, lag=1)
    if asked.method == "betting":
        assert bound is not None  # noqa: S101 - a rule of the document
        return betting_sequence(
            differences, low=-bound, high=bound, confidence=confidence, is_clipped=True
        )
    return _at_the_end(asked, differences, confidence)


def bound_of(plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable) -> float | None:
    """Return how far a difference can be from 0; None where it is not known.

    Raises
    ------
    NotComputedError
        The differences are of totals of several outcomes, each of which has the bound.
    """
    if metric.kind == "proportion":
        return 1.0
    if metric.bound is None:
        return None
    if plan.design == "shadow" and plan.analysis.method == "betting" and (table.n > 1.0).any():
        raise NotComputedError(
            f"an arm has up to {table.n.max():.0f} outcomes of {metric.name} in a period, and its "
            "bound is that of one: betting takes one a period from each arm of a shadow experiment"
        )
    return 2.0 * metric.bound


def design_of(asked: AnalysisSpec, confidence: float) -> Schedule:
    """Return the group sequential design of a plan, for intervals of a confidence."""
    return _designed(
        asked.shares, confidence, asked.spending, asked.spending_exponent or 2.0,
        asked.futility is not None,
    )  # fmt: skip


@lru_cache(maxsize=64)
def _designed(
    shares: tuple[float, ...], confidence: float, spending: Spending, exponent: float,
    gives_up: bool,
) -> Schedule:  # fmt: skip
    design = schedule(shares, confidence=confidence, spending=spending, power=exponent)
    return with_futility(design) if gives_up else design


def futile_looks(asked: AnalysisSpec, found: Sequence) -> NDArray[np.bool_]:
    """Return which looks make an answer unlikely by the end, as the plan's design has it.

    Parameters
    ----------
    asked : AnalysisSpec
    found : Sequence
        From `intervals_of`, not cut to each other.
    """
    is_futile = np.zeros(found.mean.size, dtype=np.bool_)
    if asked.futility is None:
        return is_futile
    design = design_of(asked, found.confidence)
    looks = design.boundary(asked.horizon_periods).looks
    for at, (bound, least) in enumerate(zip(design.bounds, design.futility, strict=True)):
        is_look = (found.periods == looks[at]) & np.isfinite(found.upper)
        half = (found.upper[is_look] - found.lower[is_look]) / 2.0
        is_futile[is_look] = np.abs(found.mean[is_look]) * bound < half * least
    return is_futile & (found.periods < asked.horizon_periods)


def p_value_of(found: Sequence) -> float | None:
    """Return the newest p-value against no difference; None where the method or the time has none.

    It is that of one comparison, corrected for no other. Where intervals hold at every look it is
    always valid; of one look at the end it is an ordinary one.
    """
    if not found.p_values.size or not np.isfinite(found.p_values[-1]):
        return None
    return float(found.p_values[-1])


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
