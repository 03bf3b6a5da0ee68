"""The order book: what comes in, what waits, and how each order ends."""

import math

import numpy as np

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
from backtests.engine.memory import (
    cell,
    load,
    load_int,
    order_at,
    store_int,
    working_at,
)
from backtests.engine.valuation import unit_value
from numerics.compilation import kernel_part

_WORKING = wide(OrderStatus.WORKING)
_PARTLY_FILLED = wide(OrderStatus.PARTLY_FILLED)
_REJECTED = wide(OrderStatus.REJECTED)
_CANCELLED = wide(OrderStatus.CANCELLED)
_NONE = wide(OrderReason.NONE)
_EXPIRED = wide(OrderReason.EXPIRED)
_PARENT = wide(OrderReason.PARENT_CLOSED)
_TOO_SMALL = wide(OrderReason.TOO_SMALL)
_MARKET = wide(OrderKind.MARKET)
_TRAILING_STOP = wide(OrderKind.TRAILING_STOP)
_GTC = wide(TimeInForce.GTC)
_DAY = wide(TimeInForce.DAY)
_GTD = wide(TimeInForce.GTD)
_TARGET = wide(OrderSource.TARGET)
_INSIDE = wide(Moment.INSIDE)
_CLOSE = wide(Moment.CLOSE)
_NAN = math.nan
_DAY_NS = wide(86_400_000_000_000)
_LOT_TOLERANCE = 1e-9  # of a lot: 2.9999999999 lots are 3
_NO_FLAGS = wide(0)


@kernel_part
def whole_lots(quantity: float, lot: float) -> float:
    """Return a quantity rounded towards zero to whole lots; a lot of 0 leaves it as it is."""
    if lot == 0.0:
        return quantity
    lots = math.floor(abs(quantity) / lot + _LOT_TOLERANCE)
    return math.copysign(lots * lot, quantity)


@kernel_part
def on_tick(price: float, tick: float, up: bool) -> float:
    """Return a price rounded to a tick, up or down; a tick of 0 leaves it as it is."""
    if tick == 0.0 or math.isnan(price):
        return price
    steps = price / tick
    nearest = np.rint(steps)
    if abs(steps - nearest) <= _LOT_TOLERANCE * max(1.0, abs(steps)):
        return float(nearest * tick)
    return float((math.ceil(steps) if up else math.floor(steps)) * tick)


@kernel_part
def append_order(
    bar: int, asset: int, quantity: float, kind: int, source: int, flags: int, run: Run
) -> int:
    """Write a working order that waits for the next bar and return its row."""
    at = run.n_orders
    run.n_orders = at + 1
    row = order_at(at, run)
    row["target"] = _NAN
    row["quantity"] = quantity
    row["filled"] = 0.0
    row["limit_price"] = _NAN
    row["stop_price"] = _NAN
    row["trail"] = _NAN
    row["good_until"] = 0
    row["bar"] = bar
    row["instrument"] = asset
    row["first_bar"] = bar + 1 + run.latency_bars
    row["closed_bar"] = -1
    row["parent"] = -1
    row["group"] = -1
    row["kind"] = kind
    row["time_in_force"] = _GTC
    row["status"] = _WORKING
    row["reason"] = _NONE
    row["source"] = source
    row["flags"] = flags
    row["since"] = 0
    store_int(run.working, run.n_working, at)
    run.n_working += 1
    return at


@kernel_part
def append_refused(bar: int, asset: int, target: float, reason: int, run: Run) -> None:
    """Write an order that never worked, with the reason."""
    at = append_order(bar, asset, 0.0, _MARKET, _TARGET, _NO_FLAGS, run)
    run.n_working -= 1
    row = order_at(at, run)
    row["target"] = target
    row["status"] = _REJECTED
    row["reason"] = reason
    row["closed_bar"] = bar


@kernel_part
def is_linked(row: Row) -> bool:
    """Say whether the end of other orders or of the position bears on an order."""
    return row["parent"] >= 0 or row["group"] >= 0 or row["flags"] & REDUCES_ONLY != 0


@kernel_part
def is_attended(row: Row) -> bool:
    """Say whether an order must be looked at in every bar, whatever the prices."""
    return row["time_in_force"] != _GTC or row["kind"] == _TRAILING_STOP


@kernel_part
def end_order(at: int, bar: int, status: int, reason: int, run: Run) -> None:
    """Close an order; the list of working orders is tidied once per bar."""
    row = order_at(at, run)
    if row["status"] != _WORKING:
        return
    row["status"] = status
    row["reason"] = reason
    row["closed_bar"] = bar
    run.n_ended += 1
    if row["source"] == _TARGET and load_int(run.order_of, np.int64(row["instrument"])) == at:
        store_int(run.order_of, np.int64(row["instrument"]), -1)
    run.linked -= is_linked(row)
    run.attended -= is_attended(row)


@kernel_part
def withdraw(at: int, bar: int, reason: int, run: Run) -> None:
    """End an order that may have filled in part, and the orders that waited for it."""
    filled = order_at(at, run)["filled"] != 0.0
    end_order(at, bar, _PARTLY_FILLED if filled else _CANCELLED, reason, run)
    end_abandoned(bar, run)


@kernel_part
def reject(at: int, bar: int, reason: int, run: Run) -> None:
    """Refuse an order that has not filled, and the orders that waited for it."""
    end_order(at, bar, _REJECTED, reason, run)
    end_abandoned(bar, run)


