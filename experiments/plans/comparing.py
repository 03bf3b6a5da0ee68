"""One metric: what each arm made, and each challenger beside the control.

By periods, whose shocks their outcomes share; by units too, where these report again and again; and
of quantiles by sketches. What cannot be computed says why.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.plans.differences import (
    ContextDifferences,
    differences_by_context,
    differences_of,
    most_periods,
    period_values,
)
from experiments.plans.document import ExperimentPlan
from experiments.plans.families import tuned_for
from experiments.plans.findings import ArmFigures, Comparison, MetricFindings
from experiments.plans.looks import looks_of, or_newest, seen_at, sequence_of
from experiments.plans.methods import bound_of, intervals_of
from experiments.plans.mixes import is_mix, why_undecided, why_units_undecided
from experiments.plans.observed import Observed
from experiments.plans.sections import MetricSpec
from experiments.plans.telling import (
    STILL,
    is_watched,
    sentence,
    told_as_still,
    told_by_intervals,
    unless,
)
from experiments.plans.units import (
    clustered_sequence,
    figures_by_unit,
    is_repeated,
    why_no_interval,
)
from experiments.statistics.clusters import UnitTable
from experiments.statistics.dependent import mean_of_series
from experiments.statistics.errors import NotComputedError, StatisticsError
from experiments.statistics.estimates import Estimate
from experiments.statistics.quantiles import quantile_difference
from experiments.statistics.sketches import QuantileSketch
from experiments.statistics.summaries import PeriodTable

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FEWEST_BATCHES = 4  # that an error takes
ONE_MEAN = (
    "betting is on one mean of all periods, and those of contexts may differ: there "
    "is no interval over several of them."
)


def metric_findings(
    plan: ExperimentPlan, metric: MetricSpec, observed: Observed, confidences: Sequence[float]
) -> MetricFindings:
    """Return what is known of one metric.

    Parameters
    ----------
    plan : ExperimentPlan
    metric : MetricSpec
        One of the plan's.
    observed : Observed
    confidences : sequence of float
        Of the interval of each challenger, as `ordered_arms` has them.
    """
    figures: list[ArmFigures] = []
    try:
        if metric.kind == "quantile":
            figures, comparisons = _by_sketch(
                plan, metric, observed.sketches.get(metric.name, ()), confidences
            )
        else:
            table = in_time(plan, observed.tables[metric.name], observed.watermark)
            figures, comparisons = _by_sums(plan, metric, table, observed, confidences)
    except StatisticsError as error:
        comparisons = [
            Comparison(arm.name, plan.control.name, confidence, because=sentence(error))
            for arm, confidence in zip(plan.ordered_arms[1:], confidences, strict=True)
        ]
    return MetricFindings(
        name=metric.name, role=metric.role, kind=metric.kind, direction=metric.direction,
        method=_method_of(plan, metric), arms=figures, comparisons=comparisons,
        margin=metric.margin,
    )  # fmt: skip


def _by_sums(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, observed: Observed,
    confidences: Sequence[float],
) -> tuple[list[ArmFigures], list[Comparison]]:  # fmt: skip
    """Return figures of all arms, and challengers by what is repeated: periods, or units too."""
    challengers = list(enumerate(confidences, start=1))
    because = why_no_interval(plan, metric, observed)
    if because is not None:
        withheld = [
            _withheld(plan, metric, table, at, sure, because, observed.contexts)
            for at, sure in challengers
        ]
        return _arm_figures(plan, metric, table), withheld
    if not is_repeated(plan, metric, observed):
        found = [
            _compared(plan, metric, table, at, sure, observed.contexts) for at, sure in challengers
        ]
        return _arm_figures(plan, metric, table), found
    units = observed.units[metric.name]
    if observed.watermark is not None:
        units = units.ended(observed.watermark, plan.period_ns)
    figures = figures_by_unit(metric, units, len(plan.arms))
    named = zip(plan.ordered_arms, figures, strict=True)
    return (
        [ArmFigures(arm.name, *figure) for arm, figure in named],
        [
            _compared_by_unit(plan, metric, table, units, at, sure, observed.contexts)
            for at, sure in challengers
        ],
    )


def _method_of(plan: ExperimentPlan, metric: MetricSpec) -> str:
    if metric.kind == "quantile":
        return "one look"
    return "planned_sequence" if is_watched(plan, metric) else plan.analysis.method


def in_time(plan: ExperimentPlan, table: PeriodTable, watermark: int | None) -> PeriodTable:
    """Return the sums of the periods that are over."""
    merged = table.merged()
    return merged if watermark is None else merged.ended(watermark, plan.period_ns)


def _compared(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, arm: int, confidence: float,
    contexts: Mapping[int, str],
) -> Comparison:  # fmt: skip
    """Return one challenger less the control, of the periods that the plan's answer is about."""
    try:
        most = most_periods(plan, metric)
        found = differences_by_context(plan, metric, table, arm, contexts, most)
        # Betting takes bounds and no error: differences that are all the same are evidence, too.
        if plan.analysis.method != "betting" and found.is_still and found.is_compared.any():
            return told_as_still(plan, metric, found, arm, confidence)
        if len(found.contexts) > 1 or metric.kind == "ratio":
            return _at_looks(plan, metric, found, arm, confidence, is_mix=is_mix(contexts))
        bound = bound_of(plan, metric, table)
        one = _of_one_series(
            plan, metric, found, arm, confidence, is_mix=is_mix(contexts), bound=bound
        )
    except StatisticsError as error:
        name = plan.ordered_arms[arm].name
        return Comparison(name, plan.control.name, confidence, because=sentence(error))
    return unless(why_undecided(plan, arm, found), one) if is_mix(contexts) else one


