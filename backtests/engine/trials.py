"""The trials of one rule, chunk by chunk: one account after the other in the same memory."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtests.engine.config import Account, Costs, Fills
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
from backtests.engine.metrics import DEFINITIONS, Conventions
from backtests.engine.metrics.calendar import build_calendar
from backtests.engine.metrics.conventions import build_settings
from backtests.engine.metrics.curve import measure_curves
from backtests.engine.metrics.sample import Activity, Trades, build_market, build_workspace
from backtests.engine.preparation import Prepared, is_alone, prepare
from backtests.engine.result import Result
from backtests.engine.rules import CrossingRule, Lines
from backtests.engine.runner import Decided, Tables, simulate

FIGURES = ("final_equity", "n_fills", "n_closed_trades")
_CHUNK = 64  # combinations measured together
_PLAIN_CHUNK = 4096  # combinations run together where no curve is kept
_TRADE_ROWS = 40_000


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


class Measuring:
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


class Setup(NamedTuple):
    """Everything that all combinations share."""

    bars: Bars
    fills: Fills
    costs: Costs
    account: Account
    n_blocks: int
    measuring: Measuring | None  # None: no metrics are asked for

    @property
    def keeps_curves(self) -> bool:
        """Whether anything is worked out from the equity between first and last bar."""
        return self.measuring is not None or self.n_blocks > 0

    @property
    def edges(self) -> NDArray[np.int64]:
        """Bars at which blocks begin and end, shape (n_blocks + 1,)."""
        return np.linspace(0, self.bars.n_bars - 1, self.n_blocks + 1).astype(np.int64)

    def simulate(self, decisions: Decided) -> Result:
        """Run one combination with everything kept."""
        return simulate(
            self.bars, decisions, fills=self.fills, costs=self.costs, account=self.account
        )


def compiled_chunks(
    setup: Setup, rule: CrossingRule, combinations: FloatArray, n_threads: int
) -> Iterator[Chunk]:
    """Run a rule's combinations through the loop, chunk by chunk, in order."""
    if setup.bars.n_assets != 1:
        raise SettingsError(
            f"{type(rule).__name__} trades one instrument; the bars have {setup.bars.n_assets}."
        )
    lines = rule.lines(setup.bars, combinations)
    starts = range(0, combinations.shape[0], _CHUNK if setup.keeps_curves else _PLAIN_CHUNK)
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

    def __init__(self, setup: Setup, rule: CrossingRule, lines: Lines) -> None:
        self.setup, self.lines, self.position = setup, lines, rule.position
        self.first_known, self.is_complete = first_known_rows(lines.table)
        self.prepared = self._prepare()
        n_bars = setup.bars.n_bars if setup.keeps_curves else 0
        n_curves = _CHUNK if n_bars else 0
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
            skips_curve=not setup.keeps_curves and setup.bars.is_complete,
        )
        prepared.set(is_alone=is_alone(prepared))
        return prepared

    def run(self, combinations: FloatArray, begin: int, end: int) -> Chunk:
        """Run the combinations from `begin` up to, not including, `end`."""
        n, setup = end - begin, self.setup
        figures = np.empty((n, N_FIGURES))
        metrics = np.empty((n, len(DEFINITIONS) if setup.measuring else 0))
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
        measuring = self.setup.measuring
        if measuring is None:
            return
        n_trades = int(starts[n])
        traded, costs, gross, net = (
            np.ascontiguousarray(table[:n]).reshape(-1) for table in self.activity
        )
        pnl, share, held = (np.ascontiguousarray(column) for column in self.trades[:n_trades].T)
        shares = self.shares[: int(fill_starts[n])].copy()
        measure_curves(
            curves, measuring.calendar, measuring.market,
            Activity(True, traded, costs, gross, net, shares), fill_starts[: n + 1],
            Trades(True, pnl, share, held.astype(np.int64)), starts[: n + 1],
            measuring.settings, self.workspace, metrics, np.empty(metrics.shape, np.int8),
        )  # fmt: skip


def chunks_of_function(
    setup: Setup, rule: Callable[..., Decided], names: Sequence[str], combinations: FloatArray
) -> Iterator[Chunk]:
    """Run a function's combinations one after the other."""
    for number, combination in enumerate(combinations):
        result = setup.simulate(rule(setup.bars, **named_parameters(names, combination)))
        trades = result.trades()
        n_closed = int(np.count_nonzero(trades["exit_bar"] >= 0))
        figures = np.array([[result.equity[-1], result.fills.size, n_closed]])
        metrics, blocks = np.empty((1, 0)), np.empty((1, setup.n_blocks))
        if setup.measuring is not None:
            metrics = _measured(setup.measuring, result)
        if setup.n_blocks:
            block_returns(result.equity.reshape(1, -1).copy(), setup.edges, blocks)
        yield Chunk(number, combination.reshape(1, -1), figures, metrics, blocks)


def _measured(measuring: Measuring, result: Result) -> FloatArray:
    found = result.metrics(measuring.periods, measuring.benchmark, measuring.conventions)
    values = [np.nan if metric.value is None else metric.value for metric in found.values()]
    return np.array([values])


def named_parameters(names: Sequence[str], combination: FloatArray) -> dict[str, float]:
    """Return parameters by name, whole numbers as integers."""
    return {
        name: int(value) if value == int(value) else float(value)
        for name, value in zip(names, combination, strict=True)
    }
