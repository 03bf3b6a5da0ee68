"""Successive halving: many on little data, the better ones on more, few on all of it.

References
----------
.. [1] Karnin, Koren and Somekh (2013), "Almost optimal exploration in multi-armed bandits".
.. [2] Jamieson and Talwalkar (2016), "Non-stochastic best arm identification and hyperparameter
   optimization", AISTATS.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from backtests.search.errors import ResultsError
from backtests.search.methods import IndexedMethod
from backtests.search.trials import Goals, Result, Trial


@dataclass(frozen=True)
class Rung:
    """A step of the ladder.

    Attributes
    ----------
    budget : float
        Share of the bars or folds, in (0, 1]; 1 on the last rung.
    n_trials : int
        How many are tried on it, at most.
    """

    budget: float
    n_trials: int


def schedule(*, n_trials: int, eta: float, min_budget: float) -> tuple[Rung, ...]:
    """Return the rungs, from the first to the one with everything.

    Parameters
    ----------
    n_trials : int
        Trials on the first rung, at least 1.
    eta : float
        Of so many one goes on, and has so many times the budget; above 1.
    min_budget : float
        Least budget of a rung, in (0, 1].

    Notes
    -----
    Counted from the top: budgets 1, 1 / eta, 1 / eta², … as long as they are not below
    `min_budget` and more than one trial is left to be chosen from.
    """
    last = 0
    while eta ** -(last + 1) >= min_budget * (1 - 1e-12) and n_trials / eta ** (last + 1) >= 1:
        last += 1
    return tuple(
        Rung(budget=eta ** (rung - last), n_trials=max(1, int(n_trials / eta**rung + 1e-9)))
        for rung in range(last + 1)
    )


def survivors(results: Sequence[Result], n: int, goals: Goals) -> list[Result]:
    """Return the n best results of a rung that have a value, from best to worst.

    Those that break a constraint go on only where there are not enough others; those without a
    value never do.
    """
    valued = [result for result in results if result.values is not None]
    return sorted(valued, key=goals.order)[:n]


class Halving:
    """A ladder of rungs; each is a generation."""

    generation = None

    def __init__(self, first: IndexedMethod, goals: Goals, rungs: tuple[Rung, ...]) -> None:
        self.first, self.goals, self.rungs = first, goals, rungs

    @property
    def n_trials(self) -> int:
        """How many trials there are on all rungs, at most."""
        return sum(rung.n_trials for rung in self.rungs)

    @property
    def cost(self) -> float:
        """What they cost, in trials with the whole budget, at most."""
        return sum(rung.n_trials * rung.budget for rung in self.rungs)

    def propose(self, told: Sequence[Result], n: int) -> list[Trial]:  # noqa: ARG002
        """Return the trials of the next rung; none once the last one is told."""
        begin, going = 0, [self.first.at(i) for i in range(self.rungs[0].n_trials)]
        for place, rung in enumerate(self.rungs):
            if len(told) == begin:
                return [Trial(begin + i, p, rung.budget) for i, p in enumerate(going)]
            results = told[begin : begin + len(going)]
            if len(results) < len(going):
                raise ResultsError(
                    f"{len(results)} results of this rung are told; it has {len(going)}."
                )
            begin += len(going)
            if place + 1 < len(self.rungs):
                best = survivors(results, self.rungs[place + 1].n_trials, self.goals)
                going = [result.parameters for result in best]
            if not going:
                break
        return []
