"""NSGA-II: a population spread along the front of several objectives.

References
----------
.. [1] Deb, Pratap, Agarwal and Meyarivan (2002), "A fast and elitist multiobjective genetic
   algorithm: NSGA-II", IEEE Transactions on Evolutionary Computation 6(2).
"""

from collections.abc import Sequence

from backtests.search import studies
from backtests.search.methods import Novelty, numbered, short_seed, stream
from backtests.search.space import Space
from backtests.search.trials import Goals, Result, Trial


class Nsga2:
    """Optuna's NSGA-II, one study a generation.

    Everything told is one population to it, and the elite of that are the parents: elitism
    over all generations, without their number being state.
    """

    def __init__(
        self, space: Space, goals: Goals, *, n_trials: int, generation: int, seed: int,
        known: Sequence[Result] = (),
    ) -> None:  # fmt: skip
        self.space, self.goals = space, goals
        self.n_trials, self.generation, self.seed = n_trials, generation, seed
        self.known = known

    def propose(self, told: Sequence[Result], n: int) -> list[Trial]:
        """Return the next generation; the first one is drawn at random."""
        tried = [*self.known, *told]
        rng = stream(self.seed, len(told))
        novelty = Novelty(self.space, tried, rng)
        if len(tried) < self.generation:
            return numbered(told, (novelty.draw() for _ in range(n)))
        with studies.quiet():
            from optuna.samplers import NSGAIISampler
            from optuna.samplers.nsgaii import PolynomialMutation, SBXCrossover

            sampler = NSGAIISampler(
                population_size=self.generation, seed=short_seed(self.seed, len(told)),
                crossover=SBXCrossover(), mutation=PolynomialMutation(),
            )  # fmt: skip
            # It crosses only what all trials have, so inactive dimensions are filled in.
            study = studies.rebuild(
                sampler, self.space, self.goals, tried, fill=rng,
                attributes={sampler._get_generation_key(): 0},  # noqa: SLF001 - no public door
            )  # fmt: skip
            return numbered(
                told,
                studies.draw_generation(study, self.space, novelty, n, all_dimensions=True),
            )
