"""What an experiment would have said on given returns: its analysis, and when it would have ended.

The statistics are those of `experiments`, through the same plan, analysis and rules by which the
platform judges a running experiment.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtests.jobs.pairing import Paired
from crowetrade_site.core import documents
from crowetrade_site.core.errors import InvalidInput
from experiments.plans import Comparison, Decision, ExperimentPlan, Findings, MetricFindings
from experiments.plans.analysis import analyze
from experiments.plans.decisions import decide
from experiments.plans.families import confidence_of, tuned_for
from experiments.plans.methods import futile_looks, intervals_of
from experiments.plans.observed import Observed
from experiments.statistics.dependent import mean_of_series
from experiments.statistics.errors import StatisticsError
from experiments.statistics.power import detectable_information_ratio, years_to_detect
from experiments.statistics.summaries import PeriodTable

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
METRIC = "return"
_AT_ONE_LOOK = ("dunnett", "benjamini_hochberg")  # corrections that look at all outcomes at once
MOST_PERIODS = 100_000  # that a plan can have
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_MOST_UNITS = 999_999


def plan_of(
    section: Mapping[str, Any], labels: Sequence[str], *, n_periods: int, seconds: int, seed: int
) -> ExperimentPlan:
    """Return the plan of an experiment in which every arm is traded on paper.

    Parameters
    ----------
    section : mapping
        The analysis, without a horizon where that is the number of periods.
    labels : sequence of str
        Arms, the control first.
    n_periods, seconds : int
        Periods there are, and the usual length of one.

    Raises
    ------
    InvalidInput
        The analysis is no valid one; paths begin with ``replay`` (422).
    """
    horizon = {"horizon_periods": max(2, min(n_periods, MOST_PERIODS))}
    plan = documents.parse(
        ExperimentPlan,
        {
            "name": "replay",
            "hypothesis": "Another arm earns more than the control.",
            "design": "shadow",
            "arms": [{"name": one, "control": one == labels[0]} for one in labels],
            "metrics": [{"name": METRIC, "role": "primary"}],
            "period": _duration(seconds),
            "analysis": horizon | dict(section),
            "seed": seed,
        },
        within="replay",
    )
    if plan.analysis.prior is not None:
        said = (
            "a prior is learned from concluded experiments and pinned when an experiment starts; "
            "a replay does not start, and would say something else whenever another one "
            "concludes. No verdict reads it: leave it out, or state prior_deviation instead"
        )
        raise InvalidInput.of([{"path": "replay.analysis.prior", "message": said}])
    return plan


def _duration(seconds: int) -> str:
    """Return the length of a period as a plan writes it, in the largest unit that is exact."""
    unit, size = next(one for one in _UNITS if seconds % one[1] == 0)
    return f"{min(seconds // size, _MOST_UNITS)}{unit}"


def table_of(plan: ExperimentPlan, paired: Paired) -> PeriodTable:
    """Return returns as the sums that an experiment keeps: one outcome of each arm a period."""
    n_periods, n_arms = paired.returns.shape
    begins = np.repeat(paired.ends - plan.period_ns, n_arms)
    arms = np.tile(np.arange(n_arms), n_periods)
    return PeriodTable.of_outcomes(begins, arms, paired.returns.ravel())


def answer(plan: ExperimentPlan, paired: Paired) -> tuple[Findings, Decision, int | None]:
    """Return what is found at the end, the decision, and after how many periods it fell.

    The decision is the first that ends the experiment; where none does, the number is None and it
    is the one at the end.
    """
    findings = analyze(plan, Observed({METRIC: table_of(plan, paired)}))
    ended = first_decision(plan, paired.returns)
    if ended is None:
        return findings, _decide(plan, findings), None
    n, decision = ended
    return findings, _in_full(plan, paired, n, decision), n


def _in_full(plan: ExperimentPlan, paired: Paired, n: int, decision: Decision) -> Decision:
    """Return a decision with the platform's whole reason, which names rivals of a winner too."""
    past = replace(paired, ends=paired.ends[:n], returns=paired.returns[:n])
    told = _decide(plan, analyze(plan, Observed({METRIC: table_of(plan, past)})))
    is_same = (told.verdict, told.winner) == (decision.verdict, decision.winner)
    return told if is_same else decision


def _decide(plan: ExperimentPlan, findings: Findings) -> Decision:
    return decide(
        findings, control=plan.control.name,
        region_of_equivalence=plan.analysis.region_of_equivalence,
        units={metric.name: metric.unit for metric in plan.metrics},
    )  # fmt: skip


class _Seen(NamedTuple):
    """A challenger at all looks, as pages would show it."""

    periods: IntArray
    confidence: FloatArray
    mean: FloatArray
    lower: FloatArray
    upper: FloatArray
    is_futile: BoolArray


