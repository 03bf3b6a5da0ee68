"""A plan and the sums of its outcomes to findings.

Nothing here reads a single outcome: what goes in are sums by period, so that an experiment of ten
million outcomes is analyzed in milliseconds. The unit of analysis is the period, because outcomes
of one share its shocks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.plans.differences import arm_effects, differences_of, period_values
from experiments.plans.document import AnalysisSpec, ExperimentPlan, MetricSpec
from experiments.plans.findings import (
    ArmFigures,
    Comparison,
    Cost,
    Findings,
    MetricFindings,
    Mismatch,
    Path,
)
from experiments.plans.methods import RARE, intervals_of
from experiments.plans.units import (
    REPEATED,
    WITHHELD,
    clustered_sequence,
    figures_by_unit,
    is_repeated,
    why_withheld,
)
from experiments.statistics.bayesian import normal_effect
from experiments.statistics.clusters import UnitTable
from experiments.statistics.dependent import mean_of_series
from experiments.statistics.errors import StatisticsError
from experiments.statistics.estimates import Estimate
from experiments.statistics.posteriors import Normal
from experiments.statistics.quantiles import quantile_difference
from experiments.statistics.sequential import Sequence as Intervals
from experiments.statistics.sketches import QuantileSketch
from experiments.statistics.srm import anytime_sample_ratio
from experiments.statistics.summaries import PeriodTable

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MOST_POINTS = 400  # of a path that is kept


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of an experiment so far.

    Attributes
    ----------
    tables : mapping of str to PeriodTable
        By metric.
    units : mapping of str to UnitTable
        By metric, where units may report in several periods.
    sketches : mapping of str to sequence of QuantileSketch
        Of quantile metrics, one an arm.
    exposed : mapping of int to mapping of int to int
        Units by allocation number and position of the arm.
    weights : mapping of int to sequence of float
        Shares of the arms by allocation number.
    watermark : int or None
        Periods that end by then are analyzed [UTC ns]; all where None.
    silent : sequence of str
        Metrics and arms of which nothing has come while others reported.
    """

    tables: Mapping[str, PeriodTable]
    units: Mapping[str, UnitTable] = field(default_factory=dict)
    sketches: Mapping[str, Sequence[QuantileSketch]] = field(default_factory=dict)
    exposed: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    weights: Mapping[int, Sequence[float]] = field(default_factory=dict)
    watermark: int | None = None
    silent: Sequence[str] = ()
    n_late: int = 0

    @property
    def n_exposed(self) -> int:
        """Units that met an arm."""
        return sum(n for by_arm in self.exposed.values() for n in by_arm.values())


def analyze(plan: ExperimentPlan, observed: Observed) -> Findings:
    """Return what the outcomes so far say under a plan.

    Parameters
    ----------
    plan : ExperimentPlan
    observed : Observed

    Notes
    -----
    Each challenger is compared with the control by the difference of their period totals (shadow)
    or of their means within a period and allocation (assigned). With several challengers each
    interval has the confidence ``1 - a / m``, so that all of
    a metric's hold at once; each is cut to those before it, as a confidence sequence may be, so
    that it does not matter when anybody looked. What cannot be computed says why.
    """
    metrics = [_metric_findings(plan, metric, observed) for metric in plan.metrics]
    primary = next(one for one in metrics if one.role == "primary")
    table = _in_time(plan, observed.tables[plan.primary.name], observed.watermark)
    notes = [f"{one.arm}: {one.because}" for one in primary.comparisons if one.because]
    notes += _unpaired(plan, table) + _selected(plan, observed)
    notes += [
        f"Nothing has come of {one} for a while; it holds nobody up." for one in observed.silent
    ]
    notes += _repeated(plan, table, observed)
    return Findings(
        n_periods=_n_compared(plan, table),
        horizon=plan.analysis.horizon_periods,
        n_seen=int(np.unique(table.period).size),
        watermark=observed.watermark,
        metrics=metrics,
        mismatch=_mismatch(plan, observed),
        cost=_cost(plan, observed),
        method=plan.analysis.method,
        n_late=observed.n_late,
        notes=list(dict.fromkeys(notes)),
    )


def _n_compared(plan: ExperimentPlan, table: PeriodTable) -> int:
    """Return the periods in which most is known of some challenger beside the control."""
    challengers = range(1, len(plan.arms))
    return max(differences_of(plan, plan.primary, table, arm)[0].size for arm in challengers)


