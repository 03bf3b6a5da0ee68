"""What of an order may fill at a moment, and the batch of orders that meet the market then."""

import math

import numpy as np

from backtests.engine.book import reject, whole_lots
from backtests.engine.dtypes import (
    REDUCES_ONLY,
    SIZED_AT_FILL,
    OrderReason,
    OrderStatus,
    Row,
    Run,
    TimeInForce,
    wide,
)
from backtests.engine.granting import closing_part, equity_now
from backtests.engine.memory import batch_at, cell, load, order_at, store
from backtests.engine.valuation import unit_value
from numerics.compilation import kernel_part

_WORKING = wide(OrderStatus.WORKING)
_TOO_SMALL = wide(OrderReason.TOO_SMALL)
_FOK = wide(TimeInForce.FOK)
_ROUNDING = 1e-12  # of a bar's volume: what is left below it is none


@kernel_part
def collect(
    bar: int, moment: int, at: int, price: float, is_ambiguous: int, n: int, run: Run
) -> int:
    """Put what may fill of an order into the batch and return the batch's new length."""
    row = order_at(at, run)
    if row["flags"] & SIZED_AT_FILL != 0:
        _size(bar, moment, at, price, run)
        if row["status"] != _WORKING:
            return n
    left = row["quantity"] - row["filled"]
    if row["flags"] & REDUCES_ONLY != 0:
        left = closing_part(_held_after(np.int64(row["instrument"]), n, run), left)
    quantity = left
    if run.max_participation < math.inf:
        quantity = _within_volume(bar, np.int64(row["instrument"]), left, run)
        if quantity != left and row["time_in_force"] == _FOK:
            return n
    if quantity == 0.0:
        return n
    batch_at(n, run)["row"] = at
    batch_at(n, run)["asked"] = quantity
    batch_at(n, run)["quantity"] = quantity
    batch_at(n, run)["price"] = price
    batch_at(n, run)["is_ambiguous"] = is_ambiguous
    if run.max_participation < math.inf:  # what the batch takes is gone for the rest of it
        store(
            run.traded,
            np.int64(row["instrument"]),
            load(run.traded, np.int64(row["instrument"])) + abs(quantity),
        )
    return n + 1


@kernel_part
def _held_after(asset: int, n: int, run: Run) -> float:
    """Return the position of an instrument once the first `n` orders of the batch have filled."""
    held = load(run.position, asset)
    for i in range(n):
        if order_at(batch_at(i, run)["row"], run)["instrument"] == asset:
            held += batch_at(i, run)["quantity"]
    return held


@kernel_part
def _within_volume(bar: int, asset: int, left: float, run: Run) -> float:
    """Return what the rest of the bar's volume lets one trade, in whole lots."""
    most = run.max_participation * cell(run.volume, bar, asset, run)
    room = most - load(run.traded, asset)
    if not room > _ROUNDING * most:
        return 0.0
    if abs(left) <= room:
        return left
    return whole_lots(math.copysign(room, left), load(run.lot, asset))


@kernel_part
def _size(bar: int, moment: int, at: int, price: float, run: Run) -> None:
    """Turn a target into units at the price of its fill."""
    row = order_at(at, run)
    asset = np.int64(row["instrument"])
    worth = price * unit_value(bar, asset, moment, run)
    amount = row["target"]
    if run.target_kind == 0:
        amount *= equity_now(bar, moment, run)
    wanted = amount / worth - load(run.position, asset)
    row["quantity"] = whole_lots(wanted, load(run.lot, asset))
    row["flags"] &= ~SIZED_AT_FILL
    notional = abs(row["quantity"]) * worth
    if row["quantity"] == 0.0 or notional < run.minimum_notional:
        reject(at, bar, _TOO_SMALL, run)


@kernel_part
def left_of(row: Row, run: Run) -> float:
    """Return what an order may still fill, whatever the volume."""
    left: float = row["quantity"] - row["filled"]
    if row["flags"] & REDUCES_ONLY != 0:
        return closing_part(load(run.position, np.int64(row["instrument"])), left)
    return left


@kernel_part
def has_room(bar: int, row: Row, run: Run) -> bool:
    """Say whether volume and position leave anything to fill."""
    left = left_of(row, run)
    if left == 0.0:
        return False
    if run.max_participation == math.inf:
        return True
    fits = _within_volume(bar, np.int64(row["instrument"]), left, run)
    return bool(fits == left if row["time_in_force"] == _FOK else fits != 0.0)
