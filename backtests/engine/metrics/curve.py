"""One curve after another through all families of kernels."""

import numpy as np
from numpy.typing import NDArray

from backtests.engine.dtypes import FloatArray
from backtests.engine.metrics.calendar import Calendar
from backtests.engine.metrics.conventions import Settings
from backtests.engine.metrics.drawdown import measure_drawdowns, measure_periods
from backtests.engine.metrics.growth import (
    cagr_of,
    measure_growth,
    measure_stability,
    tally_returns,
)
from backtests.engine.metrics.relative import measure_relative
from backtests.engine.metrics.row import N_COLUMNS, Row, miss_between
from backtests.engine.metrics.sample import (
    Activity,
    Market,
    Trades,
    Workspace,
    check_levels,
    write_returns,
)
from backtests.engine.metrics.sharpe import measure_sharpe
from backtests.engine.metrics.tails import measure_shape, measure_tails
from backtests.engine.metrics.trades import measure_trades
from backtests.engine.metrics.trading import measure_activity
from numerics.compilation import njit


@njit(cache=True, error_model="numpy")
def measure_curve(
    equity: FloatArray,
    calendar: Calendar,
    market: Market,
    activity: Activity,
    trades: Trades,
    settings: Settings,
    workspace: Workspace,
    values: FloatArray,
    reasons: NDArray[np.int8],
) -> None:
    """Write every metric of one equity curve into a row.

    Parameters
    ----------
    equity : float64 array, shape (n_bars,)
        Account value at each close; any values at all.
    calendar, market, settings : Calendar, Market, Settings
        From `build_calendar`, `build_market` and `build_settings`; the same for all curves.
    activity, trades : Activity, Trades
        `NO_ACTIVITY` and `NO_TRADES` where there are none.
    workspace : Workspace
        From `build_workspace`; overwritten.
    values : float64 array, shape (n_metrics,)
        Written: finite, or NaN where there is a reason. Columns are those of `Column`.
    reasons : int8 array, shape (n_metrics,)
        Written: codes of `Reason`, 0 where there is a value.

    Notes
    -----
    Allocates nothing and cannot raise. About eight passes over the bars.
    """
    row = Row(values, reasons)
    returns = workspace.returns
    levels = check_levels(equity)
    curve = levels if levels != 0 else write_returns(equity, returns)
    if curve != 0:
        miss_between(row, 0, N_COLUMNS - 1, curve)
    else:
        tally = tally_returns(returns, workspace.deviation, settings)
        growth = equity[equity.size - 1] / equity[0]
        cagr = cagr_of(growth, tally.n, settings.periods)
        measure_growth(tally, growth, settings, row)
        measure_stability(returns, workspace.scratch, row)
        measure_sharpe(tally, settings, workspace, calendar.hac_lag, row)
        smallest, largest = measure_tails(tally, settings, workspace, row)
        measure_shape(tally, settings, row)
        measure_drawdowns(equity, cagr, calendar, settings, row)
        measure_periods(equity, calendar, smallest, largest, row)
        measure_relative(tally, cagr, market, settings, workspace, row)
    measure_activity(equity, levels, curve, activity, settings, workspace.scratch, row)
    measure_trades(trades, workspace.scratch, row)


@njit(cache=True, error_model="numpy", nogil=True)
def measure_curves(
    equity: FloatArray,
    calendar: Calendar,
    market: Market,
    activity: Activity,
    fill_starts: NDArray[np.int64],
    trades: Trades,
    trade_starts: NDArray[np.int64],
    settings: Settings,
    workspace: Workspace,
    values: FloatArray,
    reasons: NDArray[np.int8],
) -> None:
    """Write every metric of many curves on one clock, a row each.

    Parameters
    ----------
    equity : float64 array, shape (n_curves, n_bars)
    calendar, market, settings, workspace
        As `measure_curve` has them.
    activity : Activity
        Arrays per bar laid end to end, curve after curve; empty where not given.
    fill_starts, trade_starts : int64 array, shape (n_curves + 1,)
        Curve k has the rows from ``starts[k]`` to ``starts[k + 1]`` of the participations and of
        the trades.
    trades : Trades
        Of all curves, one after the other.
    values, reasons : float64 and int8 array, shape (n_curves, n_metrics)
        Written.
    """
    n_bars = equity.shape[1] if activity.is_given else 0
    for k in range(equity.shape[0]):
        begin, end = k * n_bars, (k + 1) * n_bars
        own_activity = Activity(
            activity.is_given,
            activity.traded_notional[begin:end],
            activity.costs[begin:end],
            activity.gross_exposure[begin:end],
            activity.net_exposure[begin:end],
            activity.participation[fill_starts[k] : fill_starts[k + 1]],
        )
        begin, end = trade_starts[k], trade_starts[k + 1]
        own_trades = Trades(
            trades.is_given,
            trades.pnl[begin:end],
            trades.return_[begin:end],
            trades.holding_ns[begin:end],
        )
        measure_curve(
            equity[k],
            calendar,
            market,
            own_activity,
            own_trades,
            settings,
            workspace,
            values[k],
            reasons[k],
        )
