"""Draws that do not learn: random, and Latin hypercubes.

Each trial has random numbers of its own, found by seed and number, so any worker can work out
any trial.

References
----------
.. [1] McKay, Beckman and Conover (1979), "A comparison of three methods for selecting values of
   input variables", Technometrics 21(2).
.. [2] Bergstra and Bengio (2012), "Random search for hyper-parameter optimization", JMLR 13.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from backtests.search.errors import SpaceError
from backtests.search.methods import numbered, stream
from backtests.search.parameters import Parameters
from backtests.search.space import Space
from backtests.search.trials import Result, Trial

_LARGEST_DESIGN = 20_000_000


class RandomSearch:
    """Uniform in the unit cube, with replacement: a small space repeats itself."""

    generation = None

    def __init__(self, space: Space, *, n_trials: int, seed: int) -> None:
        self.space, self.n_trials, self.seed = space, n_trials, seed

    def at(self, number: int) -> Parameters:
        """Return the parameters of a trial."""
        return self.space.sample(stream(self.seed, number))

    def propose(self, told: Sequence[Result], n: int) -> list[Trial]:
        """Return the next n draws."""
        return numbered(told, (self.at(len(told) + i) for i in range(n)))


class LatinHypercube:
    """Of every n-th part of every dimension, exactly one trial.

    A point that breaks a constraint is replaced by a uniform draw, so the more constraints
    refuse, the more this is random search.

    Raises
    ------
    SpaceError
        The design is too large to be kept in memory.
    """

    generation = None

    def __init__(self, space: Space, *, n_trials: int, seed: int) -> None:
        if n_trials * space.n_dimensions > _LARGEST_DESIGN:
            raise SpaceError(
                f"A Latin hypercube has at most {_LARGEST_DESIGN} numbers, not {n_trials} × "
                f"{space.n_dimensions}; draw at random."
            )
        self.space, self.n_trials, self.seed = space, n_trials, seed

    @cached_property
    def design(self) -> NDArray[np.float64]:
        """The points in the unit cube, shape (n_trials, n_dimensions)."""
        shape = (self.n_trials, self.space.n_dimensions)
        rng = stream(self.seed)
        cells = np.empty(shape)
        for place in range(shape[1]):
            cells[:, place] = rng.permutation(self.n_trials)
        return (cells + rng.random(shape)) / self.n_trials

    def at(self, number: int) -> Parameters:
        """Return the parameters of a trial."""
        parameters = self.space.decode(self.design[number])
        if self.space.broken(parameters) is not None:
            return self.space.sample(stream(self.seed, number))
        return parameters

    def propose(self, told: Sequence[Result], n: int) -> list[Trial]:
        """Return the next n points of the design."""
        return numbered(told, (self.at(len(told) + i) for i in range(n)))
