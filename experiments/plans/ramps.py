"""What a ramp costs: periods count alike, and its first ones are thin.

The difference of a planned sequence is the mean of those of the periods, whatever their traffic;
its error is as large as the thin ones make it, for ever.
"""

import math
from collections.abc import Iterator
from datetime import datetime
from itertools import zip_longest

from experiments.plans.document import ExperimentPlan, duration

WORTH_SAYING = 1.1


def cost_of_ramp(plan: ExperimentPlan, started_at: datetime | None = None) -> float:
    """Return how many times as large the standard error is as the same outcomes would allow, >= 1.

    Parameters
    ----------
    plan : ExperimentPlan
    started_at : datetime, optional
        When the experiment began; at the first step of the ramp when not given.

    Notes
    -----
    With traffic s_i in proportion to the ramp's share the variance of a period's difference is in
    proportion to 1 / s_i, that of n alike to ``sum(1 / s_i) / n^2``, and that of the best mean, by
    traffic, to ``1 / sum(s_i)``: the root of their ratio. Periods before anybody takes part do not
    count, of the plan's horizon neither.
    """
    n, thin, traffic = 0, 0.0, 0.0
    for share, periods in _steps(plan, plan.analysis.horizon_periods, started_at):
        n, thin, traffic = n + periods, thin + periods / share, traffic + periods * share
    return math.sqrt(thin * traffic) / n if n else 1.0


def ramp_note(plan: ExperimentPlan, started_at: datetime | None = None) -> str:
    """Return a sentence about what the ramp costs; empty where that is little."""
    times = cost_of_ramp(plan, started_at)
    if times < WORTH_SAYING:
        return ""
    return (
        f"The ramp makes the standard error of the whole {times:.2g} times what as many units in "
        "equal periods would have: a period counts alike however many come in it. Where units "
        "report once, a shorter ramp, or one that begins with a larger share, answers sooner."
    )


def worth_of_periods(plan: ExperimentPlan, n_periods: int) -> float:
    """Return how many periods without a ramp so many of a plan are worth.

    Notes
    -----
    ``n^2 / sum(1 / s_i)``: what has the same variance, see `cost_of_ramp`. It grows with n, as who
    is in stays in. 0 where nobody ever takes part.
    """
    thin = sum(periods / share for share, periods in _steps(plan, n_periods))
    return n_periods**2 / thin if thin else 0.0


def mean_share(plan: ExperimentPlan, n_periods: int) -> float:
    """Return which share of those that the plan takes took part in so many periods, on average."""
    return sum(share * periods for share, periods in _steps(plan, n_periods)) / n_periods


def _steps(
    plan: ExperimentPlan, n_periods: int, started_at: datetime | None = None
) -> Iterator[tuple[float, int]]:
    """Yield the shares by which anybody takes part, and how many of n periods each is for."""
    left, period = n_periods, duration(plan.period)
    if not plan.assignment.ramp:
        yield 1.0, n_periods
    ramp = [step for step in plan.assignment.ramp if step.share > 0.0]
    for step, after in zip_longest(ramp, ramp[1:]):
        begin = max(step.at, started_at or step.at)
        lasts = left if after is None else math.ceil((after.at - begin) / period)
        periods = min(left, max(lasts, 0))
        left -= periods
        yield step.share, periods
