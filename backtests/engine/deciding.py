"""From what a strategy decides to orders in the book: targets and requests."""

import math

import numpy as np

from backtests.engine.book import (
    accept,
    append_order,
    append_refused,
    is_attended,
    is_linked,
    reject,
    withdraw,
)
from backtests.engine.dtypes import (
    IS_OFFSET,
    NEVER,
    REDUCES_ONLY,
    SAME_CLOSE,
    SIZED_AT_FILL,
    TRAILS_FRACTION,
    Fault,
    Moment,
    OrderKind,
    OrderReason,
    OrderSource,
    OrderStatus,
    RequestAction,
    Row,
    Run,
    TargetKind,
    TimeInForce,
    wide,
)
from backtests.engine.memory import (
    cell,
    load,
    load_int,
    order_at,
    request_at,
    store_int,
    working_at,
)
from backtests.engine.relatives import attach_bracket
from backtests.engine.valuation import unit_value
from numerics.compilation import kernel_part

_WEIGHTS = wide(TargetKind.WEIGHTS)
_UNITS = wide(TargetKind.UNITS)
_NOTIONAL = wide(TargetKind.NOTIONAL)
_WORKING = wide(OrderStatus.WORKING)
_NONE = wide(OrderReason.NONE)
_REPLACED = wide(OrderReason.REPLACED)
_NO_PRICE = wide(OrderReason.NO_PRICE)
_NO_EQUITY = wide(OrderReason.NO_EQUITY)
_DELISTED = wide(OrderReason.DELISTED)
_MARGIN_CALL = wide(OrderReason.MARGIN_CALL)
_WITHDRAWN = wide(OrderReason.WITHDRAWN)
_PARENT_CLOSED = wide(OrderReason.PARENT_CLOSED)
_STRATEGY = wide(OrderSource.STRATEGY)
_TARGET = wide(OrderSource.TARGET)
_MARKET = wide(OrderKind.MARKET)
_LIMIT = wide(OrderKind.LIMIT)
_STOP_LIMIT = wide(OrderKind.STOP_LIMIT)
_STOP = wide(OrderKind.STOP)
_TRAILING_STOP = wide(OrderKind.TRAILING_STOP)
_ON_CLOSE = wide(OrderKind.MARKET_ON_CLOSE)
_LAST_FORCE = wide(max(TimeInForce))
_CLOSE = wide(Moment.CLOSE)
_SUBMIT = wide(RequestAction.SUBMIT)
_CANCEL = wide(RequestAction.CANCEL)
_CANCEL_ALL = wide(RequestAction.CANCEL_ALL)

_SOUND = wide(Fault.NONE)
_BAD_INSTRUMENT = wide(Fault.INSTRUMENT)
_BAD_QUANTITY = wide(Fault.QUANTITY)
_BAD_KIND = wide(Fault.KIND)
_BAD_LIMIT = wide(Fault.LIMIT_PRICE)
_BAD_STOP = wide(Fault.STOP_PRICE)
_BAD_TRAIL = wide(Fault.TRAIL)
_BAD_PARENT = wide(Fault.PARENT)
_BAD_ORDER = wide(Fault.ORDER)

# A change this small against the position or the target is rounding, not a decision.
_ROUNDING = 1e-9


@kernel_part
def place_targets(bar: int, values_row: int, called: bool, run: Run) -> int:
    """Turn the targets of one row into orders; return the column of an infinite one, or -1.

    Parameters
    ----------
    values_row : int
        Row of the values.
    called : bool
        Whether the account has a margin call: every target is refused.

    Notes
    -----
    A target equal to the position, or within the band of it, needs no order; one that asks for
    exactly what is already waiting leaves the waiting order alone; any other replaces it. Zero
    always closes, whatever the band.
    """
    for asset in range(run.n_assets):
        target = cell(run.values, values_row, asset, run)
        if math.isnan(target):
            continue
        if target == 0.0 and load(run.position, asset) == 0.0 and load_int(run.order_of, asset) < 0:
            continue
        if abs(target) == math.inf:
            return asset
        place_target(bar, asset, target, called, run)
    return -1


