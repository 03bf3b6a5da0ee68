"""Working orders meet a bar: at its open, inside it, at its close.

Which order of one instrument comes first inside a bar is what the bar does not say; see
`matching.precedence`. Orders of different instruments do not depend on each other but for the
account's buying power, and take their turn as they were submitted.
"""

import math

import numpy as np

from backtests.engine.book import (
    end_expired,
    ratchet,
    reject,
    tidy,
    whole_lots,
    withdraw,
)
from backtests.engine.costs import is_passive, measured_spread
from backtests.engine.dtypes import (
    IS_OFFSET,
    IS_TRIGGERED,
    NEXT_OPEN,
    REDUCES_ONLY,
    SIZED_AT_FILL,
    Moment,
    OrderKind,
    OrderReason,
    OrderStatus,
    Policy,
    Row,
    Run,
    TimeInForce,
    wide,
)
from backtests.engine.granting import closing_part, equity_now
from backtests.engine.matching import (
    first_crossing,
    is_certain_after,
    is_limit_met,
    is_stop_kind,
    is_stop_met,
    precedence,
)
from backtests.engine.memory import (
    batch_at,
    cell,
    load,
    load_int,
    order_at,
    store,
    working_at,
)
from backtests.engine.settlement import settle_batch
from backtests.engine.valuation import unit_value
from numerics.compilation import inlined_part, kernel_part

_WORKING = wide(OrderStatus.WORKING)
_TOO_SMALL = wide(OrderReason.TOO_SMALL)
_NOT_AT_ONCE = wide(OrderReason.NOT_AT_ONCE)
_MARKET = wide(OrderKind.MARKET)
_LIMIT = wide(OrderKind.LIMIT)
_STOP_LIMIT = wide(OrderKind.STOP_LIMIT)
_ON_OPEN = wide(OrderKind.MARKET_ON_OPEN)
_ON_CLOSE = wide(OrderKind.MARKET_ON_CLOSE)
_OPEN = wide(Moment.OPEN)
_INSIDE = wide(Moment.INSIDE)
_CLOSE = wide(Moment.CLOSE)
_IOC = wide(TimeInForce.IOC)
_FOK = wide(TimeInForce.FOK)
_OPTIMISTIC = wide(Policy.OPTIMISTIC)
_PESSIMISTIC = wide(Policy.PESSIMISTIC)
_PATH = wide(Policy.PATH)
_ROUNDING = 1e-12  # of a bar's volume: what is left below it is none
_COARSE, _FINE = np.bool_(False), np.bool_(True)
_CERTAIN = wide(0)
_FIRST = wide(0)
_NOBODY = wide(-1)


@inlined_part
def meet(bar: int, run: Run) -> None:
    """Let the working orders meet a bar."""
    if run.max_participation < math.inf:
        for asset in range(run.n_assets):
            store(run.traded, asset, 0.0)
    end_expired(bar, run)
    if run.has_opens:
        meet_at_once(bar, _OPEN, bar, _COARSE, run)
        if run.n_working > run.n_ended:
            _meet_inside(bar, run)
    if not run.has_opens or run.n_working > run.n_ended:
        meet_at_once(bar, _CLOSE, bar, _COARSE, run)


@inlined_part
def after_bar(bar: int, run: Run) -> None:
    """End what may not wait, move trailing stops, and tidy the list of working orders."""
    tidy(run)
    if run.attended > 0:
        for k in range(run.n_working):
            at = working_at(k, run)
            row = order_at(at, run)
            if row["first_bar"] <= bar and row["time_in_force"] in (_IOC, _FOK):
                withdraw(at, bar, _NOT_AT_ONCE, run)
        ratchet(bar, run)
        tidy(run)
    if run.linked > 0:
        for k in range(run.n_working):
            order_at(working_at(k, run), run)["since"] = 0


@inlined_part
def _single_price(at_row: int, asset: int, moment: int, is_fine: bool, run: Run) -> float:
    """Return the open, or the close, of a bar or of a finer one."""
    if moment == _CLOSE:
        return cell(run.close, at_row, asset, run)
    return cell(run.fine_open if is_fine else run.open, at_row, asset, run)


@kernel_part
def _prices(at_row: int, asset: int, is_fine: bool, run: Run) -> tuple[float, float, float, float]:
    """Return open, high, low and close of a bar, or of a finer one."""
    if is_fine:
        return (
            cell(run.fine_open, at_row, asset, run),
            cell(run.fine_high, at_row, asset, run),
            cell(run.fine_low, at_row, asset, run),
            cell(run.fine_close, at_row, asset, run),
        )
    return (
        cell(run.open, at_row, asset, run),
        cell(run.high, at_row, asset, run),
        cell(run.low, at_row, asset, run),
        cell(run.close, at_row, asset, run),
    )


