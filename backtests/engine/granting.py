"""Buying power: how much of each order that meets the market at one moment may fill.

After the fills, gross exposure at the prices of the moment may not exceed ``max_leverage`` times
equity. Without shorts and at a leverage of one that says: cash may not become negative. Parts of
orders that reduce a position are always granted; only parts that open or enlarge one share what
power there is.
"""

import math

import numpy as np

from backtests.engine.costs import commission_rate, cost_of, cost_per_unit
from backtests.engine.dtypes import (
    CHARGED,
    Moment,
    Run,
    wide,
)
from backtests.engine.memory import (
    batch_at,
    cell,
    load,
    order_at,
    store,
)
from backtests.engine.valuation import unit_value
from numerics.compilation import inlined_part, kernel_part

_INSIDE = wide(Moment.INSIDE)
_CLOSE = wide(Moment.CLOSE)

_FIRST = wide(0)

# Weights that add up to one must not be refused for a rounding error of the equity.
TOLERANCE = 1e-9


@kernel_part
def closing_part(position: float, quantity: float) -> float:
    """Return the part of an order that reduces the position, up to closing it [units]."""
    if position * quantity >= 0.0:
        return 0.0
    return quantity if abs(quantity) <= abs(position) else -position


@kernel_part
def price_now(bar: int, asset: int, moment: int, run: Run) -> float:
    """Return the price at a moment of the bar, or the last mark where there is none."""
    price = cell(run.close if moment == _CLOSE else run.open, bar, asset, run)
    return load(run.mark, asset) if math.isnan(price) else price


@kernel_part
def _worth(bar: int, asset: int, moment: int, run: Run) -> float:
    """Return what a unit is worth now; inside a bar its one order's price is the newest known."""
    price = price_now(bar, asset, moment, run)
    if (
        moment == _INSIDE
        and np.int64(order_at(batch_at(_FIRST, run)["row"], run)["instrument"]) == asset
    ):
        price = batch_at(_FIRST, run)["price"]
    return price * unit_value(bar, asset, moment, run)


@kernel_part
def equity_now(bar: int, moment: int, run: Run) -> float:
    """Return the account's value at the prices of a moment."""
    equity = run.cash
    for asset in range(run.n_assets):
        held = load(run.position, asset)
        if held != 0.0:
            value = unit_value(bar, asset, moment, run)
            equity += held * price_now(bar, asset, moment, run) * value
    return equity


@inlined_part
def grant(bar: int, moment: int, n: int, run: Run) -> None:
    """Cut the quantities of the first `n` orders of the batch to what buying power covers.

    Notes
    -----
    The orders are taken in the order of the batch; several of one instrument add up.
    """
    if run.max_leverage == math.inf or not _any_opens(n, run):
        return
    equity, gross = _after(bar, moment, n, run)
    if gross <= run.max_leverage * equity + TOLERANCE * abs(equity):
        return
    if run.scales_on_shortfall:
        _grant_share(bar, moment, n, run)
    else:
        _grant_in_turn(bar, moment, n, run)


@inlined_part
def _any_opens(n: int, run: Run) -> bool:
    """Say whether any order may open something; those that only reduce are always granted."""
    opens = False
    for i in range(n):
        asset = np.int64(order_at(batch_at(i, run)["row"], run)["instrument"])
        position = load(run.position, asset)
        quantity = batch_at(i, run)["quantity"]
        opens |= n > 1 or quantity != closing_part(position, quantity)
    return opens


@kernel_part
def _after(bar: int, moment: int, n: int, run: Run) -> tuple[float, float]:
    """Return equity and gross exposure after full fills of the batch and their costs."""
    rate = commission_rate(run)
    equity = run.cash
    for asset in range(run.n_assets):
        store(run.after, asset, load(run.position, asset))
    for i in range(n):
        row = order_at(batch_at(i, run)["row"], run)
        asset = np.int64(row["instrument"])
        quantity = batch_at(i, run)["quantity"]
        price = batch_at(i, run)["price"]
        store(run.after, asset, load(run.after, asset) + quantity)
        equity -= cost_of(
            bar,
            asset,
            moment,
            quantity,
            price,
            np.int64(row["kind"]),
            row["flags"] & CHARGED == 0,
            rate,
            run,
        )
    gross = 0.0
    for asset in range(run.n_assets):
        held = load(run.position, asset)
        after = load(run.after, asset)
        if held == 0.0 and after == 0.0:
            continue
        worth = _worth(bar, asset, moment, run)
        equity += held * worth
        gross += abs(after) * worth
    return equity, gross


