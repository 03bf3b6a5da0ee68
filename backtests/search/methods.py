"""What a method of search is: a pure function of what was told.

A method keeps nothing between calls. The next generation follows from the seed and the results
alone, so that it is the same in another process, on another machine, and after a restart.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np

from backtests.search.parameters import Parameters, digest
from backtests.search.space import Space
from backtests.search.trials import Result, Trial

# Proposals given up, each because it breaks a constraint or is known, before one is drawn.
MOST_PROPOSALS = 100


class Method(Protocol):
    """A way of choosing parameter sets, in generations."""

    @property
    def n_trials(self) -> int:
        """How many trials there are in all; at most so many in successive halving."""

    @property
    def generation(self) -> int | None:
        """Trials asked together, whose results must be known before the next; None: any."""

    def propose(self, told: Sequence[Result], n: int) -> list[Trial]:
        """Return the next trials; none when the search is over.

        Parameters
        ----------
        told : sequence of Result
            Of trials 0 to `len(told)` - 1, in that order.
        n : int
            How many, no more than are left; a method with generations is asked for a whole one.
        """


class IndexedMethod(Method, Protocol):
    """A method that does not learn: each trial is known by its number alone."""

    def at(self, number: int) -> Parameters:
        """Return the parameters of a trial."""


def stream(seed: int, *place: int) -> np.random.Generator:
    """Return the random numbers of one place in a search, independent of all other places."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=place))


def short_seed(seed: int, *place: int) -> int:
    """Return the same as a number of 32 bits, which is what libraries take."""
    return int(np.random.SeedSequence(seed, spawn_key=place).generate_state(1)[0])


class Novelty:
    """Keeps a generation free of what breaks a constraint or was tried before.

    A method may propose; where it has nothing new to offer within a bounded number of
    proposals, uniform draws take over, and in a space that is used up, repetition.
    """

    def __init__(self, space: Space, tried: Iterable[Result], rng: np.random.Generator) -> None:
        self.space, self.rng = space, rng
        self.taken = {result.digest for result in tried}

    def accepts(self, parameters: Parameters) -> bool:
        """Whether a set meets the constraints and is new; it counts as tried from now on."""
        if self.space.broken(parameters) is not None:
            return False
        name = digest(parameters)
        if name in self.taken:
            return False
        self.taken.add(name)
        return True

    def settle(self, propose: Callable[[], Parameters]) -> Parameters:
        """Return the first acceptable proposal, or a draw.

        Raises
        ------
        UnsatisfiableError
            Nothing that meets the constraints was found.
        """
        for _ in range(MOST_PROPOSALS):
            parameters = propose()
            if self.accepts(parameters):
                return parameters
        return self.draw()

    def draw(self) -> Parameters:
        """Return a uniform draw, new if there is one among a hundred."""
        parameters = self.space.sample(self.rng)
        for _ in range(MOST_PROPOSALS):
            if self.accepts(parameters):
                break
            parameters = self.space.sample(self.rng)
        return parameters


def numbered(told: Sequence[Result], proposals: Iterable[Parameters]) -> list[Trial]:
    """Return proposals as the trials that follow those told."""
    return [Trial(len(told) + i, parameters) for i, parameters in enumerate(proposals)]