@kernel_part
def meet_at_once(bar: int, moment: int, at_row: int, is_fine: bool, run: Run) -> None:
    """Fill what one price fills: an open or a close of the bar, or of a finer one."""
    n = _FIRST
    for k in range(run.n_working):
        at = working_at(k, run)
        row = order_at(at, run)
        if row["first_bar"] > bar or row["status"] != _WORKING:
            continue
        if row["flags"] & REDUCES_ONLY != 0 and _left(row, run) == 0.0:
            continue  # without a position its stop is not met either
        asset = np.int64(row["instrument"])
        price = _single_price(at_row, asset, moment, is_fine, run)
        if math.isnan(price):
            continue
        spread = measured_spread(bar, asset, moment, run)
        if not _is_met(row, moment, price, spread, run):
            continue
        n = _collect(bar, moment, at, price, _CERTAIN, n, run)
    if n > 0:
        settle_batch(bar, moment, n, run)


@inlined_part
def _is_met(row: Row, moment: int, price: float, spread: float, run: Run) -> bool:
    """Say whether an order fills at this one price; notes a stop that was met."""
    kind = np.int64(row["kind"])
    if kind == _MARKET:
        at_open = run.fills_at == NEXT_OPEN and run.has_opens
        return bool(moment == _OPEN if at_open else moment == _CLOSE)
    if kind == _ON_OPEN:
        return bool(moment == _OPEN or not run.has_opens)
    if kind == _ON_CLOSE:
        return bool(moment == _CLOSE)
    if moment == _CLOSE and run.has_opens:
        return False  # the inside of the bar has seen its close
    side = 1.0 if row["quantity"] > 0.0 else -1.0
    quoted = price + side * spread
    if is_stop_kind(kind) and row["flags"] & IS_TRIGGERED == 0:
        if not is_stop_met(quoted, side, row["stop_price"]):
            return False
        row["flags"] |= IS_TRIGGERED
    if kind in (_LIMIT, _STOP_LIMIT):
        return is_limit_met(quoted, side, row["limit_price"], run.fills_through)
    return True


@kernel_part
def _collect(
    bar: int, moment: int, at: int, price: float, is_ambiguous: int, n: int, run: Run
) -> int:
    """Put what may fill of an order into the batch and return the batch's new length."""
    row = order_at(at, run)
    if row["flags"] & SIZED_AT_FILL != 0:
        size(bar, moment, at, price, run)
        if row["status"] != _WORKING:
            return n
    left = _left(row, run)
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
def size(bar: int, moment: int, at: int, price: float, run: Run) -> None:
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


@inlined_part
def _meet_inside(bar: int, run: Run) -> None:
    """Walk the inside of a bar, through its finer bars where there are any."""
    first, last = 0, 0
    if run.fine_first != 0:
        first, last = load_int(run.fine_first, bar), load_int(run.fine_first, bar + 1)
    if first == last:
        meet_stretch(bar, bar, _COARSE, run)
        return
    for row in range(first, last):
        if row > first:
            meet_at_once(bar, _INSIDE, row, _FINE, run)
            _move_since(_INSIDE, _OPEN, run)
        meet_stretch(bar, row, _FINE, run)
        _move_since(_OPEN, _CLOSE, run)
        _move_since(_INSIDE, _CLOSE, run)


@kernel_part
def _move_since(before: int, now: int, run: Run) -> None:
    """Say from which moment of the coming stretch the orders count that a fill just woke.

    Notes
    -----
    The open of the stretch; or the close of a stretch that is over, which bears on nothing but
    what a trailing stop may have seen of the bar.
    """
    if run.linked > 0:
        for k in range(run.n_working):
            row = order_at(working_at(k, run), run)
            if row["since"] == before and row["status"] == _WORKING:
                row["since"] = now


@kernel_part
def meet_stretch(bar: int, at_row: int, is_fine: bool, run: Run) -> None:
    """Fill what the range of a bar reaches, each order by its precedence, until nothing moves."""
    if run.policy == _PATH:
        for asset in range(run.n_assets):
            store(run.clock, asset, 0.0)
    while True:
        best, best_flag = _NOBODY, _CERTAIN
        best_rank, best_price = math.inf, 0.0
        for k in range(run.n_working):
            at = working_at(k, run)
            row = order_at(at, run)
            if row["first_bar"] > bar or row["status"] != _WORKING:
                continue
            if row["kind"] in (_MARKET, _ON_OPEN, _ON_CLOSE) or row["flags"] & IS_OFFSET != 0:
                continue
            if not _has_room(bar, row, run):
                continue
            price, rank, flag = _inside(bar, at, at_row, is_fine, run)
            if rank < best_rank:
                best, best_rank, best_price, best_flag = at, rank, price, flag
        if best < 0:
            break
        _fill_inside(bar, best, best_rank, best_price, best_flag, at_row, is_fine, run)
    _note_unfilled(bar, at_row, is_fine, run)