def first_decision(plan: ExperimentPlan, returns: FloatArray) -> tuple[int, Decision] | None:
    """Return the first look that ends the experiment, by the plan's own rules at every look.

    Parameters
    ----------
    plan : ExperimentPlan
        From `plan_of`.
    returns : float64 array, shape (n_periods, n_arms)
        The control first.

    Notes
    -----
    The intervals after a period come from the periods until then alone, so that this is what the
    platform would have seen day by day. The rules are asked only at looks that may end it: of a
    thousand looks these are a few.
    """
    if plan.analysis.method == "fixed_horizon" and plan.analysis.correction in _AT_ONE_LOOK:
        return _at_one_look(plan, returns)
    try:
        looks, seen = _intervals(plan, returns)
    except StatisticsError:
        return None  # the analysis at the end says why
    for k in np.flatnonzero(_may_end(plan, looks, seen)).tolist():
        decision = _decide(plan, _look(plan, seen, k, int(looks[k])))
        if decision.ends:
            return int(looks[k]), decision
    return None


def _at_one_look(plan: ExperimentPlan, returns: FloatArray) -> tuple[int, Decision] | None:
    """Return the decision of the only look, at the horizon, by the platform's own analysis."""
    horizon = plan.analysis.horizon_periods
    if returns.shape[0] < horizon:
        return None
    period, arm = (index.ravel() for index in np.indices((horizon, returns.shape[1])))
    table = PeriodTable.of_outcomes(period * plan.period_ns, arm, returns[:horizon].ravel())
    try:
        findings = analyze(plan, Observed({METRIC: table}))
    except StatisticsError:
        return None
    decision = _decide(plan, findings)
    return (horizon, decision) if decision.ends else None


def _intervals(plan: ExperimentPlan, returns: FloatArray) -> tuple[IntArray, dict[str, _Seen]]:
    """Return the looks, and the interval of each challenger at them, as pages would show it.

    Each is as sure as the plan's correction asks after what was settled by then.
    """
    names = [arm.name for arm in plan.ordered_arms[1:]]
    by_level = [
        [
            _shown(plan, returns[:, at] - returns[:, 0], confidence)
            for at in range(1, len(names) + 1)
        ]
        for confidence in _levels(plan, len(names))
    ]
    step = _stepped_up if plan.analysis.is_by_evidence else _stepped_down
    level = step(by_level)
    seen = {
        name: _Seen(*(np.choose(own, column) for column in zip(*of_arm, strict=True)))
        for name, own, of_arm in zip(names, level, zip(*by_level, strict=True), strict=True)
    }
    return next(iter(seen.values())).periods, seen


def _levels(plan: ExperimentPlan, n_challengers: int) -> list[float]:
    """Return the confidences that a comparison can come to, by how many others are settled."""
    if plan.analysis.is_by_evidence:
        single = 1.0 - confidence_of(plan)
        return [1.0 - n * single for n in range(1, n_challengers + 1)]
    n_levels = n_challengers if plan.analysis.correction == "holm" else 1
    return [confidence_of(plan, n_settled=n) for n in range(n_levels)]


def _shown(plan: ExperimentPlan, differences: FloatArray, confidence: float) -> _Seen:
    """Return a challenger's intervals of one confidence.

    A running interval that has become empty stays what it was before, as in an analysis. Of
    e-values the newest counts.
    """
    if plan.analysis.method != "asymptotic":
        differences = differences[: plan.analysis.horizon_periods]
    plain = intervals_of(
        plan.analysis, differences, confidence, bound=None, tuned_for=tuned_for(plan, plan.primary)
    )
    found = plain if plan.analysis.is_by_evidence else plain.running()
    n_fit = int(np.count_nonzero(found.lower <= found.upper))  # those after it fit no more
    last = np.minimum(np.arange(found.mean.size), n_fit - 1)
    return _Seen(
        found.periods, np.full(last.size, confidence), found.mean[last], found.lower[last],
        found.upper[last], futile_looks(plan.analysis, plain),
    )  # fmt: skip


def _stepped_down(by_level: Sequence[Sequence[_Seen]]) -> IntArray:
    """Return how many others were settled when each comparison was made, (n_challengers, n_looks).

    As `experiments.plans.families.stepped_down` has it, at all looks at once: one that is settled
    keeps its confidence, the open ones share what it no longer needs.
    """
    is_found = np.array(
        [[(one.lower > 0.0) | (one.upper < 0.0) for one in of_level] for of_level in by_level]
    )
    level, most = np.zeros(is_found.shape[1:], dtype=np.int64), len(by_level) - 1
    while True:
        is_settled = np.take_along_axis(is_found, level[np.newaxis], axis=0)[0]
        after = np.where(is_settled, level, np.minimum(is_settled.sum(axis=0), most))
        if np.array_equal(after, level):
            return level
        level = after


