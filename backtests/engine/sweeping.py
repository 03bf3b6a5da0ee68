"""`sweep()`: one rule, many combinations of its parameters, in memory that does not grow.

A rule of `rules` runs compiled: its indicators are computed once each, and every combination goes
through the event loop of `simulate()` in the memory of one account. Any other rule is a function
that decides, and runs trial by trial. The figures are those of `simulate()`, bit for bit.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from backtests.engine.config import Account, Costs, Fills, require_number
from backtests.engine.crossing import (
    N_FIGURES,
    block_returns,
    first_known_rows,
    simulate_crossings,
)
from backtests.engine.dtypes import FloatArray
from backtests.engine.errors import SettingsError
from backtests.engine.inputs import Bars
from backtests.engine.kernel import compiled_loop
from backtests.engine.metrics import DEFINITIONS, Conventions, infer_periods_per_year
from backtests.engine.metrics.calendar import build_calendar
from backtests.engine.metrics.conventions import build_settings
from backtests.engine.metrics.curve import measure_curves
from backtests.engine.metrics.sample import Activity, Trades, build_market, build_workspace
from backtests.engine.preparation import Prepared, is_alone, prepare
from backtests.engine.result import Result
from backtests.engine.rules import CrossingRule, Lines, targets_of
from backtests.engine.runner import Decided, Progress, Tables, simulate

FIGURES = ("final_equity", "n_fills", "n_closed_trades")
CHUNK = 64  # combinations measured together
DEFAULT_CONVENTIONS = Conventions()
_TRADE_ROWS = 40_000

Rule = CrossingRule | Callable[..., Decided]


class Chunk(NamedTuple):
    """Some combinations and what came of them, in the order of the grid.

    Attributes
    ----------
    first : int
        Number of the first combination.
    combinations : float64 array, shape (n, n_parameters)
    figures : float64 array, shape (n, 3)
        The columns of `FIGURES`.
    metrics : float64 array, shape (n, n_metrics), or (n, 0)
        In the order of `metrics.DEFINITIONS`; NaN where not computed.
    blocks : float64 array, shape (n, n_blocks), or (n, 0)
        Simple returns summed over blocks of bars of equal length.
    """

    first: int
    combinations: FloatArray
    figures: FloatArray
    metrics: FloatArray
    blocks: FloatArray


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
    require_number("n_blocks", n_blocks, least=0, most=max(0, bars.n_bars - 1))
    require_number("n_threads", n_threads, least=1, most=1024)
    known = FIGURES + (tuple(DEFINITIONS) if with_metrics else ())
    if objective not in known and n_best:
        raise SettingsError(f"The objective {objective!r} is none of {', '.join(known)}.")
    if periods_per_year is None:
        periods_per_year, _ = infer_periods_per_year(bars.ts)
    setup = _Setup(bars, fills, costs, account, with_metrics, n_blocks,
                   _Measuring(bars, periods_per_year, benchmark, conventions))  # fmt: skip
    if callable(rule):
        chunks = _trial_by_trial(setup, rule, names, combinations)
    else:
        chunks = _compiled(setup, rule, combinations, n_threads)
    kept, leaders = _collect(chunks, names, combinations, objective, n_best, sink, on_progress)
    best = tuple(_best(setup, rule, names, combinations, *leader) for leader in leaders)
    return Sweep(names, combinations.shape[0], objective, kept, best)


class _Measuring:
    """What measuring a curve needs beside the curve, prepared once."""

    def __init__(
        self, bars: Bars, periods: float | None, benchmark: FloatArray | None,
        conventions: Conventions,
    ) -> None:  # fmt: skip
        levels = None if benchmark is None else np.array(benchmark, dtype=np.float64)
        self.periods, self.benchmark, self.conventions = periods, benchmark, conventions
        self.calendar = build_calendar(bars.ts)
        self.market = build_market(levels, bars.n_bars)
        self.settings = build_settings(math.nan if periods is None else periods, conventions)


class _Setup(NamedTuple):
    """Everything that all combinations share."""

    bars: Bars
    fills: Fills
    costs: Costs
    account: Account
    with_metrics: bool
    n_blocks: int
    measuring: _Measuring

    @property
    def edges(self) -> NDArray[np.int64]:
        """Bars at which blocks begin and end, shape (n_blocks + 1,)."""
        return np.linspace(0, self.bars.n_bars - 1, self.n_blocks + 1).astype(np.int64)

    def simulate(self, decisions: Decided) -> Result:
        """Run one combination with everything kept."""
        return simulate(
            self.bars, decisions, fills=self.fills, costs=self.costs, account=self.account
        )


def _combinations(
    rule: Rule, grid: Mapping[str, Sequence[float]] | FloatArray
) -> tuple[tuple[str, ...], FloatArray]:
    own = None if callable(rule) else rule.parameters
    if isinstance(grid, Mapping):
        names = tuple(grid)
        if own is not None and set(own) != set(names):
            raise SettingsError(f"The rule has the parameters {', '.join(own)}; the grid names "
                                f"{', '.join(names) or 'none'}.")  # fmt: skip
        rows = np.array(list(itertools.product(*grid.values())), dtype=np.float64)
        rows = rows.reshape(-1, len(names))
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


def _compiled(
    setup: _Setup, rule: CrossingRule, combinations: FloatArray, n_threads: int
) -> Iterator[Chunk]:
    """Run a rule's combinations through the loop, chunk by chunk, in order."""
    if setup.bars.n_assets != 1:
        raise SettingsError(
            f"{type(rule).__name__} trades one instrument; the bars have {setup.bars.n_assets}."
        )
    lines = rule.lines(setup.bars, combinations)
    starts = range(0, combinations.shape[0], CHUNK if setup.with_metrics else CHUNK * 64)
    stops = [*starts[1:], combinations.shape[0]]
    workers = [_Worker(setup, rule, lines) for _ in range(min(n_threads, len(starts)))]
    jobs = zip(starts, stops, strict=True)
    if len(workers) == 1:
        for begin, end in jobs:
            yield workers[0].run(combinations, begin, end)
        return
    with ThreadPoolExecutor(len(workers)) as pool:
        while batch := list(itertools.islice(jobs, len(workers))):
            running = [
                pool.submit(worker.run, combinations, begin, end)
                for worker, (begin, end) in zip(workers, batch, strict=False)
            ]
            for future in running:
                yield future.result()


