"""Sums by period to one figure a period: what an arm made, and what a challenger had more."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experiments.plans.document import ExperimentPlan
from experiments.plans.sections import MetricSpec
from experiments.statistics.checks import NO_SPREAD
from experiments.statistics.summaries import PeriodTable

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_FEWEST_FOR_SLOPE = 10  # periods


@dataclass(frozen=True, slots=True)
class ContextDifferences:
    """What a challenger had more in each period, by context.

    Attributes
    ----------
    period : int64 array, shape (n_periods,)
        Beginnings of the periods with outcomes of any arm [UTC ns].
    contexts : tuple of str
        Those that had any.
    differences : float64 array, shape (n_periods, n_contexts)
        In the metric's unit; NaN where a context lacks an arm in the period.
    traffic : float64 array, shape (n_periods, n_contexts)
        Outcomes of all arms.
    sides : tuple of Side, optional
        Of a ratio: the control's and the challenger's sums, of which the differences are made.
    rounding : float
        What rounding makes of differences that are the same in every period.
    """

    period: IntArray
    contexts: tuple[str, ...]
    differences: FloatArray
    traffic: FloatArray
    sides: "tuple[Side, Side] | None" = None
    rounding: float = 0.0

    @property
    def is_compared(self) -> NDArray[np.bool_]:
        """Whether a context was compared in a period, (n_periods, n_contexts)."""
        return np.isfinite(self.differences)

    @property
    def is_still(self) -> bool:
        """Whether the differences of no context vary by more than rounding does."""
        there = self.is_compared
        most = np.where(there, self.differences, -np.inf).max(axis=0, initial=-np.inf)
        least = np.where(there, self.differences, np.inf).min(axis=0, initial=np.inf)
        return bool(np.all(most - least <= 2.0 * self.rounding))

    def first(self, n: int | None) -> "ContextDifferences":
        """Return the periods up to the one after which so many were compared; None is all.

        Ratios are then those of these periods alone.
        """
        compared = np.flatnonzero(self.is_compared.any(axis=1))
        if n is None or compared.size <= n:
            return self
        end = int(compared[n - 1]) + 1
        kept = replace(
            self, period=self.period[:end], differences=self.differences[:end],
            traffic=self.traffic[:end],
        )  # fmt: skip
        if self.sides is None:
            return kept
        control, challenger = self.sides
        return kept.of_ratios(control.first(end), challenger.first(end))

    def of_ratios(self, control: "Side", challenger: "Side") -> "ContextDifferences":
        """Return what each period adds to the difference of two ratios."""
        one, other = control.ratios(), challenger.ratios()
        return replace(
            self, differences=other - one, sides=(control, challenger),
            rounding=_rounding(one, other),
        )  # fmt: skip

    def left_out(self) -> dict[str, float]:
        """Return by context which share of its outcomes came where it was not compared."""
        missing = np.where(self.is_compared, 0.0, self.traffic).sum(axis=0)
        whole = self.traffic.sum(axis=0)
        return {
            name: float(part / all_)
            for name, part, all_ in zip(self.contexts, missing, whole, strict=True)
            if all_ > 0.0
        }

    def by_period(self) -> tuple[IntArray, FloatArray]:
        """Return the periods in which any was compared, and their differences by traffic."""
        kept = self.is_compared.any(axis=1)
        there = self.is_compared[kept]
        weight = np.where(there, self.traffic[kept], 0.0)
        weight = weight / weight.sum(axis=1, keepdims=True)
        values = np.where(there, self.differences[kept], 0.0)
        return self.period[kept], (weight * values).sum(axis=1)


@dataclass(frozen=True, slots=True)
class Side:
    """What an arm's ratio is of in each period and context: shape (n_periods, n_contexts), or NaN.

    Attributes
    ----------
    above, below : float64 arrays
        Totals (shadow), or per outcome (assigned).
    """

    above: FloatArray
    below: FloatArray

    def first(self, n: int) -> "Side":
        """Return the first periods."""
        return Side(self.above[:n], self.below[:n])

    def ratios(self) -> FloatArray:
        """Return what each period adds to the ratio of the means of all of them.

        Returns
        -------
        float64 array, shape (n_periods, n_contexts)
            Their mean is the ratio; NaN where there is nothing, and of a context whose denominators
            are 0 on average.

        Notes
        -----
        ``R + (y_t - R x_t) / x``, R the ratio of the means y and x: the delta method [1]_. The mean
        of the ratios ``y_t / x_t`` is another thing, and far from R where little comes in a period:
        an arm with two units a period would differ from one with eighteen for that alone.

        References
        ----------
        .. [1] Deng, Knoblich and Lu (2018), "Applying the delta method in metric analytics", KDD.
        """
        there = np.isfinite(self.above) & np.isfinite(self.below)
        n = np.maximum(there.sum(axis=0), 1)
        y, x = (np.where(there, sums, 0.0).sum(axis=0) / n for sums in (self.above, self.below))
        is_known = x != 0.0
        size = np.where(is_known, x, 1.0)
        parts = y / size + (self.above - y / size * self.below) / size
        return np.where(there & is_known, parts, np.nan)


def most_periods(plan: ExperimentPlan, metric: MetricSpec) -> int | None:
    """Return how many compared periods the plan's answer is about; None where it has no end.

    Guardrails have none: what is lost after the planned periods is lost as well.
    """
    if plan.analysis.method == "asymptotic" or metric.role == "guardrail":
        return None
    return plan.analysis.horizon_periods


def differences_of(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, arm: int,
    contexts: Mapping[int, str] | None = None, most: int | None = None,
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
    most : int, optional
        Compared periods to look at, the first ones; all by default.

    Returns
    -------
    periods : int64 array, shape (n,)
        Their beginnings [UTC ns].
    differences : float64 array, shape (n,)
        Of period totals (shadow), or of means within a period (assigned), in the metric's unit.
    """
    return differences_by_context(plan, metric, table, arm, contexts, most).by_period()


