"""Worlds that pay rewards: fixed, changing at known times, or wandering.

References
----------
.. [1] Lai and Robbins (1985), "Asymptotically efficient adaptive allocation rules", Advances in
   Applied Mathematics 6.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr

from experiments.simulation.errors import SettingsError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

BERNOULLI, GAUSSIAN, STUDENT, REPLAY = 0, 1, 2, 3
_NAMES = ("Bernoulli", "normal", "Student")


@dataclass(frozen=True)
class Environment:
    """Rewards of arms, independent over time given their means.

    Attributes
    ----------
    kind : int
        BERNOULLI, GAUSSIAN or STUDENT.
    means : float64 array, shape (n_segments, n_arms)
        Mean reward of each arm in each stretch of time.
    starts : int64 array, shape (n_segments,)
        First decision of each stretch, from 0, ascending.
    scale : float64 array, shape (n_arms,)
        Standard deviation of a reward; not used by Bernoulli.
    degrees : float
        Degrees of freedom of Student's t, > 2.
    """

    kind: int
    means: FloatArray
    starts: IntArray
    scale: FloatArray
    degrees: float = math.inf

    def __post_init__(self) -> None:
        means = np.atleast_2d(np.array(self.means, dtype=np.float64))
        starts = np.array(self.starts, dtype=np.int64)
        scale = np.broadcast_to(np.asarray(self.scale, dtype=np.float64), means.shape[1:]).copy()
        if means.ndim != 2 or means.shape[1] < 2 or not bool(np.isfinite(means).all()):
            raise SettingsError("An environment needs finite means of at least two arms.")
        if self.kind == BERNOULLI and not bool(np.all((means >= 0.0) & (means <= 1.0))):
            raise SettingsError("Means of Bernoulli rewards are in [0, 1].")
        if starts.shape != means.shape[:1] or starts[0] != 0 or bool(np.any(np.diff(starts) < 1)):
            raise SettingsError("Each row of means needs its first decision; they ascend from 0.")
        if not bool(np.all((scale > 0.0) & np.isfinite(scale))) or not self.degrees > 2.0:
            raise SettingsError("Scales are > 0 and degrees of freedom > 2.")
        for name, value in (("means", means), ("starts", starts), ("scale", scale)):
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    @classmethod
    def bernoulli(cls, means: ArrayLike, changes: Sequence[int] = ()) -> Self:
        """Return rewards of 0 and 1.

        Parameters
        ----------
        means : float array, shape (n_arms,), or (len(changes) + 1, n_arms)
            In [0, 1].
        changes : sequence of int
            Decisions at which the next row of means begins.
        """
        return cls(BERNOULLI, np.asarray(means), np.array([0, *changes]), np.asarray(1.0))

    @classmethod
    def gaussian(
        cls, means: ArrayLike, scale: ArrayLike = 1.0, changes: Sequence[int] = ()
    ) -> Self:
        """Return normal rewards of the given standard deviation."""
        return cls(GAUSSIAN, np.asarray(means), np.array([0, *changes]), np.asarray(scale))

    @classmethod
    def student(
        cls,
        means: ArrayLike,
        scale: ArrayLike = 1.0,
        degrees: float = 3.0,
        changes: Sequence[int] = (),
    ) -> Self:
        """Return heavy-tailed rewards: Student's t, scaled to the given standard deviation."""
        starts = np.array([0, *changes])
        return cls(STUDENT, np.asarray(means), starts, np.asarray(scale), float(degrees))

    @classmethod
    def wandering(
        cls,
        means: ArrayLike,
        step: float,
        horizon: int,
        *,
        every: int = 100,
        scale: ArrayLike = 1.0,
        seed: int = 0,
    ) -> Self:
        """Return normal rewards whose means walk at random.

        Parameters
        ----------
        means : float array, shape (n_arms,)
            At the start.
        step : float
            Standard deviation of a mean's change at each step, > 0.
        horizon, every : int
            Decisions in all, and between two steps.
        """
        if not (0.0 < step < math.inf and horizon >= 1 and every >= 1):
            raise SettingsError("A walk needs a step > 0 and lengths of at least one.")
        starts = np.arange(0, horizon, every)
        start = np.asarray(means, dtype=np.float64)
        steps = np.random.default_rng(seed).normal(0.0, step, (starts.size, start.size))
        steps[0] = 0.0
        return cls(GAUSSIAN, start + steps.cumsum(axis=0), starts, np.asarray(scale))

    @property
    def n_arms(self) -> int:
        """Number of arms."""
        return int(self.means.shape[1])

    @property
    def lai_robbins(self) -> float:
        """Least regret per ln t that a consistent policy can have, in an unchanging world [1]_.

        ``sum gap_k / KL(k, best)``, with ``KL = gap^2 / (2 scale^2)`` for normal rewards.

        Raises
        ------
        SettingsError
            The world changes, or is Student's, whose divergence has no closed form.
        """
        if self.means.shape[0] > 1 or self.kind == STUDENT:
            raise SettingsError("The constant of Lai and Robbins is of fixed, known families.")
        mean = self.means[0]
        best = mean.max()
        worse = mean < best
        gap = best - mean[worse]
        if self.kind == GAUSSIAN:
            return float(np.sum(2.0 * self.scale[worse] ** 2 / gap))
        p = mean[worse]
        divergence = rel_entr(p, best) + rel_entr(1.0 - p, 1.0 - best)
        return float(np.sum(gap / divergence))

    def __str__(self) -> str:
        changes = f", {self.means.shape[0] - 1} changes" if self.means.shape[0] > 1 else ""
        return f"{self.n_arms} {_NAMES[self.kind]} arms{changes}"
