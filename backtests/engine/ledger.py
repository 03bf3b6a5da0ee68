"""The account replayed from its records alone: what fills, actions and financing explain.

The loop keeps equity at every bar and a row for everything that happened. From those rows these
functions rebuild cash, positions, exposure and profit, and so show that the rows tell all.
"""

import math
from typing import NamedTuple

import numpy as np

from backtests.engine.dtypes import (
    ActionKind,
    FloatArray,
    IntArray,
    Moment,
    RecordArray,
    Run,
)
from backtests.engine.memory import cell, load, run_at
from backtests.engine.settlement import total_of
from backtests.engine.valuation import unit_value
from numerics.compilation import kernel_part, njit

_CLOSE = int(Moment.CLOSE)
_ACTION = int(Moment.ACTION)
_SPLIT = int(ActionKind.SPLIT)


class Journal(NamedTuple):
    """Per-bar columns, shape (n_bars,), in account currency."""

    cash: FloatArray
    price_pnl: FloatArray
    currency_pnl: FloatArray
    dividends: FloatArray
    gross_exposure: FloatArray
    net_exposure: FloatArray


@njit(cache=True, error_model="numpy")
def changes(fills: RecordArray, actions: RecordArray) -> tuple[IntArray, IntArray]:
    """Return the order in which actions and fills happened.

    Returns
    -------
    tuple of int64 array, shape (n_actions + n_fills,)
        Row, and whether it is one of a fill (1) or of an action (0). Within a bar: actions and
        delistings by instrument, then fills as they came.
    """
    n = actions.size + fills.size
    row = np.empty(n, np.int64)
    is_fill = np.empty(n, np.int64)
    a = 0
    f = 0
    for at in range(n):
        takes_fill = a == actions.size
        if not takes_fill and f < fills.size:
            fill, action = fills[f], actions[a]
            if fill["bar"] != action["bar"]:
                takes_fill = fill["bar"] < action["bar"]
            else:
                is_first = fill["instrument"] < action["instrument"]
                takes_fill = fill["moment"] == _ACTION and is_first
        is_fill[at] = takes_fill
        if takes_fill:
            row[at] = f
            f += 1
        else:
            row[at] = a
            a += 1
    return row, is_fill


@njit(cache=True, error_model="numpy")
def replay(fills: RecordArray, actions: RecordArray, address: int) -> Journal:
    """Return the account's columns at every close, from its records.

    Parameters
    ----------
    fills, actions : structured array
    address : int
        Of the run's record, for prices, rates and financing.

    Notes
    -----
    The profit of a bar is what prices and what exchange rates did to the positions carried into
    it, and to each fill between its reference price and the close. Cash is added up in the order
    of the loop, so it is the loop's cash to the last bit.
    """
    run = run_at(address, 0)
    n_bars, n_assets = run.n_bars, run.n_assets
    journal = Journal(
        np.empty(n_bars), np.zeros(n_bars), np.zeros(n_bars), np.zeros(n_bars),
        np.empty(n_bars), np.empty(n_bars),
    )  # fmt: skip
    held = np.zeros(n_assets)
    mark = np.zeros(n_assets)
    rate = np.ones(n_assets)  # account currency per unit and price, at the last close
    row, is_fill = changes(fills, actions)
    cash = run.capital
    at = 0
    for bar in range(n_bars):
        is_financed = run.is_financed == 0
        fell = at  # the fills of this bar begin here
        while at < row.size:
            record = fills[row[at]]["bar"] if is_fill[at] else actions[row[at]]["bar"]
            if record != bar:
                break
            if is_fill[at]:
                fill = fills[row[at]]
                if not is_financed and fill["moment"] != _ACTION:
                    cash = cash + load(run.interest_curve, bar) - load(run.borrow_curve, bar)
                    is_financed = True
                asset = fill["instrument"]
                value = unit_value(bar, asset, fill["moment"], run)
                cash -= fill["quantity"] * (fill["reference_price"] * value) + total_of(fill)
            else:
                action = actions[row[at]]
                asset = action["instrument"]
                if action["kind"] == _SPLIT:
                    held[asset] *= action["value"]
                    mark[asset] /= action["value"]
                else:
                    cash += action["cash"]
                    journal.dividends[bar] += action["cash"]
            at += 1
        if not is_financed:
            cash = cash + load(run.interest_curve, bar) - load(run.borrow_curve, bar)
        journal.cash[bar] = cash
        by_price, by_rate = _profit_of_held(bar, held, mark, rate, run)
        for k in range(fell, at):
            if is_fill[k]:
                fill = fills[row[k]]
                asset = fill["instrument"]
                value = unit_value(bar, asset, fill["moment"], run)
                size = fill["quantity"]
                by_price += size * rate[asset] * (mark[asset] - fill["reference_price"])
                by_rate += size * fill["reference_price"] * (rate[asset] - value)
                held[asset] = fill["position"]
        journal.price_pnl[bar] = by_price
        journal.currency_pnl[bar] = by_rate
        gross = 0.0
        net = 0.0
        for asset in range(n_assets):
            if held[asset] != 0.0:
                worth = held[asset] * mark[asset] * rate[asset]
                gross += abs(worth)
                net += worth
        journal.gross_exposure[bar] = gross
        journal.net_exposure[bar] = net
    return journal


@kernel_part
def _profit_of_held(
    bar: int, held: FloatArray, mark: FloatArray, rate: FloatArray, run: Run
) -> tuple[float, float]:
    """Bring marks and rates to this close; return what both moves earned on what was held."""
    by_price = 0.0
    by_rate = 0.0
    for asset in range(held.size):
        before = mark[asset]
        close = cell(run.close, bar, asset, run)
        if math.isnan(close):
            close = before
        now = unit_value(bar, asset, _CLOSE, run)
        if held[asset] != 0.0:
            by_price += held[asset] * now * (close - before)
            by_rate += held[asset] * before * (now - rate[asset])
        mark[asset] = close
        rate[asset] = now
    return by_price, by_rate


@njit(cache=True, error_model="numpy")
def positions(fills: RecordArray, actions: RecordArray, n_bars: int, n_assets: int) -> FloatArray:
    """Return the units held at each close, shape (n_bars, n_assets), from the records alone."""
    row, is_fill = changes(fills, actions)
    held = np.zeros(n_assets)
    table = np.empty((n_bars, n_assets))
    at = 0
    for bar in range(n_bars):
        while at < row.size:
            if is_fill[at]:
                fill = fills[row[at]]
                if fill["bar"] != bar:
                    break
                held[fill["instrument"]] = fill["position"]
            else:
                action = actions[row[at]]
                if action["bar"] != bar:
                    break
                held[action["instrument"]] = action["position"]
            at += 1
        table[bar] = held
    return table


@njit(cache=True, error_model="numpy")
def unit_values(fills: RecordArray, address: int) -> FloatArray:
    """Return the account currency per unit and price of every fill, shape (n_fills,)."""
    run = run_at(address, 0)
    values = np.empty(fills.size)
    for at in range(fills.size):
        fill = fills[at]
        values[at] = unit_value(fill["bar"], fill["instrument"], fill["moment"], run)
    return values