@kernel_part
def place_target(bar: int, asset: int, target: float, called: bool, run: Run) -> None:
    """Turn one target into an order, unless nothing needs to change."""
    position = load(run.position, asset)
    waiting = 0.0
    at = load_int(run.order_of, asset)
    if at >= 0:
        waiting = order_at(at, run)["quantity"] - order_at(at, run)["filled"]
    elif target == position and (target == 0.0 or run.target_kind == _UNITS):
        return
    refusal = _refusal(asset, target, called, run)
    if refusal != _NONE:
        _replace(asset, bar, run)
        append_refused(bar, asset, target, refusal, run)
        return
    worth = load(run.mark, asset) * unit_value(bar, asset, _CLOSE, run)
    quantity = wanted_change(target, position, worth, run.equity, run)
    if quantity == waiting:
        return
    _replace(asset, bar, run)
    if quantity == 0.0:
        return
    is_amount = run.target_kind != _UNITS and target != 0.0
    flags = SIZED_AT_FILL if run.sized_at_fill and is_amount else 0
    at = append_order(bar, asset, quantity, _MARKET, _TARGET, flags, run)
    order_at(at, run)["target"] = target
    if run.fills_at == SAME_CLOSE:
        order_at(at, run)["first_bar"] -= 1
    store_int(run.order_of, asset, at)
    opens = target != 0.0 and (
        position == 0.0 or quantity * position > 0.0 or target * position < 0.0
    )
    may_open = opens or flags != 0  # sized at its fill, it may turn out to enlarge
    if may_open and (run.stop_loss == run.stop_loss or run.take_profit == run.take_profit):
        attach_bracket(at, run)
    accept(bar, at, run)


@kernel_part
def _refusal(asset: int, target: float, called: bool, run: Run) -> int:
    if called:
        return _MARGIN_CALL
    if load_int(run.is_delisted, asset):
        return _DELISTED
    if target == 0.0 or run.target_kind == _UNITS:
        return _NONE
    if load(run.mark, asset) == 0.0:
        return _NO_PRICE
    return _NO_EQUITY if run.equity <= 0.0 else _NONE


@kernel_part
def wanted_change(target: float, position: float, worth: float, equity: float, run: Run) -> float:
    """Return the units to trade; 0 where the change is rounding or lies within the band.

    Parameters
    ----------
    worth : float
        Account currency per unit at the last close.
    """
    if target == 0.0:
        return -position
    wanted = target
    unit = 1.0  # of the target, per unit of the instrument
    if run.target_kind == _WEIGHTS:
        wanted = target * equity / worth
        unit = worth / equity
    elif run.target_kind == _NOTIONAL:
        wanted = target / worth
        unit = worth
    change = wanted - position
    if abs(change) <= _ROUNDING * max(abs(wanted), abs(position)):
        return 0.0
    return 0.0 if run.band > 0.0 and abs(change) * unit <= run.band else change


@kernel_part
def _replace(asset: int, bar: int, run: Run) -> None:
    at = load_int(run.order_of, asset)
    if at >= 0:
        withdraw(at, bar, _REPLACED, run)


@kernel_part
def take_request(bar: int, at_request: int, first: int, called: bool, run: Run) -> int:
    """Carry out one row of a strategy's requests; return a `Fault`.

    Parameters
    ----------
    first : int
        Row of the first request that `parent` may name.
    """
    request = request_at(at_request, run)
    asset = np.int64(request["instrument"])
    if asset < 0 or asset >= run.n_assets:
        return _BAD_INSTRUMENT
    store_int(run.request_row, at_request, -1)
    if request["action"] != _SUBMIT:
        return _withdraw_as_asked(bar, request, run)
    fault = fault_of(request)
    if fault != _SOUND:
        return fault
    parent = -1
    if request["parent"] >= 0:
        if request["parent"] < first or request["parent"] >= at_request:
            return _BAD_PARENT
        parent = load_int(run.request_row, np.int64(request["parent"]))
        if parent < 0:
            return _BAD_PARENT
    at = _submit(bar, request, parent, run)
    store_int(run.request_row, at_request, at)
    row = order_at(load_int(run.request_row, at_request), run)
    if request["group"] > 0:  # named by the first of them
        row["group"] = load_int(run.request_row, at_request)
        for other in range(at_request - 1, first - 1, -1):
            if request_at(other, run)["bar"] != request["bar"]:
                break
            if request_at(other, run)["group"] == request["group"]:
                row["group"] = order_at(load_int(run.request_row, other), run)["group"]
                break
    run.attended += is_attended(row)
    run.linked += is_linked(row)
    at = load_int(run.request_row, at_request)
    if called:
        reject(at, bar, _MARGIN_CALL, run)
    elif load_int(run.is_delisted, asset):
        reject(at, bar, _DELISTED, run)
    elif parent >= 0 and order_at(parent, run)["status"] != _WORKING:
        withdraw(at, bar, _PARENT_CLOSED, run)
    elif math.isnan(row["stop_price"]) and row["kind"] == _TRAILING_STOP and parent < 0:
        reject(at, bar, _NO_PRICE, run)
    else:
        accept(bar, at, run)
    return _SOUND