def _of_one_series(
    plan: ExperimentPlan, metric: MetricSpec, found: ContextDifferences, arm: int,
    confidence: float, *, is_mix: bool, bound: float | None,
) -> Comparison:  # fmt: skip
    """Return a comparison by one series of differences, the periods of which count alike."""
    periods, differences = found.by_period()
    plain = intervals_of(
        plan.analysis, differences, confidence, bound=bound,
        is_guardrail=metric.role == "guardrail", tuned_for=tuned_for(plan, metric),
    )  # fmt: skip
    ends = (periods + plan.period_ns)[plain.periods - 1]
    effect = _effect_of(differences)
    return told_by_intervals(
        plan, metric, arm, plain, ends, effect, n=differences.size, moves=is_mix
    )


def _at_looks(
    plan: ExperimentPlan, metric: MetricSpec, found: ContextDifferences, arm: int,
    confidence: float, *, is_mix: bool,
) -> Comparison:  # fmt: skip
    """Return a comparison whose error is found at each look: of a ratio, or over contexts."""
    asked = plan.analysis
    n = int(np.count_nonzero(found.is_compared.any(axis=1)))
    if n == 0:
        raise NotComputedError("no period has outcomes of both arms yet")
    if asked.method == "betting":
        estimate = float(found.by_period()[1].mean())
        return Comparison(
            plan.ordered_arms[arm].name, plan.control.name, confidence, estimate=estimate,
            because=ONE_MEAN, is_withheld=True,
        )  # fmt: skip
    is_guardrail = metric.role == "guardrail"
    looks, reach = looks_of(
        asked, confidence, n, is_guardrail=is_guardrail, tuned_for=tuned_for(plan, metric)
    )
    lacks = STILL if looks.size and looks[-1] >= FEWEST_BATCHES * asked.batch else ""
    looks, reach = or_newest(asked, looks, reach, n)
    seen, rows = seen_at(found, looks, batch=asked.batch)
    plain = sequence_of(asked.method, confidence, seen, reach)
    ends = found.period[rows] + plan.period_ns
    error = float(seen.error[-1])
    effect = (float(plain.mean[-1]), error) if math.isfinite(error) else None
    one = told_by_intervals(plan, metric, arm, plain, ends, effect, n=n, lacks=lacks, moves=is_mix)
    return unless(why_undecided(plan, arm, found), one) if is_mix else one


