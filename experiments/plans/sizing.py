"""What a plan's time and traffic can show, by what the plan assumes of them.

Of one look at the end, at the level that the plan leaves to a single comparison. To look all the
time takes somewhat more.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass

from experiments.plans.document import ExperimentPlan
from experiments.plans.families import confidence_of
from experiments.plans.ramps import worth_of_periods
from experiments.plans.sections import AssumptionSpec
from experiments.plans.wording import write_difference, write_share
from experiments.statistics.errors import StatisticsError
from experiments.statistics.power import (
    minimum_detectable_effect,
    minimum_detectable_mean,
    periods_needed,
    power_of_mean,
    power_of_means,
    sample_size_of_means,
)

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
    periods : int
        That it takes.
    power_at_horizon : float
        Chance of seeing the effect in the planned periods.
    detectable_effect : float
        Least effect that the planned periods show with the power that is asked for.
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
    except StatisticsError:
        return None
    return Sizing(
        level=1.0 - confidence_of(plan), power=asked.power, effect=asked.effect,
        horizon=plan.analysis.horizon_periods, n_units=n_units, periods=periods,
        power_at_horizon=power, detectable_effect=detectable,
        sentence=_sentence(plan, asked, n_units, periods, power, detectable),
    )  # fmt: skip


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
    assert asked.units_per_period is not None  # noqa: S101 - a rule of the document
    control, *others = plan.weights
    share = min(weight for weight in others if weight > 0.0)
    deviation = _deviation(plan, asked, control, share)
    how = {"level": level, "power": asked.power}
    arriving = asked.units_per_period * plan.assignment.share
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
    variance = asked.baseline * (1.0 - asked.baseline) / control + treated * (1.0 - treated) / share
    return math.sqrt(variance / (1.0 / control + 1.0 / share))


def _sentence(
    plan: ExperimentPlan, asked: AssumptionSpec, n_units: int | None, periods: int, power: float,
    detectable: float,
) -> str:  # fmt: skip
    effect = write_difference(plan.primary, asked.effect)
    taken = f"{periods:,} periods" if n_units is None else f"{n_units:,} units, {periods:,} periods"
    if plan.assignment.ramp:
        taken = f"{n_units:,} units in periods that are alike, {periods:,} periods of this ramp"
    least = write_difference(plan.primary, detectable)
    if plan.primary.margin is not None:
        return (
            f"By what the plan assumes, a challenger that is as good takes {taken}, to be shown to "
            f"be no worse by {effect} with a chance of {write_share(asked.power)}; in the planned "
            f"{plan.analysis.horizon_periods:,} the chance is {write_share(power)}, and a margin "
            f"of {least} is enough for {write_share(asked.power)}. Of one look at the end; to look "
            "all the time takes somewhat more."
        )
    return (
        f"By what the plan assumes, a difference of {effect} takes {taken}, to be seen with a "
        f"chance of {write_share(asked.power)}; in the planned {plan.analysis.horizon_periods:,} "
        f"the chance is {write_share(power)}, and {least} is seen with that of "
        f"{write_share(asked.power)}. Of one look at the end; to look all the time takes somewhat "
        "more."
    )