def _stepped_up(by_level: Sequence[Sequence[_Seen]]) -> IntArray:
    """Return the level of each comparison by e-values, (n_challengers, n_looks).

    As `experiments.plans.families.stepped_up` has it, at all looks at once: all are held against
    the level of as many as are found there, from the lowest confidence on.
    """
    is_found = np.array(
        [[(one.lower > 0.0) | (one.upper < 0.0) for one in of_level] for of_level in by_level]
    )
    level = np.full(is_found.shape[2], len(by_level) - 1, dtype=np.int64)
    while True:
        n_found = is_found[level, :, np.arange(level.size)].sum(axis=1)
        after = np.maximum(n_found, 1) - 1
        if np.array_equal(after, level):
            return np.broadcast_to(level, is_found.shape[1:])
        level = after


def _may_end(plan: ExperimentPlan, looks: IntArray, seen: Mapping[str, _Seen]) -> BoolArray:
    """Return at which looks the rules may end it: what they ask of intervals, and the horizon."""
    lower = np.stack([one.lower for one in seen.values()])
    upper = np.stack([one.upper for one in seen.values()])
    may: BoolArray = _gives_up(plan, seen) | (looks >= plan.analysis.horizon_periods)
    may |= ((lower > 0.0) | (upper < 0.0)).any(axis=0)
    region = plan.analysis.region_of_equivalence
    if region is not None:
        may |= ((lower >= -region) & (upper <= region)).all(axis=0)
    return may


def _gives_up(plan: ExperimentPlan, seen: Mapping[str, _Seen]) -> BoolArray:
    """Return at which looks the plan ends because an answer is unlikely."""
    is_futile: BoolArray = np.logical_and.reduce([one.is_futile for one in seen.values()])
    return is_futile if plan.analysis.futility == "stop" else np.zeros_like(is_futile)


def _look(plan: ExperimentPlan, seen: Mapping[str, _Seen], k: int, n_periods: int) -> Findings:
    """Return what the platform would have found at one look, as far as the rules read it."""
    primary = plan.primary
    comparisons = [
        Comparison(
            name, plan.control.name, float(one.confidence[k]), estimate=float(one.mean[k]),
            lower=_finite(one.lower[k]), upper=_finite(one.upper[k]),
        )
        for name, one in seen.items()
    ]  # fmt: skip
    metric = MetricFindings(
        primary.name, primary.role, primary.kind, primary.direction, plan.analysis.method,
        comparisons=comparisons,
    )  # fmt: skip
    gives_up = bool(_gives_up(plan, seen)[k])
    return Findings(n_periods, plan.analysis.horizon_periods, None, [metric], gives_up=gives_up)


def pairing_of(paired: Paired) -> list[dict[str, Any]]:
    """Return what it is worth that arms are paired, by challenger.

    Notes
    -----
    The error of a difference of paired returns against that of two arms observed apart, as often:
    both of the mean per period, robust to dependence. The square of their ratio says how many times
    as long an experiment without pairs would take.
    """
    control = paired.returns[:, 0]
    rows = []
    for at, label in enumerate(paired.labels[1:], start=1):
        arm = paired.returns[:, at]
        errors = [_error(one) for one in (arm - control, arm, control)]
        together, *apart = errors
        unpaired = None if None in apart else math.hypot(*(e for e in apart if e is not None))
        ratio = unpaired / together if unpaired is not None and together else None
        rows.append(
            {
                "arm": label, "correlation": correlation_of(arm, control),
                "paired_error": together, "unpaired_error": unpaired, "ratio": ratio,
            }
        )  # fmt: skip
    return rows


def correlation_of(one: FloatArray, other: FloatArray) -> float | None:
    """Return the correlation of two series; None where one never varies."""
    if not (np.ptp(one) > 0.0 and np.ptp(other) > 0.0):
        return None
    return _finite(np.corrcoef(one, other)[0, 1])


def detectability_of(plan: ExperimentPlan, paired: Paired, raw: FloatArray) -> list[dict[str, Any]]:
    """Return how large a difference must be to be seen in this time, by challenger.

    Parameters
    ----------
    raw : float64 array, shape (n_periods, n_arms)
        Returns with their means, also of an A/A replay.

    Notes
    -----
    Of one two-sided test at the end with a chance of 80 %; a sequence that may be looked at any
    time takes about half as long again.
    """
    years, level = paired.years, 1.0 - confidence_of(plan)
    per_year = raw.shape[0] / years
    rows = []
    for at, label in enumerate(paired.labels[1:], start=1):
        difference = raw[:, at] - raw[:, 0]
        row: dict[str, Any] = {"arm": label, "difference": float(difference.mean()) * per_year}
        try:
            found = mean_of_series(difference)
            deviation = found.standard_error * per_year * math.sqrt(years)  # of a year's difference
            ratio = row["difference"] / deviation
            seen = detectable_information_ratio(years, level=level)
            row |= {
                "deviation": deviation, "information_ratio": ratio,
                "detectable_ratio": seen, "detectable_difference": seen * deviation,
                "years_needed": years_to_detect(ratio, level=level) if ratio else None,
            }  # fmt: skip
        except StatisticsError as error:
            row["because"] = f"not computed, because {error}"
        rows.append(row)
    return rows


def _error(values: FloatArray) -> float | None:
    try:
        return float(mean_of_series(values).standard_error)
    except StatisticsError:
        return None


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