def differences_by_context(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, arm: int,
    contexts: Mapping[int, str] | None = None, most: int | None = None,
) -> ContextDifferences:  # fmt: skip
    """Return what a challenger had more in each period and context; see `differences_of`."""
    n_arms = len(plan.arms)
    if plan.design == "assigned":
        return _within_allocations(metric, table, arm, n_arms, contexts or {}, most)
    periods, n = table.pivot("n", n_arms)
    both = (n[:, arm] > 0.0) & (n[:, 0] > 0.0)
    x, expected = None, metric.factor_mean
    if expected is not None:
        x, is_same = factor_of(table, n_arms, arm)
        both &= is_same
    control, challenger = (
        _side(plan, metric, table, n_arms, side, np.where(both, 1.0, np.nan)) for side in (0, arm)
    )
    differences = challenger.above - control.above
    if x is not None and expected is not None:
        differences[both, 0] = beyond_factor(differences[both, 0], x[both], expected)
    found = ContextDifferences(
        periods, ("",), differences, n.sum(axis=1, keepdims=True),
        rounding=_rounding(control.above, challenger.above),
    )  # fmt: skip
    if metric.kind == "ratio":
        found = found.of_ratios(control, challenger)
    return found.first(most)


def _side(
    plan: ExperimentPlan, metric: MetricSpec, table: PeriodTable, n_arms: int, arm: int,
    there: FloatArray,
) -> Side:  # fmt: skip
    """Return what an arm made of all its units together in periods where `there` is 1, not NaN."""
    n, total, x_total = (
        table.pivot(name, n_arms)[1][:, [arm]] for name in ("n", "total", "x_total")
    )
    is_summed = plan.design == "shadow" and metric.kind != "proportion"
    size = 1.0 if is_summed else np.where(n > 0.0, n, 1.0)
    by = there[:, np.newaxis] / size
    return Side(total * by, x_total * by)