@inlined_part
def _note_unfilled(bar: int, at_row: int, is_fine: bool, run: Run) -> None:
    """Remember the stops that were met without a fill, and count what another policy had filled."""
    for k in range(run.n_working):
        at = working_at(k, run)
        row = order_at(at, run)
        if row["first_bar"] > bar or row["status"] != _WORKING or row["flags"] & IS_OFFSET != 0:
            continue
        if row["kind"] in (_MARKET, _ON_OPEN, _ON_CLOSE) or _left(row, run) == 0.0:
            continue
        if not _is_in_range(bar, row, at_row, is_fine, run):
            continue
        waits_for_stop = is_stop_kind(np.int64(row["kind"])) and row["flags"] & IS_TRIGGERED == 0
        asset = np.int64(row["instrument"])
        o, h, b, c = _prices(at_row, asset, is_fine, run)
        level, upward = _levels(bar, row, run)
        is_certain = row["since"] != _INSIDE or _is_certain(level, upward, at, c, run)
        is_met = is_certain or run.policy == _PESSIMISTIC
        if run.policy == _PATH:
            clock = load(run.clock, asset) if row["since"] == _INSIDE else 0.0
            is_met = first_crossing(level, upward, clock, o, h, b, c) < math.inf
        if not is_certain:
            run.ambiguous += not is_met or not waits_for_stop
        if not waits_for_stop or not is_met:
            continue
        row["flags"] |= IS_TRIGGERED
        if row["kind"] == _STOP_LIMIT and is_certain:  # its limit lay behind the stop
            limit, falls = _levels(bar, row, run)
            run.ambiguous += _is_reached(limit, falls, h, b, run.fills_through) and not (
                _is_reached(limit, falls, c, c, run.fills_through)
            )


@kernel_part
def _left(row: Row, run: Run) -> float:
    """Return what an order may still fill, whatever the volume."""
    left: float = row["quantity"] - row["filled"]
    if row["flags"] & REDUCES_ONLY != 0:
        return closing_part(load(run.position, np.int64(row["instrument"])), left)
    return left


@kernel_part
def _has_room(bar: int, row: Row, run: Run) -> bool:
    """Say whether volume and position leave anything to fill."""
    left = _left(row, run)
    if left == 0.0:
        return False
    if run.max_participation == math.inf:
        return True
    fits = _within_volume(bar, np.int64(row["instrument"]), left, run)
    return bool(fits == left if row["time_in_force"] == _FOK else fits != 0.0)


@inlined_part
def _fill_inside(
    bar: int, at: int, rank: float, price: float, flag: int, at_row: int, is_fine: bool, run: Run
) -> None:
    """Fill one order inside the bar, and say whether another policy would have filled another."""
    row = order_at(at, run)
    asset = np.int64(row["instrument"])
    if run.policy == _PATH:
        store(run.clock, asset, rank)
    if flag == 0 and row["group"] >= 0:
        flag = _has_reachable_sibling(bar, at, at_row, is_fine, run)
    run.ambiguous += flag
    if is_stop_kind(np.int64(row["kind"])):
        row["flags"] |= IS_TRIGGERED  # what volume leaves of it does not wait for the stop again
    n = _collect(bar, _INSIDE, at, price, flag, _FIRST, run)
    if n > 0:
        settle_batch(bar, _INSIDE, n, run)


@kernel_part
def _has_reachable_sibling(bar: int, at: int, at_row: int, is_fine: bool, run: Run) -> int:
    group = order_at(at, run)["group"]
    for k in range(run.n_working):
        other = working_at(k, run)
        row = order_at(other, run)
        if other == at or row["group"] != group or row["status"] != _WORKING:
            continue
        if row["first_bar"] <= bar and _is_in_range(bar, row, at_row, is_fine, run):
            return 1
    return 0


@kernel_part
def _levels(bar: int, row: Row, run: Run) -> tuple[float, bool]:
    """Return the mid price at which an order is met next, and whether from below."""
    side = 1.0 if row["quantity"] > 0.0 else -1.0
    spread = measured_spread(bar, np.int64(row["instrument"]), _INSIDE, run)
    waits_for_stop = is_stop_kind(np.int64(row["kind"])) and row["flags"] & IS_TRIGGERED == 0
    if waits_for_stop:
        return row["stop_price"] - side * spread, side > 0.0
    return row["limit_price"] - side * spread, side < 0.0


@kernel_part
def _is_reached(level: float, upward: bool, high: float, low: float, strictly: bool) -> bool:
    if strictly:
        return bool(high > level if upward else low < level)
    return bool(high >= level if upward else low <= level)