class _Worker:
    """One account that runs combination after combination in its own memory."""

    def __init__(self, setup: _Setup, rule: CrossingRule, lines: Lines) -> None:
        self.setup, self.lines, self.position = setup, lines, rule.position
        self.first_known, self.is_complete = first_known_rows(lines.table)
        self.prepared = self._prepare()
        n_bars = setup.bars.n_bars if setup.with_metrics or setup.n_blocks else 0
        n_curves = CHUNK if n_bars else 0
        self.curves = np.empty((n_curves, n_bars))
        self.activity = np.empty((4, n_curves, n_bars))
        rows = max(_TRADE_ROWS, 2 * setup.bars.n_bars) if n_bars else 0
        self.trades = np.empty((rows, 3))
        self.shares = np.empty(2 * rows)
        self.workspace = build_workspace(setup.bars.n_bars, rows, 2 * rows)

    def _prepare(self) -> Prepared:
        """Return an account whose tables hold the most that a combination may bring."""
        setup = self.setup
        prepared = prepare(setup.bars, setup.fills, setup.costs, setup.account)
        n_bars = setup.bars.n_bars
        Tables(prepared, 0, least_rows=2 * n_bars)
        prepared.point("decision_bar", np.zeros(n_bars, np.int64))
        prepared.point("decision_row", np.zeros(n_bars, np.int64))
        prepared.point("values", np.array([[0.0], [self.position.size]]))
        prepared.set(
            target_kind=("weights", "units", "notional").index(self.position.kind),
            sized_at_fill=self.position.sized_at == "fill",
            skips_curve=not (setup.with_metrics or setup.n_blocks) and setup.bars.is_complete,
        )
        prepared.set(is_alone=is_alone(prepared))
        return prepared

    def run(self, combinations: FloatArray, begin: int, end: int) -> Chunk:
        """Run the combinations from `begin` up to, not including, `end`."""
        n, setup = end - begin, self.setup
        figures = np.empty((n, N_FIGURES))
        metrics = np.empty((n, len(DEFINITIONS) if setup.with_metrics else 0))
        blocks = np.empty((n, setup.n_blocks))
        pairs = self.lines.pairs[begin:end]
        done = 0
        while done < n:
            starts, fill_starts = np.zeros((2, n - done + 1), np.int64)
            here = slice(done, n)
            step = simulate_crossings(
                compiled_loop().address, self.prepared.address, self.lines.table.ctypes.data,
                self.first_known, pairs[here], self.position.begins == "at_cross",
                self.is_complete, figures[here], self.curves, self.activity, self.trades, starts,
                self.shares, fill_starts,
            )  # fmt: skip
            here = slice(done, done + step)
            if self.curves.size:
                self._measure(step, starts, fill_starts, metrics[here], blocks[here])
            done += step
        return Chunk(begin, combinations[begin:end], figures, metrics, blocks)

    def _measure(
        self,
        n: int,
        starts: NDArray[np.int64],
        fill_starts: NDArray[np.int64],
        metrics: FloatArray,
        blocks: FloatArray,
    ) -> None:
        curves = self.curves[:n]
        if blocks.shape[1]:
            block_returns(curves, self.setup.edges, blocks)
        if not metrics.shape[1]:
            return
        n_trades = int(starts[n])
        traded, costs, gross, net = (
            np.ascontiguousarray(table[:n]).reshape(-1) for table in self.activity
        )
        pnl, share, held = (np.ascontiguousarray(column) for column in self.trades[:n_trades].T)
        shares = self.shares[: int(fill_starts[n])].copy()
        measuring = self.setup.measuring
        measure_curves(
            curves, measuring.calendar, measuring.market,
            Activity(True, traded, costs, gross, net, shares), fill_starts[: n + 1],
            Trades(True, pnl, share, held.astype(np.int64)), starts[: n + 1],
            measuring.settings, self.workspace, metrics, np.empty(metrics.shape, np.int8),
        )  # fmt: skip


