"""When a plan's method looks, and how far its intervals reach, for errors that are found apart.

Means over units that report again, and over contexts, and ratios have errors of their own at each
look. What the plan's method gives to a mean of so many periods is the same.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from experiments.plans.analysis_spec import AnalysisSpec
from experiments.plans.differences import ContextDifferences
from experiments.plans.methods import design_of
from experiments.statistics.checks import IntArray
from experiments.statistics.sequential import Sequence
from experiments.statistics.sequential.boundaries import MixtureBoundary, PlannedBoundary
from experiments.statistics.sequential.running import Looks, RunningMean, student_reach
from experiments.statistics.strata import stratified_looks

FloatArray = NDArray[np.float64]
MOST_LOOKS = 400


def looks_of(
    asked: AnalysisSpec, confidence: float, n_periods: int, *, is_guardrail: bool,
    tuned_for: float | None = None,
) -> tuple[IntArray, FloatArray]:  # fmt: skip
    """Return the looks that have come, and their half widths [normal standard errors].

    They are the same whenever one asks, so that an answer of yesterday is one today. A guardrail is
    asked how things stand now: the newest period is one of its looks, after the horizon as well.
    `tuned_for` is what `intervals_of` has it for.
    """
    horizon = asked.horizon_periods
    if asked.method == "group_sequential" and not is_guardrail:
        scheduled = design_of(asked, confidence).boundary(horizon)
        looks = np.array(scheduled.looks, dtype=np.int64)
        looks = looks[looks <= n_periods]
        return looks, scheduled.reach(looks)
    if asked.method == "fixed_horizon" and not is_guardrail:
        looks = np.array([horizon] if n_periods >= horizon else [], dtype=np.int64)
        return looks, np.full(looks.size, ndtri((1.0 + confidence) / 2.0))
    step = -(-horizon // MOST_LOOKS)
    if asked.method == "asymptotic":
        start = asked.start
        looks = _stepped(start, step, n_periods, horizon, is_guardrail=is_guardrail)
        return looks, _mixture(confidence, tuned_for, horizon).reach(looks)
    start = max(asked.start, 10 * asked.batch)
    last = n_periods if is_guardrail else min(n_periods, horizon)
    looks = _stepped(start, step, last, horizon, is_guardrail=is_guardrail)
    return looks, PlannedBoundary(confidence, horizon, start).reach(looks)


def _mixture(confidence: float, tuned_for: float | None, horizon: int) -> MixtureBoundary:
    """Return a boundary of a confidence, of the bet that is best for another."""
    tuned = MixtureBoundary.tuned(tuned_for or confidence, horizon / 2)
    return replace(tuned, confidence=confidence)


def or_newest(
    asked: AnalysisSpec, looks: IntArray, reach: FloatArray, n_periods: int
) -> tuple[IntArray, FloatArray]:
    """Return the looks, or the newest period without an interval: an estimate at least."""
    if looks.size:
        return looks, reach
    last = n_periods if asked.method == "asymptotic" else min(n_periods, asked.horizon_periods)
    return np.array([last], dtype=np.int64), np.array([np.inf])


def _stepped(start: int, step: int, last: int, horizon: int, *, is_guardrail: bool) -> IntArray:
    """Return looks a step apart, and those that must not be passed over: the horizon, and now."""
    wanted = [horizon, last] if is_guardrail else [horizon]
    more = [look for look in wanted if start <= look <= last]
    return np.union1d(np.arange(start, last + 1, step), np.array(more, dtype=np.int64))


def seen_at(
    found: ContextDifferences, looks: IntArray, *, batch: int, lag: int = 1
) -> tuple[Looks, IntArray]:
    """Return the difference as it stood at each look, with its error, and the row it came after.

    Parameters
    ----------
    found : ContextDifferences
    looks : int64 array, shape (n_looks,), n_looks >= 1
        Ascending; compared periods after which to look, of those that there are.
    batch, lag : int
        As `RunningMean` has them.

    Notes
    -----
    A ratio at a look is that of the periods until then. By the one that came after them what is off
    would be held against errors of the earlier time, which are too small where denominators grow.
    """
    if found.sides is None:
        seen = stratified_looks(found.differences, found.traffic, looks, batch=batch, lag=lag)
        return seen.looks, seen.rows
    rows, mean, error, freedom = [], [], [], []
    for n in looks.tolist():
        part = found.first(n)
        if len(found.contexts) > 1:
            newest = stratified_looks(
                part.differences, part.traffic, looks[looks == n], batch=batch, lag=lag
            ).looks
        else:
            newest = RunningMean(batch, lag).extend(part.by_period()[1])
        rows.append(np.flatnonzero(part.is_compared.any(axis=1))[-1])
        mean.append(newest.mean[-1])
        error.append(newest.error[-1])
        freedom.append(newest.freedom[-1])
    return Looks(looks, np.array(mean), np.array(error), np.array(freedom)), np.array(rows)


def sequence_of(
    method: str, confidence: float, looks: Looks, reach: FloatArray,
    warnings: tuple[str, ...] = (),
) -> Sequence:  # fmt: skip
    """Return the intervals of means whose errors are known, by reaches of a plan's method."""
    half = student_reach(reach, looks.freedom) * looks.error
    is_known = np.isfinite(half)
    half = np.where(is_known, half, np.inf)
    return Sequence(
        method, confidence, looks.periods, looks.mean,
        np.where(is_known, looks.mean - half, -np.inf),
        np.where(is_known, looks.mean + half, np.inf),
        np.full(half.size, np.nan), warnings=warnings,
    )  # fmt: skip
