"""What a plan assumes held against what came, and how long the experiment takes by that.

Nothing is changed by it: the plan is frozen, and the horizon stays. Variances, traffic and what is
missing say nothing of the difference, so that looking at them uses nothing up.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.plans.differences import (
    FloatArray,
    IntArray,
    differences_by_context,
    most_periods,
)
from experiments.plans.document import ExperimentPlan
from experiments.plans.findings import AssumedFindings, AssumptionCheck
from experiments.plans.observed import Observed
from experiments.plans.ramps import mean_share
from experiments.plans.sections import AssumptionSpec
from experiments.plans.sizing import Sizing, size_of
from experiments.plans.units import is_repeated
from experiments.plans.wording import write_difference, write_share, write_value
from experiments.statistics.checks import NO_SPREAD
from experiments.statistics.summaries import PeriodTable

FEWEST = 20  # compared periods, before anything is said
_Z = 1.96
_MATERIAL = 0.1  # of what is assumed; of a baseline, of the rarer outcome
_MATERIAL_SHARE = 0.05  # of what is missing, and of a correlation
_NAMES = {
    "deviation": "a deviation", "autocorrelation": "an autocorrelation", "missing": "missing",
    "baseline": "a baseline", "units_per_period": "units a period",
}  # fmt: skip


def assumed_findings(
    plan: ExperimentPlan, table: PeriodTable, observed: Observed
) -> AssumedFindings | None:
    """Return what came beside what the first primary metric was sized by; None where too little.

    Parameters
    ----------
    plan : ExperimentPlan
    table : PeriodTable
        Sums of the first primary metric in the periods to look at.
    observed : Observed

    Notes
    -----
    An assumption is off where it lies outside of a 95 % interval of what was seen, and by a tenth
    (a baseline by one of the rarer outcome, on which its spread depends), or of what is missing or
    a correlation by 0.05. The size now takes what is off as it was seen, and the
    rest as it was assumed. Of several challengers of a shadow experiment the one whose difference
    varies most.
    """
    asked = plan.assumptions
    if asked is None or is_repeated(plan, plan.primary, observed):
        return None
    n_seen = int(np.unique(table.period).size)
    arm, n = "", n_seen
    checks: list[AssumptionCheck] = []
    if plan.design == "shadow":
        arm, n, checks = _of_pairs(plan, asked, table, observed, n_seen)
    elif n_seen >= FEWEST:
        checks = _of_units(plan, asked, table, n_seen)
    before = size_of(plan)
    if n < FEWEST or not checks or before is None:
        return None
    off = {one.name: one.seen for one in checks if one.is_off}
    now = size_of(plan.model_copy(update={"assumptions": _as_seen(plan, asked, off, n_seen)}))
    return AssumedFindings(
        n_periods=n, arm=arm, checks=checks,
        periods=now.elapsed_periods if now else None, periods_assumed=before.elapsed_periods,
        power_at_horizon=now.power_at_horizon if now else None,
        detectable_effect=now.detectable_effect if now else None,
        sentence=_sentence(plan, arm, n, checks, before, now),
    )  # fmt: skip


def _of_pairs(
    plan: ExperimentPlan, asked: AssumptionSpec, table: PeriodTable, observed: Observed,
    n_seen: int,
) -> tuple[str, int, list[AssumptionCheck]]:  # fmt: skip
    """Return what came of the challenger whose difference varies most."""
    found: list[tuple[float, str, int, list[AssumptionCheck]]] = []
    most = most_periods(plan, plan.primary)
    for at, arm in enumerate(plan.ordered_arms[1:], start=1):
        whole = differences_by_context(plan, plan.primary, table, at, observed.contexts)
        _, compared = whole.by_period()
        d = compared[:most]
        if d.size < FEWEST or whole.first(most).is_still:
            continue
        assert asked.deviation is not None  # noqa: S101 - a rule of the document
        deviation = _deviation_of(d, asked.deviation)
        rho = _correlation_of(d, asked.autocorrelation)
        lacks = 1.0 - compared.size / n_seen
        error = math.sqrt(lacks * (1.0 - lacks) / n_seen)
        missing = _check("missing", asked.missing, lacks, error)
        long_run = deviation.seen**2 * (1.0 + rho.seen) / (1.0 - rho.seen)
        found.append((long_run, arm.name, d.size, [deviation, rho, missing]))
    if not found:
        return "", 0, []
    _, arm_name, n, checks = max(found, key=lambda one: one[0])
    return arm_name, n, checks


def _deviation_of(d: FloatArray, assumed: float) -> AssumptionCheck:
    """Return the deviation of differences, its error by their fourth moment: tails may be heavy."""
    square = float(d.var(ddof=1))
    fourth = float(np.mean((d - d.mean()) ** 4))
    error = math.sqrt(max(fourth - square**2, 0.0) / d.size) / (2.0 * math.sqrt(square))
    return _check("deviation", assumed, math.sqrt(square), error)


def _correlation_of(d: FloatArray, assumed: float) -> AssumptionCheck:
    off = d - d.mean()
    rho = float(off[1:] @ off[:-1] / (off @ off))
    return _check("autocorrelation", assumed, rho, 1.0 / math.sqrt(d.size))


def _of_units(
    plan: ExperimentPlan, asked: AssumptionSpec, table: PeriodTable, n_seen: int
) -> list[AssumptionCheck]:
    """Return what came of units: their number, and how their outcomes differ within a period."""
    _, row = np.unique(table.period, return_inverse=True)
    by_period = _summed(row, table.n, n_seen)
    error = float(by_period.std(ddof=1)) / math.sqrt(n_seen)
    checks = [_check("units_per_period", _reporting(plan, asked, n_seen), by_period.mean(), error)]
    if asked.baseline is not None:
        own = table.arm == 0
        n, total = (_summed(row[own], one[own], n_seen) for one in (table.n, table.total))
        return [*checks, _check("baseline", asked.baseline, *_ratio_of(total, n))]
    assert asked.deviation is not None  # noqa: S101 - a rule of the document
    rest = np.maximum(table.squares - table.total**2 / np.maximum(table.n, 1.0), 0.0)
    squares = _summed(row, rest, n_seen)
    freedom = _summed(row, np.maximum(table.n - 1.0, 0.0), n_seen)
    if squares.sum() > NO_SPREAD * table.squares.sum() and freedom.sum() > 0.0:
        variance, error = _ratio_of(squares, freedom)
        deviation = math.sqrt(variance)
        checks.append(_check("deviation", asked.deviation, deviation, error / (2.0 * deviation)))
    return checks


def _summed(row: IntArray, values: FloatArray, n_periods: int) -> FloatArray:
    """Return sums by period."""
    return np.bincount(row, values, n_periods).astype(np.float64)


def _ratio_of(above: FloatArray, below: FloatArray) -> tuple[float, float]:
    """Return a ratio of sums over periods, and its error with the period as its cluster."""
    ratio = float(above.sum() / max(below.sum(), 1e-300))
    error = math.sqrt(float(np.sum((above - ratio * below) ** 2))) / max(below.sum(), 1e-300)
    return ratio, error


def _reporting(plan: ExperimentPlan, asked: AssumptionSpec, n_seen: int) -> float:
    """Return how many units are assumed to take part and report in a period, the ramp included."""
    assert asked.units_per_period is not None  # noqa: S101 - a rule of the document
    taking_part = plan.assignment.share * mean_share(plan, n_seen)
    return asked.units_per_period * taking_part * (1.0 - asked.missing)


def _as_seen(
    plan: ExperimentPlan, asked: AssumptionSpec, off: dict[str, float], n_seen: int
) -> AssumptionSpec:
    """Return the assumptions with what is off as it was seen."""
    seen: dict[str, Any] = dict(off)
    if "units_per_period" in seen and asked.units_per_period is not None:
        times = seen["units_per_period"] / _reporting(plan, asked, n_seen)
        seen["units_per_period"] = asked.units_per_period * times
    if "missing" in seen:
        seen["missing"] = min(seen["missing"], 0.99)
    if "autocorrelation" in seen:
        seen["autocorrelation"] = min(max(seen["autocorrelation"], -0.99), 0.99)
    return asked.model_copy(update=seen)


def _check(name: str, assumed: float, seen: float, error: float) -> AssumptionCheck:
    seen, reach = float(seen), _Z * float(error)
    material = _MATERIAL * (min(assumed, 1.0 - assumed) if name == "baseline" else assumed)
    if name in {"missing", "autocorrelation"}:
        material = _MATERIAL_SHARE
    is_off = abs(seen - assumed) > max(reach, material)
    return AssumptionCheck(name, float(assumed), seen, seen - reach, seen + reach, is_off)


def _sentence(
    plan: ExperimentPlan, arm: str, n: int, checks: Sequence[AssumptionCheck], before: Sizing,
    now: Sizing | None,
) -> str:  # fmt: skip
    """Return what was off, and what the experiment takes by that."""
    off = [one for one in checks if one.is_off]
    about = f"Of {arm} less {plan.control.name} in" if arm else "In"
    if not off:
        return f"{about} {n:,} periods what the plan assumes of {plan.primary.name} fits."
    told = ", ".join(_told(plan, one) for one in off)
    said = f"{about} {n:,} periods {plan.primary.name} has {told}."
    if now is None:
        return f"{said} How long that takes is not known."
    effect, least = (
        write_difference(plan.primary, value) for value in (now.effect, now.detectable_effect)
    )
    asked, shown = f"the difference of {effect}", f"{least} is seen with that of"
    if plan.primary.margin is not None:
        asked = f"a challenger that is as good, to be shown to be no worse by {effect},"
        shown = f"a margin of {least} is enough for"
    return (
        f"{said} By that {asked} takes {now.elapsed_periods:,} periods rather than "
        f"{before.elapsed_periods:,}; in the planned {now.horizon:,} the chance to see it is "
        f"{write_share(now.power_at_horizon)}, and {shown} {write_share(now.power)}. The plan "
        "stays as it is."
    )


def _told(plan: ExperimentPlan, one: AssumptionCheck) -> str:
    """Return what was seen of an assumption, and what was assumed."""
    if one.name == "units_per_period":
        return f"{one.seen:,.4g} units a period rather than {one.assumed:,.4g}"
    if one.name == "missing":
        seen, assumed = (write_share(value) for value in (one.seen, one.assumed))
        return f"{seen} of periods without both arms rather than {assumed}"
    if one.name == "autocorrelation":
        seen, assumed = (f"{value:.2f}" for value in (one.seen, one.assumed))
    else:
        seen, assumed = (write_value(plan.primary, value) for value in (one.seen, one.assumed))
    return f"{_NAMES[one.name]} of {seen} rather than {assumed}"