@kernel_part
def _submit(bar: int, request: Row, parent: int, run: Run) -> int:
    at = append_order(
        bar,
        np.int64(request["instrument"]),
        request["quantity"],
        np.int64(request["kind"]),
        _STRATEGY,
        request["flags"] & (IS_OFFSET | REDUCES_ONLY | TRAILS_FRACTION),
        run,
    )
    row = order_at(at, run)
    row["limit_price"] = request["limit_price"]
    row["stop_price"] = request["stop_price"]
    row["trail"] = request["trail"]
    row["good_until"] = request["good_until"]
    row["time_in_force"] = np.int64(request["time_in_force"])
    row["parent"] = parent
    if run.fills_at == SAME_CLOSE and row["kind"] in (_MARKET, _ON_CLOSE):
        row["first_bar"] -= 1
    if parent >= 0:
        row["first_bar"] = NEVER
    else:
        row["flags"] &= ~IS_OFFSET
        if row["kind"] == _TRAILING_STOP and math.isnan(row["stop_price"]):
            mark = load(run.mark, np.int64(row["instrument"]))
            distance = row["trail"] * (mark if row["flags"] & TRAILS_FRACTION != 0 else 1.0)
            if mark > 0.0:
                row["stop_price"] = mark + math.copysign(distance, row["quantity"])
    return at


@kernel_part
def _withdraw_as_asked(bar: int, request: Row, run: Run) -> int:
    if request["action"] == _CANCEL_ALL:
        for k in range(run.n_working):
            at = working_at(k, run)
            row = order_at(at, run)
            if row["instrument"] == request["instrument"] and row["status"] == _WORKING:
                withdraw(at, bar, _WITHDRAWN, run)
        return _SOUND
    if request["action"] != _CANCEL:
        return _BAD_KIND
    for k in range(run.n_working):
        if working_at(k, run) == request["parent"]:
            withdraw(np.int64(request["parent"]), bar, _WITHDRAWN, run)
            return _SOUND
    return _BAD_ORDER


@kernel_part
def fault_of(request: Row) -> int:
    """Return what makes a request meaningless, as a `Fault`."""
    quantity = request["quantity"]
    if not (0.0 < abs(quantity) < math.inf):
        return _BAD_QUANTITY
    if request["flags"] & IS_OFFSET and request["parent"] < 0:
        return _BAD_PARENT
    kind = np.int64(request["kind"])
    if kind < _MARKET or kind > _ON_CLOSE:
        return _BAD_KIND
    if request["time_in_force"] < 0 or request["time_in_force"] > _LAST_FORCE:
        return _BAD_KIND
    if kind in (_LIMIT, _STOP_LIMIT) and not (0.0 < request["limit_price"] < math.inf):
        return _BAD_LIMIT
    if kind in (_STOP, _STOP_LIMIT) and not (0.0 < request["stop_price"] < math.inf):
        return _BAD_STOP
    if kind == _TRAILING_STOP and not (0.0 < request["trail"] < math.inf):
        return _BAD_TRAIL
    if kind == _TRAILING_STOP and request["flags"] & TRAILS_FRACTION and request["trail"] >= 1.0:
        return _BAD_TRAIL
    return _SOUND
