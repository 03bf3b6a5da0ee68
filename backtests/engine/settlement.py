"""Booking fills: what is paid, what the order and its relatives become."""

import math

import numpy as np

from backtests.engine.accounting import book_trade
from backtests.engine.book import end_order, reject, whole_lots, withdraw
from backtests.engine.costs import commission, commission_rate, conversion, paid_per_unit, tax
from backtests.engine.dtypes import (
    CHARGED,
    REDUCES_ONLY,
    Moment,
    OrderReason,
    OrderStatus,
    Row,
    Run,
    TimeInForce,
    wide,
)
from backtests.engine.granting import closing_part, grant
from backtests.engine.memory import (
    batch_at,
    fill_at,
    load,
    order_at,
    store,
    working_at,
)
from backtests.engine.relatives import (
    activate_children,
    end_group,
    end_orphans,
    shrink_group,
    shrink_target,
)
from backtests.engine.valuation import unit_value
from numerics.compilation import inlined_part, kernel_part

_WORKING = wide(OrderStatus.WORKING)
_FILLED = wide(OrderStatus.FILLED)
_PARTLY_FILLED = wide(OrderStatus.PARTLY_FILLED)
_NONE = wide(OrderReason.NONE)
_BUYING_POWER = wide(OrderReason.BUYING_POWER)
_SIBLING = wide(OrderReason.SIBLING_FILLED)
_CLOSE = wide(Moment.CLOSE)
_FOK = wide(TimeInForce.FOK)
_FIRST = wide(0)
_IS_FIRST = np.bool_(True)
_PLAIN, _REDUCING = wide(0), wide(REDUCES_ONLY)

# Of the order: what is left below it is rounding.
_ROUNDING = 1e-12


@kernel_part
def settle_batch(bar: int, moment: int, n: int, run: Run) -> None:
    """Grant buying power to the first `n` orders of the batch and book them, sells first."""
    for i in range(n):
        batch_at(i, run)["asked"] = batch_at(i, run)["quantity"]
    grant(bar, moment, n, run)
    _settle_all(bar, moment, n, _PLAIN, run)
    if run.linked > 0:
        _settle_all(bar, moment, n, _REDUCING, run)


@kernel_part
def _settle_all(bar: int, moment: int, n: int, reducing: int, run: Run) -> None:
    """Book the orders of the batch that only reduce, or the others, sells first."""
    for sells in (True, False):
        for i in range(n):
            if (batch_at(i, run)["asked"] < 0.0) != sells:
                continue
            if order_at(batch_at(i, run)["row"], run)["flags"] & REDUCES_ONLY != reducing:
                continue
            booked = _settle(bar, moment, i, run)
            if run.max_participation < math.inf:
                _give_back(i, booked, run)


@kernel_part
def _give_back(i: int, booked: float, run: Run) -> None:
    """Leave the volume that an order of the batch reserved and did not trade to others."""
    asset = np.int64(order_at(batch_at(i, run)["row"], run)["instrument"])
    unused = abs(batch_at(i, run)["asked"]) - abs(booked)
    store(run.traded, asset, load(run.traded, asset) - unused)


@inlined_part
def _settle(bar: int, moment: int, i: int, run: Run) -> float:
    """Book one order of the batch and return its units; 0 where a relative has ended it before."""
    at = batch_at(i, run)["row"]
    order = order_at(at, run)
    if order["status"] != _WORKING:
        return 0.0
    asked = batch_at(i, run)["asked"]
    quantity = batch_at(i, run)["quantity"]
    is_cut = quantity != asked
    left = order["quantity"] - order["filled"]
    if abs(quantity) > abs(left):  # a sibling in this very batch has filled in part
        quantity = left
    if is_cut:
        quantity = _rounded(order, quantity, run)
    if order["flags"] & REDUCES_ONLY != 0:
        quantity = closing_part(load(run.position, np.int64(order["instrument"])), quantity)
    if quantity == 0.0:
        if order["filled"] != 0.0:
            withdraw(at, bar, _BUYING_POWER, run)
        else:
            reject(at, bar, _BUYING_POWER, run)
        return 0.0
    before = load(run.position, np.int64(order["instrument"]))
    order["filled"] += quantity
    if is_cut:
        end_order(at, bar, _PARTLY_FILLED, _BUYING_POWER, run)
    elif _is_whole(order):
        order["filled"] = order["quantity"]
        end_order(at, bar, _FILLED, _NONE, run)
    paid = record_fill(bar, moment, i, quantity, run)
    if run.linked > 0 or order["flags"] & REDUCES_ONLY != 0:  # of which it may have been the last
        opened = quantity - closing_part(before, quantity)
        _tell_relatives(bar, moment, at, quantity, opened, paid, run)
        if opened == before + quantity:
            _wake_reducing(bar, moment, np.int64(order["instrument"]), run)
    return quantity


