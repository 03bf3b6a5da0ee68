"""Positions, cash and equity through fills, corporate actions, financing and marks."""

import math

from backtests.engine.dtypes import (
    ActionKind,
    Moment,
    Run,
    wide,
)
from backtests.engine.memory import (
    action_at,
    cell,
    load,
    store,
)
from backtests.engine.valuation import unit_value
from numerics.compilation import kernel_part

_SPLIT = wide(ActionKind.SPLIT)
_DIVIDEND = wide(ActionKind.DIVIDEND)
_CLOSE = wide(Moment.CLOSE)
_OPEN = wide(Moment.OPEN)
_NUMBER_BYTES = 8
_ROUNDING = 1e-12  # of a fill: a position below it is none


@kernel_part
def book_trade(asset: int, quantity: float, value: float, costs: float, run: Run) -> None:
    """Move cash and position by one fill.

    Parameters
    ----------
    quantity : float
        Units, bought > 0.
    value : float
        Account currency per unit at the reference price.
    costs : float
        All of them [account currency].
    """
    held = load(run.position, asset) + quantity
    if abs(held) <= _ROUNDING * abs(quantity):
        held = 0.0  # what is left of parts that add up to the whole
    store(run.position, asset, held)
    run.cash -= quantity * value + costs


@kernel_part
def mark_to_market(bar: int, run: Run) -> None:
    """Value every position at the close of `bar`, or at its last close where it did not trade.

    Notes
    -----
    Four sums side by side, which a processor adds up at once; always in the same order, whether or
    not a later bar lacks a price.
    """
    if run.is_complete:
        _mark_complete(bar, run)
        return
    n_assets = run.n_assets
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = n_assets - n_assets % 4
    for asset in range(0, whole, 4):
        a += _marked(bar, asset, run)
        b += _marked(bar, asset + 1, run)
        c += _marked(bar, asset + 2, run)
        d += _marked(bar, asset + 3, run)
    for asset in range(whole, n_assets):
        a += _marked(bar, asset, run)
    run.equity = run.cash + ((a + b) + (c + d))


@kernel_part
def _marked(bar: int, asset: int, run: Run) -> float:
    """Take over an instrument's close and return what its position is worth."""
    close = cell(run.close, bar, asset, run)
    held = load(run.position, asset)
    if math.isnan(close):
        close = load(run.mark, asset)
        run.stale_bars += held != 0.0
    else:
        store(run.mark, asset, close)
    return held * close * unit_value(bar, asset, _CLOSE, run) if held != 0.0 else 0.0


@kernel_part
def _mark_complete(bar: int, run: Run) -> None:
    """Do the same where every instrument trades in every bar: its row of closes is the marks."""
    n_assets = run.n_assets
    row = run.close + _NUMBER_BYTES * bar * n_assets
    position = run.position
    run.mark = row
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = n_assets - n_assets % 4
    for asset in range(0, whole, 4):
        a += load(position, asset) * load(row, asset)
        b += load(position, asset + 1) * load(row, asset + 1)
        c += load(position, asset + 2) * load(row, asset + 2)
        d += load(position, asset + 3) * load(row, asset + 3)
    for asset in range(whole, n_assets):
        a += load(position, asset) * load(row, asset)
    run.equity = run.cash + ((a + b) + (c + d))


@kernel_part
def gross_exposure(bar: int, run: Run) -> float:
    """Return the sum of absolute position values at the marks [account currency]."""
    gross = 0.0
    for asset in range(run.n_assets):
        held = abs(load(run.position, asset))
        if held != 0.0:
            gross += held * load(run.mark, asset) * unit_value(bar, asset, _CLOSE, run)
    return gross


@kernel_part
def margin_needed(bar: int, run: Run) -> float:
    """Return the maintenance margin of all positions at the marks [account currency].

    Notes
    -----
    Multiplied in the order in which `coasting` does it, so that both call at the same bar.
    """
    needed = 0.0
    for asset in range(run.n_assets):
        held = abs(load(run.position, asset))
        if held != 0.0:
            floor = run.maintenance * held
            needed += floor * load(run.mark, asset) * unit_value(bar, asset, _CLOSE, run)
    return needed


@kernel_part
def finance(bar: int, run: Run) -> None:
    """Charge borrow fees and interest for the calendar time since the previous close.

    Notes
    -----
    On the values of the previous close: shorts pay their borrow rate, negative cash pays the
    margin rate, and cash that is not the proceeds of shorts earns the cash rate. Simple interest
    over years of 365 days.
    """
    years = load(run.years, bar)
    borrow = 0.0
    proceeds = 0.0
    for asset in range(run.n_assets):
        held = load(run.position, asset)
        if held < 0.0:
            worth = -held * load(run.mark, asset) * unit_value(bar, asset, _OPEN, run)
            borrow += worth * load(run.borrow_rate, asset) * years
            proceeds += worth
    cash = run.cash
    interest = 0.0
    if cash < 0.0:
        interest = cash * run.margin_rate * years
    elif cash > proceeds:
        interest = (cash - proceeds) * run.cash_rate * years
    run.borrow = borrow
    run.interest = interest
    run.cash = cash + interest - borrow


@kernel_part
def apply_split(bar: int, asset: int, ratio: float, run: Run) -> None:
    """Multiply the position and divide the mark, so that the value carried over is unchanged."""
    store(run.mark, asset, load(run.mark, asset) / ratio)
    if load(run.position, asset) != 0.0:
        store(run.position, asset, load(run.position, asset) * ratio)
        _record_action(bar, asset, _SPLIT, ratio, 0.0, run)


@kernel_part
def pay_dividend(bar: int, asset: int, amount: float, run: Run) -> None:
    """Credit longs and debit shorts with a dividend per unit held after the bar's split."""
    cash = amount * load(run.position, asset) * unit_value(bar, asset, _OPEN, run)
    run.cash += cash
    _record_action(bar, asset, _DIVIDEND, amount, cash, run)


@kernel_part
def _record_action(bar: int, asset: int, kind: int, value: float, cash: float, run: Run) -> None:
    row = action_at(run.n_actions, run)
    row["bar"] = bar
    row["instrument"] = asset
    row["kind"] = kind
    row["value"] = value
    row["position"] = load(run.position, asset)
    row["cash"] = cash
    run.n_actions += 1
