"""The bars of a single instrument in which nothing can happen, many at a time.

Only the mark to market is left of the general step there. The numbers are those of the general
step, bit for bit; a test holds the two together.
"""

import math

from backtests.engine.book import awaited_price
from backtests.engine.dtypes import (
    IS_OFFSET,
    NEVER,
    OrderKind,
    Run,
    TargetKind,
    TimeInForce,
    wide,
)
from backtests.engine.lanes import LANES, fill_lanes, mark_lanes, reach_lanes, value_lanes
from backtests.engine.memory import (
    load,
    load_int,
    order_at,
    prefetch,
    store,
    working_at,
)
from numerics.bits import first_bit
from numerics.compilation import inlined_part, kernel_part

_UNITS = wide(TargetKind.UNITS)
_GTC = wide(TimeInForce.GTC)
_LIMIT = wide(OrderKind.LIMIT)
_STOP = wide(OrderKind.STOP)
_STOP_LIMIT = wide(OrderKind.STOP_LIMIT)
_FIRST = wide(0)
_ROUNDING = 1e-9
_ONE = wide(1)
_AHEAD = wide(8)  # decisions: what lies between takes longer than a read from main memory


@kernel_part
def watched_levels(bar: int, run: Run) -> tuple[bool, float, float]:
    """Return whether the working orders only wait for prices, and the nearest below and above.

    Notes
    -----
    Prices at or below the first, or at or above the second, may fill something.
    """
    below, above = -math.inf, math.inf
    for k in range(run.n_working):
        row = order_at(working_at(k, run), run)
        if row["kind"] not in (_LIMIT, _STOP, _STOP_LIMIT) or row["time_in_force"] != _GTC:
            return False, below, above
        if row["first_bar"] == NEVER:
            continue
        if row["first_bar"] > bar or row["flags"] & IS_OFFSET != 0:
            return False, below, above
        level, upward = awaited_price(row)
        if math.isnan(level):
            return False, below, above
        if upward:
            above = min(above, level)
        else:
            below = max(below, level)
    return True, below, above


@kernel_part
def coast(bar: int, stop: int, run: Run) -> int:
    """Run bars from `bar` while nothing can happen; return the first that needs the full step."""
    if run.n_working > 0 and (run.spread_open != 0 or run.spread_close != 0 or run.fine_first != 0):
        return bar  # orders meet quotes or finer bars, not the prices watched here
    below, above = -math.inf, math.inf
    watches = run.n_working > 0
    if watches:
        only_waits, below, above = watched_levels(bar, run)
        if not only_waits:
            return bar
    if run.skips_curve != 0 and not watches and _is_safe(run):
        return _leap(bar, stop, run)
    first = bar
    cannot_be_called = not watches and run.is_unbroken != 0 and _owes_nothing(run)
    while bar < stop:
        until = _next_event(bar, stop, run)
        if cannot_be_called:
            bar = _slide(bar, until, run)
        else:
            bar = _glide(bar, until, below, above, watches, run)
        idle = bar
        if run.may_repeat != 0 and load_int(run.order_of, _FIRST) < 0:
            idle = _idle(bar, stop, below, above, run)
        if idle == bar:
            break
        bar = idle
    if bar > first:  # what was written last, without waiting for it to come back
        run.equity = run.cash + load(run.position, _FIRST) * load(run.mark, _FIRST)
    return bar


@inlined_part
def _owes_nothing(run: Run) -> bool:
    """Say whether no price can bring a margin call, to the last bit."""
    return load(run.position, _FIRST) >= 0.0 and run.cash >= 0.0


@inlined_part
def _is_safe(run: Run) -> bool:
    """Say whether no price can bring a margin call: nothing short and nothing borrowed."""
    return load(run.position, _FIRST) >= 0.0 and run.cash >= -_ROUNDING * run.capital


@inlined_part
def _leap(bar: int, stop: int, run: Run) -> int:
    """Go to the next event at once, valuing the account only at the end."""
    bar = _next_event(bar, stop, run)
    if bar == stop:
        worth = load(run.close, stop - 1)
        store(run.mark, _FIRST, worth)
        run.equity = run.cash + load(run.position, _FIRST) * worth
    return bar


