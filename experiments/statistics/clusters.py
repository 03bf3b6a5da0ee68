"""Differences of arms whose units report again and again: the unit is what chance assigned.

What a unit is like stays with it, so that its outcomes are no new evidence each; and outcomes of
one period share its shocks. The error counts both, by clusters in two ways [2]_: by unit, from sums
over units of the products of their totals, and by period. Nothing here sees a unit: the sums merge.

What a unit's late outcome adds to its products counts from the unit's newest period on. So the
difference at a look is made of the same sums as the products are; shocks of periods are those of
the periods that outcomes belong to.

References
----------
.. [1] Deng, Knoblich and Lu (2018), "Applying the delta method in metric analytics", KDD.
.. [2] Cameron, Gelbach and Miller (2011), "Robust inference with multiway clustering", Journal of
   Business and Economic Statistics 29(2), equation 2.11.
.. [3] Satterthwaite (1946), "An approximate distribution of estimates of variance components",
   Biometrics Bulletin 2(6).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.checks import (
    FloatArray,
    IntArray,
    integers_of,
    numbers_of,
    require,
    require_count,
)
from experiments.statistics.errors import SettingsError, ShapeError
from experiments.statistics.summaries import PeriodTable

FEWEST_UNITS: Final = 10  # of an arm, for an error
_KEYS: Final = ("period", "arm", "allocation")
_SUMS: Final = (
    "units", "counted", "total", "x_total", "nn", "ny", "nx", "yy", "yx", "xx",
)  # fmt: skip
_FIRST: Final = ("n", "total", "x_total")
# Of single outcomes, each of which counts once: the products nn, ny, nx, yy, yx, xx.
_OUTCOMES: Final = ("n", "total", "x_total", "squares", "x_product", "x_squares")
_N, _Y, _X = range(3)
_TINY: Final = 1e-300
_ROUNDING: Final = 1e-12
_DOUBT: Final = 2.0  # standard errors by which a variance is taken to be larger than another
_SECOND: Final = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])  # where n, y, x times n, y, x stand


@dataclass(frozen=True, slots=True)
class UnitTable:
    """Sums over units of the products of their totals, by period, arm and allocation.

    A row holds what its period added to the sums, so that those over the rows up to a period are
    the sums over units of what they had reported by then.

    Attributes
    ----------
    period, arm, allocation : int64 arrays, shape (n_rows,)
        As `PeriodTable` has them; the allocation is that in which the unit met its arm.
    units, counted : float64 arrays, shape (n_rows,)
        Units that reported for the first time; outcomes that are in the products.
    total, x_total : float64 arrays, shape (n_rows,)
        Of these outcomes, and of their covariates (or denominators).
    nn, ny, nx, yy, yx, xx : float64 arrays, shape (n_rows,)
        Products of a unit's number of outcomes, their total and the total of its covariate (or
        denominator).
    """

    period: IntArray
    arm: IntArray
    allocation: IntArray
    units: FloatArray
    counted: FloatArray
    total: FloatArray
    x_total: FloatArray
    nn: FloatArray
    ny: FloatArray
    nx: FloatArray
    yy: FloatArray
    yx: FloatArray
    xx: FloatArray

    @classmethod
    def of(cls, *columns: ArrayLike) -> Self:
        """Return a checked table of columns in the order of its attributes.

        Raises
        ------
        ShapeError
            Columns of several lengths, or too few of them.
        SampleError
            A value that is not finite.
        """
        if len(columns) != len(_KEYS) + len(_SUMS):
            raise ShapeError(f"A table of units has {len(_KEYS) + len(_SUMS)} columns.")
        keys = [integers_of(*pair) for pair in zip(columns[:3], _KEYS, strict=True)]
        sums = [numbers_of(*pair) for pair in zip(columns[3:], _SUMS, strict=True)]
        if len({column.size for column in (*keys, *sums)}) != 1:
            raise ShapeError("The columns of a table of units must have one length.")
        return cls(*keys, *sums)  # type: ignore[arg-type] # three keys, then the sums

    @classmethod
    def of_outcomes(
        cls, period: ArrayLike, arm: ArrayLike, unit: ArrayLike, values: ArrayLike, *,
        covariate: ArrayLike | None = None, allocation: ArrayLike | None = None,
    ) -> Self:  # fmt: skip
        """Return the table of single outcomes, each with its period, arm and unit.

        Parameters
        ----------
        period, arm, unit, allocation : int array, shape (n,)
            A unit has one arm and one allocation.
        values, covariate : float array, shape (n,)
            Finite.
        """
        y = numbers_of(values, "values")
        x = np.zeros(y.size) if covariate is None else numbers_of(covariate, "covariate")
        zeros = np.zeros(y.size, dtype=np.int64)
        numbers = zeros if allocation is None else integers_of(allocation, "allocation")
        periods, whose = integers_of(period, "period"), integers_of(unit, "unit")
        order = np.lexsort((periods, whose))
        steps = np.stack([np.ones(y.size), y, x], axis=1)[order]
        added = product_steps(whose[order], steps)
        is_first = np.diff(whose[order], prepend=whose[order][:1] - 1) != 0
        arms = integers_of(arm, "arm")
        return cls.of(
            periods[order], arms[order], numbers[order], is_first.astype(float),
            *steps.T, *added.T,
        )  # fmt: skip

    def ended(self, by_ns: int, period_ns: int) -> Self:
        """Return the rows of periods that ended by a time, as `PeriodTable.ended` does."""
        return self._where(self.period <= by_ns - require_count("period_ns", period_ns, 1))

    def of_allocations(self, numbers: Sequence[int]) -> Self:
        """Return the rows of some allocations."""
        return self._where(np.isin(self.allocation, numbers))

    def _where(self, kept: NDArray[np.bool_]) -> Self:
        return type(self)(*(getattr(self, field.name)[kept] for field in fields(self)))


def product_steps(
    unit: NDArray[np.int64], steps: FloatArray, before: FloatArray | None = None
) -> FloatArray:
    """Return what each step of a unit's totals adds to their products.

    Parameters
    ----------
    unit : int64 array, shape (n,)
        Whose step it is; those of one unit lie together, in the order of time.
    steps : float64 array, shape (n, 3)
        What is added to its number of outcomes, their total and that of its covariate.
    before : float64 array, shape (n, 3), optional
        Totals of the step's unit before its first step; 0 by default.

    Returns
    -------
    float64 array, shape (n, 6)
        Of the products nn, ny, nx, yy, yx, xx.

    Notes
    -----
    ``(a + s)(b + t) - a b = a t + b s + s t``: nothing cancels, however large the totals are. Each
    unit is added up by itself, so that a large one takes no digits from the next. Time grows with
    the steps, and with those of the unit that has most of them.
    """
    had = _totals_before(unit, steps, before)
    pairs = [(_N, _N), (_N, _Y), (_N, _X), (_Y, _Y), (_Y, _X), (_X, _X)]
    columns = [
        had[:, a] * steps[:, b] + had[:, b] * steps[:, a] + steps[:, a] * steps[:, b]
        for a, b in pairs
    ]
    return np.stack(columns, axis=1)


def _totals_before(
    unit: NDArray[np.int64], steps: FloatArray, before: FloatArray | None
) -> FloatArray:
    """Return the totals of each step's unit before it, by its place among those of its unit."""
    had = np.zeros(steps.shape) if before is None else np.array(before, dtype=np.float64)
    begins = np.flatnonzero(np.diff(unit, prepend=unit[:1] - 1) != 0)
    lengths = np.diff(np.append(begins, unit.size))
    longest_first = np.argsort(-lengths, kind="stable")
    begins, lengths = begins[longest_first], lengths[longest_first]
    for place in range(1, int(lengths[0]) if lengths.size else 0):
        at = begins[: np.searchsorted(-lengths, -place)] + place
        had[at] = had[at - 1] + steps[at - 1]
    return had


