"""Parts of time: how a study splits it, and what an account did in each part."""

from collections.abc import Sequence
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
from backtests.runspec import RunSpec
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


@dataclass(frozen=True)
class Parts:
    """What an account did in each bar, ready to be cut into parts."""

    returns: FloatArray
    activity: TradingActivity
    fill_bar: NDArray[np.int64]
    trades: RoundTrips
    exit_bar: NDArray[np.int64]

    @classmethod
    def of(cls, result: Result, capital: float) -> "Parts":
        """Take a result apart."""
        before = np.concatenate([[capital], result.equity[:-1]])
        with np.errstate(divide="ignore", invalid="ignore"):
            returns = np.where(before > 0.0, result.equity / before - 1.0, np.nan)
        trades = result.trades()
        closed = trades["exit_bar"][trades["exit_bar"] >= 0].astype(np.int64)
        bars = result.fills["bar"].astype(np.int64)
        return cls(returns, result.activity(), bars, result.round_trips(), closed)

    def curve(self, rows: NDArray[np.int64]) -> FloatArray:
        """Return the equity of one unit of money through some bars, from before the first."""
        return np.concatenate([[1.0], np.cumprod(1.0 + self.returns[rows])])

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
