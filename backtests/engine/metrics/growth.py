"""Figures of return, and of return for volatility."""

import math
from typing import NamedTuple

import numpy as np

from backtests.engine.dtypes import FloatArray
from backtests.engine.metrics.conventions import Settings
from backtests.engine.metrics.reasons import Reason
from backtests.engine.metrics.row import Column, Row, miss, put, put_ratio
from backtests.engine.metrics.sample import ROUNDING
from numerics.compilation import njit
from numerics.logarithm import write_log1p
from numerics.moments import central_sums


class Tally(NamedTuple):
    """What one curve's returns r sum up to; n of them.

    Attributes
    ----------
    n : int
    mean, variance, deviation : float
        Per bar; the variance divides by n, the standard deviation follows the conventions (NaN
        where n is not above its ddof).
    skewness, excess_kurtosis, autocorrelation : float
        Population moments; meaningless where `varies` is false.
    gains, losses : float
        Sums of max(r, 0) and of max(-r, 0).
    above, below, below_squares : float
        Sums of max(r - target, 0), max(target - r, 0) and of the latter's square.
    n_gains, n_losses : int
    varies : bool
        Whether the returns differ by more than rounding.
    """

    n: int
    mean: float
    variance: float
    deviation: float
    skewness: float
    excess_kurtosis: float
    autocorrelation: float
    gains: float
    losses: float
    above: float
    below: float
    below_squares: float
    n_gains: int
    n_losses: int
    varies: bool


@njit(cache=True, error_model="numpy")
def tally_returns(returns: FloatArray, deviation: FloatArray, settings: Settings) -> Tally:
    """Sum up a curve's returns in two passes, and write their deviations from the mean.

    Parameters
    ----------
    returns : float64 array, shape (n,), n >= 1
        Finite.
    deviation : float64 array, shape (n,)
        Written.
    settings : Settings
    """
    n = returns.size
    total, gains, below, below_squares = 0.0, 0.0, 0.0, 0.0
    target = settings.target_bar
    for t in range(n):
        short = max(target - returns[t], 0.0)
        total += returns[t]
        gains += max(returns[t], 0.0)
        below += short
        below_squares += short * short
    n_gains, n_losses = 0, 0
    for t in range(n):
        n_gains += int(returns[t] > 0.0)
        n_losses += int(returns[t] < 0.0)
    above, losses = gains, below
    if target != 0.0:
        above, losses = 0.0, 0.0
        for t in range(n):
            above += max(returns[t] - target, 0.0)
            losses += max(-returns[t], 0.0)
    mean = total / n
    squares, cubes, fourths, neighbors = central_sums(returns, mean, deviation)
    varies = not math.sqrt(squares / n) <= 1e-13 * abs(mean) + ROUNDING  # NaN varies
    variance = squares / n if varies else 0.0
    degrees = float(n - settings.ddof)
    return Tally(
        n,
        mean,
        variance,
        math.sqrt(variance * n / degrees) if degrees > 0.0 else np.nan,
        cubes / n / (variance * math.sqrt(variance)),
        fourths / n / (variance * variance) - 3.0,
        neighbors / squares,
        gains,
        losses,
        above,
        below,
        below_squares,
        n_gains,
        n_losses,
        varies,
    )


@njit(cache=True, error_model="numpy")
def cagr_of(growth: float, n: int, periods: float) -> float:
    """Return compound growth per year from growth over n bars, ``growth^(q / n) - 1``."""
    return float(growth ** (periods / n) - 1.0)


