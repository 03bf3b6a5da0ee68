"""One instrument that follows targets by market orders, without the book's detours.

Minute bars of a single instrument are the commonest run and the longest. Here at most one order
works, and nothing but the next open can meet it: what is left of a step is the decision, the check
of buying power, and the fill. Those are the functions of the general step, so the numbers are
its numbers, bit for bit; a test holds the two together.
"""

import math

import numpy as np

from backtests.engine.book import end_order, reject
from backtests.engine.coasting import coast
from backtests.engine.costs import commission_rate, cost_of, cost_per_unit
from backtests.engine.deciding import place_target
from backtests.engine.dtypes import (
    CHARGED,
    SIZED_AT_FILL,
    Moment,
    OrderReason,
    OrderStatus,
    Run,
    wide,
)
from backtests.engine.execution import size
from backtests.engine.granting import TOLERANCE, closing_part
from backtests.engine.memory import batch_at, load, load_int, order_at, store, working_at
from backtests.engine.settlement import record_fill, settle_batch
from numerics.compilation import kernel_part

_OPEN = wide(Moment.OPEN)
_FILLED = wide(OrderStatus.FILLED)
_PARTLY_FILLED = wide(OrderStatus.PARTLY_FILLED)
_BUYING_POWER = wide(OrderReason.BUYING_POWER)
_NONE = wide(OrderReason.NONE)
_WORKING = wide(OrderStatus.WORKING)
_FIRST = wide(0)
_ALONE = wide(1)
_NOT_CALLED = np.bool_(False)


@kernel_part
def run_alone(bar: int, stop: int, run: Run) -> int:
    """Run bars from `bar` on; return the first that needs the full step, or `stop`."""
    while True:
        if run.n_working > 0 and (bar == stop or not _fill(bar, run)):
            return bar
        bar = coast(bar, stop, run)
        if bar == stop or not _decide(bar, run):
            return bar
        bar += 1


@kernel_part
def _has_action(bar: int, run: Run) -> bool:
    at = run.next_action
    return bool(at < run.n_action_bars and load_int(run.action_bars, at) == bar)


@kernel_part
def _decide(bar: int, run: Run) -> bool:
    """Mark a bar and place its target; False where the bar needs the full step."""
    at = run.next_decision
    if at >= run.n_decisions or load_int(run.decision_bar, at) != bar or _has_action(bar, run):
        return False
    close = load(run.close, bar)
    position = load(run.position, _FIRST)
    equity = run.cash + position * close
    is_sound = equity >= run.maintenance * abs(position) * close  # not where a price is missing
    if not is_sound or run.n_orders == run.max_orders or run.n_fills == run.max_fills:
        return False
    if run.skips_curve == 0:
        store(run.equity_curve, bar, equity)
    store(run.mark, _FIRST, close)
    run.equity = equity
    run.next_decision = at + 1
    target = load(run.values, load_int(run.decision_row, at))
    place_target(bar, _FIRST, target, _NOT_CALLED, run)
    return True


@kernel_part
def _fill(bar: int, run: Run) -> bool:
    """Fill the waiting order at the open of a bar; False where the bar needs the full step."""
    price = load(run.open, bar)
    if math.isnan(price) or _has_action(bar, run) or run.n_working > 1:
        return False
    at = working_at(_FIRST, run)
    order = order_at(at, run)
    if order["flags"] & SIZED_AT_FILL != 0:
        size(bar, _OPEN, at, price, run)
    if order["status"] == _WORKING:
        meeting = batch_at(_FIRST, run)
        meeting["row"] = at
        meeting["quantity"] = order["quantity"]
        meeting["price"] = price
        meeting["is_ambiguous"] = 0
        quantity = order["quantity"]
        if _is_covered(bar, quantity, price, run):
            order["filled"] = quantity
            end_order(at, bar, _FILLED, _NONE, run)
            record_fill(bar, _OPEN, _FIRST, quantity, run)
        elif load(run.position, _FIRST) == 0.0 and run.scales_on_shortfall:
            _fill_scaled(bar, at, quantity, price, run)
        else:
            settle_batch(bar, _OPEN, _ALONE, run)
    run.n_working = 0
    run.n_ended = 0
    return True


@kernel_part
def _fill_scaled(bar: int, at: int, quantity: float, price: float, run: Run) -> None:
    """Fill what buying power allows of an order that opens a position; see `granting`."""
    order = order_at(at, run)
    rate = commission_rate(run)
    cost = cost_per_unit(
        bar, _FIRST, _OPEN, quantity, price, np.int64(order["kind"]), rate, run
    )  # fmt: skip
    equity = run.cash - (run.commission_minimum + run.commission_per_order)
    units = abs(quantity)
    share = run.max_leverage * equity / (units * price + run.max_leverage * (units * cost))
    granted = min(1.0, max(0.0, share)) * quantity
    if granted == 0.0:
        reject(at, bar, _BUYING_POWER, run)
        return
    order["filled"] = granted
    if granted == quantity:
        end_order(at, bar, _FILLED, _NONE, run)
    else:
        end_order(at, bar, _PARTLY_FILLED, _BUYING_POWER, run)
    record_fill(bar, _OPEN, _FIRST, granted, run)


@kernel_part
def _is_covered(bar: int, quantity: float, price: float, run: Run) -> bool:
    """Say whether buying power covers an order whole."""
    position = load(run.position, _FIRST)
    if run.max_leverage == math.inf or quantity == closing_part(position, quantity):
        return True
    order = order_at(working_at(_FIRST, run), run)
    cost = cost_of(
        bar, _FIRST, _OPEN, quantity, price, np.int64(order["kind"]),
        order["flags"] & CHARGED == 0, commission_rate(run), run,
    )  # fmt: skip
    equity = run.cash - cost
    if position != 0.0:
        equity += position * price
    gross = abs(position + quantity) * price
    return bool(gross <= run.max_leverage * equity + TOLERANCE * abs(equity))