@dataclass(frozen=True, slots=True)
class ClusteredLooks:
    """A difference as it stood after some periods.

    Attributes
    ----------
    periods : int64 array, shape (n_looks,)
        Periods by then in which both arms had outcomes.
    period : int64 array, shape (n_looks,)
        Start of the newest of them [UTC ns].
    difference : float64 array, shape (n_looks,)
        The arm less the control, in the metric's unit; NaN where it cannot be computed.
    error : float64 array, shape (n_looks,)
        Its standard error, > 0; NaN where there is none.
    freedom : float64 array, shape (n_looks,)
        Degrees of freedom of the error [3]_.
    units : float64 array, shape (n_looks, 2)
        Of the arm and the control that had reported.
    """

    periods: IntArray
    period: IntArray
    difference: FloatArray
    error: FloatArray
    freedom: FloatArray
    units: FloatArray


@dataclass(frozen=True, slots=True)
class _Sides:
    """Sums of an arm and the control as arrays; the last axes are side (arm, control) and moment.

    `parts` has what each period added, shape (n_periods, n_strata, 2, 3); the others are cumulative
    at the looks, whose last periods are at `ends`: `reported` and `outcomes` of the outcomes of
    these periods, `first` and `by_unit` of those that count by unit by then; `reported` and `first`
    have shape (..., 3), `outcomes` and `by_unit` (..., 3, 3), and `units` has no moments.
    """

    parts: FloatArray
    looks: IntArray
    ends: IntArray
    period: IntArray
    reported: FloatArray
    outcomes: FloatArray
    first: FloatArray
    by_unit: FloatArray
    units: FloatArray
    group: IntArray
    traffic: FloatArray


