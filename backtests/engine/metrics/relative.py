"""Figures against a benchmark."""

import math

import numpy as np

from backtests.engine.dtypes import FloatArray
from backtests.engine.metrics.conventions import Settings
from backtests.engine.metrics.growth import Tally, cagr_of
from backtests.engine.metrics.reasons import Reason
from backtests.engine.metrics.row import Column, Row, miss, miss_between, put, put_ratio
from backtests.engine.metrics.sample import ROUNDING, Market, Workspace
from numerics.compilation import njit


@njit(cache=True, error_model="numpy")
def measure_relative(
    tally: Tally, cagr: float, market: Market, settings: Settings, workspace: Workspace, row: Row
) -> None:
    """Write the figures of regression on a benchmark, of active return and of capture.

    Parameters
    ----------
    tally : Tally
    cagr : float
        Of the curve, per year.
    market : Market
        The benchmark, with returns b.
    settings : Settings
        q is `periods`, f the risk-free return per bar.
    workspace : Workspace
        Holds the returns r and their deviations.
    row : Row

    Notes
    -----
    - beta: cov(r, b) / var(b); alpha: (mean(r) - f - beta (mean(b) - f)) q, not compounded [1]_;
      treynor: (mean(r) - f) q / beta; correlation: Pearson's; r_squared: its square; missing if b
      does not vary, correlation and r_squared also if r does not;
    - `measure_active`, `measure_capture`: the rest.

    All are missing without a benchmark and with fewer than two returns.

    References
    ----------
    .. [1] Jensen (1968), "The performance of mutual funds", Journal of Finance 23(2).
    .. [2] Treynor (1965), "How to rate management of investment funds", Harvard Business Review 43.
    """
    if market.reason != 0:
        miss_between(row, Column.ALPHA, Column.DOWN_CAPTURE, market.reason)
        return
    if tally.n < 2:
        miss_between(row, Column.ALPHA, Column.DOWN_CAPTURE, Reason.TOO_FEW_RETURNS)
        return
    measure_active(tally, cagr, market, settings, workspace, row)
    if market.squares == 0.0:
        miss_between(row, Column.ALPHA, Column.TREYNOR, Reason.BENCHMARK_NO_VARIATION)
        miss_between(row, Column.UP_CAPTURE, Column.DOWN_CAPTURE, Reason.BENCHMARK_NO_VARIATION)
        return
    measure_capture(market, workspace, row)
    products, squares = 0.0, tally.variance * tally.n
    for t in range(tally.n):
        products += workspace.deviation[t] * market.deviation[t]
    beta = products / market.squares if tally.varies else 0.0
    rate = settings.risk_free_bar
    excess = tally.mean - rate
    put(row, Column.BETA, beta)
    put(row, Column.ALPHA, (excess - beta * (market.mean - rate)) * settings.periods)
    above_rate = excess * settings.periods
    if settings.is_geometric:
        above_rate = cagr - settings.risk_free_year
    put_ratio(row, Column.TREYNOR, above_rate, beta, Reason.BETA_IS_ZERO)
    if tally.varies:
        correlation = products / (math.sqrt(squares) * math.sqrt(market.squares))
        correlation = max(-1.0, min(1.0, correlation))
        put(row, Column.CORRELATION, correlation)
        put(row, Column.R_SQUARED, correlation * correlation)
    else:
        miss(row, Column.CORRELATION, Reason.NO_VARIATION)
        miss(row, Column.R_SQUARED, Reason.NO_VARIATION)


@njit(cache=True, error_model="numpy")
def measure_active(
    tally: Tally, cagr: float, market: Market, settings: Settings, workspace: Workspace, row: Row
) -> None:
    """Write tracking error and information ratio.

    Parameters
    ----------
    tally, cagr, market, settings, workspace, row
        As `measure_relative` has them, at least two returns.

    Notes
    -----
    tracking_error: sd(r - b) sqrt(q); information_ratio: mean(r - b) q over it, missing if r - b
    does not vary by more than the rounding of two levels.

    References
    ----------
    .. [1] Grinold and Kahn (2000), Active Portfolio Management, 2nd edition.
    """
    squares = 0.0
    smallest, largest = np.inf, -np.inf
    for t in range(tally.n):
        active = workspace.deviation[t] - market.deviation[t]
        squares += active * active
        smallest = min(smallest, active)
        largest = max(largest, active)
    difference = tally.mean - market.mean
    tolerance = 1e-13 * max(abs(smallest + difference), abs(largest + difference)) + 2.0 * ROUNDING
    error = math.sqrt(squares / (tally.n - settings.ddof)) * math.sqrt(settings.periods)
    if largest - smallest <= tolerance:
        put(row, Column.TRACKING_ERROR, 0.0)
        miss(row, Column.INFORMATION_RATIO, Reason.ACTIVE_NO_VARIATION)
        return
    put(row, Column.TRACKING_ERROR, error)
    annual = difference * settings.periods
    if settings.is_geometric:
        annual = cagr - cagr_of(market.growth, tally.n, settings.periods)
    put_ratio(row, Column.INFORMATION_RATIO, annual, error, Reason.ACTIVE_NO_VARIATION)


@njit(cache=True, error_model="numpy")
def measure_capture(market: Market, workspace: Workspace, row: Row) -> None:
    """Write up and down capture: compounded r over compounded b, on bars with b > 0 or b < 0.

    Parameters
    ----------
    market, workspace, row
        As `measure_relative` has them.

    Notes
    -----
    Missing where the benchmark never moved that way. Not annualized: numerator and denominator
    are over the same bars.

    References
    ----------
    .. [1] Bacon (2008), Practical Portfolio Performance Measurement and Attribution, 2nd edition.
    """
    up, down = 1.0, 1.0
    for t in range(market.returns.size):
        growth = 1.0 + workspace.returns[t]
        up *= growth if market.returns[t] > 0.0 else 1.0
        down *= growth if market.returns[t] < 0.0 else 1.0
    if market.n_up == 0:
        miss(row, Column.UP_CAPTURE, Reason.BENCHMARK_ONE_WAY)
    else:
        put(row, Column.UP_CAPTURE, (up - 1.0) / (market.growth_up - 1.0))
    if market.n_down == 0:
        miss(row, Column.DOWN_CAPTURE, Reason.BENCHMARK_ONE_WAY)
    else:
        put(row, Column.DOWN_CAPTURE, (down - 1.0) / (market.growth_down - 1.0))
