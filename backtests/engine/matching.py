"""From targets to orders, and what part of an order closes or opens a position."""

import math

from backtests.engine.dtypes import (
    EQUITY,
    ORDERS,
    WAITING,
    Books,
    Decisions,
    OrderReason,
    OrderStatus,
    Rules,
    State,
    TargetKind,
)
from numerics.compilation import njit

_WEIGHTS = int(TargetKind.WEIGHTS)
_UNITS = int(TargetKind.UNITS)
_NOTIONAL = int(TargetKind.NOTIONAL)
_WORKING = int(OrderStatus.WORKING)
_REJECTED = int(OrderStatus.REJECTED)
_CANCELLED = int(OrderStatus.CANCELLED)
_NONE = int(OrderReason.NONE)
_REPLACED = int(OrderReason.REPLACED)
_NO_PRICE = int(OrderReason.NO_PRICE)
_NO_EQUITY = int(OrderReason.NO_EQUITY)

# A change this small against the position or the target is rounding, not a decision.
_ROUNDING = 1e-9


@njit(cache=True, error_model="numpy")
def closing_part(position: float, quantity: float) -> float:
    """Return the part of an order that reduces the position, up to closing it [units]."""
    if position * quantity >= 0.0:
        return 0.0
    return quantity if abs(quantity) <= abs(position) else -position


@njit(cache=True, error_model="numpy")
def place_orders(bar: int, decisions: Decisions, rules: Rules, state: State, books: Books) -> None:
    """Turn the targets decided at the close of `bar` into orders that work from the next bar.

    Notes
    -----
    A target equal to the position, or within the band of it, needs no order; one that asks for
    exactly what is already waiting leaves the waiting order alone; any other replaces it. Zero
    always closes, whatever the band.
    """
    for asset in range(state.position.size):
        target = decisions.values[bar, asset]
        if math.isnan(target):
            continue
        position = state.position[asset]
        waiting = state.pending[asset]
        if waiting == 0.0 and target == position and (target == 0.0 or rules.target_kind == _UNITS):
            continue
        refusal = _refusal(target, state.mark[asset], state.money[EQUITY], rules)
        if refusal != _NONE:
            _cancel_waiting(bar, asset, state, books)
            _record_order(bar, asset, target, 0.0, refusal, state, books)
            continue
        quantity = _wanted_change(target, position, state.mark[asset], state.money[EQUITY], rules)
        if quantity == waiting:
            continue
        _cancel_waiting(bar, asset, state, books)
        if quantity != 0.0:
            _record_order(bar, asset, target, quantity, _NONE, state, books)


@njit(cache=True, error_model="numpy")
def _refusal(target: float, mark: float, equity: float, rules: Rules) -> int:
    if target == 0.0 or rules.target_kind == _UNITS:
        return _NONE
    if mark == 0.0:
        return _NO_PRICE
    if equity <= 0.0:
        return _NO_EQUITY
    return _NONE


@njit(cache=True, error_model="numpy")
def _wanted_change(
    target: float, position: float, mark: float, equity: float, rules: Rules
) -> float:
    """Return the units to trade; 0 where the change is rounding or lies within the band."""
    if target == 0.0:
        return -position
    wanted = target
    unit = 1.0  # of the target, per unit of the instrument
    if rules.target_kind == _WEIGHTS:
        wanted = target * equity / mark
        unit = mark / equity
    elif rules.target_kind == _NOTIONAL:
        wanted = target / mark
        unit = mark
    change = wanted - position
    if abs(change) <= _ROUNDING * max(abs(wanted), abs(position)):
        return 0.0
    return 0.0 if abs(change) * unit <= rules.band else change


@njit(cache=True, error_model="numpy")
def _cancel_waiting(bar: int, asset: int, state: State, books: Books) -> None:
    if state.pending[asset] == 0.0:
        return
    row = books.orders[state.order_of[asset]]
    row["status"] = _CANCELLED
    row["reason"] = _REPLACED
    row["closed_bar"] = bar
    state.pending[asset] = 0.0
    state.counts[WAITING] -= 1


@njit(cache=True, error_model="numpy")
def _record_order(
    bar: int,
    asset: int,
    target: float,
    quantity: float,
    refusal: int,
    state: State,
    books: Books,
) -> None:
    at = state.counts[ORDERS]
    row = books.orders[at]
    row["bar"] = bar
    row["instrument"] = asset
    row["target"] = target
    row["quantity"] = quantity
    row["filled"] = 0.0
    row["reason"] = refusal
    state.counts[ORDERS] += 1
    if refusal != _NONE:
        row["status"] = _REJECTED
        row["closed_bar"] = bar
        return
    row["status"] = _WORKING
    row["closed_bar"] = -1
    state.pending[asset] = quantity
    state.order_of[asset] = at
    state.counts[WAITING] += 1