def clustered_differences(
    table: PeriodTable, units: UnitTable, arm: int, looks: ArrayLike, *, control: int = 0,
    is_ratio: bool = False, is_adjusted: bool = False, batch: int = 1,
    groups: Mapping[int, str] | None = None,
) -> ClusteredLooks:  # fmt: skip
    """Return the difference of two arms' means over all outcomes, with errors by unit and period.

    Parameters
    ----------
    table : PeriodTable
        Sums of the outcomes.
    units : UnitTable
        Of the same outcomes.
    arm, control : int
        Positions.
    looks : int array, shape (n_looks,)
        Ascending; periods (with outcomes of both arms) after which to look, >= 1. Those that have
        not come yet are left out.
    is_ratio : bool
        Whether the covariate is a denominator, and what is compared the ratio of sums.
    is_adjusted : bool
        Whether what the covariate explains of the difference is taken off (CUPED).
    batch : int
        Periods that are one cluster, in their order: longer than their shocks last.
    groups : mapping of int to str, optional
        Whose an allocation is, such as a context: groups are weighed by the outcomes of all arms.

    Raises
    ------
    NotComputedError
        No period has outcomes of both arms.
    SettingsError
        Both a ratio and adjusted.

    Notes
    -----
    Within an allocation ``d = y_1 / n_1 - y_0 / n_0``, those of several of a group weighed by
    ``n_1 n_0 / (n_1 + n_0)``. By the delta method [1]_ each is linear in the sums, by coefficients
    c, and the variance is ``c' (U + P - O) c``: U over units, P over batches of periods, O over
    single outcomes, which are in both and stand in for those of one unit in one period [2]_; never
    less than by units or by periods alone. Where O is larger than U or P by more than chance makes
    it, outcomes of a unit in a period go against each other, O says nothing of what is in both, and
    nothing is taken off. U is of the outcomes that count by unit at the look, P and O are of those
    of its periods: the same but for late ones. P takes in that an effect may vary with time. Time
    grows with looks times periods times allocations.

    Looks may use the boundaries of a mean of independent periods as long as later outcomes of a
    unit do not go against its earlier ones and evidence grows no faster than the periods do:
    differences at two looks then depend more on each other, never less.
    """
    require_count("batch", batch, 1)
    if is_ratio and is_adjusted:
        raise SettingsError("A ratio's denominator takes the covariate's place.")
    sides = _sides(table, units, (arm, control), integers_of(looks, "looks"), groups or {})
    below = _X if is_ratio else _N
    difference, weights = _linear(sides, sides.first, _Y, below)
    _, in_time = _linear(sides, sides.reported, _Y, below)
    if is_adjusted:
        explained, x_weights = _linear(sides, sides.first, _X, _N)
        slope = _slope(sides, weights, x_weights)
        difference = difference - slope * explained
        by_look = slope[:, np.newaxis, np.newaxis, np.newaxis]
        weights = weights - by_look * x_weights
        in_time = in_time - by_look * _linear(sides, sides.reported, _X, _N)[1]
    variance, freedom = _two_way(sides, weights, in_time, batch)
    n_units = sides.units.sum(axis=1)
    has_units = (n_units >= FEWEST_UNITS).all(axis=-1)
    is_known = (variance > 0.0) & (freedom > 0.0) & has_units
    return ClusteredLooks(
        sides.looks, sides.period, difference,
        np.where(is_known, np.sqrt(np.maximum(variance, 0.0)), np.nan),
        np.where(is_known, freedom, np.nan), n_units,
    )  # fmt: skip