def _compared_by_unit(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, units: UnitTable, arm: int,
    confidence: float, contexts: Mapping[int, str],
) -> Comparison:  # fmt: skip
    """Return one challenger less the control, where units report again and again."""
    try:
        found = clustered_sequence(plan, metric, table, units, arm, confidence, contexts)
    except StatisticsError as error:
        name = plan.ordered_arms[arm].name
        return Comparison(name, plan.control.name, confidence, because=sentence(error))
    plain = found.sequence
    effect = None if found.error is None else (float(plain.mean[-1]), found.error)
    ends = found.ends + plan.period_ns
    n, moves = int(plain.periods[-1]), is_mix(contexts)
    one = told_by_intervals(
        plan, metric, arm, plain, ends, effect, n=n, lacks=found.lacks, moves=moves
    )
    if not moves:
        return one
    table = table.ended(int(ends[-1]), plan.period_ns)
    return unless(why_units_undecided(plan, arm, table, contexts), one)


def _withheld(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, arm: int, confidence: float,
    because: str, contexts: Mapping[int, str],
) -> Comparison:  # fmt: skip
    """Return the estimate of a challenger alone: no interval would hold."""
    most = most_periods(plan, metric)
    _, differences = differences_of(plan, metric, table, arm, contexts, most)
    return Comparison(
        plan.ordered_arms[arm].name, plan.control.name, confidence,
        estimate=float(differences.mean()) if differences.size else None, because=because,
        is_withheld=True,
    )  # fmt: skip


def _effect_of(differences: FloatArray) -> tuple[float, float] | None:
    """Return the mean of the differences and its standard error; None where there is none."""
    found = _estimate(differences)
    return None if found is None else (found.difference, found.standard_error)


def _arm_figures(plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable) -> list[ArmFigures]:
    n_arms = len(plan.arms)
    values = period_values(plan, metric, table, n_arms)
    _, n = table.pivot("n", n_arms)
    figures = []
    for at, arm in enumerate(plan.ordered_arms):
        own = values[:, at][(n[:, at] > 0.0) & np.isfinite(values[:, at])]
        found = _estimate(own)
        count = float(own.size) if plan.design == "shadow" else float(n[:, at].sum())
        figures.append(
            ArmFigures(
                arm.name, count, float(own.mean()) if own.size else None,
                found.standard_error if found else None,
            )
        )  # fmt: skip
    return figures


def _estimate(values: FloatArray) -> Estimate | None:
    try:
        return mean_of_series(values)
    except StatisticsError:
        return None


def _by_sketch(
    plan: ExperimentPlan,
    metric: MetricSpec,
    sketches: Sequence[QuantileSketch],
    confidences: Sequence[float],
) -> tuple[list[ArmFigures], list[Comparison]]:
    """Return quantiles of all arms; their intervals hold at one look, and never decide."""
    assert metric.quantile is not None  # noqa: S101 - a rule of the document
    arms = plan.ordered_arms
    figures = [
        ArmFigures(
            arm.name, sketch.n, sketch.quantile(metric.quantile) if sketch.n > 0 else None
        )
        for arm, sketch in zip(arms, sketches, strict=False)
    ]  # fmt: skip
    comparisons = []
    for arm, sketch, confidence in zip(arms[1:], sketches[1:], confidences, strict=False):
        try:
            found = quantile_difference(
                sketches[0], sketch, metric.quantile, confidence=confidence, seed=plan.seed
            )
        except StatisticsError as error:
            one = Comparison(arm.name, plan.control.name, confidence, because=sentence(error))
        else:
            one = Comparison(
                arm.name, plan.control.name, found.confidence, estimate=found.difference,
                lower=found.lower, upper=found.upper,
                because="Its interval holds at one look, for outcomes that do not depend.",
            )  # fmt: skip
        comparisons.append(one)
    return figures, comparisons
