"""Worlds whose arms pay by a regime, and what it is worth to see it.

A policy that sees the regime and learns in each by itself is one policy a regime, each of which
meets the decisions of its own: an unchanging world as long as these. One that does not see it meets
them as they come: a world that changes. So both are simulated by what simulates all others.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.bandits.policy import Policy
from experiments.simulation.environments import Environment
from experiments.simulation.errors import SettingsError
from experiments.simulation.running import simulate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Regimes:
    """Normal rewards whose means depend on the regime of the moment.

    Attributes
    ----------
    means : float64 array, shape (n_regimes, n_arms)
        Mean reward of each arm in each regime.
    path : int64 array, shape (n_decisions,)
        The regime of each decision.
    scale : float
        Standard deviation of a reward, > 0.
    """

    means: FloatArray
    path: IntArray
    scale: float = 1.0

    def __post_init__(self) -> None:
        means, path = np.array(self.means, dtype=np.float64), np.array(self.path, dtype=np.int64)
        if means.ndim != 2 or path.ndim != 1 or path.size < 1:
            raise SettingsError("Regimes need means by regime and arm, and a path of decisions.")
        if int(path.min()) < 0 or int(path.max()) >= means.shape[0]:
            raise SettingsError(f"The path has a regime that is none of {means.shape[0]}.")
        for name, value in (("means", means), ("path", path)):
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        self.unseen()  # means and scale are checked where they are used

    @classmethod
    def switching(
        cls, means: ArrayLike, stay: Sequence[float], n_decisions: int, *, scale: float = 1.0,
        seed: int = 0,
    ) -> Self:  # fmt: skip
        """Return regimes that follow each other by a Markov chain, from its first on.

        Parameters
        ----------
        means : float array, shape (n_regimes, n_arms)
        stay : sequence of float, length n_regimes
            Chance that the next decision is in the same regime, in [0, 1]; the others share what
            is left equally.
        n_decisions : int
            >= 1.
        """
        table = np.asarray(means, dtype=np.float64)
        chances = np.asarray(stay, dtype=np.float64)
        if table.ndim != 2 or table.shape[0] < 2 or chances.shape != table.shape[:1]:
            raise SettingsError("Several regimes are needed, and a chance to stay in each.")
        if not bool(np.all((chances >= 0.0) & (chances <= 1.0))) or n_decisions < 1:
            raise SettingsError("Chances to stay are in [0, 1], and decisions at least one.")
        rng = np.random.default_rng(seed)
        leaves, steps = rng.random(n_decisions), rng.integers(1, table.shape[0], n_decisions)
        path = np.zeros(n_decisions, dtype=np.int64)
        for t in range(1, n_decisions):
            at = path[t - 1]
            path[t] = at if leaves[t] < chances[at] else (at + steps[t]) % table.shape[0]
        return cls(table, path, scale)

    @property
    def shares(self) -> FloatArray:
        """Share of the decisions in each regime."""
        counts: FloatArray = np.bincount(self.path, minlength=self.means.shape[0]) / self.path.size
        return counts

    def unseen(self) -> Environment:
        """Return the world as whoever does not see the regime meets it."""
        begins = np.flatnonzero(np.diff(self.path, prepend=-1) != 0)
        changes = begins[1:].tolist()
        return Environment.gaussian(self.means[self.path[begins]], self.scale, changes)

    def within(self, regime: int) -> Environment:
        """Return the world of one regime's decisions."""
        return Environment.gaussian(self.means[regime], self.scale)


@dataclass(frozen=True)
class RegimeResult:
    """One policy with and without sight of the regime.

    Attributes
    ----------
    name : str
    unseen, seen : float
        Mean cumulative regret, against the best arm of each regime, of one policy for all regimes
        and of one in each.
    unseen_error, seen_error : float
        Their Monte-Carlo errors; NaN of a single repetition.
    """

    name: str
    unseen: float
    unseen_error: float
    seen: float
    seen_error: float


def compare_regimes(
    regimes: Regimes, policies: Mapping[str, Policy], *, repetitions: int, seed: int = 0
) -> list[RegimeResult]:
    """Return the regret of policies that see the regime beside that of those that do not.

    Parameters
    ----------
    regimes : Regimes
    policies : mapping of str to Policy
        Each is played from nothing.
    repetitions, seed : int
        As `simulate`.

    Raises
    ------
    SettingsError
        A policy does not fit the world, or there are no repetitions.
    """
    n = regimes.path.size
    unseen = simulate(
        regimes.unseen(), policies, horizon=n, repetitions=repetitions, seed=seed, checkpoints=[n]
    )
    counts = np.bincount(regimes.path)
    parts = [
        simulate(
            regimes.within(regime), policies, horizon=int(count), repetitions=repetitions,
            seed=seed + 1 + regime, checkpoints=[int(count)],
        )
        for regime, count in enumerate(counts) if count
    ]  # fmt: skip
    results = []
    for name in policies:
        seen = [part[name].regret for part in parts]
        whole = unseen[name].regret
        results.append(
            RegimeResult(
                name, whole.final, whole.final_error, sum(one.final for one in seen),
                math.hypot(*(one.final_error for one in seen)),
            )
        )  # fmt: skip
    return results