def clustered_means(
    units: UnitTable, n_arms: int, *, is_ratio: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Return each arm's mean over all its outcomes and its standard error by unit [1]_.

    Parameters
    ----------
    units, is_ratio
        As `clustered_differences`.
    n_arms : int

    Returns
    -------
    means, errors : float64 arrays, shape (n_arms,)
        NaN where there is none.
    """
    sums = np.stack(
        [np.bincount(units.arm, getattr(units, name), n_arms) for name in _SUMS], axis=-1
    )
    n, first, second = sums[:, 0], sums[:, 1:4], sums[:, 4:][:, _SECOND]
    below = _X if is_ratio else _N
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = first[:, _Y] / first[:, below]
        weights = np.zeros((n_arms, 3))
        weights[:, _Y] = 1.0 / first[:, below]
        weights[:, below] -= mean / first[:, below]
        variance = np.einsum("am,amk,ak->a", weights, second, weights) * n / (n - 1.0)
        error = np.sqrt(variance)
    is_known = (n >= FEWEST_UNITS) & (first[:, below] > 0.0) & (variance > 0.0)
    return np.where(np.isfinite(mean), mean, np.nan), np.where(is_known, error, np.nan)


def _sides(
    table: PeriodTable, units: UnitTable, arms: tuple[int, int], looks: IntArray,
    groups: Mapping[int, str],
) -> _Sides:  # fmt: skip
    """Return the sums of two arms at the looks that have come."""
    is_of = np.isin(table.arm, arms)
    periods, at = np.unique(table.period[is_of], return_inverse=True)
    strata = np.unique(table.allocation[is_of])
    shape = (periods.size, strata.size, 2)
    place = (at.reshape(-1), np.searchsorted(strata, table.allocation[is_of]))
    side = (table.arm[is_of] == arms[1]).astype(np.int64)
    parts = _summed(table, _FIRST, is_of, (*place, side), shape)
    both = np.flatnonzero((parts[..., _N].sum(axis=1) > 0.0).all(axis=-1))
    require(both.size > 0, "no period has outcomes of both arms yet")
    come = looks[(looks >= 1) & (looks <= both.size)]
    ends = both[come - 1]
    outcomes = _summed(table, _OUTCOMES, is_of, (*place, side), shape)

    mine = np.isin(units.arm, arms) & np.isin(units.allocation, strata)
    # A late outcome's products count from the newest period of its unit on: that is a row's period.
    row = np.minimum(np.searchsorted(periods, units.period[mine]), periods.size - 1)
    spot = (
        row, np.searchsorted(strata, units.allocation[mine]),
        (units.arm[mine] == arms[1]).astype(np.int64),
    )  # fmt: skip
    of_units = _summed(units, _SUMS, mine, spot, shape)
    of_units, outcomes, reported = (
        np.cumsum(whole, axis=0)[ends] for whole in (of_units, outcomes, parts)
    )
    whose = [groups.get(number, "") for number in strata.tolist()]
    _, group = np.unique(np.array(whose, dtype=np.str_), return_inverse=True)
    return _Sides(
        group=group.astype(np.int64), traffic=_traffic(table, periods, strata)[ends],
        parts=parts, looks=come, ends=ends, period=periods[ends], reported=reported,
        outcomes=outcomes[..., _SECOND], first=of_units[..., 1:4],
        by_unit=of_units[..., 4:][..., _SECOND], units=of_units[..., 0],
    )  # fmt: skip


def _traffic(table: PeriodTable, periods: IntArray, strata: IntArray) -> FloatArray:
    """Return the outcomes of all arms up to each period by stratum, (n_periods, n_strata)."""
    rows = np.isin(table.allocation, strata) & (table.period <= periods[-1])
    at = np.searchsorted(periods, table.period[rows])
    flat = at * strata.size + np.searchsorted(strata, table.allocation[rows])
    n = np.bincount(flat, table.n[rows], periods.size * strata.size).astype(np.float64)
    return np.cumsum(n.reshape(periods.size, strata.size), axis=0)


def _summed(
    table: PeriodTable | UnitTable, names: tuple[str, ...], rows: NDArray[np.bool_],
    place: tuple[IntArray, ...], shape: tuple[int, ...],
) -> FloatArray:  # fmt: skip
    """Return columns added up by place, shape (*shape, n_columns)."""
    flat = np.ravel_multi_index(place, shape)
    size = int(np.prod(shape))
    columns = [np.bincount(flat, getattr(table, name)[rows], size) for name in names]
    return np.stack(columns, axis=-1).reshape(*shape, len(names)).astype(np.float64)


def _shares(sides: _Sides, first: FloatArray, below: int) -> FloatArray:
    """Return what each allocation counts for at each look, shape (n_looks, n_strata).

    Groups of allocations count by their traffic, those of one by what they tell.
    """
    size = np.maximum(first[..., below], 0.0)
    is_there = (size > 0.0).all(axis=-1)
    weight = np.where(is_there, size.prod(axis=-1) / np.maximum(size.sum(axis=-1), _TINY), 0.0)
    of_group = sides.group[:, np.newaxis] == np.arange(sides.group.max() + 1)
    whole = weight @ of_group
    traffic = np.where(whole > 0.0, sides.traffic @ of_group, 0.0)
    counts = traffic / np.maximum(traffic.sum(axis=-1, keepdims=True), _TINY)
    shares: FloatArray = (weight / np.maximum(whole @ of_group.T, _TINY)) * (counts @ of_group.T)
    return shares


def _linear(
    sides: _Sides, first: FloatArray, above: int, below: int
) -> tuple[FloatArray, FloatArray]:
    """Return the difference of two ratios of sums, and by how much each sum moves it.

    The second has the shape of `first`: (n_looks, n_strata, 2, 3); NaN where nothing is known.
    """
    sign = _shares(sides, first, below)[..., np.newaxis] * np.array([1.0, -1.0])
    is_there = (sign != 0.0) & (first[..., below] > 0.0)
    size = np.where(is_there, first[..., below], 1.0)
    ratio = first[..., above] / size
    slope = np.where(is_there, sign / size, 0.0)
    weights = np.zeros(first.shape)
    weights[..., above] = slope
    weights[..., below] -= slope * ratio
    difference = np.where(is_there, sign * ratio, 0.0).sum(axis=(1, 2))
    return np.where(is_there.any(axis=(1, 2)), difference, np.nan), weights


def _by_unit(sides: _Sides, one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the covariance over units of two linear figures, shape (n_looks,)."""
    few = sides.units / np.maximum(sides.units - 1.0, 1.0)
    found: FloatArray = np.einsum("lsam,lsamk,lsak,lsa->l", one, sides.by_unit, other, few)
    return found


def _by_period(sides: _Sides, weights: FloatArray, batch: int) -> tuple[FloatArray, FloatArray]:
    """Return the variance over batches of periods, and how many there are, shape (n_looks,)."""
    flat = sides.parts.reshape(sides.parts.shape[0], -1)
    variance, n_batches = np.full(sides.ends.size, np.nan), np.zeros(sides.ends.size)
    for look, end in enumerate(sides.ends.tolist()):
        made = np.add.reduceat(
            flat[: end + 1] @ weights[look].ravel(), np.arange(0, end + 1, batch)
        )
        n_batches[look] = made.size
        if made.size > 1:
            variance[look] = made @ made * made.size / (made.size - 1.0)
    return variance, n_batches


def _two_way(
    sides: _Sides, weights: FloatArray, in_time: FloatArray, batch: int
) -> tuple[FloatArray, FloatArray]:
    """Return the variance by unit and period, and its degrees of freedom, shape (n_looks,)."""
    by_unit = _by_unit(sides, weights, weights)
    by_period, n_batches = _by_period(sides, in_time, batch)
    single = np.einsum("lsam,lsamk,lsak->l", in_time, sides.outcomes, in_time)
    n_strata = (weights != 0.0).any(axis=(2, 3)).sum(axis=1)
    unit_freedom = np.maximum(sides.units.sum(axis=1).min(axis=-1) - n_strata, _TINY)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = n_batches - 1.0
        offsets = (single > by_unit * (1.0 + _DOUBT * np.sqrt(2.0 / unit_freedom))) | (
            single > by_period * (1.0 + _DOUBT * np.sqrt(2.0 / freedom))
        )
        both = np.where(offsets, 0.0, single)
        variance = np.maximum(by_unit + by_period - both, np.maximum(by_unit, by_period))
        uncertain = by_unit**2 / unit_freedom + by_period**2 / freedom
        return variance, variance**2 / uncertain


def _slope(sides: _Sides, weights: FloatArray, x_weights: FloatArray) -> FloatArray:
    """Return the slope of the difference on the covariate's; 0 where that does not vary."""
    x_variance = _by_unit(sides, x_weights, x_weights)
    x_size = np.einsum(
        "lsam,lsamk,lsak->l", np.abs(x_weights), np.abs(sides.by_unit), np.abs(x_weights)
    )
    varies = x_variance > _ROUNDING * x_size
    slope = _by_unit(sides, weights, x_weights) / np.where(varies, x_variance, 1.0)
    return np.where(varies, slope, 0.0)
