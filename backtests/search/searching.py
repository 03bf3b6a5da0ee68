"""A search under way: trials asked, results told, and the best of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from backtests.search.errors import ResultsError
from backtests.search.expressions import Expression
from backtests.search.grid import Grid
from backtests.search.halving import Halving
from backtests.search.methods import Method
from backtests.search.sampling import LatinHypercube, RandomSearch
from backtests.search.space import Space
from backtests.search.trials import Goals, Result, Trial, in_order

# Trials handed out at once by a method that does not mind.
_PORTION = 1000


@dataclass
class Search:
    """A search: asked for whole generations, told their results.

    It holds no state but the results told. A search planned from the same document and told the
    same results asks for the same trials, in whatever order they arrived and wherever it runs.

    Attributes
    ----------
    space : Space
        What is searched.
    objectives : tuple of Expression
        Over metrics, and parameters by their full path.
    limits : tuple of Expression
        Constraints that need metrics.
    goals : Goals
        Which way each objective is better.
    method : Method
        What chooses the trials.
    """

    space: Space
    objectives: tuple[Expression, ...]
    limits: tuple[Expression, ...]
    goals: Goals
    method: Method
    _told: dict[int, Result] = field(default_factory=dict, init=False, repr=False)

    @property
    def n_trials(self) -> int:
        """How many trials there are in all, known beforehand; in halving at most so many."""
        return self.method.n_trials

    @property
    def cost(self) -> float:
        """The same in trials on all the data: less than `n_trials` in halving alone."""
        return self.method.cost if isinstance(self.method, Halving) else float(self.n_trials)

    @property
    def is_indexed(self) -> bool:
        """Whether any trial is known by its number, before any result: see `trial`."""
        return isinstance(self.method, Grid | RandomSearch | LatinHypercube)

    def trial(self, number: int) -> Trial:
        """Return a trial by its number; of a method that learns, one that was told."""
        if not 0 <= number < self.n_trials:
            raise ResultsError(f"There are {self.n_trials} trials; none has number {number}.")
        if isinstance(self.method, Grid | RandomSearch | LatinHypercube):
            return Trial(number, self.method.at(number))
        if number not in self._told:
            raise ResultsError("The trials of this method depend on the results before them.")
        result = self._told[number]
        return Trial(number, result.parameters, result.budget)

    @property
    def results(self) -> list[Result]:
        """Everything told, by number."""
        return [self._told[number] for number in sorted(self._told)]

    def ask(self, n: int | None = None) -> list[Trial]:
        """Return the next generation; nothing when the search is over.

        Asked again before anything is told it answers the same.

        Parameters
        ----------
        n : int, optional
            For methods that do not learn: how many at most, 1,000 if left out. Others have a
            size of generation, and halving its rungs.

        Raises
        ------
        ResultsError
            Results are missing, or `n` is not the size of the generation.
        UnsatisfiableError
            Nothing that meets the constraints was found.
        """
        told = self.results
        for expected, result in enumerate(told):
            if result.number != expected:
                raise ResultsError(f"Trial {expected} is not told yet; {result.number} is.")
        left = self.n_trials - len(told)
        size = self.method.generation
        if size is None:
            return self.method.propose(told, max(0, min(left, _PORTION if n is None else n)))
        if left <= 0:
            return []
        if len(told) % size:
            raise ResultsError(
                f"{len(told)} results are told; a generation has {size} and is told whole."
            )
        if n not in {None, min(size, left)}:
            raise ResultsError(f"The next generation has {min(size, left)} trials, not {n}.")
        return self.method.propose(told, min(size, left))

    def tell(self, results: Iterable[Result]) -> None:
        """Take results, in any order.

        Raises
        ------
        ResultsError
            A trial is told twice, or with the wrong number of values.
        SpaceError
            Its parameters are not in the space.
        """
        for result in in_order(results):
            if result.number in self._told:
                raise ResultsError(f"Trial {result.number} is told twice.")
            if not 0 <= result.number < self.n_trials:
                raise ResultsError(
                    f"There are {self.n_trials} trials; none has number {result.number}."
                )
            self._told[result.number] = checked(result, self.space, self.goals)

    def judge(
        self,
        trial: Trial,
        metrics: Mapping[str, float | None],
        reasons: Mapping[str, str] | None = None,
    ) -> Result:
        """Return what a trial's metrics say of it.

        Parameters
        ----------
        metrics : mapping of str to float or None
            None and NaN where not computed: the trial is infeasible then, if they are needed.
        reasons : mapping of str to str, optional
            Why a metric is not computed.
        """
        known = {**metrics, **trial.parameters}
        values: list[float] = []
        for objective in self.objectives:
            found = objective.evaluate(known, reasons)
            if found.value is None:
                return self.failed(trial, found.reason)
            values.append(found.value)
        violation, broken = 0.0, []
        for limit in self.limits:
            if not (limit.names & self.space.dimensions.keys()) <= trial.parameters.keys():
                continue  # as with constraints on parameters: an inactive one is not compared
            found = limit.violation(known, reasons)
            if found.value is None:
                return self.failed(trial, found.reason)
            if found.value > 0:
                violation += found.value
                broken.append(limit.text)
        reason = f"It breaks {' and '.join(broken)}." if broken else ""
        return Result(
            trial.number, trial.parameters, tuple(values), violation, reason, trial.budget
        )

    def failed(self, trial: Trial, reason: str) -> Result:
        """Return the result of a trial that has no values, and why."""
        return Result(trial.number, trial.parameters, None, 0.0, reason, trial.budget)

    @property
    def best(self) -> Result | None:
        """The best feasible result of the first objective on the largest budget told."""
        return self.goals.best(self._largest())

    @property
    def front(self) -> list[Result]:
        """The feasible results that no other beats in every objective."""
        return self.goals.front(self._largest())

    def _largest(self) -> list[Result]:
        feasible = [result for result in self.results if result.is_feasible]
        budget = max((result.budget for result in feasible), default=1.0)
        return [result for result in feasible if result.budget == budget]


def checked(result: Result, space: Space, goals: Goals) -> Result:
    """Return a result with its parameters in canonical form, refused if it does not fit."""
    if result.values is not None and len(result.values) != goals.n_objectives:
        raise ResultsError(
            f"Trial {result.number} has {len(result.values)} values for {goals.n_objectives} "
            "objectives."
        )
    return Result(
        result.number, space.canonical(result.parameters), result.values, result.violation,
        result.reason, result.budget,
    )  # fmt: skip
