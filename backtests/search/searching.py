"""From a search document to the trials, the results and the best of them."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backtests.search import document as documents
from backtests.search import hints
from backtests.search.errors import DocumentError, ExpressionError, ResultsError
from backtests.search.expressions import Expression
from backtests.search.expressions import parse as parse_expression
from backtests.search.genetic import Genetic, Heredity
from backtests.search.grid import Grid
from backtests.search.halving import Halving, schedule
from backtests.search.methods import Method
from backtests.search.sampling import LatinHypercube, RandomSearch
from backtests.search.space import Space, build_space
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
    _told: dict[int, Result] = field(default_factory=dict)

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
        """Return a trial by its number; only for methods that do not learn."""
        if not isinstance(self.method, Grid | RandomSearch | LatinHypercube):
            raise ResultsError("The trials of this method depend on the results before them.")
        if not 0 <= number < self.n_trials:
            raise ResultsError(f"There are {self.n_trials} trials; none has number {number}.")
        return Trial(number, self.method.at(number))

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


def plan(
    document: Any,
    *,
    metrics: Collection[str] | None = None,
    known: Iterable[Result] = (),
    told: Iterable[Result] = (),
) -> Search:
    """Return the search that a document asks for.

    Parameters
    ----------
    document : mapping or parsed search document
        The ``search:`` section of a run's spec.
    metrics : collection of str, optional
        Names an expression may use beside the paths that are searched; unchecked if left out.
    known : iterable of Result
        Trials of an earlier search over the same space to learn from; they count towards
        nothing. Methods that do not learn have no use for them.
    told : iterable of Result
        Results of this search so far: a restart.

    Raises
    ------
    DocumentError
        The document is not valid; one line says where.
    SpaceError
        Dimensions, conditions and constraints contradict each other or the method.
    ExpressionError
        An objective or a constraint is no expression, or names what nobody knows.
    ResultsError
        Results are told that do not belong to it.
    """
    asked = documents.parse(document)
    resolve = _resolver(tuple(asked.over), metrics)
    objectives = tuple(_read(goal.text, resolve, condition=False) for goal in asked.objective)
    constraints = [_read(text, resolve, condition=True) for text in asked.constraints]
    own = [one for one in constraints if one.names <= asked.over.keys()]
    space = build_space(asked.over, own)
    goals = Goals(tuple(goal.is_maximized for goal in asked.objective))
    learned = tuple(checked(result, space, goals) for result in in_order(known))
    limits = tuple(one for one in constraints if one not in own)
    method = _build(asked, space, goals, learned)
    search = Search(space, objectives, limits, goals, method)
    search.tell(told)
    return search


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


def _read(text: str, resolve: Callable[[str], str], *, condition: bool) -> Expression:
    expression = parse_expression(text)
    if expression.is_condition is not condition:
        kind = "a comparison" if condition else "a number"
        use = "a constraint" if condition else "an objective"
        raise ExpressionError(f"{text!r} is not {kind}, as {use} must be.")
    try:
        return expression.resolved(resolve)
    except ExpressionError as error:
        raise ExpressionError(f"{text!r} names {error}") from None


def _resolver(paths: tuple[str, ...], metrics: Collection[str] | None) -> Callable[[str], str]:
    """Return what turns a name into a path or a metric: a path may be short for its end."""

    def resolve(name: str) -> str:
        if name in paths or (metrics is not None and name in metrics):
            return name
        ends = [path for path in paths if path.endswith(f".{name}")]
        if len(ends) == 1:
            return ends[0]
        if ends:
            raise ExpressionError(f"{name!r}, which may be {' or '.join(ends)}.")
        if metrics is None:
            return name
        raise ExpressionError(
            f"{name!r}, which nobody knows{hints.nearest(name, [*metrics, *paths])}"
        )

    return resolve


def _build(asked: Any, space: Space, goals: Goals, known: Sequence[Result]) -> Method:
    if asked.kind in {"cma_es", "genetic", "halving"} and goals.n_objectives > 1:
        raise DocumentError(f"objective: {asked.kind} has one; nsga2 and tpe take several.")
    if asked.kind == "nsga2" and goals.n_objectives == 1:
        raise DocumentError("objective: nsga2 needs several; for one there are tpe and genetic.")
    return _BUILDERS[asked.kind](asked, space, goals, known)


def _build_tpe(asked: Any, space: Space, goals: Goals, known: Sequence[Result]) -> Method:
    from backtests.search.tpe import Tpe

    return Tpe(
        space, goals, n_trials=asked.n_trials, generation=asked.generation,
        startup=asked.startup, seed=asked.seed, known=known,
    )  # fmt: skip


def _build_cma_es(asked: Any, space: Space, goals: Goals, known: Sequence[Result]) -> Method:
    from backtests.search.cma_es import CmaEs

    return CmaEs(
        space, goals, n_trials=asked.n_trials, generation=asked.generation,
        spread=asked.spread, seed=asked.seed, known=known,
    )  # fmt: skip


def _build_nsga2(asked: Any, space: Space, goals: Goals, known: Sequence[Result]) -> Method:
    from backtests.search.nsga2 import Nsga2

    return Nsga2(
        space, goals, n_trials=asked.n_trials, generation=asked.generation, seed=asked.seed,
        known=known,
    )  # fmt: skip


def _build_genetic(asked: Any, space: Space, goals: Goals, known: Sequence[Result]) -> Method:
    heredity = Heredity(asked.tournament, asked.crossover, asked.mutation, asked.spread)
    return Genetic(
        space, goals, n_trials=asked.n_trials, generation=asked.generation, seed=asked.seed,
        heredity=heredity, known=known,
    )  # fmt: skip


def _build_halving(asked: Any, space: Space, goals: Goals, _known: Sequence[Result]) -> Method:
    first = LatinHypercube if asked.start == "latin_hypercube" else RandomSearch
    rungs = schedule(n_trials=asked.n_trials, eta=asked.eta, min_budget=asked.min_budget)
    return Halving(first(space, n_trials=asked.n_trials, seed=asked.seed), goals, rungs)


_BUILDERS: dict[str, Callable[[Any, Space, Goals, Sequence[Result]], Method]] = {
    "grid": lambda _, space, __, ___: Grid(space),
    "random": lambda asked, space, _, __: RandomSearch(
        space, n_trials=asked.n_trials, seed=asked.seed
    ),
    "latin_hypercube": lambda asked, space, _, __: LatinHypercube(
        space, n_trials=asked.n_trials, seed=asked.seed
    ),
    "tpe": _build_tpe,
    "cma_es": _build_cma_es,
    "nsga2": _build_nsga2,
    "genetic": _build_genetic,
    "halving": _build_halving,
}
