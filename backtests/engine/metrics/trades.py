"""Figures of closed trades."""

import math

from backtests.engine.dtypes import FloatArray
from backtests.engine.metrics.calendar import DAY_NS
from backtests.engine.metrics.reasons import Reason
from backtests.engine.metrics.row import Column, Row, miss, miss_between, put, put_ratio
from backtests.engine.metrics.sample import Trades
from numerics.compilation import njit
from numerics.selection import quantile_of


@njit(cache=True, error_model="numpy")
def measure_trades(trades: Trades, scratch: FloatArray, row: Row) -> None:
    """Write the figures of round trips.

    Parameters
    ----------
    trades : Trades
        In the order of their closing.
    scratch : float64 array, shape (>= n_trades,)
        Overwritten.
    row : Row

    Notes
    -----
    n_trades: their number; all others are missing without trades. average_holding_days and
    median_holding_days: of the time from first fill to last. The rest is in `measure_profits` and
    `measure_trade_returns`.
    """
    first, last = Column.N_TRADES, Column.LONGEST_LOSING_STREAK
    n = trades.pnl.size
    if not trades.is_given:
        miss_between(row, first, last, Reason.NO_ROUND_TRIPS)
        return
    if n == 0:
        miss_between(row, first, last, Reason.NO_TRADE_CLOSED)
        put(row, Column.N_TRADES, 0.0)
        return
    if n > scratch.size:
        miss_between(row, first, last, Reason.SCRATCH_TOO_SHORT)
        return
    put(row, Column.N_TRADES, float(n))
    measure_profits(trades.pnl, row)
    measure_trade_returns(trades.return_, row)
    total = 0.0
    for i in range(n):
        scratch[i] = trades.holding_ns[i] / DAY_NS
        total += scratch[i]
    put(row, Column.AVERAGE_HOLDING_DAYS, total / n)
    put(row, Column.MEDIAN_HOLDING_DAYS, quantile_of(scratch, n, n, 0.5))


@njit(cache=True, error_model="numpy")
def measure_profits(pnl: FloatArray, row: Row) -> None:
    """Write what is computed from the profit of each trade.

    Parameters
    ----------
    pnl : float64 array, shape (n,), n >= 1
        Profit after costs. A profit that is not finite makes all of these missing.
    row : Row

    Notes
    -----
    With W winners (pnl > 0) and L losers (pnl < 0) of n trades:

    - trade_hit_rate: W / n; trade_expectancy: mean(pnl); trade_profit_factor: sum of profits / sum
      of losses; trade_payoff: mean profit of the winners / mean loss of the losers; missing if
      that divides by nothing;
    - kelly_fraction: W / n - (1 - W / n) / payoff [1]_, missing without winners or losers;
    - system_quality_number: sqrt(n) mean(pnl) / sd(pnl), ddof 1, n not capped [2]_; missing with
      fewer than two trades or profits that do not vary;
    - longest_losing_streak: most losers in a row; a trade at 0 ends a streak.

    References
    ----------
    .. [1] Kelly (1956), "A new interpretation of information rate", Bell System Technical Journal
       35(4); for two outcomes.
    .. [2] Tharp (2008), Van Tharp's Definitive Guide to Position Sizing.
    """
    n = pnl.size
    total, profits, losses = 0.0, 0.0, 0.0
    n_winners, n_losers, streak, longest_streak = 0, 0, 0, 0
    smallest, largest = pnl[0], pnl[0]
    for i in range(n):
        total += pnl[i]
        profits += max(pnl[i], 0.0)
        losses += max(-pnl[i], 0.0)
        n_winners += int(pnl[i] > 0.0)
        n_losers += int(pnl[i] < 0.0)
        streak = streak + 1 if pnl[i] < 0.0 else 0
        longest_streak = max(longest_streak, streak)
        smallest, largest = min(smallest, pnl[i]), max(largest, pnl[i])
    if not math.isfinite(total):
        miss_between(row, Column.TRADE_HIT_RATE, Column.KELLY_FRACTION, Reason.TRADE_MISSING_VALUES)
        miss(row, Column.LONGEST_LOSING_STREAK, Reason.TRADE_MISSING_VALUES)
        return
    mean, hit_rate = total / n, n_winners / n
    put(row, Column.TRADE_HIT_RATE, hit_rate)
    put(row, Column.TRADE_EXPECTANCY, mean)
    put(row, Column.LONGEST_LOSING_STREAK, float(longest_streak))
    put_ratio(row, Column.TRADE_PROFIT_FACTOR, profits, losses, Reason.NO_LOSER)
    if n_winners == 0 or n_losers == 0:
        reason = Reason.NO_WINNER if n_winners == 0 else Reason.NO_LOSER
        miss(row, Column.TRADE_PAYOFF, reason)
        miss(row, Column.KELLY_FRACTION, reason)
    else:
        payoff = (profits / n_winners) / (losses / n_losers)
        put(row, Column.TRADE_PAYOFF, payoff)
        put(row, Column.KELLY_FRACTION, hit_rate - (1.0 - hit_rate) / payoff)
    if n < 2:
        miss(row, Column.SYSTEM_QUALITY_NUMBER, Reason.TOO_FEW_TRADES)
    elif largest - smallest <= 1e-13 * max(abs(smallest), abs(largest)):
        miss(row, Column.SYSTEM_QUALITY_NUMBER, Reason.TRADES_NO_VARIATION)
    else:
        squares = 0.0
        for i in range(n):
            squares += (pnl[i] - mean) * (pnl[i] - mean)
        put(row, Column.SYSTEM_QUALITY_NUMBER, math.sqrt(n) * mean / math.sqrt(squares / (n - 1)))


@njit(cache=True, error_model="numpy")
def measure_trade_returns(returns: FloatArray, row: Row) -> None:
    """Write mean, largest and smallest return of the trades.

    Parameters
    ----------
    returns : float64 array, shape (n,), n >= 1
        Fractions. One that is not finite makes all of these missing.
    row : Row
    """
    total, smallest, largest = 0.0, returns[0], returns[0]
    for i in range(returns.size):
        total += returns[i]
        smallest, largest = min(smallest, returns[i]), max(largest, returns[i])
    if not math.isfinite(total):
        first, last = Column.AVERAGE_TRADE_RETURN, Column.WORST_TRADE_RETURN
        miss_between(row, first, last, Reason.TRADE_MISSING_VALUES)
        return
    put(row, Column.AVERAGE_TRADE_RETURN, total / returns.size)
    put(row, Column.BEST_TRADE_RETURN, largest)
    put(row, Column.WORST_TRADE_RETURN, smallest)
