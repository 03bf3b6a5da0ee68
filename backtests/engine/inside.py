"""Working orders meet the range of a bar, or of one of its finer bars.

Which order of one instrument comes first inside a bar is what the bar does not say; see
`matching.precedence`. Orders of different instruments do not depend on each other but for the
account's buying power, and take their turn as they were submitted.
"""

import math

import numpy as np

from backtests.engine.batching import collect, has_room, left_of
from backtests.engine.costs import is_passive, measured_spread
from backtests.engine.dtypes import (
    IS_OFFSET,
    IS_TRIGGERED,
    Moment,
    OrderKind,
    OrderStatus,
    Policy,
    Row,
    Run,
    wide,
)
from backtests.engine.matching import (
    first_crossing,
    is_certain_after,
    is_reached,
    is_stop_kind,
    precedence,
)
from backtests.engine.memory import cell, load, order_at, store, working_at
from backtests.engine.settlement import settle_batch
from numerics.compilation import inlined_part, kernel_part

_WORKING = wide(OrderStatus.WORKING)
_MARKET = wide(OrderKind.MARKET)
_LIMIT = wide(OrderKind.LIMIT)
_STOP_LIMIT = wide(OrderKind.STOP_LIMIT)
_ON_OPEN = wide(OrderKind.MARKET_ON_OPEN)
_ON_CLOSE = wide(OrderKind.MARKET_ON_CLOSE)
_INSIDE = wide(Moment.INSIDE)
_OPTIMISTIC = wide(Policy.OPTIMISTIC)
_PESSIMISTIC = wide(Policy.PESSIMISTIC)
_PATH = wide(Policy.PATH)
_CERTAIN = wide(0)
_FIRST = wide(0)
_NOBODY = wide(-1)


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
            if not has_room(bar, row, run):
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
        if row["kind"] in (_MARKET, _ON_OPEN, _ON_CLOSE) or left_of(row, run) == 0.0:
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
            run.ambiguous += is_reached(limit, falls, h, b, run.fills_through) and not (
                is_reached(limit, falls, c, c, run.fills_through)
            )


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
    n = collect(bar, _INSIDE, at, price, flag, _FIRST, run)
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
def _is_in_range(bar: int, row: Row, at_row: int, is_fine: bool, run: Run) -> bool:
    asset = np.int64(row["instrument"])
    _, high, low, _ = _prices(at_row, asset, is_fine, run)
    level, upward = _levels(bar, row, run)
    strictly = run.fills_through and is_passive(np.int64(row["kind"]))
    return is_reached(level, upward, high, low, strictly)


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
    if not is_reached(level, upward, h, b, strictly):
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
    if not is_reached(limit, not upward, h, b, run.fills_through):
        return 0.0, math.inf, 0
    is_certain = is_reached(limit, not upward, c, c, run.fills_through)
    if run.policy == _PATH:
        moment = first_crossing(limit, not upward, moment, o, h, b, c)
        is_met = moment < math.inf
    else:
        is_met = is_certain or run.policy == _OPTIMISTIC
    if not is_met:
        return 0.0, math.inf, 0
    rank = precedence(np.int64(row["kind"]), run.policy, moment)
    return limit, rank, flag | (not is_certain)


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