@kernel_part
def _grant_share(bar: int, moment: int, n: int, run: Run) -> None:
    """Shrink every opening part by the one factor that the buying power allows.

    Notes
    -----
    ``gross + f G = L (equity - f K)`` with G the notional and K the proportional costs of the
    opening parts. Fees that do not shrink with the quantity are charged in full, as if each order
    paid its own, which can only leave power unused.
    """
    rate = commission_rate(run)
    fixed = run.commission_minimum + run.commission_per_order
    equity = run.cash
    opening_notional = 0.0
    opening_costs = 0.0
    for asset in range(run.n_assets):
        store(run.after, asset, load(run.position, asset))
    for i in range(n):
        row = order_at(batch_at(i, run)["row"], run)
        asset = np.int64(row["instrument"])
        quantity = batch_at(i, run)["quantity"]
        price = batch_at(i, run)["price"]
        closing = closing_part(load(run.after, asset), quantity)
        store(run.after, asset, load(run.after, asset) + closing)
        cost = cost_per_unit(bar, asset, moment, quantity, price, np.int64(row["kind"]), rate, run)
        batch_at(i, run)["closing"] = closing
        value = unit_value(bar, asset, moment, run)
        equity -= abs(closing) * cost + fixed
        opening_notional += abs(quantity - closing) * price * value
        opening_costs += abs(quantity - closing) * cost
    gross = 0.0
    for asset in range(run.n_assets):
        held = load(run.position, asset)
        if held == 0.0:
            continue
        worth = _worth(bar, asset, moment, run)
        equity += held * worth
        gross += abs(load(run.after, asset)) * worth
    power = run.max_leverage * equity - gross
    share = power / (opening_notional + run.max_leverage * opening_costs)
    share = min(1.0, share) if share > TOLERANCE else 0.0  # less is rounding, not buying power
    for i in range(n):
        closing = batch_at(i, run)["closing"]
        batch_at(i, run)["quantity"] = closing + share * (batch_at(i, run)["quantity"] - closing)


@kernel_part
def _grant_in_turn(bar: int, moment: int, n: int, run: Run) -> None:
    """Grant opening parts one by one, sells first and then in turn, while they fit."""
    rate = commission_rate(run)
    equity = run.cash
    gross = 0.0
    for asset in range(run.n_assets):
        held = load(run.position, asset)
        store(run.after, asset, held)
        if held != 0.0:
            equity += held * _worth(bar, asset, moment, run)
    for i in range(n):
        row = order_at(batch_at(i, run)["row"], run)
        asset = np.int64(row["instrument"])
        closing = closing_part(load(run.after, asset), batch_at(i, run)["quantity"])
        batch_at(i, run)["closing"] = closing
        store(run.after, asset, load(run.after, asset) + closing)
        equity -= cost_of(
            bar,
            asset,
            moment,
            closing,
            batch_at(i, run)["price"],
            np.int64(row["kind"]),
            row["flags"] & CHARGED == 0,
            rate,
            run,
        )
    for asset in range(run.n_assets):
        if load(run.after, asset) != 0.0:
            worth = _worth(bar, asset, moment, run)
            gross += abs(load(run.after, asset)) * worth
    for sells in (True, False):
        for i in range(n):
            wanted = batch_at(i, run)["quantity"]
            closing = batch_at(i, run)["closing"]
            if wanted == closing or (wanted < 0.0) != sells:
                continue
            row = order_at(batch_at(i, run)["row"], run)
            asset = np.int64(row["instrument"])
            price = batch_at(i, run)["price"]
            is_first = row["flags"] & CHARGED == 0
            extra = cost_of(
                bar, asset, moment, wanted, price, np.int64(row["kind"]), is_first, rate, run
            ) - cost_of(
                bar, asset, moment, closing, price, np.int64(row["kind"]), is_first, rate, run
            )
            worth = price * unit_value(bar, asset, moment, run)
            grown = gross + abs(wanted - closing) * worth
            if grown <= run.max_leverage * (equity - extra) + TOLERANCE * abs(equity):
                equity -= extra
                gross = grown
            else:
                batch_at(i, run)["quantity"] = closing