@kernel_part
def end_abandoned(bar: int, run: Run) -> None:
    """Cancel the orders that wait for one which ended without a fill; chains in one pass."""
    if run.linked == 0:
        return
    for k in range(run.n_working):
        at = working_at(k, run)
        row = order_at(at, run)
        if row["status"] != _WORKING or row["first_bar"] != NEVER or row["parent"] < 0:
            continue
        if order_at(np.int64(row["parent"]), run)["status"] in (_REJECTED, _CANCELLED):
            end_order(at, bar, _CANCELLED, _PARENT, run)


@kernel_part
def session_of(bar: int, run: Run) -> int:
    """Return the number of a bar's trading session, by default the UTC day in which it ends."""
    if run.session != 0:
        return load_int(run.session, bar)
    return (load_int(run.stamp, bar) - 1) // _DAY_NS


@kernel_part
def end_expired(bar: int, run: Run) -> None:
    """End the orders whose session or date is over."""
    if run.attended == 0:
        return
    for k in range(run.n_working):
        at = working_at(k, run)
        row = order_at(at, run)
        force = np.int64(row["time_in_force"])
        if force == _GTC or row["first_bar"] > bar or row["status"] != _WORKING:
            continue
        clock = session_of(bar, run) if force == _DAY else load_int(run.stamp, bar)
        if force in (_DAY, _GTD) and clock > row["good_until"]:
            withdraw(at, bar, _EXPIRED, run)


@kernel_part
def tidy(run: Run) -> None:
    """Take the ended orders off the list of working ones, keeping its order."""
    kept = 0
    if run.n_ended == 0:
        return
    if run.n_ended == run.n_working:
        run.n_working = 0
        run.n_ended = 0
        return
    run.n_ended = 0
    for k in range(run.n_working):
        at = working_at(k, run)
        if order_at(at, run)["status"] == _WORKING:
            store_int(run.working, kept, at)
            kept += 1
    run.n_working = kept


@kernel_part
def ratchet(bar: int, run: Run) -> None:
    """Move trailing stops after the bars they have seen, and never back."""
    for k in range(run.n_working):
        row = order_at(working_at(k, run), run)
        if row["kind"] != _TRAILING_STOP or row["first_bar"] > bar or row["status"] != _WORKING:
            continue
        asset = np.int64(row["instrument"])
        selling = row["quantity"] < 0.0
        best = cell(run.high, bar, asset, run) if selling else cell(run.low, bar, asset, run)
        if row["since"] >= _INSIDE:  # it came to life after some of the bar
            best = cell(run.close, bar, asset, run)
        if math.isnan(best):
            continue
        distance = row["trail"] * (best if row["flags"] & TRAILS_FRACTION else 1.0)
        if selling:
            row["stop_price"] = max(row["stop_price"], best - distance)
        else:
            row["stop_price"] = min(row["stop_price"], best + distance)


@kernel_part
def split_orders(asset: int, ratio: float, run: Run) -> None:
    """Multiply quantities and divide prices of the working orders of an instrument."""
    for k in range(run.n_working):
        row = order_at(working_at(k, run), run)
        if row["instrument"] != asset or row["status"] != _WORKING:
            continue
        row["quantity"] *= ratio
        row["filled"] *= ratio
        if not row["flags"] & TRAILS_FRACTION:
            row["trail"] /= ratio
        if row["flags"] & IS_OFFSET:
            continue
        row["limit_price"] /= ratio
        row["stop_price"] /= ratio


@kernel_part
def is_too_small(bar: int, at: int, run: Run) -> bool:
    """Say whether an order is below one lot or the minimum notional at the last close.

    Notes
    -----
    What closes a position whole is never too small; without a price nothing can be said.
    """
    row = order_at(at, run)
    asset = np.int64(row["instrument"])
    quantity = row["quantity"]
    if row["flags"] & SIZED_AT_FILL:
        return False
    if quantity == 0.0:
        return True
    if quantity == -load(run.position, asset):
        return False
    notional = abs(quantity) * load(run.mark, asset) * unit_value(bar, asset, _CLOSE, run)
    return bool(0.0 < notional < run.minimum_notional)


@kernel_part
def accept(bar: int, at: int, run: Run) -> None:
    """Bring an order onto lots and ticks, fix its session, and refuse what is too small."""
    row = order_at(at, run)
    asset = np.int64(row["instrument"])
    lot = load(run.lot, asset)
    if lot > 0.0 and row["quantity"] != -load(run.position, asset):
        row["quantity"] = whole_lots(row["quantity"], lot)
    tick = load(run.tick, asset)
    if tick > 0.0 and not row["flags"] & IS_OFFSET:
        buys = row["quantity"] > 0.0
        row["limit_price"] = on_tick(row["limit_price"], tick, not buys)
        row["stop_price"] = on_tick(row["stop_price"], tick, buys)
    if row["time_in_force"] == _DAY and row["first_bar"] != NEVER:
        first = min(row["first_bar"], run.n_bars - 1)
        row["good_until"] = session_of(first, run)
    if lot > 0.0 or run.minimum_notional > 0.0:
        waits_for_parent = row["parent"] >= 0
        too_small = row["quantity"] == 0.0 if waits_for_parent else is_too_small(bar, at, run)
        if too_small:
            reject(at, bar, _TOO_SMALL, run)
