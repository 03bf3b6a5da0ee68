"""What a plan's time and traffic can show, by what the plan assumes of them.

Of one look at the end, at the level that the plan leaves to a single comparison. To look all the
time takes somewhat more.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import nctdtrinc, ndtri

from experiments.plans.document import ExperimentPlan
from experiments.plans.families import confidence_of
from experiments.plans.looks import looks_of
from experiments.plans.ramps import worth_of_periods
from experiments.plans.sections import AssumptionSpec
from experiments.plans.wording import write_difference, write_share
from experiments.statistics.errors import NotComputedError, StatisticsError
from experiments.statistics.power import (
    minimum_detectable_effect,
    minimum_detectable_mean,
    periods_needed,
    power_of_mean,
    power_of_means,
    sample_size_of_means,
)
from experiments.statistics.sequential.running import RunningMean, student_reach

_ROUNDING = 1e-9
_MOST_PERIODS = 10**15  # more than any number of units takes


@dataclass(frozen=True, slots=True)
class Sizing:
    """What the planned periods can show, and how many it would take.

    Attributes
    ----------
    level, power : float
        Two-sided level of a single comparison, and the chance of seeing the effect that is asked
        for.
    effect : float
        That the plan wants to see, or its margin where the question is non_inferior [unit of the
        primary metric], > 0.
    horizon : int
        Planned periods.
    n_units : int or None
        Units of all arms together that it takes, in periods that are alike; None of a shadow
        experiment.
    periods, elapsed_periods : int
        That it takes: compared ones, and with those that bring nothing.
    power_at_horizon : float
        Chance of seeing the effect in the planned periods.
    detectable_effect : float
        Least effect that the planned periods show with the power that is asked for.
    first_look : int
        Compared periods before the first interval.
    first_look_effect : float or None
        Least effect that the plan's own interval shows then, with the power that is asked for;
        None of betting, whose intervals depend on more than the deviation.
    sentence : str
        The same in words.
    """

    level: float
    power: float
    effect: float
    horizon: int
    n_units: int | None
    periods: int
    power_at_horizon: float
    detectable_effect: float
    elapsed_periods: int
    first_look: int
    first_look_effect: float | None
    sentence: str


def size_of(plan: ExperimentPlan) -> Sizing | None:
    """Return what a plan can show; None where it assumes nothing, or as `why_unsized` says.

    Notes
    -----
    Of several challengers that with the smallest share. Deviations are those about what all units
    of a period share, which the comparison within periods takes off; of proportions those at the
    effect that is asked for. A period counts alike however many units come in it: the thin ones of
    a ramp are in all figures of periods, from its first step on.
    """
    if plan.assumptions is None:
        return None
    asked = _distance(plan, plan.assumptions)
    try:
        n_units, periods, power, detectable = _found(plan, asked)
        first_effect = _first_look_effect(plan, asked, detectable)
    except StatisticsError:
        return None
    share = 1.0 - asked.missing if plan.design == "shadow" else 1.0
    made = Sizing(
        level=1.0 - confidence_of(plan), power=asked.power, effect=asked.effect,
        horizon=plan.analysis.horizon_periods, n_units=n_units, periods=periods,
        power_at_horizon=power, detectable_effect=detectable,
        elapsed_periods=math.ceil(periods / share - _ROUNDING),
        first_look=plan.analysis.first_look, first_look_effect=first_effect, sentence="",
    )  # fmt: skip
    return replace(made, sentence=_sentence(plan, asked, made))


def _first_look_effect(
    plan: ExperimentPlan, asked: AssumptionSpec, at_the_end: float
) -> float | None:
    """Return the least effect that is seen at the first look, by the interval that it has then.

    Notes
    -----
    The mean in errors with which a noncentral Student ratio, with the degrees of freedom of the
    batches there are, exceeds the interval's half width with the chance that is asked for.
    """
    analysis, n = plan.analysis, plan.analysis.first_look
    if analysis.method == "betting":
        return None
    if analysis.method == "fixed_horizon":
        return at_the_end
    _, reach = looks_of(analysis, confidence_of(plan), n, is_guardrail=False)
    away = float(reach[-1]) + float(ndtri(asked.power))
    if analysis.method != "asymptotic":
        # The degrees of freedom are those of noise, whatever the values.
        freedom = RunningMean(analysis.batch, 1).extend(np.cos(np.arange(n))).freedom[-1:]
        student = student_reach(reach[-1:], freedom)[0]
        away = float(nctdtrinc(freedom[0], 1.0 - asked.power, student))
    return away * _error_after(plan, asked, n) if math.isfinite(away) else None


def _error_after(plan: ExperimentPlan, asked: AssumptionSpec, n_periods: int) -> float:
    """Return the standard error of the difference after so many periods."""
    if plan.design == "shadow":
        assert asked.deviation is not None  # noqa: S101 - a rule of the document
        rho = asked.autocorrelation
        return asked.deviation * math.sqrt((1.0 + rho) / (1.0 - rho) / n_periods)
    control, share = _shares(plan)
    total = _arriving(plan, asked) * worth_of_periods(plan, n_periods)
    both = 1.0 / (total * control) + 1.0 / (total * share)
    return _deviation(plan, asked, control, share) * math.sqrt(both)


def _shares(plan: ExperimentPlan) -> tuple[float, float]:
    """Return the shares of the control, and of the challenger with the smallest."""
    control, *others = plan.weights
    return control, min(weight for weight in others if weight > 0.0)


def _arriving(plan: ExperimentPlan, asked: AssumptionSpec) -> float:
    """Return the units that take part and report in a period without a ramp."""
    assert asked.units_per_period is not None  # noqa: S101 - a rule of the document
    return asked.units_per_period * plan.assignment.share * (1.0 - asked.missing)


def why_unsized(plan: ExperimentPlan) -> str:
    """Return why nothing can be said by what a plan assumes; empty where it can, or assumes none.

    Such as an arm that too few units would ever come to.
    """
    if plan.assumptions is None:
        return ""
    try:
        _found(plan, _distance(plan, plan.assumptions))
    except StatisticsError as error:
        return f"By what the plan assumes nothing can be said: {str(error).rstrip('.')}."
    return ""


def _distance(plan: ExperimentPlan, asked: AssumptionSpec) -> AssumptionSpec:
    """Return the assumptions with the difference that the question has to see.

    Of being no worse that is the margin, between arms that are alike.
    """
    margin = plan.primary.margin
    return asked if margin is None else asked.model_copy(update={"effect": margin})


_Found = tuple[int | None, int, float, float]


def _found(plan: ExperimentPlan, asked: AssumptionSpec) -> _Found:
    of = _of_periods if plan.design == "shadow" else _of_units
    return of(plan, asked, 1.0 - confidence_of(plan))


def _of_periods(plan: ExperimentPlan, asked: AssumptionSpec, level: float) -> _Found:
    """Return what paired differences of periods take and show."""
    assert asked.deviation is not None  # noqa: S101 - a rule of the document
    rho = asked.autocorrelation
    periods = periods_needed(
        asked.effect, asked.deviation, autocorrelation=rho, level=level, power=asked.power
    )
    n = max(2.0, plan.analysis.horizon_periods * (1.0 - rho) / (1.0 + rho))
    return (
        None, periods, power_of_mean(asked.effect, asked.deviation, n=n, level=level),
        minimum_detectable_mean(asked.deviation, n=n, level=level, power=asked.power),
    )  # fmt: skip


def _of_units(plan: ExperimentPlan, asked: AssumptionSpec, level: float) -> _Found:
    """Return what units take and show, of the challenger with the smallest share."""
    control, share = _shares(plan)
    deviation = _deviation(plan, asked, control, share)
    how = {"level": level, "power": asked.power}
    arriving = _arriving(plan, asked)
    total = arriving * worth_of_periods(plan, plan.analysis.horizon_periods)
    sizes = {"n_control": total * control, "n_treatment": total * share}
    power = power_of_means(asked.effect, deviation, level=level, **sizes)
    n_control = sample_size_of_means(asked.effect, deviation, ratio=share / control, **how)
    n_units = math.ceil(n_control / control)
    periods = 1 + bisect_left(
        range(1, _MOST_PERIODS), n_units / arriving, key=lambda n: worth_of_periods(plan, n)
    )
    return n_units, periods, power, minimum_detectable_effect(deviation, **how, **sizes)


def _deviation(plan: ExperimentPlan, asked: AssumptionSpec, control: float, share: float) -> float:
    """Return the standard deviation of single outcomes that both arms together are as sure as.

    Proportions each have their own, and the smaller arm's matters more.
    """
    if asked.baseline is None:
        assert asked.deviation is not None  # noqa: S101 - a rule of the document
        return asked.deviation
    sign = 1.0 if plan.primary.direction == "increase" else -1.0
    treated = asked.baseline if plan.primary.margin else asked.baseline + sign * asked.effect
    if not 0.0 < treated < 1.0:
        raise NotComputedError(
            f"the baseline of {asked.baseline:.3g} and the effect leave no proportion between 0 "
            "and 1"
        )
    variance = asked.baseline * (1.0 - asked.baseline) / control + treated * (1.0 - treated) / share
    return math.sqrt(variance / (1.0 / control + 1.0 / share))


def _sentence(plan: ExperimentPlan, asked: AssumptionSpec, found: Sizing) -> str:
    effect = write_difference(plan.primary, asked.effect)
    n_units, periods = found.n_units, found.periods
    taken = f"{periods:,} periods" if n_units is None else f"{n_units:,} units, {periods:,} periods"
    if found.elapsed_periods > periods:
        taken += f" with outcomes of both arms, {found.elapsed_periods:,} in all"
    if plan.assignment.ramp:
        taken = f"{n_units:,} units in periods that are alike, {periods:,} periods of this ramp"
    horizon = f"{plan.analysis.horizon_periods:,}"
    least = write_difference(plan.primary, found.detectable_effect)
    wanted, chance = write_share(asked.power), write_share(found.power_at_horizon)
    if plan.primary.margin is None:
        said = (
            f"a difference of {effect} takes {taken}, to be seen with a chance of {wanted}; in the "
            f"planned {horizon} the chance is {chance}, and {least} is seen with that of {wanted}"
        )
    else:
        said = (
            f"a challenger that is as good takes {taken}, to be shown to be no worse by {effect} "
            f"with a chance of {wanted}; in the planned {horizon} the chance is {chance}, and a "
            f"margin of {least} is enough for {wanted}"
        )
    return (
        f"By what the plan assumes, {said}. Of one look at the end; to look all the time takes "
        f"somewhat more.{_first(plan, asked, found)}{_of_several(plan)}"
    )


def _first(plan: ExperimentPlan, asked: AssumptionSpec, found: Sizing) -> str:
    """Return when the first look comes, and what it shows; empty where it is the one at the end."""
    if plan.analysis.method == "fixed_horizon":
        return ""
    said = f" The first look comes after {found.first_look:,} periods"
    if found.first_look_effect is None:
        return f"{said}."
    least = write_difference(plan.primary, found.first_look_effect)
    shown = f"shows {least}" if plan.primary.margin is None else f"a margin of {least} is enough"
    return f"{said}, and {shown} with a chance of {write_share(asked.power)}."


def _of_several(plan: ExperimentPlan) -> str:
    """Return of which of several primary metrics the figures are; empty of a single one."""
    if len(plan.primaries) == 1:
        return ""
    more = ""
    if plan.analysis.winner_needs == "all":
        more = " To be better on all of them takes more than on any by itself."
    return f" Of {plan.primary.name}, the first primary metric.{more}"
