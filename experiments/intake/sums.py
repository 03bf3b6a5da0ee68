"""Sums over a batch, of the shape in which the database adds them up."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experiments.intake.terms import Terms

SMALLEST: Final = 1e-60  # as the statistics have it
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Taken:
    """Outcomes that count, shape (n_rows,) each.

    Attributes
    ----------
    metric, arm : int64 arrays
        Positions in the plan.
    allocation : int64 array
        Number of the shares in force when the unit met its arm.
    at : int64 array
        [UTC ns]
    counted_at : int64 array
        The moment whose period they belong to: their own, or that of their unit's exposure
        [UTC ns].
    value, x : float64 arrays
        x is NaN where there is none.
    """

    metric: IntArray
    arm: IntArray
    allocation: IntArray
    at: IntArray
    counted_at: IntArray
    value: FloatArray
    x: FloatArray

    def at_rows(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Taken":
        """Return some of the rows."""
        return Taken(
            self.metric[rows],
            self.arm[rows],
            self.allocation[rows],
            self.at[rows],
            self.counted_at[rows],
            self.value[rows],
            self.x[rows],
        )


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums by metric, period, allocation and arm, ascending in this order, shape (n_groups,)."""

    metric: IntArray
    period: IntArray
    allocation: IntArray
    arm: IntArray
    n: IntArray
    total: FloatArray
    squares: FloatArray
    x_total: FloatArray
    x_squares: FloatArray
    x_product: FloatArray


@dataclass(frozen=True, slots=True)
class Bins:
    """Counts by metric, arm and bin of a sketch, ascending in this order, shape (n_groups,)."""

    metric: IntArray
    arm: IntArray
    bin: IntArray
    n: IntArray


def periods_of(at: IntArray, period_ns: int) -> IntArray:
    """Return the start of the period that each moment lies in [UTC ns]."""
    return at // period_ns * period_ns


def sums_of(taken: Taken, terms: Terms) -> Sums:
    """Add up outcomes.

    Notes
    -----
    Values of a metric with a bound are cut first. x counts only for metrics that need it.
    """
    period = periods_of(taken.counted_at, terms.period_ns)
    (metric, start, allocation, arm), of = grouped(
        taken.metric, period, taken.allocation, taken.arm
    )
    n_groups = metric.size
    value, x = counted_values(taken, terms)

    def added(weights: FloatArray) -> FloatArray:
        return np.bincount(of, weights=weights, minlength=n_groups).astype(np.float64)

    return Sums(
        metric=metric,
        period=start,
        allocation=allocation,
        arm=arm,
        n=np.bincount(of, minlength=n_groups),
        total=added(value),
        squares=added(value * value),
        x_total=added(x),
        x_squares=added(x * x),
        x_product=added(value * x),
    )


def counted_values(taken: Taken, terms: Terms) -> tuple[FloatArray, FloatArray]:
    """Return values as they are added up, cut at their metric's bound, and x where it counts.

    Of either what is below 1e-60 in size is 0.
    """
    bounds = np.array([np.inf if m.bound is None else m.bound for m in terms.metrics])
    needs_x = np.array([metric.needs_x for metric in terms.metrics])
    limit = bounds[taken.metric]
    value, x = np.clip(taken.value, -limit, limit), np.where(needs_x[taken.metric], taken.x, 0.0)
    return _squarable(value), _squarable(x)


def _squarable(values: FloatArray) -> FloatArray:
    """Return values, 0 where a square would be lost: sums without it are those of no sample."""
    return np.where(np.abs(values) < SMALLEST, 0.0, values)


def bins_of(taken: Taken, terms: Terms) -> Bins | None:
    """Count the outcomes of quantile metrics by bins; None where there are none."""
    is_quantile = np.array([metric.is_quantile for metric in terms.metrics])
    those = is_quantile[taken.metric]
    if not those.any():
        return None
    from experiments.statistics.sketches import QuantileSketch  # loads compiled mathematics

    some = taken.at_rows(those)
    bins = QuantileSketch.bins_of(some.value)
    (metric, arm, number), of = grouped(some.metric, some.arm, bins)
    return Bins(metric, arm, number, np.bincount(of, minlength=metric.size))


def grouped(*columns: IntArray) -> tuple[list[IntArray], IntArray]:
    """Return the distinct rows, ascending, and which of them each row is."""
    order = np.lexsort(columns[::-1])
    ordered = [column[order] for column in columns]
    starts = np.zeros(order.size, dtype=np.bool_)
    starts[:1] = True
    for column in ordered:
        starts[1:] |= column[1:] != column[:-1]
    of = np.empty(order.size, dtype=np.int64)
    of[order] = np.cumsum(starts) - 1
    return [column[starts] for column in ordered], of
