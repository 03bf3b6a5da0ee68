"""Tree-structured Parzen estimators: where good trials are dense and bad ones are not.

References
----------
.. [1] Bergstra, Bardenet, Bengio and Kégl (2011), "Algorithms for hyper-parameter
   optimization", NIPS.
.. [2] Watanabe (2023), "Tree-structured Parzen estimator", arXiv:2304.11127.
"""

from collections.abc import Sequence

from backtests.search import studies
from backtests.search.methods import Novelty, numbered, short_seed, stream
from backtests.search.space import Space
from backtests.search.trials import Goals, Result, Trial


class Tpe:
    """Optuna's TPE, one study a generation; for one objective or several."""

    def __init__(
        self, space: Space, goals: Goals, *, n_trials: int, generation: int, startup: int,
        seed: int, known: Sequence[Result] = (),
    ) -> None:  # fmt: skip
        self.space, self.goals = space, goals
        self.n_trials, self.generation, self.startup = n_trials, generation, startup
        self.seed, self.known = seed, known

    def propose(self, told: Sequence[Result], n: int) -> list[Trial]:
        """Return the next generation; random draws until `startup` trials are known."""
        tried = [*self.known, *told]
        novelty = Novelty(self.space, tried, stream(self.seed, len(told)))
        if len(tried) < self.startup:
            return numbered(told, (novelty.draw() for _ in range(n)))
        with studies.quiet():
            from optuna.samplers import TPESampler

            # Groups learn conditional dimensions apart; plain joint estimation leaves them out.
            joint = self.space.has_conditions or self.goals.n_objectives == 1
            sampler = TPESampler(
                seed=short_seed(self.seed, len(told)), n_startup_trials=0,
                multivariate=joint, group=self.space.has_conditions,
            )  # fmt: skip
            study = studies.rebuild(sampler, self.space, self.goals, tried)
            return numbered(told, studies.draw_generation(study, self.space, novelty, n))