def confidence_of(plan: ExperimentPlan) -> float:
    """Return the confidence of a single interval, so that those of all challengers hold at once."""
    asked = plan.analysis
    n_challengers = len(plan.arms) - 1
    share = n_challengers if asked.correction == "bonferroni" else 1
    return 1.0 - (1.0 - asked.confidence) / share


def _metric_findings(
    plan: ExperimentPlan, metric: MetricSpec, observed: Observed
) -> MetricFindings:
    figures: list[ArmFigures] = []
    try:
        if metric.kind == "quantile":
            figures, comparisons = _by_sketch(plan, metric, observed.sketches.get(metric.name, ()))
        else:
            table = _in_time(plan, observed.tables[metric.name], observed.watermark)
            figures, comparisons = _by_sums(plan, metric, table, observed)
    except StatisticsError as error:
        comparisons = [
            Comparison(arm.name, plan.control.name, confidence_of(plan), because=_sentence(error))
            for arm in plan.ordered_arms[1:]
        ]
    return MetricFindings(
        name=metric.name, role=metric.role, kind=metric.kind, direction=metric.direction,
        method=_method_of(plan, metric), arms=figures, comparisons=comparisons,
        margin=metric.margin,
    )  # fmt: skip


def _by_sums(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, observed: Observed
) -> tuple[list[ArmFigures], list[Comparison]]:
    """Return figures of all arms, and challengers by what is repeated: periods, or units too."""
    challengers = range(1, len(plan.arms))
    if not is_repeated(plan, table, observed.n_exposed):
        found = [_compared(plan, metric, table, at) for at in challengers]
        return _arm_figures(plan, metric, table), found
    why = why_withheld(plan, observed.tables[metric.name], observed.units.get(metric.name))
    if why is not None:
        because = WITHHELD.format(why=why)
        withheld = [_withheld(plan, metric, table, at, because) for at in challengers]
        return _arm_figures(plan, metric, table), withheld
    units = observed.units[metric.name]
    if observed.watermark is not None:
        units = units.ended(observed.watermark, plan.period_ns)
    figures = figures_by_unit(metric, table, units, len(plan.arms))
    named = zip(plan.ordered_arms, figures, strict=True)
    return (
        [ArmFigures(arm.name, *figure) for arm, figure in named],
        [_compared_by_unit(plan, metric, table, units, at) for at in challengers],
    )


def _repeated(plan: ExperimentPlan, table: PeriodTable, observed: Observed) -> list[str]:
    """Return a note where units report again and again and that is in the intervals.

    Where it is not, each comparison says why it has none.
    """
    if not is_repeated(plan, table, observed.n_exposed):
        return []
    name = plan.primary.name
    why = why_withheld(plan, observed.tables[name], observed.units.get(name))
    return [REPEATED] if why is None else []


def _method_of(plan: ExperimentPlan, metric: MetricSpec) -> str:
    if metric.kind == "quantile":
        return "one look"
    is_rare = metric.role == "guardrail" and plan.analysis.method in RARE
    return "planned_sequence" if is_rare else plan.analysis.method


def _unpaired(plan: ExperimentPlan, table: PeriodTable) -> list[str]:
    """Return a note about periods that had outcomes of some arms only."""
    if plan.design != "shadow" or table.n_rows == 0:
        return []
    _, n = table.pivot("n", len(plan.arms))
    n_partial = int(np.count_nonzero(~(n > 0.0).all(axis=1)))
    if not n_partial:
        return []
    said = "had outcomes of some arms only and are left out: an arm that holds nothing reports 0."
    return [f"{n_partial:,} periods {said}"]


def _selected(plan: ExperimentPlan, observed: Observed) -> list[str]:
    """Return a note where shares moved and some outcomes may be missing for what they are."""
    if plan.counts_by_exposure and observed.n_late:
        took = f"{observed.n_late:,} outcomes took longer than the plan's lateness, {plan.lateness}"
        return [f"{took}: the newest periods may lack some for what they are."]
    has_moved = plan.allocation.policy != "fixed" or len(observed.weights) > 1
    if plan.design == "shadow" or not has_moved or plan.counts_by_exposure:
        return []
    said = (
        "Outcomes are counted by their own moments while the shares move: if how late "
        "one comes depends on what it is, differences are biased. counted_by: exposure avoids it."
    )
    return [said]


def _in_time(plan: ExperimentPlan, table: PeriodTable, watermark: int | None) -> PeriodTable:
    merged = table.merged()
    return merged if watermark is None else merged.ended(watermark, plan.period_ns)