def _within_allocations(
    metric: MetricSpec, table: PeriodTable, arm: int, n_arms: int, contexts: Mapping[int, str],
    most: int | None,
) -> ContextDifferences:  # fmt: skip
    """Return one difference a period and context: those under each allocation, weighed.

    Within a period under one allocation nobody had looked at its outcomes, so the difference of
    two arms' means is not biased, whoever changed the shares before: of periods counted by exposure
    always, of those counted by outcome as long as how late one comes does not depend on it. Shocks
    that all units share cancel. Allocations of one context count by what they tell, ``n_1 n_0 /
    (n_1 + n_0)``.
    """
    cells = _cells(table, n_arms)
    n, total, x_total = cells.n, cells.total, cells.x_total
    both = (n[:, [0, arm]] > 0.0).all(axis=1)
    weight = n[both, arm] * n[both, 0] / (n[both, arm] + n[both, 0])
    periods, row = np.unique(cells.period, return_inverse=True)
    numbers, of = np.unique(cells.allocation, return_inverse=True)
    whose = [contexts.get(number, "") for number in numbers.tolist()]
    names, column = np.unique(np.array(whose, dtype=np.str_), return_inverse=True)
    column = column[of.reshape(-1)]
    shape = (periods.size, names.size)
    place = row.reshape(-1) * names.size + column
    traffic = np.bincount(place, n.sum(axis=1), periods.size * names.size).reshape(shape)
    at = place[both]
    whole = np.bincount(at, weight, periods.size * names.size)

    def within(sums: FloatArray, sign: tuple[float, float]) -> FloatArray:
        """Return means of the control and the challenger, added up with signs."""
        made = (sums[both][:, [0, arm]] / n[both][:, [0, arm]]) @ np.array(sign)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (np.bincount(at, weight * made, whole.size) / whole).reshape(shape)

    less = (-1.0, 1.0)
    found = ContextDifferences(
        periods, tuple(names.tolist()), within(total, less), traffic.astype(np.float64),
        rounding=_rounding(total / np.maximum(n, 1.0)),
    )  # fmt: skip
    if metric.kind == "ratio":
        sides = [Side(within(total, one), within(x_total, one)) for one in ((1.0, 0.0), (0.0, 1.0))]
        found = found.of_ratios(*sides)
    found = found.first(most)
    if metric.covariate:
        explained = replace(found, differences=within(x_total, less)[: found.period.size])
        slope = _slope(explained.by_period()[1], found.by_period()[1])
        found = replace(found, differences=found.differences - slope * explained.differences)
    return found


def _rounding(*of: FloatArray) -> float:
    """Return what rounding makes of a difference of such figures."""
    return NO_SPREAD * max(
        float(np.max(np.abs(one), initial=0.0, where=np.isfinite(one))) for one in of
    )


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
    """Return what each arm made in each period, shape (n_periods, n_arms); NaN where nothing.

    Of a ratio what each period adds to that of the means of all.
    """
    _, n = table.pivot("n", n_arms)
    sides = [
        _side(plan, metric, table, n_arms, arm, np.where(n[:, arm] > 0.0, 1.0, np.nan))
        for arm in range(n_arms)
    ]
    is_ratio = metric.kind == "ratio"
    return np.concatenate([one.ratios() if is_ratio else one.above for one in sides], axis=1)


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


def _slope(x: FloatArray, differences: FloatArray) -> float:
    """Return the slope of the metric's differences on those of the covariate (CUPED).

    Units met their arms by chance after the covariate was there, so that its differences are 0 on
    average and taking them off changes no mean.
    """
    spread = float(np.var(x)) if x.size else 0.0
    if x.size < 3 or spread <= 1e-24 * float(np.mean(x * x) + 1e-300):
        return 0.0
    return float(np.cov(x, differences)[0, 1] / np.var(x, ddof=1))
