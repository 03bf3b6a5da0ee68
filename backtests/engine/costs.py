"""What one fill costs: half spread and commission, each on its own."""

import math

from backtests.engine.dtypes import Market, Rules
from numerics.compilation import njit


@njit(cache=True, error_model="numpy")
def half_spread_per_unit(bar: int, asset: int, price: float, market: Market, rules: Rules) -> float:
    """Return the half spread of one unit [currency], the measured one where there is one."""
    if market.half_spread.size > 0:
        measured: float = market.half_spread[bar, asset]
        if not math.isnan(measured):
            return measured
    return price * rules.half_spread_rate


@njit(cache=True, error_model="numpy")
def fill_price(quantity: float, price: float, half_spread: float) -> float:
    """Return what a unit costs a buyer (quantity > 0) or brings a seller [currency]."""
    return price + half_spread if quantity > 0.0 else price - half_spread


@njit(cache=True, error_model="numpy")
def proportional_commission(quantity: float, paid: float, rules: Rules) -> float:
    """Return the commission before its minimum [currency]; proportional to ``abs(quantity)``."""
    size = abs(quantity)
    return size * paid * rules.commission_rate + size * rules.commission_per_share


@njit(cache=True, error_model="numpy")
def commission(quantity: float, paid: float, rules: Rules) -> float:
    """Return the commission of one fill at `paid` per unit [currency], >= 0; 0 for no fill."""
    if quantity == 0.0:
        return 0.0
    return max(rules.commission_minimum, proportional_commission(quantity, paid, rules))


@njit(cache=True, error_model="numpy")
def cost_of(quantity: float, price: float, half_spread: float, rules: Rules) -> float:
    """Return half spread plus commission of one fill [currency], >= 0."""
    paid = fill_price(quantity, price, half_spread)
    return abs(quantity) * half_spread + commission(quantity, paid, rules)
