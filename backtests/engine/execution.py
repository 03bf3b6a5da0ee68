"""Working orders meet a bar: at its open, inside it, at its close."""

import math

import numpy as np

from backtests.engine.batching import collect, left_of
from backtests.engine.book import end_expired, ratchet, tidy, withdraw
from backtests.engine.costs import measured_spread
from backtests.engine.dtypes import (
    IS_TRIGGERED,
    NEXT_OPEN,
    REDUCES_ONLY,
    Moment,
    OrderKind,
    OrderReason,
    OrderStatus,
    Row,
    Run,
    TimeInForce,
    wide,
)
from backtests.engine.inside import meet_stretch
from backtests.engine.matching import is_limit_met, is_stop_kind, is_stop_met
from backtests.engine.memory import cell, load_int, order_at, store, working_at
from backtests.engine.settlement import settle_batch
from numerics.compilation import inlined_part, kernel_part

_WORKING = wide(OrderStatus.WORKING)
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
_COARSE, _FINE = np.bool_(False), np.bool_(True)
_CERTAIN = wide(0)
_OVER = wide(4)  # after every moment: the stretch in which a fill woke an order is over
_FIRST = wide(0)
_PLAIN, _REDUCING = wide(0), wide(REDUCES_ONLY)


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


@kernel_part
def meet_at_once(bar: int, moment: int, at_row: int, is_fine: bool, run: Run) -> None:
    """Fill what one price fills: an open or a close of the bar, or of a finer one.

    Notes
    -----
    Orders that only reduce come last and fill what the others leave of a position: an exit and a
    target that both close it close it once.
    """
    n = _gather(bar, moment, at_row, is_fine, _PLAIN, _FIRST, run)
    if run.linked > 0:
        n = _gather(bar, moment, at_row, is_fine, _REDUCING, n, run)
    if n == 0:
        return
    settle_batch(bar, moment, n, run)
    if run.linked > 0:
        n = _gather(bar, moment, at_row, is_fine, _REDUCING, _FIRST, run)
        if n > 0:
            settle_batch(bar, moment, n, run)


@kernel_part
def _gather(
    bar: int, moment: int, at_row: int, is_fine: bool, reducing: int, n: int, run: Run
) -> int:
    """Add the orders that one price fills to the batch: those that only reduce, or the others."""
    for k in range(run.n_working):
        at = working_at(k, run)
        row = order_at(at, run)
        if row["first_bar"] > bar or row["status"] != _WORKING:
            continue
        if row["flags"] & REDUCES_ONLY != reducing:
            continue
        if reducing and (row["since"] == moment or left_of(row, run) == 0.0):
            continue  # this moment woke it; or without a position its stop is not met either
        asset = np.int64(row["instrument"])
        price = _single_price(at_row, asset, moment, is_fine, run)
        if math.isnan(price):
            continue
        spread = measured_spread(bar, asset, moment, run)
        if not _is_met(row, moment, price, spread, run):
            continue
        n = collect(bar, moment, at, price, _CERTAIN, n, run)
    return n


@inlined_part
def _single_price(at_row: int, asset: int, moment: int, is_fine: bool, run: Run) -> float:
    """Return the open, or the close, of a bar or of a finer one."""
    if moment == _CLOSE:
        return cell(run.close, at_row, asset, run)
    return cell(run.fine_open if is_fine else run.open, at_row, asset, run)


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
        _move_since(_OPEN, _OVER, run)
        _move_since(_INSIDE, _OVER, run)


@kernel_part
def _move_since(before: int, now: int, run: Run) -> None:
    """Say from which moment of the coming stretch the orders count that a fill just woke.

    Notes
    -----
    The open of the stretch; or `_OVER`, which bears on nothing but what a trailing stop may have
    seen of the bar.
    """
    if run.linked > 0:
        for k in range(run.n_working):
            row = order_at(working_at(k, run), run)
            if row["since"] == before and row["status"] == _WORKING:
                row["since"] = now