@inlined_part
def _rounded(order: Row, quantity: float, run: Run) -> float:
    """Return what buying power left, in whole lots; nothing of an order that wants all or none."""
    if order["time_in_force"] == _FOK:
        return 0.0
    asset = np.int64(order["instrument"])
    if quantity == -load(run.position, asset):
        return quantity
    return whole_lots(quantity, load(run.lot, asset))


@inlined_part
def _is_whole(order: Row) -> bool:
    left = abs(order["quantity"] - order["filled"])
    return bool(left <= _ROUNDING * abs(order["quantity"]))


@kernel_part
def _tell_relatives(
    bar: int, moment: int, at: int, quantity: float, opened: float, paid: float, run: Run
) -> None:
    """Let a fill activate children, end or shrink siblings, and end what nothing is left for."""
    order = order_at(at, run)
    if order["status"] == _WORKING:
        shrink_group(at, bar, quantity, run)
    else:
        end_group(at, bar, run)
    if order["flags"] & REDUCES_ONLY != 0:
        shrink_target(np.int64(order["instrument"]), bar, quantity, run)
        if order["parent"] >= 0:  # an exit: no more of the entry
            withdraw(np.int64(order["parent"]), bar, _SIBLING, run)
    activate_children(at, bar, opened, quantity, paid, moment, run)
    end_orphans(np.int64(order["instrument"]), bar, run)


@kernel_part
def _wake_reducing(bar: int, moment: int, asset: int, run: Run) -> None:
    """Let reduce-only orders that had nothing to reduce count from the fill that opened it."""
    for k in range(run.n_working):
        row = order_at(working_at(k, run), run)
        if row["instrument"] != asset or row["flags"] & REDUCES_ONLY == 0:
            continue
        if row["status"] != _WORKING:  # ended since the list was tidied
            continue
        if row["first_bar"] <= bar and row["parent"] < 0:
            row["since"] = moment


@kernel_part
def record_fill(bar: int, moment: int, i: int, quantity: float, run: Run) -> float:
    """Write the fill and its costs, move the account, and return the price paid."""
    order = order_at(batch_at(i, run)["row"], run)
    asset = np.int64(order["instrument"])
    kind = np.int64(order["kind"])
    price = batch_at(i, run)["price"]
    paid, spread, slip, impact = paid_per_unit(bar, asset, moment, quantity, price, kind, run)
    value = unit_value(bar, asset, moment, run)
    size = abs(quantity) * value
    notional = size * paid
    is_first = order["flags"] & CHARGED == 0
    fee = commission(quantity, notional, is_first, commission_rate(run), run)
    order["flags"] |= CHARGED
    taxed = tax(quantity, notional, run)
    changed = conversion(asset, notional, run)
    row = fill_at(run.n_fills, run)
    row["quantity"] = quantity
    row["reference_price"] = price
    row["price"] = paid
    row["commission"] = fee
    row["tax"] = taxed
    row["half_spread"] = size * spread
    row["slippage"] = size * slip
    row["impact"] = size * impact
    row["conversion"] = changed
    costs = total_of(row)
    book_trade(asset, quantity, price * value, costs, run)
    row["position"] = load(run.position, asset)
    row["bar"] = bar
    row["instrument"] = asset
    row["order"] = batch_at(i, run)["row"]
    row["moment"] = moment
    row["is_ambiguous"] = batch_at(i, run)["is_ambiguous"]
    run.n_fills += 1
    run.month_notional += notional
    return paid


@inlined_part
def record_outright(
    bar: int, moment: int, at: int, quantity: float, price: float, spread: float, slip: float,
    paid: float, run: Run,
) -> None:  # fmt: skip
    """Do what `record_fill` does, for a lone instrument's order at a price known to be paid.

    Notes
    -----
    The instrument is the first and plain; the order has not been charged before; no impact.
    """
    size = abs(quantity)
    notional = size * paid
    fee = commission(quantity, notional, _IS_FIRST, run.commission_rate, run)
    taxed = tax(quantity, notional, run)
    half, slipped = size * spread, size * slip
    run.month_notional += notional
    # As `total_of` adds them up; worked out before it is written down, so nothing is read back.
    book_trade(_FIRST, quantity, price, fee + taxed + half + slipped, run)
    row = fill_at(run.n_fills, run)
    run.n_fills += 1
    row["quantity"] = quantity
    row["reference_price"] = price
    row["price"] = paid
    row["commission"] = fee
    row["tax"] = taxed
    row["half_spread"] = half
    row["slippage"] = slipped
    row["impact"] = 0.0
    row["conversion"] = 0.0
    row["position"] = load(run.position, _FIRST)
    row["bar"] = bar
    row["instrument"] = 0
    row["order"] = at
    row["moment"] = moment
    row["is_ambiguous"] = 0


@kernel_part
def total_of(fill: Row) -> float:
    """Return all costs of a fill [account currency], always added up in this order."""
    return (
        fill["commission"]
        + fill["tax"]
        + fill["half_spread"]
        + fill["slippage"]
        + fill["impact"]
        + fill["conversion"]
    )
