"""The event loop: one pass over the bars, always in the same order within a bar."""

import math

from backtests.engine.accounting import apply_actions, mark_to_market
from backtests.engine.dtypes import (
    ACTIONS,
    CASH,
    EQUITY,
    FILLS,
    ORDERS,
    PRICE_PNL,
    STALE_BARS,
    WAITING,
    Books,
    Curves,
    Decisions,
    Market,
    Rules,
    State,
    TargetKind,
)
from backtests.engine.matching import place_orders
from backtests.engine.settlement import fill_waiting
from numerics.compilation import njit

_UNITS = int(TargetKind.UNITS)


@njit(cache=True, error_model="numpy", nogil=True, _nrt=False)  # type: ignore[call-overload]  # see Notes
def advance(
    start: int,
    stop: int,
    market: Market,
    decisions: Decisions,
    rules: Rules,
    state: State,
    books: Books,
    curves: Curves,
) -> int:
    """Run the bars from `start` up to, not including, `stop` and return the next bar to run.

    Parameters
    ----------
    start, stop : int
        Rows, 0 <= start <= stop <= n_bars.
    market, decisions, rules
        Read only; checked at the border, trusted here.
    state : State
        Carried from bar to bar; changed in place.
    books, curves
        Written in place.

    Returns
    -------
    int
        `stop`, or an earlier bar at which a table of `books` might not hold what the bar could
        bring; the caller enlarges the tables and calls again from there.

    Notes
    -----
    Within a bar: corporate actions, waiting orders meet the bar, mark to market, decision.
    ``nogil`` lets the heartbeat of the worker that runs this go on in its own thread. ``_nrt``
    off (inherited by every function called from here) compiles no reference counting: nothing
    here allocates, the caller holds every array, and counting the twenty arrays in these bundles
    at each call took nine tenths of the time. An allocation would fail to compile.
    """
    n_assets = state.position.size
    bar = start
    while bar < stop:
        if n_assets == 1 and state.counts[WAITING] == 0:
            bar = coast(bar, stop, market, decisions, rules, state, curves)
            if bar == stop:
                return stop
        if not has_room(n_assets, state, books):
            return bar
        state.money[PRICE_PNL] = 0.0
        if market.has_action.size > 0 and market.has_action[bar]:
            apply_actions(bar, market, state, books)
        if state.counts[WAITING] > 0:
            fill_waiting(bar, market, rules, state, books)
        mark_to_market(bar, market, state)
        curves.equity[bar] = state.money[EQUITY]
        curves.cash[bar] = state.money[CASH]
        curves.price_pnl[bar] = state.money[PRICE_PNL]
        if decisions.has_target[bar]:
            place_orders(bar, decisions, rules, state, books)
        bar += 1
    return stop


@njit(cache=True, error_model="numpy")
def coast(
    bar: int,
    stop: int,
    market: Market,
    decisions: Decisions,
    rules: Rules,
    state: State,
    curves: Curves,
) -> int:
    """Run the bars of a single instrument in which nothing can happen; return the next one.

    Notes
    -----
    Only the mark to market is left of the general step, kept in registers: minute bars of one
    instrument are mostly such bars. The numbers are those of the general step, bit for bit.
    """
    cash = state.money[CASH]
    position = state.position[0]
    mark = state.mark[0]
    is_units = rules.target_kind == _UNITS
    first = bar
    while bar < stop:
        target = decisions.values[bar, 0]
        if not math.isnan(target) and not (target == position and (is_units or target == 0.0)):
            break
        if market.has_action.size > 0 and market.has_action[bar]:
            break
        before = mark
        close = market.close[bar, 0]
        if not math.isnan(close):
            mark = close
        else:
            state.counts[STALE_BARS] += position != 0.0
        curves.equity[bar] = cash + position * mark
        curves.cash[bar] = cash
        curves.price_pnl[bar] = position * (mark - before)
        bar += 1
    if bar > first:
        state.mark[0] = mark
        state.money[EQUITY] = curves.equity[bar - 1]
    return bar


@njit(cache=True, error_model="numpy")
def has_room(n_assets: int, state: State, books: Books) -> bool:
    """Say whether the tables can hold the most that one bar may bring."""
    return bool(
        state.counts[FILLS] + n_assets <= books.fills.size
        and state.counts[ORDERS] + n_assets <= books.orders.size
        and state.counts[ACTIONS] + 2 * n_assets <= books.actions.size
    )
