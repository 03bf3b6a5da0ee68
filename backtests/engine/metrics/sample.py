"""What metrics are computed from: arrays for people, the same arrays for kernels."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtests.engine.dtypes import FloatArray
from backtests.engine.metrics.reasons import Reason
from numerics.compilation import njit
from numerics.moments import is_constant

# Plain numbers: a kernel cannot turn a member of an enum into what it returns.
_TOO_FEW_VALUES = int(Reason.TOO_FEW_VALUES)
_MISSING_VALUES = int(Reason.MISSING_VALUES)
_NOT_POSITIVE = int(Reason.NOT_POSITIVE)
_RETURN_TOO_LARGE = int(Reason.RETURN_TOO_LARGE)
ROUNDING = 2e-15  # what a return near zero may owe to the rounding of two levels


@dataclass(frozen=True)
class TradingActivity:
    """What the account did, shape (n_bars,) each unless stated, in account currency.

    Attributes
    ----------
    traded_notional : float64 array
        Bought plus sold in each bar, at reference prices.
    costs : float64 array
        All costs of each bar, >= 0.
    gross_exposure, net_exposure : float64 array
        Sum of absolute and of signed position values at each close.
    participation : float64 array, shape (n_fills,), optional
        Quantity of each fill over the volume of its bar, >= 0; NaN where it is not known.
    """

    traded_notional: FloatArray
    costs: FloatArray
    gross_exposure: FloatArray
    net_exposure: FloatArray
    participation: FloatArray | None = None


@dataclass(frozen=True)
class RoundTrips:
    """Closed trades in the order of their closing, shape (n_trades,) each.

    Attributes
    ----------
    pnl : float64 array
        Profit after costs [account currency].
    return_ : float64 array
        Profit over what was put at stake [fraction].
    holding_ns : int64 array
        Time from the first fill to the last [ns], >= 0.
    """

    pnl: FloatArray
    return_: FloatArray
    holding_ns: NDArray[np.int64]


class Activity(NamedTuple):
    """`TradingActivity` for kernels; arrays are empty where nothing was given."""

    is_given: bool
    traded_notional: FloatArray
    costs: FloatArray
    gross_exposure: FloatArray
    net_exposure: FloatArray
    participation: FloatArray


class Trades(NamedTuple):
    """`RoundTrips` for kernels; arrays are empty where nothing was given."""

    is_given: bool
    pnl: FloatArray
    return_: FloatArray
    holding_ns: NDArray[np.int64]


class Market(NamedTuple):
    """A benchmark, prepared once for all curves.

    Attributes
    ----------
    reason : int
        0, or why there is none.
    returns, deviation : float64 array, shape (n_bars - 1,)
        Simple returns per bar, and the same less their mean.
    mean, squares : float
        Mean return and sum of the squared deviations.
    growth, growth_up, growth_down : float
        Compounded over all bars, over those it rose in and over those it fell in; 1 without any.
    """

    reason: int
    returns: FloatArray
    deviation: FloatArray
    mean: float
    squares: float
    growth: float
    growth_up: float
    growth_down: float


class Workspace(NamedTuple):
    """Memory that one call of `measure_curve` overwrites.

    Attributes
    ----------
    returns, deviation : float64 array, shape (n_bars - 1,)
    scratch : float64 array, shape (>= max(n_bars, n_trades, n_fills),)
    upper : float64 array, shape (n_bars,)
    """

    returns: FloatArray
    deviation: FloatArray
    scratch: FloatArray
    upper: FloatArray


NO_ACTIVITY = Activity(False, *(np.empty(0) for _ in range(5)))
NO_TRADES = Trades(False, np.empty(0), np.empty(0), np.empty(0, np.int64))


def build_workspace(n_bars: int, n_trades: int = 0, n_fills: int = 0) -> Workspace:
    """Return memory for curves of `n_bars` with at most so many trades and fills."""
    n_returns = max(n_bars - 1, 0)
    scratch = np.empty(max(n_bars, n_trades, n_fills, 1))
    return Workspace(np.empty(n_returns), np.empty(n_returns), scratch, np.empty(n_bars))


def build_market(benchmark: FloatArray | None, n_bars: int) -> Market:
    """Return a benchmark's levels as kernels read them.

    Parameters
    ----------
    benchmark : float64 array, shape (n_bars,), optional
        Levels, > 0. Otherwise the result says why there is no benchmark.
    n_bars : int
        Length of the curves.
    """
    empty = np.zeros(max(n_bars - 1, 0))
    reason = _benchmark_reason(benchmark)
    if benchmark is None or reason != Reason.NONE:
        return Market(int(reason), empty, empty, *(math.nan,) * 5)
    with np.errstate(over="ignore"):
        returns = benchmark[1:] / benchmark[:-1] - 1.0
        if not np.all(np.isfinite(returns)):
            too_large = int(Reason.BENCHMARK_RETURN_TOO_LARGE)
            return Market(too_large, empty, empty, *(math.nan,) * 5)
        mean = float(returns.mean())
        deviation = returns - mean
        varies = not (is_constant(returns) or np.ptp(returns) <= ROUNDING)
        up, down = returns > 0.0, returns < 0.0
        return Market(
            reason=0,
            returns=returns,
            deviation=deviation,
            mean=mean,
            squares=float(deviation @ deviation) if varies else 0.0,
            growth=float(benchmark[-1] / benchmark[0]),
            growth_up=float(np.prod(1.0 + returns[up])),
            growth_down=float(np.prod(1.0 + returns[down])),
        )


def _benchmark_reason(benchmark: FloatArray | None) -> Reason:
    if benchmark is None:
        return Reason.NO_BENCHMARK
    if benchmark.size < 2:
        return Reason.TOO_FEW_VALUES
    if not np.all(np.isfinite(benchmark)):
        return Reason.BENCHMARK_MISSING_VALUES
    if not np.all(benchmark > 0.0):
        return Reason.BENCHMARK_NOT_POSITIVE
    return Reason.NONE


@njit(cache=True, error_model="numpy")
def check_levels(equity: FloatArray) -> int:
    """Return 0, or the reason why a curve is no base for returns: missing or not positive.

    Parameters
    ----------
    equity : float64 array, shape (n_bars,)
    """
    n_missing, n_positive = 0, 0
    for t in range(equity.size):
        n_missing += int(not math.isfinite(equity[t]))
        n_positive += int(equity[t] > 0.0)
    if n_missing > 0:
        return _MISSING_VALUES
    if n_positive < equity.size:
        return _NOT_POSITIVE
    return 0


@njit(cache=True, error_model="numpy")
def write_returns(equity: FloatArray, returns: FloatArray) -> int:
    """Write ``e[t] / e[t-1] - 1``; return 0, or the reason why these are no returns.

    Parameters
    ----------
    equity : float64 array, shape (n_bars,)
        Finite and > 0: `check_levels` has refused anything else.
    returns : float64 array, shape (n_bars - 1,)
        Written.
    """
    if equity.size < 2:
        return _TOO_FEW_VALUES
    for t in range(returns.size):
        returns[t] = equity[t + 1] / equity[t] - 1.0
    n_finite = 0
    for t in range(returns.size):
        n_finite += int(math.isfinite(returns[t]))
    return 0 if n_finite == returns.size else _RETURN_TOO_LARGE
