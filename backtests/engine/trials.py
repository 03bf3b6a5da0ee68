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
    SPARE,
    block_returns,
    first_known_rows,
    simulate_crossings,
)
from backtests.engine.dtypes import FloatArray
from backtests.engine.errors import SettingsError, ShapeError
from backtests.engine.inputs import Bars
from backtests.engine.kernel import compiled_loop
from backtests.engine.metrics import DEFINITIONS, Conventions
from backtests.engine.metrics.calendar import build_calendar
from backtests.engine.metrics.conventions import build_settings
from backtests.engine.metrics.curve import measure_curves
from backtests.engine.metrics.sample import Activity, Trades, build_market, build_workspace
from backtests.engine.preparation import is_alone, prepare
from backtests.engine.record import Prepared
from backtests.engine.result import Result
from backtests.engine.rules import AverageCross, CrossingRule, Lines, Trend, targets_between
from backtests.engine.runner import Decided, Tables, simulate

FIGURES = ("final_equity", "n_fills", "n_closed_trades")
_CHUNK = 64  # combinations measured together, fewer where that many curves are large
_MOST_NUMBERS = 4_000_000  # of the curves of a chunk
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
        if levels is not None and levels.shape != bars.ts.shape:
            raise ShapeError(f"The benchmark has shape {levels.shape}, not {bars.ts.shape}.")
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
    def chunk_size(self) -> int:
        """Combinations that are run together."""
        if not self.keeps_curves:
            return _PLAIN_CHUNK
        return max(1, min(_CHUNK, _MOST_NUMBERS // self.bars.n_bars))

    @property
    def edges(self) -> NDArray[np.int64]:
        """Bars at which blocks begin and end, shape (n_blocks + 1,)."""
        return np.linspace(0, self.bars.n_bars - 1, self.n_blocks + 1).astype(np.int64)

    def simulate(self, decisions: Decided) -> Result:
        """Run one combination with everything kept."""
        return simulate(
            self.bars, decisions, fills=self.fills, costs=self.costs, account=self.account
        )


def chunks_of_rule(
    setup: Setup, rule: CrossingRule, combinations: FloatArray, n_threads: int
) -> Iterator[Chunk]:
    """Run a rule's combinations through the loop, chunk by chunk, in order."""
    if setup.bars.n_assets != 1:
        raise SettingsError(
            f"{type(rule).__name__} trades one instrument; the bars have {setup.bars.n_assets}."
        )
    lines = _checked(rule.lines(setup.bars, combinations), setup.bars, combinations.shape[0])
    if not fills_tell_all(setup, rule):
        for number, combination in enumerate(combinations):
            result = setup.simulate(targets_between(lines, number, rule.position))
            yield _chunk_of(setup, number, combination, result)
        return
    starts = range(0, combinations.shape[0], setup.chunk_size)
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


def _checked(lines: Lines, bars: Bars, n_combinations: int) -> Lines:
    """Return lines as the loop may read them by address; a rule may be anybody's."""
    table = np.ascontiguousarray(lines.table, dtype=np.float64)
    pairs = np.asarray(lines.pairs)
    if table.ndim != 2 or table.shape[1] != bars.n_bars:
        raise ShapeError(
            f"The lines of a rule must have shape (n_lines, {bars.n_bars}), not {table.shape}."
        )
    if pairs.shape != (n_combinations, 2) or pairs.dtype.kind not in "iu":
        raise ShapeError(
            f"The pairs of a rule must be whole numbers of shape ({n_combinations}, 2), not "
            f"{pairs.dtype} of shape {pairs.shape}."
        )
    if pairs.min() < 0 or pairs.max() >= table.shape[0]:
        raise ShapeError(f"A pair of the rule names none of its {table.shape[0]} lines.")
    return Lines(table, np.ascontiguousarray(pairs, dtype=np.int32))


def fills_tell_all(setup: Setup, rule: CrossingRule) -> bool:
    """Say whether a trade is one fill in and one out, and fills alone move the account.

    Notes
    -----
    The figures of the compiled path are read off the fills so. Corporate actions, financing,
    multipliers and currencies, fills in parts and orders that a later decision overtakes need the
    records of a whole run.
    """
    prepared = prepare(setup.bars, setup.fills, setup.costs, setup.account)
    numbers = prepared.run[0]
    decides_in_gaps = not isinstance(rule, AverageCross | Trend) and not setup.bars.is_complete
    return bool(
        numbers["is_plain"]
        and not numbers["is_financed"]
        and numbers["n_action_bars"] == 0
        and numbers["max_participation"] == math.inf
        and numbers["latency_bars"] == 0
        and numbers["maintenance"] <= 0.0
        and not decides_in_gaps
    )


class _Worker:
    """One account that runs combination after combination in its own memory."""

    def __init__(self, setup: Setup, rule: CrossingRule, lines: Lines) -> None:
        self.setup, self.lines, self.position = setup, lines, rule.position
        self.first_known, self.is_complete = first_known_rows(lines.table)
        self.prepared = self._prepare()
        n_bars = setup.bars.n_bars if setup.keeps_curves else 0
        n_curves = setup.chunk_size if n_bars else 0
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
        prepared.point("decision_bar", np.zeros(n_bars + SPARE, np.int64))
        prepared.point("decision_row", np.zeros(n_bars + SPARE, np.int64))
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
            if step < 1:
                raise AssertionError("the tables are too small for a combination")
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
        yield _chunk_of(setup, number, combination, result)


def _chunk_of(setup: Setup, number: int, combination: FloatArray, result: Result) -> Chunk:
    """Return the row of one combination that was simulated with everything kept."""
    n_closed = int(np.count_nonzero(result.trades()["exit_bar"] >= 0))
    figures = np.array([[result.equity[-1], result.fills.size, n_closed]])
    metrics, blocks = np.empty((1, 0)), np.empty((1, setup.n_blocks))
    if setup.measuring is not None:
        metrics = _measured(setup.measuring, result)
    if setup.n_blocks:
        block_returns(result.equity.reshape(1, -1).copy(), setup.edges, blocks)
    return Chunk(number, combination.reshape(1, -1), figures, metrics, blocks)


def _measured(measuring: Measuring, result: Result) -> FloatArray:
    """Return what `Result.metrics` would, with all that the trials share prepared once."""
    done, closed = result.activity(), result.round_trips()
    shares = np.empty(0) if done.participation is None else done.participation.copy()
    n_trades = closed.pnl.size
    metrics = np.empty((1, len(DEFINITIONS)))
    traded, costs, gross, net = (
        np.array(column)
        for column in (
            done.traded_notional, done.costs, done.gross_exposure, done.net_exposure
        )
    )  # fmt: skip
    measure_curves(
        result.equity.reshape(1, -1).copy(), measuring.calendar, measuring.market,
        Activity(True, traded, costs, gross, net, shares), np.array([0, shares.size]),
        Trades(True, closed.pnl, closed.return_, closed.holding_ns.astype(np.int64)),
        np.array([0, n_trades]), measuring.settings,
        build_workspace(result.bars.n_bars, n_trades, shares.size), metrics,
        np.empty(metrics.shape, np.int8),
    )  # fmt: skip
    return metrics


def named_parameters(names: Sequence[str], combination: FloatArray) -> dict[str, float]:
    """Return parameters by name, whole numbers as integers."""
    return {
        name: int(value) if value == int(value) else float(value)
        for name, value in zip(names, combination, strict=True)
    }
