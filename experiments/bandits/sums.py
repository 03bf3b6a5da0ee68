"""Mergeable sums of rewards: all that a policy needs to know of the past.

Sums of disjoint rewards add. With a discount or a window the sums of periods are kept apart and
folded when an allocation is asked for, so late rewards still find their period.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from experiments.bandits.checks import (
    FloatArray,
    IntArray,
    Randomness,
    generator_of,
    require_arms,
    require_count,
    require_settings,
)
from experiments.bandits.errors import ArmError, PropensityError, RewardError, StateError


class PeriodSums(Protocol):
    """Sums by period and arm, as a table of the platform keeps them; one row each, in any order.

    Attributes
    ----------
    period : int64 array, shape (n_rows,)
        Start of the period; equal steps of whatever unit.
    arm : int64 array, shape (n_rows,)
    n, total, squares : float64 arrays, shape (n_rows,)
    """

    @property
    def period(self) -> IntArray: ...
    @property
    def arm(self) -> IntArray: ...
    @property
    def n(self) -> FloatArray: ...
    @property
    def total(self) -> FloatArray: ...
    @property
    def squares(self) -> FloatArray: ...


@dataclass(frozen=True, slots=True)
class ArmStatistics:
    """Sums of the rewards of each arm.

    Attributes
    ----------
    n, total, squares : float64 arrays, shape (n_arms,)
        Number (a fraction once discounted), sum, and sum of squares; n >= 0.
    weighted_n, weighted_total : float64 arrays, shape (n_arms,), or None
        Number and sum, each reward divided by the probability of its arm when it was chosen; only
        Exp3 needs them.
    replicates : float64 array, shape (2, n_arms, n_replicates), or None
        Numbers and sums under bootstrap weights; only bootstrapped Thompson sampling uses them.
    """

    n: FloatArray
    total: FloatArray
    squares: FloatArray
    weighted_n: FloatArray | None = None
    weighted_total: FloatArray | None = None
    replicates: FloatArray | None = None

    def __post_init__(self) -> None:
        for name in ("n", "total", "squares", "weighted_n", "weighted_total"):
            given = getattr(self, name)
            if given is None:
                continue
            column = np.array(given, dtype=np.float64)
            if column.ndim != 1 or column.size < 2:
                raise ArmError(f"{name} needs one number for each of at least two arms.")
            if not bool(np.isfinite(column).all()):
                raise RewardError(f"{name} has a number that is missing or infinite.")
            object.__setattr__(self, name, column)
        sizes = {c.size for c in (self.n, self.total, self.squares)}
        if len(sizes) != 1:
            raise ArmError("n, total and squares must have one number per arm each.")
        if float(self.n.min()) < 0.0 or float(self.squares.min()) < 0.0:
            raise RewardError("Numbers of rewards and sums of squares are not negative.")
        if bool(np.any((self.n == 0.0) & ((self.total != 0.0) | (self.squares != 0.0)))):
            raise RewardError("An arm without rewards has a sum of rewards.")

    @property
    def n_arms(self) -> int:
        """Number of arms."""
        return int(self.n.size)

    @property
    def mean(self) -> FloatArray:
        """Mean reward of each arm; NaN where there is none."""
        with np.errstate(invalid="ignore"):
            mean: FloatArray = np.where(self.n > 0.0, self.total / self.n, np.nan)
        return mean

    @classmethod
    def of_rewards(
        cls, arms: ArrayLike, rewards: ArrayLike, n_arms: int, *, probabilities: Any = None
    ) -> Self:
        """Return the sums of single rewards.

        Parameters
        ----------
        arms : int array, shape (n_rewards,)
        rewards : float array, shape (n_rewards,)
            Finite.
        n_arms : int
            >= 2.
        probabilities : float array, shape (n_rewards,), optional
            With which each arm was chosen, in (0, 1].
        """
        positions = require_arms(arms, require_count("n_arms", n_arms, 2))
        values = np.asarray(rewards, dtype=np.float64)
        if values.shape != positions.shape or not bool(np.isfinite(values).all()):
            raise RewardError("There must be one finite reward for each arm named.")

        def summed(weight: FloatArray) -> FloatArray:
            sums: FloatArray = np.bincount(positions, weight, n_arms).astype(np.float64)
            return sums

        weighted: tuple[FloatArray | None, FloatArray | None] = (None, None)
        if probabilities is not None:
            used = _chances(probabilities, positions.shape)
            weighted = (summed(1.0 / used), summed(values / used))
        return cls(summed(np.ones(values.size)), summed(values), summed(values**2), *weighted)

    @classmethod
    def of_periods(
        cls,
        table: PeriodSums,
        n_arms: int,
        *,
        discount: float = 1.0,
        window: int | None = None,
        period_length: int = 1,
        at: int | None = None,
        probabilities: ArrayLike | None = None,
        n_replicates: int = 0,
        randomness: Randomness = 0,
    ) -> Self:
        """Return the sums of periods, old ones discounted or left out.

        Parameters
        ----------
        table : PeriodSums
        n_arms : int
        discount : float
            In (0, 1]; a period counts ``discount^age``, age in periods.
        window : int, optional
            Periods that count, >= 1; all when not given.
        period_length : int
            Length of a period in the unit of `table.period`.
        at : int, optional
            Start of the newest period; by default that of the newest row.
        probabilities : float array, shape (n_rows,), optional
            Probability of the row's arm in its period, in (0, 1].
        n_replicates : int
            Bootstrap replicates to draw over whole periods, which keeps what happened together.
        randomness : int or numpy Generator
            For the replicates.
        """
        require_settings(
            discount=0.0 < discount <= 1.0,
            window=window is None or window >= 1,
            period_length=period_length >= 1,
            n_replicates=n_replicates >= 0,
        )
        arm, period = require_arms(table.arm, n_arms), np.asarray(table.period, dtype=np.int64)
        newest = at if at is not None else int(period.max(initial=0))
        age = (newest - period) // period_length
        weight = discount ** np.maximum(age, 0).astype(np.float64)
        weight[(age < 0) | (age >= (window or np.inf))] = 0.0

        def summed(column: FloatArray) -> FloatArray:
            sums: FloatArray = np.bincount(arm, weight * column, n_arms).astype(np.float64)
            return sums

        weighted: tuple[FloatArray | None, FloatArray | None] = (None, None)
        if probabilities is not None:
            used = _chances(probabilities, arm.shape)
            weighted = (summed(table.n / used), summed(table.total / used))
        replicates = None
        if n_replicates:
            rows = (arm, period, weight * table.n, weight * table.total)
            replicates = _replicates(*rows, n_arms, n_replicates, generator_of(randomness))
        sums = (summed(table.n), summed(table.total), summed(table.squares))
        return cls(*sums, *weighted, replicates)

    def merged(self, other: Self) -> Self:
        """Return the sums of both, of disjoint rewards."""
        if other.n_arms != self.n_arms:
            raise StateError(f"{self.n_arms} arms and {other.n_arms} arms do not merge.")

        def both(name: str) -> FloatArray | None:
            mine, others = getattr(self, name), getattr(other, name)
            return None if mine is None or others is None else mine + others

        sums = (self.n + other.n, self.total + other.total, self.squares + other.squares)
        return type(self)(*sums, both("weighted_n"), both("weighted_total"))

    def to_dict(self) -> dict[str, Any]:
        """Return the sums as JSON has them."""
        names = ("n", "total", "squares", "weighted_n", "weighted_total")
        columns = {name: getattr(self, name) for name in names}
        return {name: c.tolist() for name, c in columns.items() if c is not None}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the sums that `to_dict` wrote."""
        known = {"n", "total", "squares", "weighted_n", "weighted_total"}
        if not {"n", "total", "squares"} <= set(stored) <= known:
            raise StateError(f"Stored sums have the keys {sorted(stored)}.")
        return cls(**{name: np.array(stored[name], dtype=np.float64) for name in stored})


def _chances(probabilities: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    used = np.asarray(probabilities, dtype=np.float64)
    if used.shape != shape:
        raise PropensityError("There must be one probability for each row.")
    if not bool(np.all((used > 0.0) & (used <= 1.0))):
        raise PropensityError("A logged probability is missing, zero, or above one.")
    return used


def _replicates(
    arm: IntArray,
    period: IntArray,
    n: FloatArray,
    total: FloatArray,
    n_arms: int,
    n_replicates: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Return numbers and sums of each arm under Poisson weights of whole periods."""
    periods, position = np.unique(period, return_inverse=True)
    dense = np.zeros((2, n_arms, periods.size))
    np.add.at(dense[0], (arm, position), n)
    np.add.at(dense[1], (arm, position), total)
    weights = rng.poisson(1.0, (periods.size, n_replicates)).astype(np.float64)
    drawn: FloatArray = dense @ weights
    return drawn