@inlined_part
def _next_event(bar: int, stop: int, run: Run) -> int:
    """Return the next bar with a decision or an action, or `stop`."""
    until = stop
    at = run.next_decision
    if at < run.n_decisions:
        decided = load_int(run.decision_bar, at)
        if decided < stop:
            until = decided
            later = min(at + _AHEAD, run.n_decisions - 1)
            prefetch(run.open, load_int(run.decision_bar, later) + 1)  # where its order will fill
    at = run.next_action
    if at < run.n_action_bars:
        until = min(until, load_int(run.action_bars, at))
    return max(until, bar)


@kernel_part
def _idle(bar: int, stop: int, below: float, above: float, run: Run) -> int:
    """Mark bars whose decision asks for what is held; return the first that is another."""
    cash = run.cash
    position = load(run.position, _FIRST)
    floor = run.maintenance * abs(position)
    is_exact = run.target_kind == _UNITS or position == 0.0
    at = run.next_decision
    action = stop
    if run.next_action < run.n_action_bars:
        action = min(stop, load_int(run.action_bars, run.next_action))
    worth = load(run.mark, _FIRST)
    while bar < action and at < run.n_decisions and load_int(run.decision_bar, at) == bar:
        target = load(run.values, load_int(run.decision_row, at))
        close = load(run.close, bar)
        equity = cash + position * close
        asks = not math.isnan(target) and not (is_exact and target == position)
        if asks or not equity >= floor * close:
            break
        if load(run.high, bar) >= above or load(run.low, bar) <= below:
            break
        store(run.equity_curve, bar, equity)
        worth = close
        bar += 1
        at += 1
    store(run.mark, _FIRST, worth)
    run.next_decision = at
    return bar


@kernel_part
def _slide(bar: int, until: int, run: Run) -> int:
    """Mark bars to market where nothing else can happen: no level, no call, no missing price.

    Notes
    -----
    Whole lanes are written, beyond `until` too, as in `_glide`.
    """
    if bar >= until:
        return bar
    cash = run.cash
    position = load(run.position, _FIRST)
    close, curve = run.close, run.equity_curve
    last = min(until, run.n_bars - LANES + 1)
    store(run.mark, _FIRST, load(close, until - 1))
    while bar < last:
        if position == 0.0:
            fill_lanes(close, curve, bar, cash + position)
        else:
            value_lanes(close, curve, bar, cash, position)
        bar += LANES
    for at in range(bar, until):
        store(curve, at, cash + position * load(close, at))
    return until


@inlined_part
def _glide(bar: int, until: int, below: float, above: float, watches: bool, run: Run) -> int:
    """Mark bars to market until one may need more: a level, a margin call, a missing price.

    Notes
    -----
    Whole lanes are marked, beyond `until` too: what is written there is written again when its
    time comes. What is looked at ends before it.
    """
    cash = run.cash
    position = load(run.position, _FIRST)
    floor = run.maintenance * abs(position)
    close, high, low, curve, n_bars = run.close, run.high, run.low, run.equity_curve, run.n_bars
    while bar < until:
        end = min(bar + LANES, until)
        marked = bar
        if bar + LANES <= n_bars:
            events = mark_lanes(close, curve, bar, cash, position, floor)
            if watches:
                events |= reach_lanes(high, low, bar, above, below)
            if end - bar < LANES:
                events &= (_ONE << (end - bar)) - 1
            marked = end if events == 0 else bar + first_bit(events)
            if events != 0:
                prefetch(run.open, marked)  # the full step begins with it
            if marked > bar:
                store(run.mark, _FIRST, load(close, marked - 1))
        bar = marked
        if bar < end:
            bar = _walk(bar, end, below, above, watches, run)
            if bar < end:
                return bar
    return bar


@kernel_part
def _walk(bar: int, end: int, below: float, above: float, watches: bool, run: Run) -> int:
    """Do the same bar by bar; return the first that needs the full step, or `end`."""
    cash = run.cash
    position = load(run.position, 0)
    floor = run.maintenance * abs(position)
    while bar < end:
        worth = load(run.close, bar)
        if math.isnan(worth):
            worth = load(run.mark, 0)
            run.stale_bars += position != 0.0
        elif watches and (load(run.high, bar) >= above or load(run.low, bar) <= below):
            return bar
        equity = cash + position * worth
        if equity < floor * worth:
            if math.isnan(load(run.close, bar)):
                run.stale_bars -= position != 0.0
            return bar
        store(run.equity_curve, bar, equity)
        store(run.mark, 0, worth)
        bar += 1
    return bar
