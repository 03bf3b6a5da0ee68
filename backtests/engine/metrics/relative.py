"""Figures against a benchmark."""

import math

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
    - up_capture, down_capture: compounded r over compounded b, on bars with b > 0 and b < 0;
      missing where the benchmark never moved that way [1]_;
    - `measure_active`, `measure_regression`: the rest.

    All are missing without a benchmark and with fewer than two returns.

    References
    ----------
    .. [1] Bacon (2008), Practical Portfolio Performance Measurement and Attribution, 2nd edition.
    """
    if market.reason != 0:
        miss_between(row, Column.ALPHA, Column.DOWN_CAPTURE, market.reason)
        return
    if tally.n < 2:
        miss_between(row, Column.ALPHA, Column.DOWN_CAPTURE, Reason.TOO_FEW_RETURNS)
        return
    products, active_squares, up, down = 0.0, 0.0, 1.0, 1.0
    for t in range(tally.n):
        own, theirs = workspace.deviation[t], market.deviation[t]
        products += own * theirs
        active_squares += (own - theirs) * (own - theirs)
        growth = 1.0 + workspace.returns[t]
        up *= growth if market.returns[t] > 0.0 else 1.0
        down *= growth if market.returns[t] < 0.0 else 1.0
    measure_active(tally, cagr, active_squares, market, settings, row)
    if market.squares == 0.0:
        miss_between(row, Column.ALPHA, Column.TREYNOR, Reason.BENCHMARK_NO_VARIATION)
        miss_between(row, Column.UP_CAPTURE, Column.DOWN_CAPTURE, Reason.BENCHMARK_NO_VARIATION)
        return
    measure_regression(tally, cagr, products, market, settings, row)
    up_market, down_market = market.growth_up - 1.0, market.growth_down - 1.0
    put_ratio(row, Column.UP_CAPTURE, up - 1.0, up_market, Reason.BENCHMARK_ONE_WAY)
    put_ratio(row, Column.DOWN_CAPTURE, down - 1.0, down_market, Reason.BENCHMARK_ONE_WAY)


@njit(cache=True, error_model="numpy")
def measure_regression(
    tally: Tally, cagr: float, products: float, market: Market, settings: Settings, row: Row
) -> None:
    """Write beta, alpha, Treynor, correlation and R².

    Parameters
    ----------
    tally, cagr, market, settings, row
        As `measure_relative` has them; the benchmark varies.
    products : float
        Sum of the products of the deviations of r and b.

    Notes
    -----
    - beta: cov(r, b) / var(b); alpha: (mean(r) - f - beta (mean(b) - f)) q, not compounded [1]_;
      treynor: (mean(r) - f) q / beta [2]_, missing at beta 0;
    - correlation: Pearson's; r_squared: its square; missing if r does not vary.

    References
    ----------
    .. [1] Jensen (1968), "The performance of mutual funds", Journal of Finance 23(2).
    .. [2] Treynor (1965), "How to rate management of investment funds", Harvard Business Review 43.
    """
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
        own = math.sqrt(tally.variance * tally.n)
        correlation = max(-1.0, min(1.0, products / (own * math.sqrt(market.squares))))
        put(row, Column.CORRELATION, correlation)
        put(row, Column.R_SQUARED, correlation * correlation)
    else:
        miss(row, Column.CORRELATION, Reason.NO_VARIATION)
        miss(row, Column.R_SQUARED, Reason.NO_VARIATION)


@njit(cache=True, error_model="numpy")
def measure_active(
    tally: Tally, cagr: float, squares: float, market: Market, settings: Settings, row: Row
) -> None:
    """Write tracking error and information ratio.

    Parameters
    ----------
    tally, cagr, market, settings, row
        As `measure_relative` has them, at least two returns.
    squares : float
        Sum of the squared deviations of r - b from its mean.

    Notes
    -----
    tracking_error: sd(r - b) sqrt(q); information_ratio: mean(r - b) q over it, missing if r - b
    does not vary by more than the rounding of two levels.

    References
    ----------
    .. [1] Grinold and Kahn (2000), Active Portfolio Management, 2nd edition.
    """
    difference = tally.mean - market.mean
    if math.sqrt(squares / tally.n) <= 1e-13 * abs(difference) + ROUNDING:
        put(row, Column.TRACKING_ERROR, 0.0)
        miss(row, Column.INFORMATION_RATIO, Reason.ACTIVE_NO_VARIATION)
        return
    error = math.sqrt(squares / (tally.n - settings.ddof)) * math.sqrt(settings.periods)
    put(row, Column.TRACKING_ERROR, error)
    annual = difference * settings.periods
    if settings.is_geometric:
        annual = cagr - cagr_of(market.growth, tally.n, settings.periods)
    put_ratio(row, Column.INFORMATION_RATIO, annual, error, Reason.ACTIVE_NO_VARIATION)
