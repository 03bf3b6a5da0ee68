"""Positions, cash and equity through fills, corporate actions and the mark to market."""

import math

from backtests.engine.dtypes import (
    ACTIONS,
    CASH,
    EQUITY,
    PRICE_PNL,
    STALE_BARS,
    ActionKind,
    Books,
    Market,
    State,
)
from numerics.compilation import njit

_SPLIT = int(ActionKind.SPLIT)
_DIVIDEND = int(ActionKind.DIVIDEND)


@njit(cache=True, error_model="numpy")
def book_trade(asset: int, quantity: float, price: float, costs: float, state: State) -> None:
    """Move cash and position by one fill at reference price `price`.

    Notes
    -----
    The mark to market of this bar will credit the whole position with the move since the last
    mark; the term added to the price P&L here leaves the new units only the move since `price`.
    """
    state.position[asset] += quantity
    state.money[CASH] -= quantity * price + costs
    state.money[PRICE_PNL] += quantity * (state.mark[asset] - price)


@njit(cache=True, error_model="numpy")
def mark_to_market(bar: int, market: Market, state: State) -> None:
    """Value every position at the close of `bar`, or at its last close where it did not trade."""
    pnl = state.money[PRICE_PNL]
    value = 0.0
    for asset in range(state.position.size):
        held = state.position[asset]
        before = state.mark[asset]
        close = market.close[bar, asset]
        if math.isnan(close):
            close = before
            state.counts[STALE_BARS] += held != 0.0
        pnl += held * (close - before)
        value += held * close
        state.mark[asset] = close
    state.money[PRICE_PNL] = pnl
    state.money[EQUITY] = state.money[CASH] + value


@njit(cache=True, error_model="numpy")
def apply_actions(bar: int, market: Market, state: State, books: Books) -> None:
    """Apply the splits and then the dividends that are effective at `bar`.

    Notes
    -----
    A split multiplies the position and the waiting quantity and divides the last mark, so the
    value carried over from the previous close is unchanged. A dividend is per unit after the
    split of the same bar; longs are credited, shorts debited.
    """
    for asset in range(state.position.size):
        if market.split.size > 0:
            ratio = market.split[bar, asset]
            if not math.isnan(ratio) and ratio != 1.0:
                _apply_split(bar, asset, ratio, state, books)
        if market.dividend.size > 0:
            amount = market.dividend[bar, asset]
            if amount > 0.0 and state.position[asset] != 0.0:
                cash = amount * state.position[asset]
                state.money[CASH] += cash
                _record_action(bar, asset, _DIVIDEND, amount, cash, state, books)


@njit(cache=True, error_model="numpy")
def _apply_split(bar: int, asset: int, ratio: float, state: State, books: Books) -> None:
    state.mark[asset] /= ratio
    if state.pending[asset] != 0.0:
        state.pending[asset] *= ratio
        books.orders[state.order_of[asset]]["quantity"] *= ratio
    if state.position[asset] != 0.0:
        state.position[asset] *= ratio
        _record_action(bar, asset, _SPLIT, ratio, 0.0, state, books)


@njit(cache=True, error_model="numpy")
def _record_action(
    bar: int, asset: int, kind: int, value: float, cash: float, state: State, books: Books
) -> None:
    row = books.actions[state.counts[ACTIONS]]
    row["bar"] = bar
    row["instrument"] = asset
    row["kind"] = kind
    row["value"] = value
    row["position"] = state.position[asset]
    row["cash"] = cash
    state.counts[ACTIONS] += 1
