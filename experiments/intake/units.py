"""What a batch adds to the sums over units: to their totals, and to the products of these."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experiments.intake.sums import Taken, counted_values, grouped, periods_of
from experiments.intake.terms import Terms
from experiments.statistics.clusters import product_steps

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NEVER: Final = -(2**63) + 1  # the least that PostgreSQL reads as one number


@dataclass(frozen=True, slots=True)
class UnitSteps:
    """What the totals of units grow by, by metric, unit and period, ascending in this order.

    Attributes
    ----------
    owner : int64 array, shape (n_steps,)
        Whose step it is: a place in `metric`, `unit` and `whole`.
    period : int64 array, shape (n_steps,)
        [UTC ns]
    arm, allocation : int64 arrays, shape (n_steps,)
        Those of the unit.
    steps : float64 array, shape (n_steps, 3)
        Outcomes, their total and that of their covariates.
    metric : int64 array, shape (n_owners,)
        Positions in the plan.
    unit : list of str, of length n_owners
    whole : float64 array, shape (n_owners, 3)
        All steps of an owner together.
    newest : int64 array, shape (n_owners,)
        The last of its periods [UTC ns].
    cell : float64 array, shape (n_owners, 3)
        The step of that period.
    """

    owner: IntArray
    period: IntArray
    arm: IntArray
    allocation: IntArray
    steps: FloatArray
    metric: IntArray
    unit: list[str]
    whole: FloatArray
    newest: IntArray
    cell: FloatArray


@dataclass(frozen=True, slots=True)
class Known:
    """What was known of units without a batch, in the order of owners.

    Attributes
    ----------
    had : float64 array, shape (n_owners, 3)
        Outcomes, their total and that of their covariates.
    newest : int64 array, shape (n_owners,)
        The newest of a unit's periods [UTC ns]; `NEVER` where it had not reported.
    cell : float64 array, shape (n_owners, 3)
        What it had reported in that period; NaN where nobody knows.
    """

    had: FloatArray
    newest: IntArray
    cell: FloatArray


@dataclass(frozen=True, slots=True)
class UnitSums:
    """Sums by metric, period, allocation and arm, ascending in this order, shape (n_groups,).

    `sums` has the columns of `experiments.statistics.clusters.UnitTable` after its keys: units,
    counted, total, x_total, the products, those of cells, and those of what came late.
    """

    metric: IntArray
    period: IntArray
    allocation: IntArray
    arm: IntArray
    sums: FloatArray


def unit_steps_of(taken: Taken, units: Sequence[str], terms: Terms) -> UnitSteps:
    """Return what outcomes add to the totals of their units; nothing of quantile metrics."""
    is_summed = np.array([not metric.is_quantile for metric in terms.metrics])[taken.metric]
    rows = np.flatnonzero(is_summed)
    some, names = taken.at_rows(rows), [units[row] for row in rows.tolist()]
    distinct = sorted(set(names))  # so that two batches wait for each other at most once
    place = {name: at for at, name in enumerate(distinct)}
    code = np.array([place[name] for name in names], dtype=np.int64)
    period = periods_of(some.counted_at, terms.period_ns)
    (metric, unit, start, allocation, arm), of = grouped(
        some.metric, code, period, some.allocation, some.arm
    )
    value, x = counted_values(some, terms)
    steps: FloatArray = np.stack(
        [_added(of, weights, metric.size) for weights in (np.ones(of.size), value, x)], axis=1
    )
    (owner_metric, owner_unit), owner = grouped(metric, unit)
    ends = np.searchsorted(owner, np.arange(owner_metric.size), side="right") - 1
    whole: FloatArray = np.stack(
        [_added(owner, column, owner_metric.size) for column in steps.T], axis=1
    )
    return UnitSteps(
        owner=owner, period=start, arm=arm, allocation=allocation, steps=steps,
        metric=owner_metric, unit=[distinct[one] for one in owner_unit.tolist()], whole=whole,
        newest=start[ends], cell=steps[ends],
    )  # fmt: skip


def unit_sums_of(steps: UnitSteps, known: Known) -> UnitSums:
    """Return what the steps add to the sums of products over units.

    Parameters
    ----------
    steps : UnitSteps
    known : Known

    Notes
    -----
    A step that comes late, after newer periods of its unit, counts from the newest of them on: only
    then are its products with all of them there. What its cell had before is not known any more.
    """
    products = product_steps(steps.owner, steps.steps, known.had[steps.owner])
    is_new = known.newest == NEVER
    is_first = np.diff(steps.owner, prepend=-1) != 0
    counts_from = np.maximum(steps.period, known.newest[steps.owner])
    (metric, period, allocation, arm), of = grouped(
        steps.metric[steps.owner], counts_from, steps.allocation, steps.arm
    )
    columns = [
        is_new[steps.owner] & is_first, *steps.steps.T, *products.T, *_by_cell(steps, known).T,
    ]  # fmt: skip
    sums: FloatArray = np.stack([_added(of, column, metric.size) for column in columns], axis=1)
    return UnitSums(metric, period, allocation, arm, sums)


def _by_cell(steps: UnitSteps, known: Known) -> FloatArray:
    """Return what each step adds to the products of cells, and to those of what came late."""
    newest = known.newest[steps.owner]
    had = np.where((steps.period == newest)[:, np.newaxis], known.cell[steps.owner], 0.0)
    is_late = ((steps.period < newest) | np.isnan(had).any(axis=1))[:, np.newaxis]
    own = np.arange(steps.owner.size)
    products = product_steps(own, steps.steps, np.where(is_late, 0.0, had))
    both: FloatArray = np.concatenate(
        [np.where(is_late, 0.0, products), np.where(is_late, products, 0.0)], axis=1
    )
    return both


def _added(of: IntArray, weights: NDArray[Any], size: int) -> FloatArray:
    return np.bincount(of, weights, size).astype(np.float64)
