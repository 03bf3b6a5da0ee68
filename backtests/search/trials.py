"""A trial asked, the result told, and which results are better."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from backtests.search.errors import ResultsError
from backtests.search.parameters import Parameters, digest


@dataclass(frozen=True)
class Trial:
    """One parameter set to be tried.

    Attributes
    ----------
    number : int
        Its place in the search, from 0; results are told under it.
    parameters : dict of str to JSON value
        By path, active dimensions only.
    budget : float
        Share of the bars or folds to try it on, in (0, 1]; 1 but in successive halving.
    fold : int or None
        The fold whose training alone judges it, where each fold has a search of its own.
    """

    number: int
    parameters: Parameters
    budget: float = 1.0
    fold: int | None = None

    def units(self, total: int) -> int:
        """Return the budget as a number of bars or folds, at least one."""
        return max(1, math.ceil(self.budget * total - 1e-9))


@dataclass(frozen=True)
class Result:
    """What came of a trial.

    Attributes
    ----------
    number : int
        The trial's.
    parameters : dict of str to JSON value
        The trial's.
    values : tuple of float, or None
        One for each objective, as it is stated; None where the trial has none: it failed, or a
        metric was not computed.
    violation : float
        By how much the constraints on its metrics are broken; 0 where they hold.
    reason : str
        Why it is not feasible.
    budget : float
        The trial's.
    """

    number: int
    parameters: Parameters
    values: tuple[float, ...] | None
    violation: float = 0.0
    reason: str = ""
    budget: float = 1.0

    def __post_init__(self) -> None:
        if self.values is not None:
            object.__setattr__(self, "values", tuple(float(value) for value in self.values))
            if not all(math.isfinite(value) for value in self.values):
                raise ResultsError(
                    f"Trial {self.number}: a value is not finite; tell none, and the reason."
                )
        if not (math.isfinite(self.violation) and self.violation >= 0):
            raise ResultsError(f"Trial {self.number}: the violation is not a number from 0 on.")

    @cached_property
    def digest(self) -> str:
        """Digest of the parameters as they are; those of a search are in canonical form."""
        return digest(self.parameters)

    @property
    def is_feasible(self) -> bool:
        """Whether it has values and breaks no constraint."""
        return self.values is not None and self.violation == 0.0


@dataclass(frozen=True)
class Goals:
    """In which direction each objective is better.

    Attributes
    ----------
    maximized : tuple of bool
        One for each objective.
    """

    maximized: tuple[bool, ...]

    @property
    def n_objectives(self) -> int:
        """How many there are."""
        return len(self.maximized)

    def losses(self, result: Result) -> tuple[float, ...]:
        """Return the values of a result that has some, each the better the lower."""
        return tuple(
            -value if is_maximized else value
            for value, is_maximized in zip(result.values or (), self.maximized, strict=True)
        )

    def order(self, result: Result) -> tuple[float, float, int]:
        """Return what sorts the results of one objective from best to worst (Deb 2000).

        Feasible ones by their loss, then those that break constraints by how much, then those
        without a value; equal ones by number, so that there are no ties.
        """
        if result.values is None:
            return (2.0, 0.0, result.number)
        if result.violation > 0:
            return (1.0, result.violation, result.number)
        return (0.0, self.losses(result)[0], result.number)

    def best(self, results: Iterable[Result]) -> Result | None:
        """Return the best feasible result of the first objective; None if there is none."""
        feasible = [result for result in results if result.is_feasible]
        return min(feasible, key=self.order, default=None)

    def front(self, results: Iterable[Result]) -> list[Result]:
        """Return the feasible results that no other beats in every respect, by number.

        Notes
        -----
        Sorted by losses first: then only results already kept can beat one, and the test is
        quick when the front is small. O(n log n + n × front).
        """
        feasible = [result for result in results if result.is_feasible]
        kept: list[tuple[float, ...]] = []
        front: list[Result] = []
        for result in sorted(feasible, key=lambda result: (self.losses(result), result.number)):
            losses = self.losses(result)
            if not any(_dominates(other, losses) for other in kept):
                kept.append(losses)
                front.append(result)
        return sorted(front, key=lambda result: result.number)


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(left <= right for left, right in zip(one, other, strict=True))


def in_order(results: Iterable[Result]) -> list[Result]:
    """Return results by number.

    Raises
    ------
    ResultsError
        A number appears twice.
    """
    ordered = sorted(results, key=lambda result: result.number)
    for left, right in itertools.pairwise(ordered):
        if left.number == right.number:
            raise ResultsError(f"Trial {left.number} is told twice.")
    return ordered


def chunks(results: Sequence[Result], size: int) -> list[Sequence[Result]]:
    """Return the complete generations of a list of results."""
    return [results[i : i + size] for i in range(0, len(results) - size + 1, size)]
