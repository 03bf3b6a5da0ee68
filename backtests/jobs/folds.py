"""Parts of time: how a study splits it, and what an account did in each part."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests.engine import Result
from backtests.engine.metrics import (
    MetricsTable,
    RoundTrips,
    TradingActivity,
    compute_metrics_table,
)
from backtests.engine.metrics.reasons import sentence_of
from backtests.jobs.rows import FIGURES
from backtests.runspec import RunSpec
from backtests.search import Result as Judged
from backtests.search import Search, Trial
from backtests.validation import (
    Range,
    Split,
    combinatorial_purged_splits,
    count_bars_of_days,
    days_of,
    walk_forward_splits_by_day,
)

FloatArray = NDArray[np.float64]


def folds_of(spec: RunSpec, ts: NDArray[np.int64]) -> tuple[Split, ...]:
    """Return the splits a spec asks for, in rows of its bars; none for a plain sweep.

    Raises
    ------
    StatisticsError
        There are too few bars.
    """
    if spec.walk_forward is not None:
        asked = spec.walk_forward.model_dump(exclude={"search"})
        return walk_forward_splits_by_day(days_of(ts), keep_remainder=True, **asked)
    if spec.cross_validation is not None:
        return paths_of(spec, ts).splits
    return ()


def paths_of(spec: RunSpec, ts: NDArray[np.int64]) -> Any:
    """Return the combinatorial splits of a cross-validation."""
    asked = spec.cross_validation
    assert asked is not None  # noqa: S101 - for the type checker
    days = days_of(ts)
    purge, embargo = (count_bars_of_days(days, n) for n in (asked.purge_days, asked.embargo_days))
    return combinatorial_purged_splits(
        ts.size, n_groups=asked.n_groups, n_test_groups=asked.n_test_groups, purge_bars=purge,
        embargo_bars=embargo,
    )  # fmt: skip


def purged_bars(spec: RunSpec, ts: NDArray[np.int64]) -> int:
    """Return how many bars beside each test are left out because labels reach into it."""
    asked = spec.walk_forward or spec.cross_validation
    return 0 if asked is None else count_bars_of_days(days_of(ts), asked.purge_days)


def gaps_of(fold: Split, n_purged: int) -> tuple[list[Range], list[Range]]:
    """Return what lies between a fold's training and its tests: purged, and beyond that embargoed.

    What comes before the first and after the last bar of a fold belongs to neither.
    """
    train, test = fold.train, fold.test
    used = np.concatenate([train, test])
    gap = np.setdiff1d(np.arange(used.min(), used.max() + 1), used)
    after = np.searchsorted(test, gap)
    to_next = np.where(after < test.size, test[np.minimum(after, test.size - 1)] - gap, gap.size)
    to_last = np.where(after > 0, gap - test[np.maximum(after - 1, 0)], gap.size)
    # A gap within the purge of one test may be in the embargo of another: the purge comes first.
    is_near = (to_next <= n_purged) & (after < test.size) | (to_last <= n_purged) & (after > 0)
    return _stretches(gap[is_near]), _stretches(gap[~is_near])


def _stretches(rows: NDArray[np.int64]) -> list[Range]:
    """Return ascending rows as ranges."""
    if not rows.size:
        return []
    parts = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    return [Range(int(part[0]), int(part[-1]) + 1) for part in parts]


def beginning_of(fold: Split, share: float) -> Split:
    """Return the first share of a fold's training, at least two bars, and no test."""
    n_left = max(2, math.ceil(share * fold.train.size - 1e-9))
    kept = []
    for one in fold.train_ranges:
        stop = min(one.stop, one.start + n_left)
        kept.append(Range(one.start, stop))
        n_left -= stop - one.start
        if n_left <= 0:
            break
    return Split(tuple(kept), ())


def moved(fold: Split, n_bars: int) -> Split:
    """Return the same fold counted from another bar on."""
    ranges = (fold.train_ranges, fold.test_ranges)
    return Split(
        *(tuple(Range(one.start - n_bars, one.stop - n_bars) for one in side) for side in ranges)
    )


def names_in(found: Search) -> frozenset[str]:
    """Return the names that objectives and limits speak of; nobody asks for the others."""
    spoken = (expression.names for expression in (*found.objectives, *found.limits))
    return frozenset().union(*spoken)


