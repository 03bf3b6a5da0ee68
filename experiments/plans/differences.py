"""Sums by period to one figure a period: what an arm made, and what a challenger had more."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.plans.document import ExperimentPlan
from experiments.plans.sections import MetricSpec
from experiments.statistics.clusters import UnitTable
from experiments.statistics.summaries import PeriodTable

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_FEWEST_FOR_SLOPE = 10  # periods


def differences_of(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, arm: int,
    contexts: Mapping[int, str] | None = None,
) -> tuple[IntArray, FloatArray]:  # fmt: skip
    """Return the periods in which both arms have outcomes, and what the challenger had more.

    Parameters
    ----------
    plan : ExperimentPlan
    metric : MetricSpec
    table : PeriodTable
        Of the periods to look at.
    arm : int
        Position of the challenger; the control's is 0.
    contexts : mapping of int to str, optional
        Context of the shares by allocation number; by default they depend on none.

    Returns
    -------
    periods : int64 array, shape (n,)
        Their beginnings [UTC ns].
    differences : float64 array, shape (n,)
        Of period totals (shadow), or of means within a period (assigned), in the metric's unit.
    """
    n_arms = len(plan.arms)
    if plan.design == "assigned":
        return _within_allocations(metric, table, arm, n_arms, contexts or {})
    periods, n = table.pivot("n", n_arms)
    values = period_values(plan, metric, table, n_arms)
    both = (n[:, arm] > 0.0) & (n[:, 0] > 0.0) & np.isfinite(values[:, [0, arm]]).all(axis=1)
    if metric.factor_mean is None:
        return periods[both], values[both, arm] - values[both, 0]
    x, is_same = factor_of(table, n_arms, arm)
    both &= is_same
    differences = values[both, arm] - values[both, 0]
    return periods[both], beyond_factor(differences, x[both], metric.factor_mean)


def _within_allocations(
    metric: MetricSpec, table: PeriodTable, arm: int, n_arms: int, contexts: Mapping[int, str]
) -> tuple[IntArray, FloatArray]:
    """Return one difference a period: those under each allocation, weighed.

    Within a period under one allocation nobody had looked at its outcomes, so the difference of
    two arms' means is not biased, whoever changed the shares before: of periods counted by exposure
    always, of those counted by outcome as long as how late one comes does not depend on it. Shocks
    that all units share cancel.
    """
    cells = _cells(table, n_arms)
    n, total, x_total = cells.n, cells.total, cells.x_total
    below = x_total if metric.kind == "ratio" else n
    both = (n[:, [0, arm]] > 0.0).all(axis=1) & (below[:, [0, arm]] != 0.0).all(axis=1)
    weight = _weights_of(cells, arm, both, contexts)
    periods, place = np.unique(cells.period[both], return_inverse=True)
    whole = np.bincount(place, weight, periods.size)

    def by_period(above: FloatArray, under: FloatArray) -> FloatArray:
        values = above[both] / under[both]
        weighed = np.bincount(place, weight * (values[:, arm] - values[:, 0]), periods.size)
        return weighed / whole

    with np.errstate(divide="ignore", invalid="ignore"):
        differences = by_period(total, below)
        if metric.covariate:
            differences = differences - _explained(by_period(x_total, n), differences)
    return periods, differences


def _weights_of(
    cells: "_Cells", arm: int, both: NDArray[np.bool_], contexts: Mapping[int, str]
) -> FloatArray:
    """Return what each cell with outcomes of both arms counts for in its period.

    Allocations of one context count by what they tell, ``n_1 n_0 / (n_1 + n_0)``; contexts by their
    traffic, the outcomes of all arms, for by what they tell a context would count for less the
    further its shares are from equal, and that is what a policy learns.
    """
    n_one, n_control = cells.n[both, arm], cells.n[both, 0]
    weight = n_one * n_control / (n_one + n_control)
    if not weight.size or len(set(contexts.values())) < 2:
        return weight
    whose = [contexts.get(number, "") for number in cells.allocation.tolist()]
    _, of = np.unique(np.array(whose, dtype=np.str_), return_inverse=True)
    _, at = np.unique(np.stack([cells.period, of]), axis=1, return_inverse=True)
    group = at.reshape(-1)
    traffic = np.bincount(group, cells.n.sum(axis=1))[group[both]]
    return weight / np.bincount(group[both], weight, group.max() + 1)[group[both]] * traffic


def uncompared_shares(
    table: PeriodTable, arm: int, n_arms: int, contexts: Mapping[int, str]
) -> dict[str, float]:
    """Return by context which share of its outcomes lies where it lacks an arm in the period.

    What lacks the challenger or the control there is in no difference, and the context counts for
    that much less than its traffic.
    """
    cells = _cells(table, n_arms)
    both = (cells.n[:, [0, arm]] > 0.0).all(axis=1)
    whose = np.array([contexts.get(number, "") for number in cells.allocation.tolist()], np.str_)
    values, of = np.unique(whose, return_inverse=True)
    keys, at = np.unique(np.stack([cells.period, of]), axis=1, return_inverse=True)
    traffic = np.bincount(at.reshape(-1), cells.n.sum(axis=1))
    lacks = np.bincount(at.reshape(-1), both) == 0.0
    whole = np.bincount(keys[1], traffic, values.size)
    missing = np.bincount(keys[1], traffic * lacks, values.size)
    return {str(v): float(m / w) for v, m, w in zip(values, missing, whole, strict=True) if w > 0}


def traffic_by_period(
    table: PeriodTable | UnitTable, n: FloatArray, contexts: Mapping[int, str]
) -> tuple[list[str], FloatArray]:
    """Return the contexts that have traffic, and how much by period, (n_periods, n_contexts).

    `n` is of each row: its outcomes, or the units that came. Periods without any are left out.
    """
    is_some = n > 0.0
    numbers = table.allocation[is_some].tolist()
    names, of = np.unique([contexts.get(number, "") for number in numbers], return_inverse=True)
    periods, at = np.unique(table.period[is_some], return_inverse=True)
    flat = at.reshape(-1) * names.size + of.reshape(-1)
    found = np.bincount(flat, n[is_some], periods.size * names.size)
    return names.tolist(), found.reshape(periods.size, names.size).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Cells:
    """Sums by period and allocation: keys (n_cells,), sums (n_cells, n_arms)."""

    period: IntArray
    allocation: IntArray
    n: FloatArray
    total: FloatArray
    x_total: FloatArray


def _cells(table: PeriodTable, n_arms: int) -> _Cells:
    """Return sums by arm of each period and allocation."""
    cells, at = np.unique(np.stack([table.period, table.allocation]), axis=1, return_inverse=True)
    flat = at.reshape(-1) * n_arms + table.arm
    size = cells.shape[1] * n_arms
    n, total, x_total = (
        np.bincount(flat, column, size).reshape(-1, n_arms).astype(np.float64)
        for column in (table.n, table.total, table.x_total)
    )
    return _Cells(cells[0], cells[1], n, total, x_total)


def arm_effects(table: PeriodTable, n_arms: int, *, discount: float = 1.0) -> FloatArray:
    """Return what each arm makes of an outcome beside the others, times and shares taken off.

    Parameters
    ----------
    table : PeriodTable
    n_arms : int
    discount : float
        What a period back is worth, in the order of the periods that there are.

    Returns
    -------
    float64 array, shape (n_arms,)
        They sum to 0; 0 of an arm that never had outcomes beside another.

    Notes
    -----
    Least squares of outcomes on arm and cell (period and allocation). A share gained in a good time
    is no merit, and a difference is not made smaller by shares that moved, as it is in sums about
    the means of cells.
    """
    cells = _cells(table, n_arms)
    _, age = np.unique(-cells.period, return_inverse=True)
    weight = (discount ** age.reshape(-1).astype(np.float64))[:, np.newaxis]
    n, total = cells.n * weight, cells.total * weight
    of_cell = np.maximum(n.sum(axis=1, keepdims=True), 1e-300)
    normal = np.diag(n.sum(axis=0)) - (n / of_cell).T @ n
    above = (total - n * (total.sum(axis=1, keepdims=True) / of_cell)).sum(axis=0)
    effects: FloatArray = np.linalg.pinv(normal, hermitian=True) @ above
    return effects


def period_values(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, n_arms: int
) -> FloatArray:
    """Return what each arm made in each period, shape (n_periods, n_arms); NaN where nothing."""
    _, total = table.pivot("total", n_arms)
    if metric.kind == "ratio":
        _, below = table.pivot("x_total", n_arms)
    elif plan.design == "shadow" and metric.kind == "mean":
        return total
    else:
        _, below = table.pivot("n", n_arms)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below != 0.0, total / below, np.nan)


def factor_of(table: PeriodTable, n_arms: int, arm: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the factor of each period, and whether an arm reports the one of the control."""
    _, n = table.pivot("n", n_arms)
    _, total = table.pivot("x_total", n_arms)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = total[:, [0, arm]] / n[:, [0, arm]]
    size = np.nanmax(np.abs(own), initial=1e-300)
    return own[:, 0], np.abs(own[:, 1] - own[:, 0]) <= 1e-9 * size