@njit(cache=True, error_model="numpy")
def measure_growth(tally: Tally, growth: float, settings: Settings, row: Row) -> None:
    """Write the figures of growth and of gains against losses.

    Parameters
    ----------
    tally : Tally
    growth : float
        Last equity over the first, > 0.
    settings : Settings
        q is `periods`, tau the target per bar.
    row : Row

    Notes
    -----
    ======================  =====================================================  ================
    figure                  formula                                                missing if
    ======================  =====================================================  ================
    total_return            growth - 1
    cagr                    growth^(q/n) - 1
    annual_return           mean(r) q
    annual_volatility       sd(r) sqrt(q)                                          n < 2
    downside_volatility     sqrt(mean(min(r - tau, 0)^2) q), over all n
    sortino                 (mean(r) - tau) q / downside_volatility                no r below tau
    omega                   sum(max(r - tau, 0)) / sum(max(tau - r, 0))            no r below tau
    profit_factor           sum(gains) / sum(losses)                               no loss
    gain_to_pain            sum(r) / sum(losses)                                   no loss
    hit_rate                n_gains / (n_gains + n_losses)                         r = 0 throughout
    payoff                  mean(gains) / mean(losses)                             either is missing
    ======================  =====================================================  ================

    A result that is not finite is missing.

    References
    ----------
    .. [1] Sortino and Price (1994), "Performance measurement in a downside risk framework",
       Journal of Investing 3(3).
    .. [2] Keating and Shadwick (2002), "A universal performance measure", Journal of Performance
       Measurement 6(3).
    .. [3] Schwager (2012), Hedge Fund Market Wizards, appendix A (gain to pain).
    """
    n, periods = tally.n, settings.periods
    cagr = cagr_of(growth, n, periods)
    put(row, Column.TOTAL_RETURN, growth - 1.0)
    put(row, Column.CAGR, cagr)
    put(row, Column.ANNUAL_RETURN, tally.mean * periods)
    if n < 2:
        miss(row, Column.ANNUAL_VOLATILITY, Reason.TOO_FEW_RETURNS)
    else:
        put(row, Column.ANNUAL_VOLATILITY, tally.deviation * math.sqrt(periods))
    downside = math.sqrt(tally.below_squares / n) * math.sqrt(periods)
    put(row, Column.DOWNSIDE_VOLATILITY, downside)
    above_target = (tally.mean - settings.target_bar) * periods
    if settings.is_geometric:
        above_target = cagr - settings.target_year
    put_ratio(row, Column.SORTINO, above_target, downside, Reason.NO_LOSS)
    put_ratio(row, Column.OMEGA, tally.above, tally.below, Reason.NO_LOSS)
    put_ratio(row, Column.PROFIT_FACTOR, tally.gains, tally.losses, Reason.NO_LOSS)
    put_ratio(row, Column.GAIN_TO_PAIN, tally.mean * n, tally.losses, Reason.NO_LOSS)
    moved = float(tally.n_gains + tally.n_losses)
    put_ratio(row, Column.HIT_RATE, float(tally.n_gains), moved, Reason.NEVER_MOVED)
    if tally.n_gains == 0:
        miss(row, Column.PAYOFF, Reason.NO_GAIN)
    elif tally.n_losses == 0:
        miss(row, Column.PAYOFF, Reason.NO_LOSS)
    else:
        mean_gain, mean_loss = tally.gains / tally.n_gains, tally.losses / tally.n_losses
        put(row, Column.PAYOFF, mean_gain / mean_loss)


@njit(cache=True, error_model="numpy")
def measure_stability(returns: FloatArray, scratch: FloatArray, row: Row) -> None:
    """Write stability: R² of the least-squares line of log equity on the number of the bar.

    Parameters
    ----------
    returns : float64 array, shape (n,)
        Finite and > -1. The line runs through the n closes after the first value.
    scratch : float64 array, shape (>= n,)
        Overwritten.
    row : Row

    Notes
    -----
    Missing with fewer than three such closes, and where they are all alike.
    """
    n = returns.size
    if n < 3:
        miss(row, Column.STABILITY, Reason.TOO_FEW_FOR_A_LINE)
        return
    write_log1p(returns, scratch)
    height, total, squares, totals = 0.0, 0.0, 0.0, 0.0
    for t in range(1, n):  # heights are over the first of these closes
        height += scratch[t]
        total += height
        totals += total
        squares += height * height
    if math.sqrt(squares / n) <= ROUNDING:
        miss(row, Column.STABILITY, Reason.NEVER_MOVED)
        return
    spread = squares - total * total / n
    weighted = 0.5 * (n + 1.0) * total - totals  # the sum of (t - mean t) times the height
    along = n * (n * n - 1.0) / 12.0
    put(row, Column.STABILITY, min(1.0, weighted * weighted / (along * spread)))
