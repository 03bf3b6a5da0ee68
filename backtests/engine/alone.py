"""One instrument that follows targets by market orders, without the book's detours.

Minute bars of a single instrument are the commonest run and the longest. Here at most one market
order works, nothing but the next open can meet it, and what it pays per unit does not depend on how
much it trades: what is left of a step is the decision, the check of buying power, and the fill. The
exits that an entry may bring with it are watched by `coasting` and filled by `guarding`. The
numbers are those of the general step, bit for bit; a test holds the two together. Whatever is out
of the ordinary is left to the general step: nothing has been written by then.
"""

import math

import numpy as np

from backtests.engine.book import append_order, tidy
from backtests.engine.coasting import coast
from backtests.engine.costs import commission, outright_cost, tax, tax_rate
from backtests.engine.deciding import wanted_change
from backtests.engine.dtypes import (
    CHARGED,
    SIZED_AT_FILL,
    Moment,
    OrderKind,
    OrderReason,
    OrderSource,
    OrderStatus,
    Run,
    TargetKind,
    wide,
)
from backtests.engine.granting import TOLERANCE, closing_part
from backtests.engine.guarding import leaves_exits_alone, meet_exits, tell_exits
from backtests.engine.memory import load, load_int, order_at, store, store_int
from backtests.engine.relatives import attach_bracket
from backtests.engine.settlement import record_outright
from numerics.compilation import inlined_part, kernel_part

_OPEN = wide(Moment.OPEN)
_FILLED = wide(OrderStatus.FILLED)
_PARTLY_FILLED = wide(OrderStatus.PARTLY_FILLED)
_BUYING_POWER = wide(OrderReason.BUYING_POWER)
_NONE = wide(OrderReason.NONE)
_MARKET = wide(OrderKind.MARKET)
_TARGET = wide(OrderSource.TARGET)
_WEIGHTS = wide(TargetKind.WEIGHTS)
_UNITS = wide(TargetKind.UNITS)
_FIRST = wide(0)
_NO_FLAGS = wide(0)
_IS_FIRST = np.bool_(True)
_MOST_ORDERS = wide(3)  # of a decision: an entry and its two exits


@kernel_part
def run_alone(bar: int, stop: int, run: Run) -> int:
    """Run bars from `bar` on; return the first that needs the full step, or `stop`."""
    while bar < stop:
        if run.n_working > 0 and not _meet(bar, run):
            return bar
        began, bar = bar, coast(bar, stop, run)
        if run.n_working > 0 and bar > began:
            continue  # exits wait, and the bar may have reached one
        if bar == stop or not _decide(bar, run):
            return bar
        bar += 1
    return bar


@inlined_part
def _meet(bar: int, run: Run) -> bool:
    """Let what waits meet a bar; False where the bar needs the full step."""
    if _has_action(bar, run):
        return False
    waiting = load_int(run.order_of, _FIRST)
    if waiting < 0:
        return meet_exits(bar, run)
    return _fill(bar, waiting, run)


@inlined_part
def _has_action(bar: int, run: Run) -> bool:
    at = run.next_action
    return bool(at < run.n_action_bars and load_int(run.action_bars, at) == bar)


@inlined_part
def _decide(bar: int, run: Run) -> bool:
    """Mark a bar and place its target; False where the bar needs the full step."""
    at = run.next_decision
    if at >= run.n_decisions or load_int(run.decision_bar, at) != bar or _has_action(bar, run):
        return False
    close = load(run.close, bar)
    position = load(run.position, _FIRST)
    equity = run.cash + position * close
    is_sound = equity >= run.maintenance * abs(position) * close  # not where a price is missing
    if not is_sound or run.n_orders + _MOST_ORDERS > run.max_orders:
        return False
    target = load(run.values, load_int(run.decision_row, at))
    quantity = 0.0
    if not (math.isnan(target) or _is_held(target, position, run)):
        if load_int(run.is_delisted, _FIRST) or abs(target) == math.inf or equity <= 0.0:
            return False  # refused, and with a reason
        if position != 0.0 and target != 0.0 and _has_exits(run):
            return False  # enlarged or turned round under its exits
        quantity = wanted_change(target, position, close, equity, run)
    if run.skips_curve == 0:
        store(run.equity_curve, bar, equity)
    store(run.mark, _FIRST, close)
    run.equity = equity
    run.next_decision = at + 1
    if quantity != 0.0:
        _order(bar, target, quantity, run)
    return True


