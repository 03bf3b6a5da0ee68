"""A plan and the sums of its outcomes to findings.

Nothing here reads a single outcome: what goes in are sums by period, so that an experiment of ten
million outcomes is analyzed in milliseconds. The unit of analysis is the period, because outcomes
of one share its shocks.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from experiments.plans.assumed import assumed_findings
from experiments.plans.comparing import in_time
from experiments.plans.contexts import context_findings, context_notes, n_compared, of_the_plan
from experiments.plans.correcting import corrected_findings
from experiments.plans.differences import FloatArray, IntArray, arm_effects, factor_of
from experiments.plans.document import ExperimentPlan
from experiments.plans.findings import (
    Comparison,
    ContextFindings,
    Cost,
    Findings,
    MetricFindings,
    Mismatch,
)
from experiments.plans.mixes import why_divided
from experiments.plans.observed import Observed
from experiments.plans.sections import MetricSpec
from experiments.plans.standing import standing_of
from experiments.plans.telling import sentence, unless
from experiments.plans.units import REPEATED, is_repeated, why_withheld
from experiments.plans.wording import write_value
from experiments.statistics.errors import StatisticsError
from experiments.statistics.srm import anytime_sample_ratio
from experiments.statistics.summaries import PeriodTable

MOST_POINTS = 400  # of a cost that are kept


def analyze(plan: ExperimentPlan, observed: Observed) -> Findings:
    """Return what the outcomes so far say under a plan.

    Parameters
    ----------
    plan : ExperimentPlan
    observed : Observed

    Notes
    -----
    Each challenger is compared with the control by the difference of their period totals (shadow)
    or of their means within a period and allocation (assigned); where units report again and again,
    by that of their means over all outcomes, with errors by unit and period. Intervals of several
    comparisons are as sure as the plan's correction asks; each is cut to those before it, as a
    confidence sequence may be, so that it does not matter when anybody looked. What cannot be
    computed says why.
    """
    tables = {
        metric.name: in_time(plan, observed.tables[metric.name], observed.watermark)
        for metric in plan.primaries
    }
    table = tables[plan.primary.name]
    within = context_findings(plan, of_the_plan(plan, table, observed))
    metrics = [_undivided(plan, one, within) for one in corrected_findings(plan, observed)]
    standings = {
        metric.name: standing_of(plan, metric, tables[metric.name], observed, one.comparisons)
        for metric, one in zip(plan.metrics, metrics, strict=True) if metric.role == "primary"
    }  # fmt: skip
    metrics = [
        replace(one, standing=standings[one.name]) if one.name in standings else one
        for one in metrics
    ]
    primaries = [one for one in metrics if one.role == "primary"]
    n_periods = min(
        n_compared(plan, metric, tables[metric.name], observed) for metric in plan.primaries
    )
    first_look = plan.analysis.first_look
    notes = [
        f"{_about(plan, metric, one)}: {one.because}"
        for metric in primaries for one in metric.comparisons
        if one.because and (one.is_known or one.is_withheld or n_periods >= first_look)
    ]  # fmt: skip
    for metric in plan.primaries:
        notes += _adjusted(plan, metric, tables[metric.name])
    notes += _unpaired(plan, table) + _selected(plan, observed)
    notes += [
        f"Nothing has come of {one} for a while; it holds nobody up." for one in observed.silent
    ]
    notes += _after_the_plan(plan, n_periods) + _futile(plan, primaries)
    notes += _repeated(plan, observed) + context_notes(plan, table, observed)
    assumed = assumed_findings(plan, table, observed)
    if assumed is not None and assumed.is_off:
        notes.append(assumed.sentence)
    return Findings(
        n_periods=n_periods,
        horizon=plan.analysis.horizon_periods,
        n_seen=max(int(np.unique(one.period).size) for one in tables.values()),
        first_look=first_look,
        watermark=observed.watermark,
        metrics=metrics,
        mismatch=_mismatch(plan, observed),
        cost=_cost(plan, observed),
        method=plan.analysis.method,
        n_late=observed.n_late,
        notes=list(dict.fromkeys(notes)),
        contexts=within,
        assumed=assumed,
        gives_up=plan.analysis.futility == "stop" and _is_futile(plan, primaries),
    )


def _about(plan: ExperimentPlan, metric: MetricFindings, one: Comparison) -> str:
    """Return what a note on a comparison is about; of several metrics also of which."""
    return one.arm if len(plan.primaries) == 1 else f"{one.arm}, {metric.name}"


def _undivided(
    plan: ExperimentPlan, metric: MetricFindings, within: Sequence[ContextFindings]
) -> MetricFindings:
    """Return the primary metric without an answer where that depends on the context."""
    if metric.role != "primary":
        return metric
    reasons = [why_divided(plan, one.arm, within) for one in metric.comparisons]
    return replace(
        metric,
        comparisons=[
            unless(why, one) for why, one in zip(reasons, metric.comparisons, strict=True)
        ],
    )


def _after_the_plan(plan: ExperimentPlan, n_periods: int) -> list[str]:
    """Return a note where periods came after the planned ones, which change the answer no more.

    An asymptotic sequence has no end.
    """
    horizon = plan.analysis.horizon_periods
    if n_periods <= horizon or plan.analysis.method == "asymptotic":
        return []
    parts = [
        *(["guardrails"] if any(metric.role == "guardrail" for metric in plan.metrics) else []),
        *(["quantiles"] if any(metric.kind == "quantile" for metric in plan.metrics) else []),
        *(["the cost"] if plan.design == "assigned" else []),
    ]
    named = " and ".join(filter(None, [", ".join(["arms", *parts[:-1]]), *parts[-1:]]))
    said = (
        f"The answer is that of the {horizon:,} planned periods. The {n_periods - horizon:,} after "
        f"them are in the figures of {named} alone."
    )
    return [said]


def _is_futile(plan: ExperimentPlan, primaries: Sequence[MetricFindings]) -> bool:
    """Say whether an answer is unlikely of every challenger."""
    by_arm = zip(*(metric.comparisons for metric in primaries), strict=True)
    needed = any if plan.analysis.winner_needs == "all" else all
    futile = [needed(one.is_futile for one in own) for own in by_arm]
    return bool(futile) and all(futile)


def _futile(plan: ExperimentPlan, primaries: Sequence[MetricFindings]) -> list[str]:
    """Return a note on challengers of which an answer is unlikely by the end."""
    return [
        f"{_about(plan, metric, one)}: at the newest planned look the difference from "
        f"{one.against} was within the futility bound. An answer by the end is unlikely; going on "
        "makes none of them less sure."
        for metric in primaries for one in metric.comparisons if one.is_futile
    ]  # fmt: skip


def _repeated(plan: ExperimentPlan, observed: Observed) -> list[str]:
    """Return a note where units report again and again and that is in the intervals.

    Where it is not, each comparison says why it has none.
    """
    again = [one for one in plan.primaries if is_repeated(plan, one, observed)]
    return [REPEATED] if any(why_withheld(plan, one, observed) is None for one in again) else []


def _adjusted(plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable) -> list[str]:
    """Return notes where the answer is not that of the figures of the arms."""
    if metric.factor_mean is None:
        return []
    expected = write_value(metric, metric.factor_mean)
    said = (
        f"Differences of {metric.name} are without what the arms differ in their exposure to x, "
        f"about its expected value of {expected} a period; the figures of the arms are with it."
    )
    notes, n_arms = [said], len(plan.arms)
    for at, arm in enumerate(plan.ordered_arms[1:] if table.n_rows else [], start=1):
        _, n = table.pivot("n", n_arms)
        _, is_same = factor_of(table, n_arms, at)
        n_other = int(np.count_nonzero(~is_same & (n[:, [0, at]] > 0.0).all(axis=1)))
        if n_other:
            notes.append(
                f"In {n_other:,} periods {arm.name} reports another x than {plan.control.name}, "
                "and it is to be the same for all arms: they are left out."
            )
    return notes


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
    has_changed = len(observed.weights) > len(plan.contexts)
    has_moved = plan.allocation.policy != "fixed" or has_changed
    if plan.design == "shadow" or not has_moved or plan.counts_by_exposure:
        return []
    said = (
        "Outcomes are counted by their own moments while the shares move: if how late "
        "one comes depends on what it is, differences are biased. counted_by: exposure avoids it."
    )
    return [said]


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
    stray = np.where(shares > 0.0, 0.0, counts)
    impossible = {name: int(n) for name, n in zip(names, stray.sum(axis=0), strict=True) if n > 0.0}
    told["impossible"] = impossible
    if not counts.any():
        return Mismatch(None, because="No unit has met an arm yet.", **told)
    try:
        found = anytime_sample_ratio(counts - stray, shares, level=plan.stopping.mismatch_alpha)
    except StatisticsError as error:
        if impossible:
            return Mismatch(0.0, is_mismatch=True, **told)
        return Mismatch(None, because=sentence(error), **told)
    return Mismatch(
        0.0 if impossible else found.p_value, evidence=found.statistic,
        is_mismatch=found.is_mismatch or bool(impossible), **told,
    )  # fmt: skip


def _cost(plan: ExperimentPlan, observed: Observed) -> Cost | None:
    """Return what outcomes of other arms than the best fell short; None where nothing was at stake.

    A shadow experiment trades on paper: it costs nothing but time. Where shares depend on a
    context, the best is that of each; nothing is said until every arm has outcomes in all that
    have any.
    """
    metric = plan.primary
    if plan.design != "assigned" or metric.kind == "ratio":
        return None
    table = in_time(plan, observed.tables[metric.name], observed.watermark)
    parts = [table]
    if len(plan.contexts) > 1:
        parts = [table.of_allocations(observed.numbers_of(one)) for one in plan.contexts]
    periods, total = np.unique(table.period), np.zeros(np.unique(table.period).size)
    if periods.size == 0:
        return None
    for part in parts:
        short = _shortfall(metric, part, len(plan.arms))
        if short is None:
            return None
        total[np.searchsorted(periods, short[0])] += short[1]
    total = np.cumsum(total)
    kept = np.unique(np.linspace(0, total.size - 1, min(total.size, MOST_POINTS)).astype(int))
    ends = (periods + plan.period_ns)[kept]
    return Cost([int(end) for end in ends], [float(value) for value in total[kept]])


def _shortfall(
    metric: MetricSpec, table: PeriodTable, n_arms: int
) -> tuple[IntArray, FloatArray] | None:
    """Return by period what outcomes fell short of the best arm's; None where that is not known."""
    periods, n = table.pivot("n", n_arms)
    if periods.size and bool((n.sum(axis=0) == 0.0).any()):
        return None
    mean = arm_effects(table, n_arms)
    gap = mean.max() - mean if metric.direction == "increase" else mean - mean.min()
    return periods, n @ gap