def figures_of(
    table: MetricsTable, at: int, names: Collection[str] | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return metrics of one curve of a table, all or some, and why some are not computed."""
    figures: dict[str, Any] = {}
    reasons = {}
    for column, name in enumerate(table.names):
        if names is not None and name not in names:
            continue
        code = int(table.reasons[at, column])
        figures[name] = None if code else float(table.values[at, column])
        if code:
            reasons[name] = sentence_of(code)
    return figures, reasons


@dataclass(frozen=True)
class Parts:
    """What an account did in each bar, ready to be cut into parts."""

    capital: float  # the trial's own, where it is searched
    returns: FloatArray
    activity: TradingActivity
    fill_bar: NDArray[np.int64]
    close_bar: NDArray[np.int64]  # of fills after which nothing is held
    trades: RoundTrips
    exit_bar: NDArray[np.int64]

    @classmethod
    def of(cls, result: Result) -> "Parts":
        """Take a result apart."""
        before = np.concatenate([[result.capital], result.equity[:-1]])
        with np.errstate(divide="ignore", invalid="ignore"):
            returns = np.where(before > 0.0, result.equity / before - 1.0, np.nan)
        trades = result.trades()
        closed = trades["exit_bar"][trades["exit_bar"] >= 0].astype(np.int64)
        bars = result.fills["bar"].astype(np.int64)
        flat = bars[result.fills["position"] == 0.0]
        return cls(
            result.capital, returns, result.activity(), bars, flat, result.round_trips(), closed
        )

    def curve(self, rows: NDArray[np.int64]) -> FloatArray:
        """Return the equity of one unit of money through some bars, from before the first."""
        return np.concatenate([[1.0], np.cumprod(1.0 + self.returns[rows])])

    def figures_in(self, rows: NDArray[np.int64]) -> dict[str, float]:
        """Return the figures of some bars that are no metrics, as those of a whole trial."""
        return {
            "final_equity": self.capital * float(np.prod(1.0 + self.returns[rows])),
            "n_fills": float(np.count_nonzero(np.isin(self.fill_bar, rows))),
            "n_closed_trades": float(np.count_nonzero(np.isin(self.close_bar, rows))),
        }

    def activity_in(self, rows: NDArray[np.int64]) -> TradingActivity:
        """Return what was done in some bars, by the equity of their own curve."""
        cut = {
            name: np.concatenate([[0.0], getattr(self.activity, name)[rows]])
            for name in ("traded_notional", "costs", "gross_exposure", "net_exposure")
        }
        share = self.activity.participation
        held = None if share is None else share[np.isin(self.fill_bar, rows)]
        return TradingActivity(**cut, participation=held)

    def trades_in(self, rows: NDArray[np.int64]) -> RoundTrips:
        """Return the trades that were closed in some bars."""
        kept = np.isin(self.exit_bar, rows)
        return RoundTrips(
            self.trades.pnl[kept], self.trades.return_[kept], self.trades.holding_ns[kept]
        )


def rows_of(ranges: Sequence[Range]) -> NDArray[np.int64]:
    """Return the rows of some ranges."""
    return np.concatenate([np.arange(*one, dtype=np.int64) for one in ranges])


def measure_part(
    parts: Sequence[Parts], ranges: Sequence[Range], ts: NDArray[np.int64],
    periods: float | None, benchmark: FloatArray | None,
) -> MetricsTable:  # fmt: skip
    """Return the metrics of several accounts in one part of time.

    Notes
    -----
    The account runs through all bars; a part is what it did in there. Money is that of the whole
    run over one unit of equity, so turnover and costs of a part are those of shares.
    """
    rows = rows_of(ranges)
    before = ts[rows[0] - 1] if rows[0] > 0 else ts[0] - max(1, int(ts[1] - ts[0]))
    levels = None
    if benchmark is not None:
        change = benchmark[rows] / benchmark[np.maximum(rows - 1, 0)]
        levels = np.concatenate([[1.0], np.cumprod(change)])
    return compute_metrics_table(
        np.column_stack([part.curve(rows) for part in parts]),
        np.concatenate([[before], ts[rows]]),
        activity=[part.activity_in(rows) for part in parts],
        trades=[part.trades_in(rows) for part in parts],
        periods_per_year=periods,
        benchmark=levels,
    )


def judge_fold(
    found: Search, trials: Sequence[Trial], parts: Sequence[Parts], ranges: Sequence[Range],
    table: MetricsTable,
) -> list[Judged]:  # fmt: skip
    """Return what one side of a fold, measured, says of each trial: that side and nothing else."""
    rows, asked = rows_of(ranges), names_in(found)
    judged = []
    for at, (trial, part) in enumerate(zip(trials, parts, strict=True)):
        figures, reasons = figures_of(table, at, asked)
        beside = {} if asked.isdisjoint(FIGURES) else part.figures_in(rows)
        judged.append(found.judge(trial, figures | beside, reasons))
    return judged
