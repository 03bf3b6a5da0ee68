"""The fill phase: grant buying power to the waiting orders, then settle them, sells first.

Buying power: after the fills, gross exposure at the fill prices may not exceed ``max_leverage``
times equity. Without shorts and at a leverage of one that says: cash may not become negative.
Parts of orders that reduce a position are always granted; only parts that open or enlarge one
share what power there is.
"""

import math

from backtests.engine.accounting import book_trade
from backtests.engine.costs import (
    commission,
    cost_of,
    fill_price,
    half_spread_per_unit,
    proportional_commission,
)
from backtests.engine.dtypes import (
    CASH,
    FILLS,
    WAITING,
    Books,
    Market,
    OrderReason,
    OrderStatus,
    Rules,
    State,
)
from backtests.engine.matching import closing_part
from numerics.compilation import njit

_FILLED = int(OrderStatus.FILLED)
_PARTLY_FILLED = int(OrderStatus.PARTLY_FILLED)
_REJECTED = int(OrderStatus.REJECTED)
_BUYING_POWER = int(OrderReason.BUYING_POWER)

# Weights that add up to one must not be refused for a rounding error of the equity.
_TOLERANCE = 1e-9


@njit(cache=True, error_model="numpy")
def fill_waiting(bar: int, market: Market, rules: Rules, state: State, books: Books) -> None:
    """Fill the waiting orders of the instruments that trade in `bar`, sells before buys."""
    _grant(bar, market, rules, state)
    for sells in (True, False):
        for asset in range(state.position.size):
            waiting = state.pending[asset]
            if waiting == 0.0 or (waiting < 0.0) != sells:
                continue
            if not math.isnan(market.close[bar, asset]):
                _settle(bar, asset, market, rules, state, books)


@njit(cache=True, error_model="numpy")
def _grant(bar: int, market: Market, rules: Rules, state: State) -> None:
    """Write into `state.granted` how many units of each waiting order may fill."""
    equity = state.money[CASH]  # after all costs of full fills
    gross = 0.0  # after full fills
    opening = 0.0  # notional of the parts that open or enlarge
    for asset in range(state.position.size):
        position = state.position[asset]
        waiting = state.pending[asset]
        state.granted[asset] = waiting
        if position == 0.0 and waiting == 0.0:
            continue
        price = _price_now(bar, asset, market, state)
        equity += position * price
        if waiting != 0.0 and not math.isnan(market.close[bar, asset]):
            spread = half_spread_per_unit(bar, asset, price, market, rules)
            equity -= cost_of(waiting, price, spread, rules)
            opening += abs(waiting - closing_part(position, waiting)) * price
            position += waiting
        gross += abs(position) * price
    limit = rules.max_leverage * equity
    if opening == 0.0 or gross <= limit + _TOLERANCE * abs(equity):
        return
    if rules.scales_on_shortfall:
        _grant_share(bar, market, rules, state)
    else:
        _grant_in_turn(bar, market, rules, state)


@njit(cache=True, error_model="numpy")
def _grant_share(bar: int, market: Market, rules: Rules, state: State) -> None:
    """Shrink every opening part by the one factor that the buying power allows.

    Notes
    -----
    ``gross + f G = L (equity - f K)`` with G the notional and K the proportional costs of the
    opening parts. Commission minimums are charged as if every order paid its own on top, which
    can only leave power unused.
    """
    equity = state.money[CASH]
    gross = 0.0
    opening_notional = 0.0
    opening_costs = 0.0
    for asset in range(state.position.size):
        position = state.position[asset]
        waiting = state.pending[asset]
        if position == 0.0 and waiting == 0.0:
            continue
        price = _price_now(bar, asset, market, state)
        equity += position * price
        if waiting != 0.0 and not math.isnan(market.close[bar, asset]):
            closing = closing_part(position, waiting)
            spread = half_spread_per_unit(bar, asset, price, market, rules)
            unit_cost = spread + proportional_commission(
                1.0, fill_price(waiting, price, spread), rules
            )
            equity -= abs(closing) * unit_cost + rules.commission_minimum
            opening_notional += abs(waiting - closing) * price
            opening_costs += abs(waiting - closing) * unit_cost
            position += closing
        gross += abs(position) * price
    power = rules.max_leverage * equity - gross
    share = power / (opening_notional + rules.max_leverage * opening_costs)
    share = min(1.0, max(0.0, share))
    for asset in range(state.position.size):
        waiting = state.pending[asset]
        closing = closing_part(state.position[asset], waiting)
        state.granted[asset] = closing + share * (waiting - closing)


