"""Checks a row can fail by itself: bars, quotes, trades."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.findings import Ledger, Marks

OHLC = ("open", "high", "low", "close")
# Volumes that only occur when a counter is full: 2^31-1, 2^31, 2^32-1, 2^32, 2^63-1 as a double.
SATURATION = (2147483647.0, 2147483648.0, 4294967295.0, 4294967296.0, 9223372036854775807.0)
# Adjusted prices carry rounding in the last digits; a contradiction must be larger than that.
PRICE_TOLERANCE = 1e-9

Values = dict[str, NDArray[np.float64]]
BoolArray = NDArray[np.bool_]


def check_bars(values: Values, marks: Marks, ledger: Ledger) -> tuple[BoolArray, BoolArray]:
    """Check bars, one-sided or bid/ask.

    Returns
    -------
    good : bool array, shape (n,)
        Rows not refused.
    empty : bool array, shape (n,)
        Rows that are fine but hold no price.
    """
    groups = _price_groups(values)
    prices = [values[name] for group in groups for name in group]
    missing = np.isnan(np.column_stack(prices))
    empty: BoolArray = np.asarray(missing.all(axis=1))
    lacking: BoolArray = np.asarray(missing.any(axis=1))
    for name in ("adj_close", "volume"):
        if name in values:
            lacking = lacking | np.isnan(values[name])
    good = ~ledger.flag("partly_nan", marks, lacking & ~empty, prices[-1])
    ledger.flag("empty_bars", marks, empty)
    for group in groups:
        good &= _check_group(values, group, marks, ledger)
    if "bid_close" in values:
        good &= _check_spread(values, marks, ledger)
    if "volume" in values:
        good &= _check_volume(values["volume"], marks, ledger)
    good &= _check_actions(values, marks, ledger)
    return good, empty


def _price_groups(values: Values) -> list[list[str]]:
    if "bid_close" in values:
        return [[f"{side}_{name}" for name in OHLC] for side in ("bid", "ask")]
    present = [name for name in OHLC if name in values]
    # A wide table may hold volumes or adjusted closes alone; then that field is checked.
    return [present or [next(iter(values))]]


def _check_group(values: Values, group: Sequence[str], marks: Marks, ledger: Ledger) -> BoolArray:
    columns = [values[name] for name in group]
    if group == ["volume"]:
        return np.ones(columns[0].size, dtype=bool)
    if "adj_close" in values and "adj_close" not in group:
        columns = [*columns, values["adj_close"]]
    lowest = columns[0]
    for column in columns[1:]:
        lowest = np.fmin(lowest, column)
    with np.errstate(invalid="ignore"):
        good: BoolArray = ~ledger.flag("non_positive_price", marks, lowest <= 0.0, lowest)
    if len(group) == 4:
        good &= ~_contradictions(columns, marks, ledger)
    return good


def _contradictions(
    columns: Sequence[NDArray[np.float64]], marks: Marks, ledger: Ledger
) -> BoolArray:
    opened, high, low, close = columns[:4]
    slack = PRICE_TOLERANCE * np.abs(close)
    with np.errstate(invalid="ignore"):
        above = np.maximum(np.maximum(opened, close), low) > high + slack
        below = np.minimum(np.minimum(opened, close), high) < low - slack
        # A zero or negative price is its own finding, not a contradiction of the others.
        outside = (above | below) & (low > 0.0)
        refused = ledger.flag("ohlc_contradiction", marks, outside, opened)
        body_low, body_high = np.minimum(opened, close), np.maximum(opened, close)
        wick = (low > 0.0) & ~outside & ((low < 0.5 * body_low) | (high > 2.0 * body_high))
        ledger.flag("wick", marks, wick, np.where(low < 0.5 * body_low, low, high))
    return refused


def _check_spread(values: Values, marks: Marks, ledger: Ledger) -> BoolArray:
    with np.errstate(invalid="ignore"):
        crossed = values["bid_close"] > values["ask_close"]
        inside = np.zeros_like(crossed)
        for name in OHLC[:3]:
            inside |= values[f"bid_{name}"] > values[f"ask_{name}"]
    spread = values["ask_close"] - values["bid_close"]
    ledger.flag("crossed_inside_bar", marks, inside & ~crossed)
    return ~ledger.flag("crossed_bar", marks, crossed, spread)


def _check_volume(volume: NDArray[np.float64], marks: Marks, ledger: Ledger) -> BoolArray:
    with np.errstate(invalid="ignore"):
        good: BoolArray = ~ledger.flag("negative_volume", marks, volume < 0.0, volume)
    good &= ~ledger.flag("volume_saturated", marks, np.isin(volume, SATURATION), volume)
    return good


def _check_actions(values: Values, marks: Marks, ledger: Ledger) -> BoolArray:
    good = np.ones(marks.rows.size, dtype=bool)
    for name in ("split", "dividend"):
        if name in values:
            with np.errstate(invalid="ignore"):
                good &= ~ledger.flag("bad_action", marks, values[name] < 0.0, values[name])
    return good


def check_quotes(values: Values, marks: Marks, ledger: Ledger) -> BoolArray:
    """Check top-of-book quotes; return the mask of rows not refused."""
    bid, ask = values["bid"], values["ask"]
    lacking = np.isnan(bid) | np.isnan(ask)
    good: BoolArray = ~ledger.flag("partly_nan", marks, lacking)
    lowest = np.fmin(bid, ask)
    with np.errstate(invalid="ignore"):
        good &= ~ledger.flag("non_positive_price", marks, lowest <= 0.0, lowest)
        good &= ~ledger.flag("crossed_quote", marks, bid > ask, ask - bid)
        ledger.flag("locked_quote", marks, bid == ask, bid)
        for name in ("bid_size", "ask_size"):
            if name in values:
                good &= ~ledger.flag("negative_size", marks, values[name] < 0.0, values[name])
    return good


def check_trades(values: Values, marks: Marks, ledger: Ledger) -> BoolArray:
    """Check trades; return the mask of rows not refused."""
    price, qty = values["price"], values["qty"]
    good: BoolArray = ~ledger.flag("partly_nan", marks, np.isnan(price) | np.isnan(qty))
    with np.errstate(invalid="ignore"):
        good &= ~ledger.flag("non_positive_price", marks, price <= 0.0, price)
        good &= ~ledger.flag("zero_quantity", marks, qty == 0.0, qty)
        good &= ~ledger.flag("negative_size", marks, qty < 0.0, qty)
    return good
