"""CMA-ES with margin: a normal distribution that learns the shape of the valley it is in.

The distribution is worked out anew for every generation by telling it all generations before,
some milliseconds each. Values are told as ranks: CMA-ES looks at nothing
else, and a rank exists for a trial without a value, too.

References
----------
.. [1] Hansen (2016), "The CMA evolution strategy: a tutorial", arXiv:1604.00772.
.. [2] Hamano, Saito, Nomura and Shirakawa (2022), "CMA-ES with margin: lower-bounding marginal
   probability for mixed-integer black-box optimization", GECCO.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtests.search.dimensions import Choices, Range
from backtests.search.errors import SpaceError
from backtests.search.methods import MOST_PROPOSALS, numbered, short_seed, stream
from backtests.search.parameters import Parameters, digest
from backtests.search.space import Space
from backtests.search.trials import Goals, Result, Trial, chunks

if TYPE_CHECKING:
    from cmaes import CMAwM

Point = NDArray[np.float64]


class _Drawn(NamedTuple):
    """A draw as the distribution has it, and what it means."""

    point: Point
    parameters: Parameters


class CmaEs:
    """One objective, over numbers; draws that repeat are tried again by whoever runs them.

    Raises
    ------
    SpaceError
        A dimension has values without an order.
    """

    def __init__(
        self, space: Space, goals: Goals, *, n_trials: int, generation: int, spread: float,
        seed: int, known: Sequence[Result] = (),
    ) -> None:  # fmt: skip
        for path, dimension in space.dimensions.items():
            if not dimension.is_ordered:
                raise SpaceError(f"{path}: cma_es needs numbers that increase, or a range.")
        self.space, self.goals, self.known = space, goals, known
        self.n_trials, self.generation, self.seed = n_trials, generation, seed
        self.spread = spread
        levels = np.array([_n_steps(dimension) for dimension in space.dimensions.values()])
        # A dimension of one value has no direction to learn.
        self._free = np.flatnonzero(levels != 1)
        if self._free.size == 0:
            raise SpaceError("There is but one parameter set.")
        self._levels = levels[self._free]
        self._kept: tuple[tuple[Result, ...], CMAwM] | None = None

    def propose(self, told: Sequence[Result], n: int) -> list[Trial]:
        """Return the next generation."""
        optimizer = self._learned(told)
        drawn = self._draw(optimizer, len(told) // self.generation, n)
        return numbered(told, (parameters for _, parameters in drawn))

    def _learned(self, told: Sequence[Result]) -> "CMAwM":
        """Return the distribution after all complete generations.

        The last one is kept to go on from, if what it learned from is still what was told; it
        saves time and changes nothing.
        """
        seen, optimizer = self._kept or ((), self._start(0))
        if len(seen) > len(told) or any(a is not b for a, b in zip(seen, told, strict=False)):
            seen, optimizer = (), self._start(0)
        done = len(seen) // self.generation
        for place, results in enumerate(chunks(told, self.generation)[done:], start=done):
            drawn = self._draw(optimizer, place, self.generation)
            optimizer.tell(self._ranked(drawn, results))
            if optimizer.should_stop():
                optimizer = self._start(place + 1)
        n_learned = len(told) // self.generation * self.generation
        self._kept = (tuple(told[:n_learned]), optimizer)
        return optimizer

    def _start(self, place: int) -> "CMAwM":
        """Return a distribution around the best trial known, or a random place after a stop."""
        from cmaes import CMAwM

        best = self.goals.best(self.known) if place == 0 else None
        if best is not None:
            mean = self._inward(best.parameters)
        elif place == 0:
            mean = np.full(self._free.size, 0.5)
        else:
            mean = stream(self.seed, place, 1).random(self._free.size)
        steps = np.where(self._levels > 1, 1.0 / np.maximum(self._levels - 1, 1), 0.0)
        return CMAwM(
            mean=mean, sigma=self.spread, bounds=np.tile([0.0, 1.0], (self._free.size, 1)),
            steps=steps, seed=0, population_size=self.generation,
        )  # fmt: skip

    def _draw(self, optimizer: "CMAwM", place: int, n: int) -> list[_Drawn]:
        optimizer.reseed_rng(short_seed(self.seed, place))
        rng = stream(self.seed, place)
        return [self._settle(optimizer, rng) for _ in range(n)]

    def _settle(self, optimizer: "CMAwM", rng: np.random.Generator) -> _Drawn:
        for _ in range(MOST_PROPOSALS):
            seen, point = optimizer.ask()
            parameters = self._outward(seen)
            if self.space.broken(parameters) is None:
                return _Drawn(point, parameters)
        parameters = self.space.sample(rng)
        return _Drawn(self._inward(parameters), parameters)

    def _ranked(
        self, drawn: Sequence[_Drawn], results: Sequence[Result]
    ) -> list[tuple[Point, float]]:
        order = sorted(results, key=self.goals.order)
        ranks = {result.number: float(rank) for rank, result in enumerate(order)}
        return [
            (self._told_at(one, result), ranks[result.number])
            for one, result in zip(drawn, results, strict=True)
        ]

    def _told_at(self, drawn: _Drawn, result: Result) -> Point:
        """Return where the distribution is told of a result.

        Where it drew it, which says more than the rounded values; but what was tried counts, if
        that is another set, be it by the last bit of another processor.
        """
        if digest(drawn.parameters) == result.digest:
            return drawn.point
        return self._inward(result.parameters)

    def _outward(self, seen: Point) -> Parameters:
        """Return the parameters at a place whose counted dimensions are at their steps."""
        cells = np.rint(seen * np.maximum(self._levels - 1, 1))
        point = np.full(self.space.n_dimensions, 0.5)
        counted = (cells + 0.5) / np.maximum(self._levels, 1)
        point[self._free] = np.where(self._levels > 1, counted, seen)
        return self.space.decode(point)

    def _inward(self, parameters: Parameters) -> Point:
        u = self.space.encode(parameters)[self._free]
        cells = np.minimum(np.floor(u * self._levels), self._levels - 1)
        return np.where(self._levels > 1, cells / np.maximum(self._levels - 1, 1), u)


def _n_steps(dimension: Choices | Range) -> int:
    """Return the number of equal steps of a dimension, 0 if it has none."""
    return 0 if isinstance(dimension, Range) and dimension.log else dimension.n_levels or 0