def _trial_by_trial(
    setup: _Setup, rule: Callable[..., Decided], names: Sequence[str], combinations: FloatArray
) -> Iterator[Chunk]:
    """Run a function's combinations one after the other."""
    for number, combination in enumerate(combinations):
        result = setup.simulate(rule(setup.bars, **_named(names, combination)))
        trades = result.trades()
        n_closed = int(np.count_nonzero(trades["exit_bar"] >= 0))
        figures = np.array([[result.equity[-1], result.fills.size, n_closed]])
        metrics, blocks = np.empty((1, 0)), np.empty((1, setup.n_blocks))
        if setup.with_metrics:
            metrics = _measured(setup, result)
        if setup.n_blocks:
            block_returns(result.equity.reshape(1, -1).copy(), setup.edges, blocks)
        yield Chunk(number, combination.reshape(1, -1), figures, metrics, blocks)


def _measured(setup: _Setup, result: Result) -> FloatArray:
    measuring = setup.measuring
    found = result.metrics(measuring.periods, measuring.benchmark, measuring.conventions)
    values = [np.nan if metric.value is None else metric.value for metric in found.values()]
    return np.array([values])


def _named(names: Sequence[str], combination: FloatArray) -> dict[str, float]:
    """Return parameters by name, whole numbers as integers."""
    return {
        name: int(value) if value == int(value) else float(value)
        for name, value in zip(names, combination, strict=True)
    }


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
    setup: _Setup, rule: Rule, names: Sequence[str], combinations: FloatArray, number: int,
    value: float,
) -> Best:  # fmt: skip
    combination = combinations[number]
    parameters = _named(names, combination)
    if callable(rule):
        decisions = rule(setup.bars, **parameters)
    else:
        decisions = targets_of(rule, setup.bars, combination.tolist())
    return Best(number, parameters, value, setup.simulate(decisions))
