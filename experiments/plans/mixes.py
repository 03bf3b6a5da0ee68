"""Whether an answer over several contexts would hold: what is compared, and how long they last.

Periods of one context are alike in what the arms' difference is there. So one that lasts makes
periods depend on each other for as long, and what is left out of it moves the answer for good.

References
----------
.. [1] Wald and Wolfowitz (1940), "On a test whether two samples are from the same population",
   Annals of Mathematical Statistics 11(2).
"""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experiments.plans.differences import traffic_by_period, uncompared_shares
from experiments.plans.document import ExperimentPlan
from experiments.statistics.clusters import UnitTable
from experiments.statistics.summaries import PeriodTable

MOST_LEFT_OUT: Final = 0.05  # of all outcomes, before there is no answer
_SPREAD: Final = 10.0  # periods in which as many units came as in each other
_TIMES: Final = 4.0  # by which a batch is longer than what periods tell of each other


def why_mix_fails(
    plan: ExperimentPlan, table: PeriodTable, arm: int, contexts: Mapping[int, str]
) -> str | None:
    """Return why no interval of differences over all contexts would hold; None if one does.

    Parameters
    ----------
    plan : ExperimentPlan
    table : PeriodTable
        Of the periods to look at.
    arm : int
        Position of the challenger.
    contexts : mapping of int to str
        Context of the shares by allocation number.
    """
    if len(set(contexts.values())) < 2 or not table.n_rows:
        return None
    names, traffic = traffic_by_period(table, table.n, contexts)
    came = traffic.sum(axis=0)
    if len(names) == 1:
        return (
            f"All units so far came in {names[0]}: there is no interval over all contexts before "
            "some came in another."
        )
    missing = uncompared_shares(table, arm, len(plan.arms), contexts)
    left_out = sum(missing[name] * n for name, n in zip(names, came, strict=True)) / came.sum()
    if left_out > MOST_LEFT_OUT:
        pair = f"{plan.ordered_arms[arm].name} and {plan.control.name}"
        return (
            f"{left_out:.0%} of all outcomes came where their context had only one of {pair} in "
            "the period: the others are of another mix, and there is no interval above "
            f"{MOST_LEFT_OUT:.0%}. Longer periods and a higher floor help."
        )
    return _too_short(plan, batch_needed(traffic))


def why_arrivals_fail(
    plan: ExperimentPlan, units: UnitTable, contexts: Mapping[int, str]
) -> str | None:
    """Return why no interval over all contexts would hold of units that report again; or None.

    How many came in each is chance by the batch in which they came, if they came in ten at least.
    """
    names, came = traffic_by_period(units, units.units, contexts)
    by_period = came.sum(axis=1)
    if len(names) < 2 or by_period.sum() ** 2 < _SPREAD * np.sum(by_period**2):
        return None
    return _too_short(plan, batch_needed(came))


def _too_short(plan: ExperimentPlan, needed: int) -> str | None:
    """Return why contexts last too long for the plan's batch; None if they do not."""
    if needed <= plan.analysis.batch:
        return None
    return (
        "Contexts last: periods after each other have the same one, and depend. An interval takes "
        f"batch_periods of {needed:,} or more by what was seen so far, and the plan has "
        f"{plan.analysis.batch:,}. It would be another plan, with a horizon of ten such batches at "
        "least."
    )


def batch_needed(traffic: NDArray[np.float64]) -> int:
    """Return how many periods a batch must have that contexts last shorter; 0 if they come anew.

    Parameters
    ----------
    traffic : float64 array, shape (n_periods, n_contexts)
        Outcomes, in the order of time; some in every period.

    Notes
    -----
    A context that has more of a period than it has on average, and for how long, is a sequence of
    runs. By chance there are ``1 + 2 a b / n`` of them, a periods above and b below [1]_; of a
    chain of two states that is the number of runs times ``(1 + t) / 2``, where t is how many
    periods tell as much as one that is independent. One standard deviation of runs by chance is
    for luck. Batches of four t, less what t is by chance, leave a mean of differences its level.
    """
    share = traffic / traffic.sum(axis=1, keepdims=True)
    is_above = share > share.mean(axis=0) + 1e-12
    n, above = share.shape[0], is_above.sum(axis=0)
    runs = 1 + np.count_nonzero(is_above[1:] != is_above[:-1], axis=0)
    by_chance = 1.0 + 2.0 * above * (n - above) / n
    spread = np.maximum((by_chance - 1.0) * (by_chance - 2.0), 0.0) / max(n - 1, 1)
    dependent = 2.0 * by_chance / (runs + np.sqrt(spread)) - 1.0
    return max(0, math.ceil(_TIMES * (float(dependent.max()) - 1.0)))
