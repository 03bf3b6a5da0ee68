"""From a search document to the search it asks for."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from backtests.search import document as documents
from backtests.search import hints
from backtests.search.errors import DocumentError, ExpressionError
from backtests.search.expressions import Expression
from backtests.search.expressions import parse as parse_expression
from backtests.search.genetic import Genetic, Heredity
from backtests.search.grid import Grid
from backtests.search.halving import Halving, schedule
from backtests.search.methods import Method
from backtests.search.sampling import LatinHypercube, RandomSearch
from backtests.search.searching import Search, checked
from backtests.search.space import Space, build_space
from backtests.search.trials import Goals, Result


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
        Trials of earlier searches over the same space to learn from, in any order; they count
        towards nothing. Methods that do not learn have no use for them.
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
    learned = _before(checked(result, space, goals) for result in known)
    limits = tuple(one for one in constraints if one not in own)
    method = _build(asked, space, goals, learned)
    search = Search(space, objectives, limits, goals, method)
    search.tell(told)
    return search


def _before(known: Iterable[Result]) -> tuple[Result, ...]:
    """Return known results in an order that does not depend on how they came, before trial 0."""
    ordered = sorted(known, key=lambda result: (result.number, result.digest, result.values or ()))
    return tuple(replace(r, number=i - len(ordered)) for i, r in enumerate(ordered))


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
        short = [path.rsplit(".", 1)[-1] for path in paths]
        raise ExpressionError(
            f"{name!r}, which nobody knows{hints.nearest(name, [*metrics, *paths, *short])}"
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
