"""Optuna studies rebuilt from what was told: no storage, no pickles, no state of its own.

Optuna's samplers learn from the trials of a study and draw from one stream of random numbers.
Here a study lives for one generation: it is filled with every result in trial order, its
sampler is seeded by the place of the generation, and it is thrown away.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from backtests.search.dimensions import Choices, Range
from backtests.search.methods import Novelty
from backtests.search.parameters import Parameters
from backtests.search.space import Space
from backtests.search.trials import Goals, Result

if TYPE_CHECKING:
    from optuna import Study
    from optuna import Trial as Asked
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

# Larger than any violation that is measured: a trial without a value is the worst of all.
_NO_VALUE = 1e300
# A proposal costs milliseconds here; after so many, uniform draws take over.
MOST_PROPOSALS = 20


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from logging, and from warning of what is experimental, for a while."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def distribution_of(dimension: Choices | Range) -> "BaseDistribution":
    """Return what Optuna draws from: indices of values, but for ranges without a step."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(dimension, Range) and dimension.log and dimension.step is not None:
        return IntDistribution(int(dimension.low), int(dimension.high), log=True)
    if dimension.n_levels is None:
        assert isinstance(dimension, Range)  # noqa: S101 - lists are counted
        return FloatDistribution(float(dimension.low), float(dimension.high), log=dimension.log)
    if dimension.is_ordered:
        return IntDistribution(0, dimension.n_levels - 1)
    return CategoricalDistribution(list(range(dimension.n_levels)))


def inward(dimension: Choices | Range, value: Any) -> Any:
    """Return a value as Optuna has it."""
    if dimension.n_levels is None or _is_plain(dimension):
        return value
    return dimension.index_of(value)


def outward(dimension: Choices | Range, drawn: Any) -> Any:
    """Return what Optuna drew as a value, numbers without a step to 12 digits."""
    if isinstance(dimension, Range) and dimension.n_levels is None:
        return dimension.rounded(drawn)
    return int(drawn) if _is_plain(dimension) else dimension.level(int(drawn))


def _is_plain(dimension: Choices | Range) -> bool:
    return isinstance(dimension, Range) and dimension.log


def rebuild(
    sampler: "BaseSampler", space: Space, goals: Goals, told: Sequence[Result], *,
    attributes: dict[str, Any] | None = None, fill: np.random.Generator | None = None,
) -> "Study":  # fmt: skip
    """Return a study in memory that knows all that was told.

    Parameters
    ----------
    attributes : dict, optional
        System attributes that every trial told gets.
    fill : numpy.random.Generator, optional
        Draws the dimensions that a trial does not have, for samplers that need all of them;
        without it they are left out.
    """
    import optuna

    study = optuna.create_study(
        sampler=sampler,
        directions=["maximize" if is_max else "minimize" for is_max in goals.maximized],
    )
    distributions = {path: distribution_of(d) for path, d in space.dimensions.items()}
    study.add_trials(
        [_frozen(result, space, goals, distributions, attributes, fill) for result in told]
    )
    return study


def _frozen(
    result: Result, space: Space, goals: Goals, distributions: dict[str, "BaseDistribution"],
    attributes: dict[str, Any] | None, fill: np.random.Generator | None,
) -> "FrozenTrial":  # fmt: skip
    import optuna

    parameters = result.parameters
    if fill is not None:
        drawn = fill.random(space.n_dimensions)
        filled = {
            path: dimension.from_unit(float(u))
            for u, (path, dimension) in zip(drawn, space.dimensions.items(), strict=True)
        }
        parameters = {path: parameters.get(path, filled[path]) for path in space.paths}
    return optuna.create_trial(
        params={path: inward(space.dimensions[path], v) for path, v in parameters.items()},
        distributions={path: distributions[path] for path in parameters},
        values=result.values or (0.0,) * goals.n_objectives,
        constraints={"violation": _NO_VALUE if result.values is None else result.violation},
        system_attrs=dict(attributes or {}),
    )


def suggest(asked: "Asked", space: Space, *, all_dimensions: bool = False) -> Parameters:
    """Return what the sampler draws for a new trial, inactive dimensions left out.

    With `all_dimensions` the sampler draws the inactive ones too.
    """
    from optuna.distributions import FloatDistribution, IntDistribution

    parameters: Parameters = {}
    for path, dimension in space.dimensions.items():
        is_active = space.is_active(path, parameters)
        if not (is_active or all_dimensions):
            continue
        match distribution_of(dimension):
            case FloatDistribution(low=low, high=high, log=log):
                drawn: Any = asked.suggest_float(path, low, high, log=log)
            case IntDistribution(low=low, high=high, log=log):
                drawn = asked.suggest_int(path, low, high, log=log)
            case _:
                drawn = asked.suggest_categorical(path, list(range(dimension.n_levels or 0)))
        if is_active:
            parameters[path] = outward(dimension, drawn)
    return parameters


def draw_generation(
    study: "Study", space: Space, novelty: Novelty, n: int, *, all_dimensions: bool = False
) -> list[Parameters]:
    """Return n new proposals of a study's sampler.

    Every proposal stays open in the study, kept or refused: TPE takes what is open for bad, so
    it spreads out and does not come back to what was refused. NSGA-II looks at closed ones only.
    """
    return [_settle(study, space, novelty, all_dimensions=all_dimensions) for _ in range(n)]


def _settle(study: "Study", space: Space, novelty: Novelty, *, all_dimensions: bool) -> Parameters:
    for _ in range(MOST_PROPOSALS):
        parameters = suggest(study.ask(), space, all_dimensions=all_dimensions)
        if novelty.accepts(parameters):
            return parameters
    return novelty.draw()
