"""`sweep()`: one rule, many combinations of its parameters, in memory that does not grow.

A rule of `rules` runs compiled: its indicators are computed once each, and every combination goes
through the event loop of `simulate()` in the memory of one account. Any other rule is a function
that decides, and runs trial by trial. The figures are those of `simulate()`, bit for bit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from backtests.engine.config import Account, Costs, Fills, require_number, require_whole
from backtests.engine.dtypes import FloatArray
from backtests.engine.errors import SettingsError
from backtests.engine.inputs import Bars
from backtests.engine.metrics import DEFINITIONS, Conventions, infer_periods_per_year
from backtests.engine.result import Result
from backtests.engine.rules import CrossingRule, targets_of
from backtests.engine.runner import Decided, Progress
from backtests.engine.trials import (
    FIGURES,
    Chunk,
    Measuring,
    Setup,
    chunks_of_function,
    chunks_of_rule,
    named_parameters,
)

DEFAULT_CONVENTIONS = Conventions()
_MOST_BLOCKS, _MOST_BEST = 100_000, 1_000_000

Rule = CrossingRule | Callable[..., Decided]


class Sink(Protocol):
    """Where a sweep streams its chunks."""

    def write(self, names: Sequence[str], chunk: Chunk) -> None:
        """Take the next chunk."""


class Best(NamedTuple):
    """One of the best combinations, simulated again with everything kept."""

    number: int
    parameters: dict[str, float]
    value: float
    result: Result


@dataclass(frozen=True, eq=False)
class Sweep:
    """What came of a sweep.

    Attributes
    ----------
    names : tuple of str
        Parameters.
    n_trials : int
        Combinations that were run: whoever reports the best of them must report this number too.
    chunk : Chunk or None
        All combinations; None where a sink took them.
    best : tuple of Best
        By the objective, best first.
    """

    names: tuple[str, ...]
    n_trials: int
    objective: str
    chunk: Chunk | None = field(repr=False)
    best: tuple[Best, ...] = ()

    def column(self, name: str) -> FloatArray:
        """Return a parameter, a figure or a metric of all combinations, shape (n_trials,)."""
        if self.chunk is None:
            raise SettingsError("A sink took the combinations; read them there.")
        tables = (
            (self.names, self.chunk.combinations),
            (FIGURES, self.chunk.figures),
            (tuple(DEFINITIONS), self.chunk.metrics),
        )
        for names, table in tables:
            if name in names and table.shape[1]:
                return np.ascontiguousarray(table[:, names.index(name)])
        raise SettingsError(f"The sweep has no column {name!r}.")


def sweep(
    bars: Bars,
    rule: Rule,
    grid: Mapping[str, Sequence[float]] | FloatArray,
    *,
    fills: Fills = Fills(),  # noqa: B008  (frozen)
    costs: Costs = Costs(),  # noqa: B008  (frozen)
    account: Account = Account(),  # noqa: B008  (frozen)
    with_metrics: bool = True,
    n_blocks: int = 16,
    objective: str = "sharpe",
    n_best: int = 0,
    n_threads: int = 1,
    periods_per_year: float | None = None,
    benchmark: FloatArray | None = None,
    conventions: Conventions = DEFAULT_CONVENTIONS,
    sink: Sink | None = None,
    on_progress: Progress | None = None,
) -> Sweep:
    """Run a rule with every combination of its parameters.

    Parameters
    ----------
    bars : Bars
        One instrument for a rule of `rules`; any for a function.
    rule : AverageCross, Trend, another `CrossingRule`, or function ``(bars, **parameters)``
        A function returns what `simulate` takes.
    grid : mapping of names to values, or float array, shape (n_trials, n_parameters)
        All combinations of the values, the last name varying fastest; or just these rows, in the
        order of the rule's parameters.
    fills, costs, account
        As `simulate` has them.
    with_metrics : bool
        Whether to measure every metric; without, final equity and trades alone.
    n_blocks : int
        Blocks of bars whose returns are summed for the statistics of many trials, >= 0.
    objective : str
        Figure or metric by which `n_best` combinations are kept whole, the largest first.
    n_threads : int
        Combinations run side by side; the result does not depend on it.
    periods_per_year, benchmark, conventions
        As `compute_metrics` has them.
    sink : object with ``write(names, chunk)``, optional
        Takes the chunks as they come; the result then holds none, so that memory does not grow.
    on_progress : callable, optional
        Called with ``(trials_done, n_trials)``; an exception it raises ends the sweep.

    Returns
    -------
    Sweep

    Raises
    ------
    SettingsError
        The grid is empty, names other parameters, or a rule of one instrument gets several.
    """
    names, combinations = _combinations(rule, grid)
    require_whole("n_blocks", n_blocks, least=0, most=_MOST_BLOCKS)
    if n_blocks >= bars.n_bars:
        raise SettingsError(
            f"n_blocks={n_blocks} needs at least {n_blocks + 1} bars; there are {bars.n_bars}."
        )
    require_whole("n_threads", n_threads, least=1, most=1024)
    require_whole("n_best", n_best, least=0, most=_MOST_BEST)
    if sink is not None and not hasattr(sink, "write"):
        raise SettingsError(f"A sink has write(names, chunk), as ParquetSink has; not {sink!r}.")
    known = FIGURES + (tuple(DEFINITIONS) if with_metrics else ())
    if objective not in known and n_best:
        raise SettingsError(f"The objective {objective!r} is none of {', '.join(known)}.")
    if periods_per_year is not None:
        require_number("periods_per_year", periods_per_year, above=0.0)
    elif with_metrics:
        periods_per_year, _ = infer_periods_per_year(bars.ts)
    measuring = Measuring(bars, periods_per_year, benchmark, conventions) if with_metrics else None
    setup = Setup(bars, fills, costs, account, n_blocks, measuring)
    if callable(rule):
        chunks = chunks_of_function(setup, rule, names, combinations)
    else:
        chunks = chunks_of_rule(setup, rule, combinations, n_threads)
    kept, leaders = _collect(chunks, names, combinations, objective, n_best, sink, on_progress)
    best = tuple(_best(setup, rule, names, combinations, *leader) for leader in leaders)
    return Sweep(names, combinations.shape[0], objective, kept, best)


def _combinations(
    rule: Rule, grid: Mapping[str, Sequence[float]] | FloatArray
) -> tuple[tuple[str, ...], FloatArray]:
    if isinstance(rule, type):
        raise SettingsError(f"sweep() needs a rule, not its class: {rule.__name__}().")
    own = None if callable(rule) else rule.parameters
    if isinstance(grid, Mapping):
        names = tuple(grid)
        if own is not None and set(own) != set(names):
            raise SettingsError(f"The rule has the parameters {', '.join(own)}; the grid names "
                                f"{', '.join(names) or 'none'}.")  # fmt: skip
        rows = _products([_values(name, given) for name, given in grid.items()])
        if own is not None:
            rows = np.ascontiguousarray(rows[:, [names.index(name) for name in own]])
            names = own
    else:
        rows = np.ascontiguousarray(grid, dtype=np.float64)
        if own is None or rows.ndim != 2 or rows.shape[1] != len(own):
            raise SettingsError("A table of combinations needs one column per parameter of a rule.")
        names = own
    if rows.size == 0 or not np.all(np.isfinite(rows)):
        raise SettingsError("The grid must hold at least one combination, of finite numbers.")
    return names, rows


def _values(name: str, given: Sequence[float]) -> FloatArray:
    try:
        return np.array(list(given), dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise SettingsError(f"The grid needs a sequence of numbers for {name}.") from None


def _products(axes: Sequence[FloatArray]) -> FloatArray:
    """Return all combinations, the last axis varying fastest, without a list of them."""
    if not axes:
        return np.empty((0, 0))
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def _collect(
    chunks: Iterator[Chunk],
    names: tuple[str, ...],
    combinations: FloatArray,
    objective: str,
    n_best: int,
    sink: Sink | None,
    on_progress: Progress | None,
) -> tuple[Chunk | None, list[tuple[int, float]]]:
    """Pass the chunks on, and keep the numbers of the best combinations."""
    kept: list[Chunk] = []
    leaders: list[tuple[int, float]] = []
    done = 0
    for chunk in chunks:
        if sink is None:
            kept.append(chunk)
        else:
            sink.write(names, chunk)
        if n_best:
            leaders = _leaders(leaders, chunk, objective, n_best)
        done += chunk.combinations.shape[0]
        if on_progress is not None:
            on_progress(done, combinations.shape[0])
    if sink is not None:
        return None, leaders
    columns = (np.concatenate([chunk[at] for chunk in kept]) for at in range(2, 5))
    return Chunk(0, combinations, *columns), leaders


def _leaders(
    leaders: list[tuple[int, float]], chunk: Chunk, objective: str, n_best: int
) -> list[tuple[int, float]]:
    """Return the best so far: the largest values, of equal ones the earliest."""
    table, names = chunk.metrics, tuple(DEFINITIONS)
    if objective in FIGURES:
        table, names = chunk.figures, FIGURES
    values = table[:, names.index(objective)]
    found = [(chunk.first + int(at), float(values[at])) for at in np.flatnonzero(~np.isnan(values))]
    return sorted([*leaders, *found], key=lambda leader: (-leader[1], leader[0]))[:n_best]


def _best(
    setup: Setup, rule: Rule, names: Sequence[str], combinations: FloatArray, number: int,
    value: float,
) -> Best:  # fmt: skip
    combination = combinations[number]
    parameters = named_parameters(names, combination)
    if callable(rule):
        decisions = rule(setup.bars, **parameters)
    else:
        decisions = targets_of(rule, setup.bars, combination.tolist())
    return Best(number, parameters, value, setup.simulate(decisions))