def _compared(plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, arm: int) -> Comparison:
    """Return one challenger less the control."""
    name, control = plan.ordered_arms[arm].name, plan.control.name
    confidence = confidence_of(plan)
    try:
        periods, differences = differences_of(plan, metric, table, arm)
        if plan.analysis.method != "asymptotic":
            horizon = plan.analysis.horizon_periods
            periods, differences = periods[:horizon], differences[:horizon]
        if differences.size and bool(np.all(differences == differences[0])):
            return Comparison(
                name, control, confidence, estimate=float(differences[0]),
                because="The differences do not vary: there is no interval.",
            )  # fmt: skip
        plain = intervals_of(
            plan.analysis, differences, confidence, bound=_bound(metric),
            is_guardrail=metric.role == "guardrail",
        )  # fmt: skip
        effect = _effect_of(differences)
    except StatisticsError as error:
        return Comparison(name, control, confidence, because=_sentence(error))
    ends = (periods + plan.period_ns)[plain.periods - 1]
    return _told(plan, metric, arm, plain, ends, effect, n=differences.size)


def _compared_by_unit(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, units: UnitTable, arm: int
) -> Comparison:
    """Return one challenger less the control, where units report again and again."""
    confidence = confidence_of(plan)
    try:
        found = clustered_sequence(plan, metric, table, units, arm, confidence)
    except StatisticsError as error:
        name = plan.ordered_arms[arm].name
        return Comparison(name, plan.control.name, confidence, because=_sentence(error))
    plain = found.sequence
    effect = None if found.error is None else (float(plain.mean[-1]), found.error)
    ends = found.ends + plan.period_ns
    return _told(plan, metric, arm, plain, ends, effect, n=int(plain.periods[-1]))


def _withheld(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, arm: int, because: str
) -> Comparison:
    """Return the estimate of a challenger alone: no interval would hold."""
    _, differences = differences_of(plan, metric, table, arm)
    return Comparison(
        plan.ordered_arms[arm].name, plan.control.name, confidence_of(plan),
        estimate=float(differences.mean()) if differences.size else None, because=because,
    )  # fmt: skip


def _told(
    plan: ExperimentPlan, metric: MetricSpec, arm: int, plain: Intervals, ends: IntArray,
    effect: tuple[float, float] | None, *, n: int,
) -> Comparison:  # fmt: skip
    """Return a comparison by intervals at some looks.

    A guardrail is asked how things stand now; the primary metric what fits all looks so far, so
    that an answer of yesterday is one today, whoever looked.
    """
    seen = plain if metric.role == "guardrail" else plain.running()
    known = np.isfinite(seen.lower) & np.isfinite(seen.upper)
    fits = known & (seen.lower <= seen.upper)
    at = int(np.flatnonzero(fits)[-1]) if fits.any() else None
    told = list(seen.warnings)
    if at is None:
        told.insert(0, _too_early(plan, n))
    elif known[at + 1 :].any():
        told.insert(
            0, "No one difference fits all looks: it changed while the experiment ran; shown is "
            "the last interval that fits those before it.",
        )  # fmt: skip
    shown = float(seen.mean[-1 if at is None else at]) if seen.mean.size else None
    return Comparison(
        plan.ordered_arms[arm].name, plan.control.name, confidence_of(plan),
        estimate=shown if shown is not None and math.isfinite(shown) else None,
        lower=None if at is None else float(seen.lower[at]),
        upper=None if at is None else float(seen.upper[at]),
        **_bayesian(plan.analysis, metric, effect),
        because=" ".join(told),
        path=_path(ends, seen),
    )  # fmt: skip