@njit(cache=True, error_model="numpy")
def _grant_in_turn(bar: int, market: Market, rules: Rules, state: State) -> None:
    """Grant opening parts one by one, sells first and then by column, while they fit."""
    equity, gross = _after_closing(bar, market, rules, state)
    for sells in (True, False):
        for asset in range(state.position.size):
            waiting = state.pending[asset]
            closing = state.granted[asset]
            if waiting == closing or (waiting < 0.0) != sells:
                continue
            if math.isnan(market.close[bar, asset]):
                continue
            price = _price_now(bar, asset, market, state)
            spread = half_spread_per_unit(bar, asset, price, market, rules)
            extra = cost_of(waiting, price, spread, rules) - cost_of(closing, price, spread, rules)
            grown = gross + abs(waiting - closing) * price
            if grown <= rules.max_leverage * (equity - extra) + _TOLERANCE * abs(equity):
                state.granted[asset] = waiting
                equity -= extra
                gross = grown


@njit(cache=True, error_model="numpy")
def _after_closing(bar: int, market: Market, rules: Rules, state: State) -> tuple[float, float]:
    """Grant the closing parts alone and return equity and gross exposure after them."""
    equity = state.money[CASH]
    gross = 0.0
    for asset in range(state.position.size):
        position = state.position[asset]
        closing = closing_part(position, state.pending[asset])
        state.granted[asset] = closing
        if position == 0.0:
            continue
        price = _price_now(bar, asset, market, state)
        equity += position * price
        if closing != 0.0 and not math.isnan(market.close[bar, asset]):
            spread = half_spread_per_unit(bar, asset, price, market, rules)
            equity -= cost_of(closing, price, spread, rules)
            position += closing
        gross += abs(position) * price
    return equity, gross


@njit(cache=True, error_model="numpy")
def _price_now(bar: int, asset: int, market: Market, state: State) -> float:
    """Return the reference price of a fill at `bar`, or the last mark where it does not trade."""
    price: float = market.fill_price[bar, asset]
    return price if not math.isnan(price) else state.mark[asset]


@njit(cache=True, error_model="numpy")
def _settle(bar: int, asset: int, market: Market, rules: Rules, state: State, books: Books) -> None:
    """Book the granted units and close the order."""
    order = books.orders[state.order_of[asset]]
    quantity = state.granted[asset]
    if quantity == state.pending[asset]:
        order["status"] = _FILLED
    else:
        order["status"] = _PARTLY_FILLED if quantity != 0.0 else _REJECTED
        order["reason"] = _BUYING_POWER
    order["filled"] = quantity
    order["closed_bar"] = bar
    state.pending[asset] = 0.0
    state.counts[WAITING] -= 1
    if quantity != 0.0:
        _record_fill(bar, asset, quantity, market, rules, state, books)


@njit(cache=True, error_model="numpy")
def _record_fill(
    bar: int,
    asset: int,
    quantity: float,
    market: Market,
    rules: Rules,
    state: State,
    books: Books,
) -> None:
    price = market.fill_price[bar, asset]
    spread = half_spread_per_unit(bar, asset, price, market, rules)
    paid = fill_price(quantity, price, spread)
    fee = commission(quantity, paid, rules)
    row = books.fills[state.counts[FILLS]]
    row["bar"] = bar
    row["instrument"] = asset
    row["order"] = state.order_of[asset]
    row["quantity"] = quantity
    row["reference_price"] = price
    row["price"] = paid
    row["commission"] = fee
    row["half_spread"] = abs(quantity) * spread
    book_trade(asset, quantity, price, fee + abs(quantity) * spread, state)
    row["position"] = state.position[asset]
    state.counts[FILLS] += 1
