"""What the fate of one order means to its relatives: exits, siblings, and a target that waits."""

import math

import numpy as np

from backtests.engine.book import append_order, on_tick, session_of, withdraw
from backtests.engine.dtypes import (
    IS_OFFSET,
    NEVER,
    REDUCES_ONLY,
    SIZED_AT_FILL,
    TRAILS_FRACTION,
    Moment,
    OrderKind,
    OrderReason,
    OrderSource,
    OrderStatus,
    Row,
    Run,
    TimeInForce,
    wide,
)
from backtests.engine.memory import load, load_int, order_at, working_at
from numerics.compilation import kernel_part

_WORKING = wide(OrderStatus.WORKING)
_SIBLING = wide(OrderReason.SIBLING_FILLED)
_POSITION = wide(OrderReason.POSITION_CLOSED)
_LIMIT = wide(OrderKind.LIMIT)
_STOP = wide(OrderKind.STOP)
_STOP_LIMIT = wide(OrderKind.STOP_LIMIT)
_TRAILING_STOP = wide(OrderKind.TRAILING_STOP)
_DAY = wide(TimeInForce.DAY)
_BRACKET = wide(OrderSource.BRACKET)
_CLOSE = wide(Moment.CLOSE)


# Of the order: what is left below it is rounding.
_ROUNDING = 1e-12


@kernel_part
def attach_bracket(parent: int, run: Run) -> None:
    """Give an entry its stop-loss and take-profit; they wait for its fill."""
    entry = order_at(parent, run)
    first = -1
    for leg in range(2):
        distance = run.stop_loss if leg == 0 else run.take_profit
        if math.isnan(distance):
            continue
        kind = _STOP if leg == 0 else _LIMIT
        flags = IS_OFFSET | REDUCES_ONLY
        at = append_order(
            np.int64(entry["bar"]), np.int64(entry["instrument"]), 0.0, kind, _BRACKET, flags, run
        )
        row = order_at(at, run)
        if leg == 0:
            row["stop_price"] = distance
        else:
            row["limit_price"] = distance
        row["parent"] = parent
        row["first_bar"] = NEVER
        first = at if first < 0 else first
        row["group"] = first
        run.linked += 1


@kernel_part
def end_group(at: int, bar: int, run: Run) -> None:
    """Cancel the siblings of an order that filled."""
    group = order_at(at, run)["group"]
    if group < 0:
        return
    for k in range(run.n_working):
        other = working_at(k, run)
        if other != at and order_at(other, run)["group"] == group:
            withdraw(other, bar, _SIBLING, run)


@kernel_part
def shrink_group(at: int, bar: int, quantity: float, run: Run) -> None:
    """Take what one order filled in part off its siblings, so that together they fill once."""
    group = order_at(at, run)["group"]
    if group < 0:
        return
    for k in range(run.n_working):
        other = working_at(k, run)
        row = order_at(other, run)
        if other != at and row["group"] == group and row["status"] == _WORKING:
            left = row["quantity"] - row["filled"]
            row["quantity"] -= math.copysign(min(abs(quantity), abs(left)), left)
            if row["quantity"] == row["filled"]:
                withdraw(other, bar, _SIBLING, run)


@kernel_part
def shrink_target(asset: int, bar: int, quantity: float, run: Run) -> None:
    """Take what an exit has closed off a waiting target's order that was to close it too."""
    at = load_int(run.order_of, asset)
    if at < 0:
        return
    row = order_at(at, run)
    left = row["quantity"] - row["filled"]
    if left * quantity <= 0.0:
        return
    if row["flags"] & SIZED_AT_FILL == 0:
        row["quantity"] -= math.copysign(min(abs(quantity), abs(left)), left)
        if abs(row["quantity"] - row["filled"]) <= _ROUNDING * abs(left):
            row["quantity"] = row["filled"]
            withdraw(at, bar, _POSITION, run)
    elif load(run.position, asset) == 0.0 and row["target"] * quantity < 0.0:
        withdraw(at, bar, _POSITION, run)  # it was to keep a part of what is gone


@kernel_part
def activate_children(
    parent: int, bar: int, opened: float, filled: float, price: float, moment: int, run: Run
) -> None:
    """Let the orders that waited for a fill work, from this moment of the bar on.

    Parameters
    ----------
    opened : float
        Units by which the fill opened or enlarged the position, signed: what a bracket guards.
    filled : float
        Units of the fill, signed.
    price : float
        Price paid; offsets are fractions of it.
    """
    for k in range(run.n_working):
        row = order_at(working_at(k, run), run)
        if row["parent"] != parent or row["status"] != _WORKING:
            continue
        if row["flags"] & IS_OFFSET or _trails_from_fill(row):
            _price_offsets(row, filled, price, load(run.tick, np.int64(row["instrument"])))
        if row["source"] == _BRACKET:
            row["quantity"] -= opened
        if row["first_bar"] == NEVER:
            row["first_bar"] = bar + (moment == _CLOSE)
            row["since"] = moment if moment != _CLOSE else 0
            if row["time_in_force"] == _DAY:
                first = min(row["first_bar"], run.n_bars - 1)
                row["good_until"] = session_of(first, run)


@kernel_part
def _trails_from_fill(row: Row) -> bool:
    return row["kind"] == _TRAILING_STOP and math.isnan(row["stop_price"])


@kernel_part
def _price_offsets(row: Row, filled: float, price: float, tick: float) -> None:
    """Turn fractions of the fill price into prices: stops on the losing side, limits beyond.

    Notes
    -----
    A stop-limit is a stop: its limit lies on the losing side too.
    """
    side = 1.0 if filled > 0.0 else -1.0
    if row["kind"] == _TRAILING_STOP:
        distance = row["trail"] * (price if row["flags"] & TRAILS_FRACTION else 1.0)
        row["stop_price"] = price - side * distance
    elif not math.isnan(row["stop_price"]):
        level = exit_price(price, -side * row["stop_price"])
        row["stop_price"] = on_tick(level, tick, side < 0.0)
    if not math.isnan(row["limit_price"]):
        away = -side if row["kind"] == _STOP_LIMIT else side
        level = exit_price(price, away * row["limit_price"])
        row["limit_price"] = on_tick(level, tick, side > 0.0)
    row["flags"] &= ~IS_OFFSET


@kernel_part
def exit_price(price: float, offset: float) -> float:
    """Return the price at a signed fraction from the price of a fill."""
    return price * (1.0 + offset)


@kernel_part
def end_orphans(asset: int, bar: int, run: Run) -> None:
    """Cancel the reduce-only orders of an instrument that has nothing left to reduce."""
    position = load(run.position, asset)
    for k in range(run.n_working):
        at = working_at(k, run)
        row = order_at(at, run)
        if row["status"] != _WORKING or row["instrument"] != asset:
            continue
        if row["flags"] & REDUCES_ONLY == 0 or row["first_bar"] == NEVER:
            continue
        if row["quantity"] * position >= 0.0 and not _guards_what_may_fill(row, run):
            withdraw(at, bar, _POSITION, run)


@kernel_part
def _guards_what_may_fill(row: Row, run: Run) -> bool:
    """Say whether the rest of an order's entry may still fill, and will want its exit."""
    parent = np.int64(row["parent"])
    return bool(parent >= 0 and order_at(parent, run)["status"] == _WORKING)
