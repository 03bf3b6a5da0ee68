"""A genetic algorithm: the fittest of all tried are parents, their children inherit by chance.

References
----------
.. [1] Goldberg and Deb (1991), "A comparative analysis of selection schemes used in genetic
   algorithms": tournaments.
.. [2] Syswerda (1989), "Uniform crossover in genetic algorithms".
.. [3] Deb (2000), "An efficient constraint handling method for genetic algorithms", Computer
   Methods in Applied Mechanics and Engineering 186.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest

import numpy as np
from numpy.typing import NDArray

from backtests.search.dimensions import Choices, Range
from backtests.search.methods import Novelty, numbered, stream
from backtests.search.parameters import Parameters
from backtests.search.space import Space
from backtests.search.trials import Goals, Result, Trial

Point = NDArray[np.float64]

# Every tenth mutation forgets where it came from, so that no value is ever out of reach.
_RESET = 0.1


@dataclass(frozen=True)
class Heredity:
    """How children come about.

    Attributes
    ----------
    tournament : int
        Of so many parents drawn the best one is taken.
    crossover : float
        Probability that a child has two parents, each gene from either; else it has one.
    mutation : float or None
        Probability that a gene changes; None: one gene in each child, on average.
    spread : float
        Standard deviation of a change, as a share of a dimension.
    """

    tournament: int = 3
    crossover: float = 0.9
    mutation: float | None = None
    spread: float = 0.1


class Genetic:
    """One objective; the parents are the best `generation` of everything told."""

    def __init__(
        self, space: Space, goals: Goals, *, n_trials: int, generation: int, seed: int,
        heredity: Heredity | None = None, known: Sequence[Result] = (),
    ) -> None:  # fmt: skip
        self.space, self.goals = space, goals
        self.n_trials, self.generation, self.seed = n_trials, generation, seed
        self.heredity, self.known = heredity or Heredity(), known

    def propose(self, told: Sequence[Result], n: int) -> list[Trial]:
        """Return the next generation."""
        rng = stream(self.seed, len(told))
        tried = [*self.known, *told]
        novelty = Novelty(self.space, tried, rng)
        parents = nsmallest(self.generation, tried, key=self.goals.order)
        if len(parents) < self.generation:
            return numbered(told, (novelty.draw() for _ in range(n)))
        # Genes that a parent does not have are filled by chance: its children may need them.
        genes = [self.space.encode(p.parameters, rng.random(self.space.n_dimensions))
                 for p in parents]  # fmt: skip
        children = (novelty.settle(lambda: self._child(genes, rng)) for _ in range(n))
        return numbered(told, children)

    def _child(self, genes: list[Point], rng: np.random.Generator) -> Parameters:
        child = self._winner(genes, rng).copy()
        if rng.random() < self.heredity.crossover:
            other = self._winner(genes, rng)
            child = np.where(rng.random(child.size) < 0.5, child, other)
        return self.space.decode(self._mutated(child, rng))

    def _winner(self, genes: list[Point], rng: np.random.Generator) -> Point:
        # The parents are sorted: the best of a tournament is the one with the lowest place.
        return genes[int(rng.integers(len(genes), size=self.heredity.tournament).min())]

    def _mutated(self, child: Point, rng: np.random.Generator) -> Point:
        rate = self.heredity.mutation
        rate = 1.0 / child.size if rate is None else rate
        for place, dimension in enumerate(self.space.dimensions.values()):
            if rng.random() < rate:
                child[place] = self._gene(float(child[place]), dimension, rng)
        return child

    def _gene(self, u: float, dimension: Choices | Range, rng: np.random.Generator) -> float:
        if not dimension.is_ordered or rng.random() < _RESET:
            return float(rng.random())
        step = float(rng.normal(0.0, self.heredity.spread))
        if dimension.n_levels is not None:
            # At least the next value: less would change nothing.
            least = 1.0 / dimension.n_levels
            step = max(step, least) if step > 0 else min(step, -least)
        return _reflected(u + step)


def _reflected(u: float) -> float:
    """Return a place outside the unit interval as if its ends were mirrors."""
    u = abs(u) % 2.0
    return 2.0 - u if u > 1.0 else u
