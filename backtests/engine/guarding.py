"""The exits of a lone position: they come to life with its entry, and one of them closes it.

Here a bar reaches one exit at most, and not before its first trade: there is one price and nothing
to decide. A bar that reaches both, or opens beyond one, is left to the general step, with nothing
written; the numbers are those of the general step, bit for bit.
"""

import numpy as np

from backtests.engine.book import end_order, tidy
from backtests.engine.costs import outright_cost
from backtests.engine.dtypes import (
    CHARGED,
    IS_TRIGGERED,
    Moment,
    OrderKind,
    OrderReason,
    OrderSource,
    OrderStatus,
    Row,
    Run,
    wide,
)
from backtests.engine.matching import is_reached
from backtests.engine.memory import load, order_at, working_at
from backtests.engine.relatives import activate_children, end_group, end_orphans, exit_price
from backtests.engine.settlement import record_outright
from numerics.compilation import inlined_part, kernel_part

_STOP = wide(OrderKind.STOP)
_LIMIT = wide(OrderKind.LIMIT)
_BRACKET = wide(OrderSource.BRACKET)
_FILLED = wide(OrderStatus.FILLED)
_NONE = wide(OrderReason.NONE)
_OPEN = wide(Moment.OPEN)
_INSIDE = wide(Moment.INSIDE)
_FIRST = wide(0)
_NOBODY = wide(-1)
_TOUCHED = np.bool_(False)  # reached by a touch, not only if traded through


@kernel_part
def leaves_exits_alone(
    bar: int, at: int, quantity: float, price: float, paid: float, run: Run
) -> bool:
    """Say whether a fill at the open is all that a bar brings for a position with exits.

    Parameters
    ----------
    at : int
        Order that fills: the entry that the exits wait for, or one that closes the position.
    price, paid : float
        Of the fill, before and after costs.
    """
    position = load(run.position, _FIRST)
    if working_at(_FIRST, run) == at:
        return position == 0.0 and not _reaches_new_exits(bar, quantity, paid, run)
    if quantity != -position:
        return False
    for k in range(run.n_working):
        row = order_at(working_at(k, run), run)
        if row["source"] != _BRACKET:
            continue
        if row["flags"] & IS_TRIGGERED != 0:
            return False  # filled in part, and waiting for the next price
        level, upward = _level(row)
        if is_reached(level, upward, price, price, _TOUCHED):
            return False
    return True


@inlined_part
def _reaches_new_exits(bar: int, quantity: float, paid: float, run: Run) -> bool:
    """Say whether the bar of an entry may reach the exits that its fill will bring to life."""
    side = 1.0 if quantity > 0.0 else -1.0
    high, low = load(run.high, bar), load(run.low, bar)
    stop = exit_price(paid, -side * run.stop_loss)  # NaN, which nothing reaches, for none
    limit = exit_price(paid, side * run.take_profit)
    return bool(
        is_reached(stop, side < 0.0, high, low, _TOUCHED)
        or is_reached(limit, side > 0.0, high, low, _TOUCHED)
    )


@kernel_part
def tell_exits(bar: int, at: int, quantity: float, paid: float, run: Run) -> None:
    """Bring the exits of an entry to life, or end those of a position that was closed."""
    if working_at(_FIRST, run) != at:
        end_orphans(_FIRST, bar, run)
        return
    activate_children(at, bar, quantity, quantity, paid, _OPEN, run)
    for k in range(1, run.n_working):
        order_at(working_at(k, run), run)["since"] = 0  # the bar is over for them


@kernel_part
def meet_exits(bar: int, run: Run) -> bool:
    """Fill the exit that a bar reaches, if any; False where the bar needs the full step."""
    position = load(run.position, _FIRST)
    opened, high, low = load(run.open, bar), load(run.high, bar), load(run.low, bar)
    met = _NOBODY
    for k in range(run.n_working):
        at = working_at(k, run)
        row = order_at(at, run)
        if row["source"] != _BRACKET or row["quantity"] != -position or row["filled"] != 0.0:
            return False
        level, upward = _level(row)
        if not is_reached(level, upward, high, low, row["kind"] == _LIMIT and run.fills_through):
            continue
        if met >= 0 or is_reached(level, upward, opened, opened, _TOUCHED):
            return False
        met = at
    return met < 0 or _fill_exit(bar, met, -position, run)


@inlined_part
def _level(row: Row) -> tuple[float, bool]:
    """Return the price of an exit, and whether it is reached from below."""
    buys = row["quantity"] > 0.0
    if row["kind"] == _STOP:
        return row["stop_price"], buys
    return row["limit_price"], not buys


@inlined_part
def _fill_exit(bar: int, at: int, quantity: float, run: Run) -> bool:
    """Close the position at the level of an exit; False where the bar needs the full step."""
    if run.n_fills == run.max_fills:
        return False
    order = order_at(at, run)
    price, _ = _level(order)
    spread, slip, paid = 0.0, 0.0, price  # a limit crosses no spread
    if order["kind"] == _STOP:
        spread, slip, paid = outright_cost(price, quantity, run)
        if not paid > 0.0:
            return False
        order["flags"] |= IS_TRIGGERED
    order["flags"] |= CHARGED
    order["filled"] = order["quantity"]
    record_outright(bar, _INSIDE, at, quantity, price, spread, slip, paid, run)
    end_order(at, bar, _FILLED, _NONE, run)
    end_group(at, bar, run)
    end_orphans(_FIRST, bar, run)  # the exits of an earlier entry
    tidy(run)
    return True
