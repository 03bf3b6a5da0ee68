"""The inputs of all metrics, prepared once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from backtests.engine.dtypes import FloatArray
from backtests.engine.metrics.metric import require
from numerics.moments import is_constant

DAY_NS = 86_400_000_000_000


@dataclass(frozen=True)
class TradingActivity:
    """What the account did, shape (n_bars,) each, in account currency.

    Attributes
    ----------
    traded_notional : float64 array
        Bought plus sold in each bar, at reference prices.
    costs : float64 array
        All costs of each bar, >= 0.
    gross_exposure, net_exposure : float64 array
        Sum of absolute and of signed position values at each close.
    """

    traded_notional: FloatArray
    costs: FloatArray
    gross_exposure: FloatArray
    net_exposure: FloatArray


@dataclass(frozen=True)
class Sample:
    """An equity curve and what is asked of it; properties raise when they do not exist."""

    equity: FloatArray
    ts: NDArray[np.int64]
    periods_per_year: float | None
    activity: TradingActivity | None
    benchmark: FloatArray | None

    @cached_property
    def returns(self) -> FloatArray:
        """Simple returns per bar, shape (n_bars - 1,)."""
        return simple_returns(self.equity)

    @cached_property
    def periods(self) -> float:
        """Bars per year."""
        require(self.periods_per_year is not None, "the number of bars per year is unknown")
        assert self.periods_per_year is not None  # noqa: S101  (for the type checker)
        return self.periods_per_year

    @cached_property
    def years(self) -> float:
        """Length of the returns in years."""
        return self.returns.size / self.periods

    @cached_property
    def growth(self) -> FloatArray:
        """Compounded growth of 1, starting at 1, shape (n_bars,)."""
        _ = self.returns
        growth: FloatArray = self.equity / self.equity[0]
        return growth

    @cached_property
    def total_return(self) -> float:
        """Last value over first, less one."""
        return float(self.growth[-1]) - 1.0

    @cached_property
    def cagr(self) -> float:
        """Compound growth per year."""
        return float(self.growth[-1] ** (1.0 / self.years)) - 1.0

    @cached_property
    def drawdown(self) -> FloatArray:
        """Fall from the running peak as a fraction, >= 0, shape (n_bars,)."""
        growth = self.growth
        fall: FloatArray = 1.0 - growth / np.maximum.accumulate(growth)
        return fall

    @cached_property
    def daily_returns(self) -> FloatArray:
        """Compounded returns of each UTC day after the first stamp; midnight closes a day."""
        _ = self.returns
        return simple_returns(self.equity[period_ends((self.ts - 1) // DAY_NS)])

    @cached_property
    def trading(self) -> TradingActivity:
        """The account's activity."""
        require(self.activity is not None, "no trading activity was given")
        assert self.activity is not None  # noqa: S101  (for the type checker)
        return self.activity

    @cached_property
    def benchmark_returns(self) -> FloatArray:
        """Returns of the benchmark over the same bars."""
        require(self.benchmark is not None, "no benchmark was given")
        assert self.benchmark is not None  # noqa: S101  (for the type checker)
        require(bool(np.all(np.isfinite(self.benchmark))), "the benchmark has missing values")
        require(bool(np.all(self.benchmark > 0.0)), "the benchmark is not positive everywhere")
        change: FloatArray = self.benchmark[1:] / self.benchmark[:-1] - 1.0
        require(bool(np.all(np.isfinite(change))), "a benchmark return is too large for a number")
        return change

    def varying_returns(self) -> FloatArray:
        """Return the returns, refusing a series that does not vary."""
        require(self.returns.size >= 2, "there are fewer than two returns")
        require(not is_constant(self.returns), "the returns do not vary")
        return self.returns


def simple_returns(equity: FloatArray) -> FloatArray:
    """Return ``e[t] / e[t-1] - 1``, refusing curves that are short or not positive."""
    require(equity.size >= 2, "there are fewer than two values")
    require(bool(np.all(np.isfinite(equity))), "the equity curve has missing values")
    require(bool(np.all(equity > 0.0)), "equity was zero or negative")
    change: FloatArray = equity[1:] / equity[:-1] - 1.0
    require(bool(np.all(np.isfinite(change))), "a return is too large for a number")
    return change


def period_ends(period: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the first row and then the last row of every period, given each row's period."""
    last = np.flatnonzero(np.append(period[1:] != period[:-1], True))
    return np.unique(np.append(0, last))