def beyond_factor(differences: FloatArray, x: FloatArray, expected: float) -> FloatArray:
    """Return differences without what arms differ in their exposure to a factor.

    Parameters
    ----------
    differences, x : float64 arrays, shape (n,)
        Of each period in time order.
    expected : float
        What x is on average.

    Notes
    -----
    ``d_t - b_(t-1) (x_t - expected)``, b the least-squares slope of the periods before t, and 0
    until there are ten: what is taken off has a mean of 0 whatever came before, so that the mean
    is that of d, and sequences hold.
    """
    n = np.arange(1, x.size + 1)
    moved, risen = x - expected, differences - (differences[0] if differences.size else 0.0)
    sums = [np.cumsum(column) for column in (moved, risen, moved * moved, moved * risen)]
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = sums[2] - sums[0] * sums[0] / n
        slope = (sums[3] - sums[0] * sums[1] / n) / spread
    is_known = (n >= _FEWEST_FOR_SLOPE) & (spread > 1e-12 * sums[2])
    before = np.concatenate([[0.0], np.where(is_known, slope, 0.0)[:-1]])[: x.size]
    return np.asarray(differences - before * moved)


def _explained(x: FloatArray, differences: FloatArray) -> FloatArray:
    """Return what differences of the covariate explain of those of the metric (CUPED).

    Units met their arms by chance after the covariate was there, so that its differences are 0 on
    average and taking them off changes no mean.
    """
    spread = float(np.var(x)) if x.size else 0.0
    if x.size < 3 or spread <= 1e-24 * float(np.mean(x * x) + 1e-300):
        return np.zeros_like(differences)
    slope = float(np.cov(x, differences)[0, 1] / np.var(x, ddof=1))
    return slope * x
