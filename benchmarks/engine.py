"""The compiled core alone: one instrument with a million bars, and a portfolio of 500."""

import numpy as np
from numpy.typing import NDArray

from backtests.engine import Bars, Costs, Targets, simulate
from benchmarks.measure import least_seconds, table
from numerics.indicators import simple_moving_average

SEED = 20261123
COSTS = Costs(commission_bps=5, half_spread_bps=2)


def random_bars(n_bars: int, n_assets: int, step_ns: int) -> Bars:
    """Return a log random walk with opens, highs and lows that fit."""
    rng = np.random.default_rng(SEED)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 8e-4, (n_bars, n_assets)), axis=0))
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 1e-4, close.shape))
    high, low = np.maximum(open_, close) * 1.0002, np.minimum(open_, close) * 0.9998
    ts = np.arange(1, n_bars + 1, dtype=np.int64) * step_ns
    symbols = tuple(f"S{i:03d}" for i in range(n_assets))
    return Bars(ts, close, open_, high, low, symbols=symbols)


def crossing(close: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 while the 10-bar average is above the 50-bar average, else 0."""
    only = np.ascontiguousarray(close[:, 0])
    fast, slow = simple_moving_average(only, 10), simple_moving_average(only, 50)
    return np.where(np.isnan(slow), np.nan, (fast > slow).astype(np.float64))[:, None]


def strongest(close: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return equal weights of the 50 best of 60 bars, every fifth bar."""
    weights = np.full(close.shape, np.nan)
    for t in range(60, close.shape[0], 5):
        best = np.argpartition(close[t] / close[t - 60], -50)[-50:]
        weights[t] = 0.0
        weights[t, best] = 0.98 / 50
    return weights


def main() -> None:
    """Print wall and CPU seconds of `simulate`."""
    minutes, days = random_bars(1_000_000, 1, 60 * 10**9), random_bars(2_520, 500, 86_400 * 10**9)
    units = Targets(crossing(minutes.close), kind="units")
    weights = Targets(strongest(days.close), kind="weights")
    rows: list[tuple[str, ...]] = [("simulate", "wall s", "CPU s", "bars/s", "fills")]
    for name, bars, targets in (
        ("1 x 1,000,000 bars", minutes, units),
        ("500 x 2,520 bars", days, weights),
    ):
        wall, cpu = least_seconds(lambda b=bars, t=targets: simulate(b, t, costs=COSTS))
        n_fills = simulate(bars, targets, costs=COSTS).fills.size
        rate = bars.close.size / cpu
        rows.append((name, f"{wall:.4f}", f"{cpu:.4f}", f"{rate:,.0f}", f"{n_fills:,}"))
    table(rows)
