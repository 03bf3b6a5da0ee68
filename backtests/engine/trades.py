"""Round trips: which fill closed which, first in first out or at average cost."""

import math

import numpy as np

from backtests.engine.dtypes import (
    ActionKind,
    FloatArray,
    IntArray,
    Moment,
    RecordArray,
    Row,
    Run,
)
from backtests.engine.ledger import changes
from backtests.engine.memory import cell, run_at
from backtests.engine.settlement import total_of
from backtests.engine.valuation import unit_value
from numerics.compilation import kernel_part, njit

TRADE = np.dtype(
    [
        ("quantity", np.float64),  # units, long > 0, short < 0; after the splits on the way
        ("entry_price", np.float64),  # paid per unit; divided by the splits on the way
        ("exit_price", np.float64),  # received per unit; the last price of an open one
        ("entry_notional", np.float64),  # at reference prices [account currency]
        ("pnl", np.float64),  # after costs, dividends included [account currency]
        ("costs", np.float64),  # of entry and exit
        ("dividends", np.float64),
        ("entry_bar", np.int32),
        ("exit_bar", np.int32),  # -1 = open at the end
        ("instrument", np.int32),
        ("entry_order", np.int32),  # row of the order table
    ]
)
_SPLIT = int(ActionKind.SPLIT)
_CLOSE = int(Moment.CLOSE)
_ROUNDING = 1e-12  # of a fill: what is left below it is no lot

# Columns of a lot.
_QUANTITY, _PAID, _WORTH, _COSTS, _DIVIDENDS, _BAR, _ORDER, _NEXT, _N_COLUMNS = range(9)


@njit(cache=True, error_model="numpy")
def round_trips(
    fills: RecordArray, actions: RecordArray, address: int, by_average: bool
) -> RecordArray:
    """Return the round trips of a run, closed ones in the order they closed, then open ones.

    Parameters
    ----------
    by_average : bool
        One lot per position, at its average cost and with the bar of its first entry; otherwise
        every entry is a lot and the oldest closes first.

    Returns
    -------
    array of `TRADE`
        Their profits, with those still open valued at the last close, and the financing add up to
        the change of equity.
    """
    run = run_at(address, 0)
    n_bars, n_assets = run.n_bars, run.n_assets
    trades = np.zeros(2 * fills.size + 1, TRADE)
    lots = np.zeros((fills.size + 1, _N_COLUMNS))
    head = np.full(n_assets, -1, np.int64)
    tail = np.full(n_assets, -1, np.int64)
    n_trades = 0
    n_lots = 0
    row, is_fill = changes(fills, actions)
    for at in range(row.size):
        if is_fill[at] == 0:
            _act(actions[row[at]], lots, head)
            continue
        fill = fills[row[at]]
        asset = fill["instrument"]
        value = unit_value(fill["bar"], asset, fill["moment"], run)
        left = fill["quantity"]
        cost_left = total_of(fill)
        while left != 0.0 and head[asset] >= 0 and lots[head[asset], _QUANTITY] * left < 0.0:
            lot = lots[head[asset]]
            is_whole = abs(lot[_QUANTITY]) <= abs(left) + _ROUNDING * abs(fill["quantity"])
            closed = lot[_QUANTITY] if is_whole else -left
            paid = cost_left * min(abs(closed / left), 1.0)
            n_trades = _close(trades, n_trades, lot, closed, fill, asset, value, paid)
            cost_left -= paid
            left += closed
            if abs(left) <= _ROUNDING * abs(fill["quantity"]):
                left = 0.0
            if lot[_QUANTITY] == 0.0:
                head[asset] = int(lot[_NEXT])
        if head[asset] < 0:
            tail[asset] = -1
        if left != 0.0:
            n_lots = _open(lots, n_lots, head, tail, fill, left, value, cost_left, by_average)
    for asset in range(n_assets):
        while head[asset] >= 0:
            lot = lots[head[asset]]
            n_trades = _value(trades, n_trades, lot, asset, n_bars - 1, run)
            head[asset] = int(lot[_NEXT])
    return trades[:n_trades]


