"""A search inside each fold: a method that learns must learn from one fold's training alone.

All folds go on together, one generation of each at a time, so that their trials can be computed
side by side. A fold's search has a seed of its own and is told what its own training said, nothing
else: what it asks for does not depend on the other folds, on their number, or on the order in
which anything was computed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backtests.search.document import parse
from backtests.search.errors import DocumentError, ResultsError
from backtests.search.planning import plan
from backtests.search.searching import Search
from backtests.search.trials import Result, Trial


@dataclass
class FoldedSearch(Search):
    """As many searches as there are folds, under one numbering of trials.

    Trial `number` of the study is trial ``number % n_per_fold`` of fold ``number // n_per_fold``;
    where a fold needs fewer trials than it might, numbers are left out.

    Attributes
    ----------
    searches : tuple of Search
        One for each fold, which differ by their seeds.
    """

    searches: tuple[Search, ...] = ()

    @property
    def n_per_fold(self) -> int:
        """How many trials a fold has; in halving at most so many."""
        return self.searches[0].n_trials

    @property
    def n_trials(self) -> int:
        """How many trials there are in all folds together."""
        return sum(search.n_trials for search in self.searches)

    @property
    def cost(self) -> float:
        """The same in trials on all the data."""
        return sum(search.cost for search in self.searches)

    @property
    def is_indexed(self) -> bool:
        """Whether any trial is known by its number: no, they learn."""
        return False

    def fold_of(self, number: int) -> int:
        """Return the fold that a trial belongs to."""
        return number // self.n_per_fold

    def trial(self, number: int) -> Trial:
        """Return a trial that was told."""
        fold, place = divmod(number, self.n_per_fold)
        return self._placed(fold, self.searches[fold].trial(place))

    @property
    def results(self) -> list[Result]:
        """Everything told, by number."""
        return [
            replace(result, number=fold * self.n_per_fold + result.number)
            for fold, search in enumerate(self.searches)
            for result in search.results
        ]

    def ask(self, n: int | None = None) -> list[Trial]:
        """Return the next generation of every fold, fold by fold; nothing when all are over.

        Raises
        ------
        ResultsError
            Results are missing, or `n` is given: generations are asked for whole.
        UnsatisfiableError
            Nothing that meets the constraints was found.
        """
        if n is not None:
            raise ResultsError("A search inside folds is asked for whole generations.")
        return [
            self._placed(fold, trial)
            for fold, search in enumerate(self.searches)
            for trial in search.ask()
        ]

    def tell(self, results: Iterable[Result]) -> None:
        """Take results, each of which is what the training of its own fold said.

        Raises
        ------
        ResultsError, SpaceError
            As for a single search.
        """
        by_fold: dict[int, list[Result]] = {}
        for result in results:
            if not 0 <= result.number < self.n_trials:
                raise ResultsError(
                    f"There are {self.n_trials} trials; none has number {result.number}."
                )
            fold, place = divmod(result.number, self.n_per_fold)
            by_fold.setdefault(fold, []).append(replace(result, number=place))
        for fold, told in by_fold.items():
            self.searches[fold].tell(told)

    def _placed(self, fold: int, trial: Trial) -> Trial:
        return replace(trial, number=fold * self.n_per_fold + trial.number, fold=fold)


def plan_in_folds(document: Any, n_folds: int, **names: Any) -> Search:
    """Return the search of a study with folds.

    Parameters
    ----------
    document : mapping or parsed search document
        The ``search:`` section; its seed is that of all folds, from which each has its own.
    n_folds : int
        At least 1.
    **names
        As `plan` takes them.

    Returns
    -------
    Search
        Of a method that does not learn the plain one: its trials are the same for all folds, so
        that one simulation of each serves them all. Else a `FoldedSearch`.

    Raises
    ------
    DocumentError
        The method shares out what a fold does not have.
    SearchError
        As `plan`.
    """
    asked = parse(document)
    single = plan(asked, **names)
    if single.is_indexed:
        return single
    if getattr(asked, "resource", "bars") != "bars":
        raise DocumentError(
            "resource: inside a fold there are no folds to share out; use bars, which gives a "
            "trial a share of the fold's training."
        )
    searches = tuple(
        plan(asked.model_copy(update={"seed": _seed_of(asked.seed, fold)}), **names)
        for fold in range(n_folds)
    )
    return FoldedSearch(
        single.space, single.objectives, single.limits, single.goals, single.method, searches
    )


def _seed_of(seed: int, fold: int) -> int:
    """Return the seed of a fold's search: the same however many folds follow."""
    state = np.random.SeedSequence(seed, spawn_key=(fold,)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
