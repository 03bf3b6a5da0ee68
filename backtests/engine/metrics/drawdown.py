"""Figures of the falls of a curve from its running peak."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtests.engine.dtypes import FloatArray
from backtests.engine.metrics.calendar import DAY_NS, Calendar
from backtests.engine.metrics.conventions import Settings
from backtests.engine.metrics.reasons import Reason
from backtests.engine.metrics.row import Column, Row, miss, miss_between, put, put_ratio
from numerics.compilation import njit


class Falls(NamedTuple):
    """All drawdowns of a curve; depths are fractions of the peak, >= 0.

    Attributes
    ----------
    deepest, depths, squares : float
        Largest depth, sum of each drawdown's depth, sum over the bars of the squared fall.
    deepest_start : int
        Row of the peak that the largest depth is counted from; 0 without drawdowns.
    n_under, n_drawdowns : int
        Bars below an earlier peak, and drawdowns.
    longest_ns, spans_ns : int
        Longest time from a peak to its recovery or the end, and the sum of all.
    """

    deepest: float
    depths: float
    squares: float
    deepest_start: int
    n_under: int
    n_drawdowns: int
    longest_ns: int
    spans_ns: int


@njit(cache=True, error_model="numpy")
def find_falls(equity: FloatArray, ts: NDArray[np.int64]) -> Falls:
    """Return the drawdowns of a curve, which begins at a peak.

    Parameters
    ----------
    equity : float64 array, shape (n_bars,), n_bars >= 1
        Finite and > 0.
    ts : int64 array, shape (n_bars,)
        Strictly increasing stamps [ns].

    Notes
    -----
    One pass. A drawdown lasts from the last bar at the peak to the bar that
    regains it, or to the end.

    References
    ----------
    .. [1] Magdon-Ismail and Atiya (2004), "Maximum drawdown", Risk 17(10).
    """
    peak, t, n = equity[0], 1, equity.size
    deepest, depths, squares = 0.0, 0.0, 0.0
    deepest_start, n_under, n_drawdowns, longest, spans = 0, 0, 0, 0, 0
    while t < n:
        if equity[t] >= peak:
            peak = equity[t]
            t += 1
            continue
        start, lowest, per_peak = t - 1, peak, 1.0 / peak  # a product costs less than a quotient
        while t < n and equity[t] < peak:
            lowest = min(lowest, equity[t])
            fall = 1.0 - equity[t] * per_peak
            squares += fall * fall
            t += 1
        depth = 1.0 - lowest / peak
        span = ts[min(t, n - 1)] - ts[start]
        n_under += t - 1 - start
        n_drawdowns += 1
        depths += depth
        if depth > deepest:
            deepest, deepest_start = depth, start
        spans += span
        longest = max(longest, span)
    return Falls(deepest, depths, squares, deepest_start, n_under, n_drawdowns, longest, spans)


@njit(cache=True, error_model="numpy")
def deepest_fall(equity: FloatArray) -> float:
    """Return the largest fall from the running peak as a fraction of the peak, >= 0.

    Parameters
    ----------
    equity : float64 array, shape (n_bars,), n_bars >= 1
        Finite and > 0.
    """
    peak, lowest, deepest = equity[0], equity[0], 0.0
    for t in range(equity.size):
        lowest = min(lowest, equity[t])
        if equity[t] > peak:
            deepest = max(deepest, 1.0 - lowest / peak)
            peak, lowest = equity[t], equity[t]
    return float(max(deepest, 1.0 - lowest / peak))


@njit(cache=True, error_model="numpy")
def measure_drawdowns(
    equity: FloatArray, cagr: float, calendar: Calendar, settings: Settings, row: Row
) -> None:
    """Write the figures of drawdown, and of return for drawdown.

    Parameters
    ----------
    equity : float64 array, shape (n_bars,), n_bars >= 2
        Finite and > 0.
    cagr : float
        Per year.
    calendar : Calendar
    settings : Settings
    row : Row

    Notes
    -----
    D is the fall from the running peak at every bar, the first (at which it is 0) included:

    - max_drawdown: max(D); average_drawdown: mean depth of the drawdowns; longest_drawdown_days,
      average_drawdown_days: from peak to recovery or end; time_under_water: share of bars with
      D > 0; ulcer_index: sqrt(mean(D^2)) [1]_;
    - calmar, mar: cagr / max_drawdown; calmar_36_months: the same over the last 36 months, as
      published [2]_; recovery_factor: total_return / max_drawdown; ulcer_performance:
      (cagr - risk-free rate) / ulcer_index.

    Averages, durations and ratios are missing if equity never fell from a peak.

    References
    ----------
    .. [1] Martin and McCann (1989), The Investor's Guide to Fidelity Funds.
    .. [2] Young (1991), "Calmar ratio: a smoother tool", Futures 20(1).
    """
    n = equity.size
    falls = find_falls(equity, calendar.ts)
    ulcer = math.sqrt(falls.squares / n)
    total = equity[n - 1] / equity[0] - 1.0
    put(row, Column.MAX_DRAWDOWN, falls.deepest)
    put(row, Column.TIME_UNDER_WATER, falls.n_under / n)
    put(row, Column.ULCER_INDEX, ulcer)
    put_ratio(row, Column.CALMAR, cagr, falls.deepest, Reason.NEVER_FELL)
    put_ratio(row, Column.MAR, cagr, falls.deepest, Reason.NEVER_FELL)
    put_ratio(row, Column.RECOVERY_FACTOR, total, falls.deepest, Reason.NEVER_FELL)
    above_rate = cagr - settings.risk_free_year
    put_ratio(row, Column.ULCER_PERFORMANCE, above_rate, ulcer, Reason.NEVER_FELL)
    if falls.n_drawdowns == 0:
        first, last = Column.AVERAGE_DRAWDOWN, Column.AVERAGE_DRAWDOWN_DAYS
        miss_between(row, first, last, Reason.NEVER_FELL)
    else:
        put(row, Column.AVERAGE_DRAWDOWN, falls.depths / falls.n_drawdowns)
        put(row, Column.LONGEST_DRAWDOWN_DAYS, falls.longest_ns / DAY_NS)
        mean_span_ns = falls.spans_ns / falls.n_drawdowns
        put(row, Column.AVERAGE_DRAWDOWN_DAYS, mean_span_ns / DAY_NS)
    if calendar.trailing_start < 0:
        miss(row, Column.CALMAR_36_MONTHS, Reason.SHORTER_THAN_36_MONTHS)
        return
    recent = equity[calendar.trailing_start :]
    deepest = falls.deepest
    if falls.deepest_start < calendar.trailing_start:
        deepest = deepest_fall(recent)
    annual = (equity[n - 1] / recent[0]) ** (1.0 / 3.0) - 1.0
    put_ratio(row, Column.CALMAR_36_MONTHS, annual, deepest, Reason.NEVER_FELL)


@njit(cache=True, error_model="numpy")
def measure_periods(
    equity: FloatArray, calendar: Calendar, smallest: float, largest: float, row: Row
) -> None:
    """Write the best and worst day and month and the share of months with a gain.

    Parameters
    ----------
    equity : float64 array, shape (n_bars,), n_bars >= 2
        Finite and > 0.
    calendar : Calendar
    smallest, largest : float
        Of the returns per bar, which are those of the days where each bar ends one.
    row : Row

    Notes
    -----
    Compounded by UTC day and month; a stamp at midnight ends its day. The first value is the base
    of the first period, so that the first and the last period may be incomplete.
    """
    worst, best = smallest, largest
    if calendar.day_ends.size < equity.size:
        worst, best, _ = _extremes(equity, calendar.day_ends)
    put(row, Column.BEST_DAY, best)
    put(row, Column.WORST_DAY, worst)
    worst, best, n_up = _extremes(equity, calendar.month_ends)
    put(row, Column.BEST_MONTH, best)
    put(row, Column.WORST_MONTH, worst)
    put(row, Column.POSITIVE_MONTHS, n_up / (calendar.month_ends.size - 1))


@njit(cache=True, error_model="numpy")
def _extremes(equity: FloatArray, ends: NDArray[np.int64]) -> tuple[float, float, int]:
    worst, best, n_up = np.inf, -np.inf, 0
    for i in range(1, ends.size):
        change = equity[ends[i]] / equity[ends[i - 1]] - 1.0
        worst, best = min(worst, change), max(best, change)
        n_up += int(change > 0.0)
    return worst, best, n_up
