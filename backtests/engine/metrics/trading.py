"""Figures of what the account held, traded and paid."""

import math

import numpy as np

from backtests.engine.dtypes import FloatArray
from backtests.engine.metrics.conventions import Settings
from backtests.engine.metrics.reasons import Reason
from backtests.engine.metrics.row import Column, Row, miss, miss_between, put, put_ratio
from backtests.engine.metrics.sample import Activity
from numerics.compilation import njit
from numerics.selection import quantile_of

PARTICIPATION_QUANTILE = 0.95
PARTICIPATION_LIMIT = 0.10  # share of a bar's volume that a fill may take


@njit(cache=True, error_model="numpy")
def measure_activity(
    equity: FloatArray,
    levels: int,
    curve: int,
    activity: Activity,
    settings: Settings,
    scratch: FloatArray,
    row: Row,
) -> None:
    """Write turnover, exposures, costs and capacity.

    Parameters
    ----------
    equity : float64 array, shape (n_bars,)
    levels, curve : int
        0, or the reason why equity is not positive, and why it has no returns.
    activity : Activity
    settings : Settings
        q is `periods`; n below is the number of returns.
    scratch : float64 array, shape (>= n_fills,)
        Overwritten.
    row : Row

    Notes
    -----
    - exposure_time: share of bars with a position at the close; total_costs: sum;
      average_cost_bps: costs / traded; break_even_cost_bps: (last - first equity + costs) /
      traded, both times 10 000 and missing if nothing was traded;
    - average_gross_exposure, average_net_exposure: mean of exposure / equity; max_leverage: largest
      gross exposure / equity; missing if equity is not positive everywhere;
    - turnover, cost_drag: (bought + sold), costs / mean equity q / n; missing if the curve has no
      returns;
    - capacity: `measure_capacity`.

    All are missing without activity. Sums and means run over the bars in order.
    """
    first, last = Column.TURNOVER, Column.CAPACITY
    if not activity.is_given:
        miss_between(row, first, last, Reason.NO_ACTIVITY)
        return
    n = equity.size
    traded, costs, capital, n_held = 0.0, 0.0, 0.0, 0
    gross, net, leverage = 0.0, 0.0, 0.0
    for t in range(n):
        traded += activity.traded_notional[t]
        costs += activity.costs[t]
        capital += equity[t]
        n_held += int(activity.gross_exposure[t] > 0.0)
        leverage = max(leverage, activity.gross_exposure[t] / equity[t])
        gross += activity.gross_exposure[t] / equity[t]
        net += activity.net_exposure[t] / equity[t]
    put(row, Column.EXPOSURE_TIME, n_held / n)
    put(row, Column.TOTAL_COSTS, costs)
    put_ratio(row, Column.AVERAGE_COST_BPS, costs * 1e4, traded, Reason.NOTHING_TRADED)
    before_costs = np.nan
    if n > 0:
        before_costs = equity[n - 1] - equity[0] + costs
    put_ratio(row, Column.BREAK_EVEN_COST_BPS, before_costs * 1e4, traded, Reason.NOTHING_TRADED)
    if levels != 0:
        miss_between(row, Column.AVERAGE_GROSS_EXPOSURE, Column.MAX_LEVERAGE, levels)
        miss(row, Column.CAPACITY, levels)
    else:
        put(row, Column.AVERAGE_GROSS_EXPOSURE, gross / n)
        put(row, Column.AVERAGE_NET_EXPOSURE, net / n)
        put(row, Column.MAX_LEVERAGE, leverage)
        measure_capacity(equity, activity.participation, scratch, row)
    if curve != 0:
        miss(row, Column.TURNOVER, curve)
        miss(row, Column.COST_DRAG, curve)
    else:
        per_year = settings.periods / (n - 1) / (capital / n)
        put(row, Column.TURNOVER, traded * per_year)
        put(row, Column.COST_DRAG, costs * per_year)


@njit(cache=True, error_model="numpy")
def measure_capacity(
    equity: FloatArray, participation: FloatArray, scratch: FloatArray, row: Row
) -> None:
    """Write the capital at which the larger fills reach a tenth of their bar's volume.

    Parameters
    ----------
    equity : float64 array, shape (n_bars,)
        Finite and > 0.
    participation : float64 array, shape (n_fills,)
        Fill over bar volume, >= 0; NaN is left out.
    scratch : float64 array, shape (>= n_fills,)
        Overwritten.
    row : Row

    Notes
    -----
    ``equity[0] * 0.10 / q`` with q the type-7 95 % quantile of the known participations: fills are
    proportional to the capital the run begins with, prices are not moved by them. Missing where
    no participation is known.
    """
    count = 0
    if participation.size > scratch.size:
        miss(row, Column.CAPACITY, Reason.SCRATCH_TOO_SHORT)
        return
    for i in range(participation.size):
        if not math.isnan(participation[i]):
            scratch[count] = participation[i]
            count += 1
    if count == 0 or equity.size == 0:
        miss(row, Column.CAPACITY, Reason.NO_PARTICIPATION)
        return
    share = quantile_of(scratch, count, count, PARTICIPATION_QUANTILE)
    if math.isinf(share):
        miss(row, Column.CAPACITY, Reason.NOT_FINITE)
        return
    put_ratio(row, Column.CAPACITY, equity[0] * PARTICIPATION_LIMIT, share, Reason.NO_PARTICIPATION)