def _too_early(plan: ExperimentPlan, n: int) -> str:
    asked = plan.analysis
    first = {
        "fixed_horizon": asked.horizon_periods,
        "group_sequential": -(-asked.horizon_periods // asked.n_looks),
    }.get(asked.method, asked.start)
    return f"{n:,} periods so far; the first interval comes after {first:,}."


def _effect_of(differences: FloatArray) -> tuple[float, float] | None:
    """Return the mean of the differences and its standard error; None where there is none."""
    found = _estimate(differences)
    return None if found is None else (found.difference, found.standard_error)


def _bayesian(
    asked: AnalysisSpec, metric: MetricSpec, found: tuple[float, float] | None
) -> dict[str, float]:
    """Return the chance that the challenger is better, and what choosing it would cost if not."""
    if found is None:
        return {}
    prior = None if asked.prior_deviation is None else Normal(0.0, asked.prior_deviation)
    try:
        effect = normal_effect(*found, prior=prior)
    except StatisticsError:
        return {}
    is_more = metric.direction == "increase"
    return {
        "probability_better": effect.chance_to_win if is_more else 1.0 - effect.chance_to_win,
        "expected_loss": effect.risk_of_shipping if is_more else effect.risk_of_keeping,
        "posterior_mean": effect.posterior.mean,
        "posterior_deviation": effect.posterior.deviation,
    }


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
    plan: ExperimentPlan, metric: MetricSpec, sketches: Sequence[QuantileSketch]
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
    for arm, sketch in zip(arms[1:], sketches[1:], strict=False):
        try:
            found = quantile_difference(
                sketches[0], sketch, metric.quantile, confidence=confidence_of(plan), seed=plan.seed
            )
        except StatisticsError as error:
            one = Comparison(
                arm.name, plan.control.name, confidence_of(plan), because=_sentence(error)
            )
        else:
            one = Comparison(
                arm.name, plan.control.name, found.confidence, estimate=found.difference,
                lower=found.lower, upper=found.upper,
                because="Its interval holds at one look, for outcomes that do not depend.",
            )  # fmt: skip
        comparisons.append(one)
    return figures, comparisons


def _mismatch(plan: ExperimentPlan, observed: Observed) -> Mismatch | None:
    """Return whether units came as allocated; None of a shadow experiment, which has no units."""
    if plan.design != "assigned":
        return None
    numbers = sorted(set(observed.exposed) & set(observed.weights))
    names = [arm.name for arm in plan.ordered_arms]
    counts = np.array(
        [[observed.exposed[k].get(at, 0) for at in range(len(names))] for k in numbers], dtype=float
    ).reshape(len(numbers), len(names))
    shares = np.array([observed.weights[k] for k in numbers], dtype=float).reshape(counts.shape)
    expected = (counts.sum(axis=1)[:, np.newaxis] * shares).sum(axis=0)
    told: dict[str, Any] = {
        "observed": {name: int(n) for name, n in zip(names, counts.sum(axis=0), strict=True)},
        "expected": {name: float(n) for name, n in zip(names, expected, strict=True)},
    }
    try:
        found = anytime_sample_ratio(counts, shares, level=plan.stopping.mismatch_alpha)
    except StatisticsError as error:
        return Mismatch(None, because=_sentence(error), **told)
    return Mismatch(found.p_value, is_mismatch=found.is_mismatch, **told)


def _cost(plan: ExperimentPlan, observed: Observed) -> Cost | None:
    """Return what outcomes of other arms than the best fell short; None where nothing was at stake.

    A shadow experiment trades on paper: it costs nothing but time.
    """
    metric = plan.primary
    if plan.design != "assigned" or metric.kind == "ratio":
        return None
    n_arms = len(plan.arms)
    table = _in_time(plan, observed.tables[metric.name], observed.watermark)
    periods, n = table.pivot("n", n_arms)
    if periods.size == 0 or bool((n.sum(axis=0) == 0.0).any()):
        return None
    mean = arm_effects(table, n_arms)
    gap = mean.max() - mean if metric.direction == "increase" else mean - mean.min()
    total = np.cumsum(n @ gap)
    kept = np.unique(np.linspace(0, total.size - 1, min(total.size, MOST_POINTS)).astype(int))
    ends = (periods + plan.period_ns)[kept]
    return Cost([int(end) for end in ends], [float(value) for value in total[kept]])


def _bound(metric: MetricSpec) -> float | None:
    """Return how far a difference can be from 0, where it is known."""
    if metric.kind == "proportion":
        return 1.0
    return None if metric.bound is None else 2.0 * metric.bound


def _path(ends: IntArray, seen: Intervals) -> Path:
    """Return an interval's way, thinned to what can be told apart; the last look always stays."""
    n_looks = seen.mean.size
    kept = np.unique(np.linspace(0, n_looks - 1, min(n_looks, MOST_POINTS)).astype(int))
    return Path(
        at=[int(value) for value in ends[kept]],
        n=[int(value) for value in seen.periods[kept]],
        estimate=_plain(seen.mean[kept]),
        lower=_plain(seen.lower[kept]),
        upper=_plain(seen.upper[kept]),
    )


def _plain(values: FloatArray) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]


def _sentence(error: Exception) -> str:
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