@inlined_part
def _has_exits(run: Run) -> bool:
    return bool(run.stop_loss == run.stop_loss or run.take_profit == run.take_profit)


@inlined_part
def _is_held(target: float, position: float, run: Run) -> bool:
    return bool(target == position and (target == 0.0 or run.target_kind == _UNITS))


@inlined_part
def _order(bar: int, target: float, quantity: float, run: Run) -> None:
    is_amount = run.target_kind != _UNITS and target != 0.0
    flags = SIZED_AT_FILL if run.sized_at_fill and is_amount else _NO_FLAGS
    at = append_order(bar, _FIRST, quantity, _MARKET, _TARGET, flags, run)
    order_at(at, run)["target"] = target
    store_int(run.order_of, _FIRST, at)
    if target != 0.0 and _has_exits(run):
        attach_bracket(at, run)


@inlined_part
def _fill(bar: int, at: int, run: Run) -> bool:
    """Fill the waiting order at the open of a bar; False where the bar needs the full step."""
    price = load(run.open, bar)
    if math.isnan(price) or run.n_fills == run.max_fills:
        return False
    order = order_at(at, run)
    position = load(run.position, _FIRST)
    asked = order["quantity"]
    if order["flags"] & SIZED_AT_FILL != 0:
        asked = _sized(order["target"], position, price, run)
    if asked == 0.0:
        return False
    spread, slip, paid = outright_cost(price, asked, run)
    if not paid > 0.0:
        return False
    if run.n_working > 1 and not leaves_exits_alone(bar, at, asked, price, paid, run):
        return False
    quantity = _granted(asked, position, price, spread + slip, paid, run)
    if quantity == 0.0:
        return False
    order["quantity"] = asked
    order["filled"] = quantity
    order["flags"] = CHARGED
    is_whole = quantity == asked
    order["status"] = _FILLED if is_whole else _PARTLY_FILLED
    order["reason"] = _NONE if is_whole else _BUYING_POWER
    order["closed_bar"] = bar
    store_int(run.order_of, _FIRST, -1)
    record_outright(bar, _OPEN, at, quantity, price, spread, slip, paid, run)
    if run.n_working == 1:
        run.n_working = 0
    else:
        tell_exits(bar, at, quantity, paid, run)
        run.n_ended += 1
        tidy(run)
    return True


@inlined_part
def _sized(target: float, position: float, price: float, run: Run) -> float:
    """Return the units that bring the position to a target at this price."""
    amount = target
    if run.target_kind == _WEIGHTS:
        amount *= run.cash + position * price
    return amount / price - position


@inlined_part
def _granted(
    asked: float, position: float, price: float, adverse: float, paid: float, run: Run
) -> float:
    """Return what buying power covers of an order; 0 where the general step must say."""
    leverage = run.max_leverage
    if leverage == math.inf or asked == closing_part(position, asked):
        return asked
    units = abs(asked)
    notional = units * paid
    fee = commission(asked, notional, _IS_FIRST, run.commission_rate, run)
    equity = run.cash - (units * adverse + fee + tax(asked, notional, run))
    if position != 0.0:
        equity += position * price
    if abs(position + asked) * price <= leverage * equity + TOLERANCE * abs(equity):
        return asked
    if position != 0.0 or not run.scales_on_shortfall:
        return 0.0
    rate = run.commission_rate + tax_rate(asked, run)
    cost = adverse + paid * rate + run.commission_per_share
    equity = run.cash - (run.commission_minimum + run.commission_per_order)
    share = leverage * equity / (units * price + leverage * (units * cost))
    return min(1.0, max(0.0, share)) * asked