@kernel_part
def _open(
    lots: FloatArray,
    n_lots: int,
    head: FloatArray,
    tail: FloatArray,
    fill: Row,
    left: float,
    value: float,
    costs: float,
    by_average: bool,
) -> int:
    """Add a lot, or enlarge the one there is; return the number of lots."""
    asset = fill["instrument"]
    worth = left * fill["reference_price"] * value
    if by_average and head[asset] >= 0:
        lot = lots[head[asset]]
        total = lot[_QUANTITY] + left
        lot[_PAID] = (lot[_PAID] * lot[_QUANTITY] + fill["price"] * left) / total
        lot[_QUANTITY] = total
        lot[_WORTH] += worth
        lot[_COSTS] += costs
        return n_lots
    lot = lots[n_lots]
    lot[_QUANTITY] = left
    lot[_PAID] = fill["price"]
    lot[_WORTH] = worth
    lot[_COSTS] = costs
    lot[_BAR] = fill["bar"]
    lot[_ORDER] = fill["order"]
    lot[_NEXT] = -1
    if tail[asset] >= 0:
        lots[tail[asset], _NEXT] = n_lots
    else:
        head[asset] = n_lots
    tail[asset] = n_lots
    return n_lots + 1


@kernel_part
def _take(trade: Row, lot: FloatArray, closed: float) -> None:
    """Move a part of a lot into a trade."""
    share = closed / lot[_QUANTITY]
    trade["quantity"] = closed
    trade["entry_price"] = lot[_PAID]
    trade["entry_notional"] = abs(lot[_WORTH] * share)
    trade["costs"] = lot[_COSTS] * share
    trade["dividends"] = lot[_DIVIDENDS] * share
    trade["pnl"] = -lot[_WORTH] * share
    trade["entry_bar"] = int(lot[_BAR])
    trade["entry_order"] = int(lot[_ORDER])
    kept = 1.0 - share
    for column in (_WORTH, _COSTS, _DIVIDENDS):
        lot[column] *= kept
    lot[_QUANTITY] = 0.0 if share == 1.0 else lot[_QUANTITY] - closed


@kernel_part
def _close(
    trades: RecordArray,
    n_trades: int,
    lot: FloatArray,
    closed: float,
    fill: Row,
    asset: int,
    value: float,
    costs: float,
) -> int:
    trade = trades[n_trades]
    _take(trade, lot, closed)
    trade["exit_price"] = fill["price"]
    trade["exit_bar"] = fill["bar"]
    trade["instrument"] = asset
    trade["costs"] += costs
    trade["pnl"] += closed * fill["reference_price"] * value - trade["costs"] + trade["dividends"]
    return n_trades + 1


@kernel_part
def _value(
    trades: RecordArray,
    n_trades: int,
    lot: FloatArray,
    asset: int,
    last: int,
    run: Run,
) -> int:
    """Write an open lot as a trade valued at the last close."""
    bar = last
    split = 1.0
    while bar > 0 and math.isnan(cell(run.close, bar, asset, run)):
        if run.split != 0 and not math.isnan(cell(run.split, bar, asset, run)):
            split *= cell(run.split, bar, asset, run)
        bar -= 1
    price = cell(run.close, bar, asset, run) / split
    trade = trades[n_trades]
    quantity = lot[_QUANTITY]
    _take(trade, lot, quantity)
    trade["exit_price"] = price
    trade["exit_bar"] = -1
    trade["instrument"] = asset
    worth = price * unit_value(last, asset, _CLOSE, run)
    trade["pnl"] += quantity * worth - trade["costs"] + trade["dividends"]
    return n_trades + 1


@kernel_part
def _act(action: Row, lots: FloatArray, head: IntArray) -> None:
    """Bring a split or a dividend upon every lot of its instrument."""
    at = head[action["instrument"]]
    while at >= 0:
        lot = lots[at]
        if action["kind"] == _SPLIT:
            lot[_QUANTITY] *= action["value"]
            lot[_PAID] /= action["value"]
        else:
            lot[_DIVIDENDS] += action["cash"] * lot[_QUANTITY] / action["position"]
        at = int(lot[_NEXT])