@kernel_part
def _is_in_range(bar: int, row: Row, at_row: int, is_fine: bool, run: Run) -> bool:
    asset = np.int64(row["instrument"])
    _, high, low, _ = _prices(at_row, asset, is_fine, run)
    level, upward = _levels(bar, row, run)
    strictly = run.fills_through and is_passive(np.int64(row["kind"]))
    return _is_reached(level, upward, high, low, strictly)


@kernel_part
def _inside(bar: int, at: int, at_row: int, is_fine: bool, run: Run) -> tuple[float, float, int]:
    """Return price, rank and ambiguity of an order inside the bar; an infinite rank for none.

    Notes
    -----
    A stop-limit whose stop is met here fills at the stop if its limit allows that price, and
    otherwise waits for its limit: in this bar only where the path, or the close, comes back to it.
    """
    row = order_at(at, run)
    asset = np.int64(row["instrument"])
    o, h, b, c = _prices(at_row, asset, is_fine, run)
    nothing = (0.0, math.inf, 0)
    if math.isnan(c):
        return nothing
    level, upward = _levels(bar, row, run)
    is_limit = row["kind"] == _LIMIT or row["flags"] & IS_TRIGGERED != 0
    strictly = is_limit and run.fills_through
    if not _is_reached(level, upward, h, b, strictly):
        return nothing
    moment = 0.0
    if run.policy == _PATH:
        moment = first_crossing(level, upward, load(run.clock, asset), o, h, b, c)
    flag = 0
    if row["since"] == _INSIDE:
        flag = 1 - _is_certain(level, upward, at, c, run)
        if run.policy == _PATH:
            if moment == math.inf:
                return nothing
        elif flag == 1 and is_limit == (run.policy != _OPTIMISTIC):
            return nothing
    elif moment == math.inf:
        return nothing
    # Its level may lie behind the price at which the order came to life.
    start = _price_when_woken(at, level, h, b, run) if row["since"] == _INSIDE else o
    price = max(level, start) if upward else min(level, start)
    if row["kind"] == _STOP_LIMIT and not is_limit:
        return _stop_limit(at, level, price, upward, moment, o, h, b, c, flag, run)
    return price, precedence(np.int64(row["kind"]), run.policy, moment), flag


@kernel_part
def _is_certain(level: float, upward: bool, at: int, c: float, run: Run) -> int:
    """Say whether the bar surely reached a level after the entry that woke the order (1 or 0)."""
    row = order_at(at, run)
    if row["parent"] < 0:  # woken by the fill of a stranger
        return 1 if (c >= level if upward else c <= level) else 0
    parent = order_at(np.int64(row["parent"]), run)
    by_limit = _fills_at_limit(parent)
    fell = (parent["quantity"] > 0.0) == by_limit
    entry = parent["limit_price"] if by_limit else parent["stop_price"]
    if entry >= level if upward else entry <= level:  # at once
        return 1
    return 1 if is_certain_after(level, upward, entry, fell, c) else 0


@kernel_part
def _fills_at_limit(parent: Row) -> bool:
    """Say whether an entry filled at its limit, not at its stop."""
    if parent["kind"] == _STOP_LIMIT:
        return bool((parent["limit_price"] < parent["stop_price"]) == (parent["quantity"] > 0.0))
    return bool(parent["kind"] == _LIMIT)


@kernel_part
def _price_when_woken(at: int, level: float, high: float, low: float, run: Run) -> float:
    """Return the price of the fill inside the bar that woke an order, its level if unknown."""
    price = level
    parent = np.int64(order_at(at, run)["parent"])
    if parent >= 0:
        entry = order_at(parent, run)
        price = entry["limit_price"] if _fills_at_limit(entry) else entry["stop_price"]
    return min(max(price, low), high)


@kernel_part
def _stop_limit(
    at: int,
    level: float,
    price: float,
    upward: bool,
    moment: float,
    o: float,
    h: float,
    b: float,
    c: float,
    flag: int,
    run: Run,
) -> tuple[float, float, int]:
    """Meet the stop of a stop-limit; note it, and fill if the limit is met after it."""
    row = order_at(at, run)
    offset = level - row["stop_price"]
    limit = row["limit_price"] + offset
    rank = precedence(np.int64(row["kind"]), run.policy, moment)
    if (limit >= price) if upward else (limit <= price):
        return price, rank, flag
    if not _is_reached(limit, not upward, h, b, run.fills_through):
        return 0.0, math.inf, 0
    is_certain = _is_reached(limit, not upward, c, c, run.fills_through)
    if run.policy == _PATH:
        moment = first_crossing(limit, not upward, moment, o, h, b, c)
        is_met = moment < math.inf
    else:
        is_met = is_certain or run.policy == _OPTIMISTIC
    if not is_met:
        return 0.0, math.inf, 0
    rank = precedence(np.int64(row["kind"]), run.policy, moment)
    return limit, rank, flag | (not is_certain)
