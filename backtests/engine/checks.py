"""Compiled checks of bars: one pass, the first fault found by row and then by column."""

import math

import numpy as np
from numpy.typing import NDArray

from backtests.engine.dtypes import FloatArray
from numerics.compilation import njit

(
    SOUND, PARTIAL, PRICE, RANGE, VOLUME, SPREAD, SPLIT, DIVIDEND, OPEN_SPREAD, DELISTED, KNOWN,
) = range(11)  # fmt: skip


@njit(cache=True, error_model="numpy")
def first_unsorted(ts: NDArray[np.int64]) -> int:
    """Return the first row whose stamp is not later than the one before it, or -1."""
    for row in range(1, ts.size):
        if ts[row] <= ts[row - 1]:
            return row
    return -1


@njit(cache=True, error_model="numpy")
def first_bad_close(close: FloatArray) -> tuple[int, int, int]:
    """Return row, column and fault of the first bad close of bars that have closes alone."""
    for row in range(close.shape[0]):
        for column in range(close.shape[1]):
            price = close[row, column]
            if not math.isnan(price) and not 0.0 < price < math.inf:
                return row, column, PRICE
    return -1, -1, SOUND


@njit(cache=True, error_model="numpy")
def first_bad_bar(
    close: FloatArray, opened: FloatArray, high: FloatArray, low: FloatArray
) -> tuple[int, int, int]:
    """Return row, column and fault of the first bad bar; absent columns repeat the close.

    Parameters
    ----------
    close, opened, high, low : float64 array, shape (n_bars, n_assets)
        An instrument whose four prices are all NaN did not trade in that bar.

    Returns
    -------
    tuple of int
        ``(-1, -1, SOUND)`` when there is no fault.
    """
    for row in range(close.shape[0]):
        for column in range(close.shape[1]):
            c = close[row, column]
            o = opened[row, column]
            h = high[row, column]
            b = low[row, column]
            if (
                0.0 < b <= min(c, o)
                and max(c, o) <= h < math.inf
                and not math.isnan(c)
                and not math.isnan(o)
            ):
                continue
            fault = _fault_of(c, o, h, b)
            if fault != SOUND:
                return row, column, fault
    return -1, -1, SOUND


@njit(cache=True, error_model="numpy")
def _fault_of(c: float, o: float, h: float, b: float) -> int:
    missing = math.isnan(c) + math.isnan(o) + math.isnan(h) + math.isnan(b)
    if missing == 4:
        return SOUND
    if missing > 0:
        return PARTIAL
    for price in (c, o, h, b):
        if not 0.0 < price < math.inf:
            return PRICE
    return RANGE


@njit(cache=True, error_model="numpy")
def first_bad_extra(price_of: FloatArray, values: FloatArray, kind: int) -> tuple[int, int, int]:
    """Return row, column and `kind` of the first bad volume, half spread, split or dividend.

    Notes
    -----
    NaN means "none" for spread, split and dividend; a volume may be NaN only where the
    instrument did not trade.
    """
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            value = values[row, column]
            price = price_of[row, column]
            if math.isnan(value):
                if kind == VOLUME and not math.isnan(price):
                    return row, column, kind
                continue
            is_bad = value < 0.0 or value == math.inf
            is_bad = is_bad or (kind == SPLIT and value == 0.0)
            is_bad = is_bad or (kind in (SPREAD, OPEN_SPREAD) and value >= price)
            is_bad = is_bad or (kind == DELISTED and value not in (0.0, 1.0))
            if is_bad:
                return row, column, kind
    return -1, -1, SOUND


@njit(cache=True, error_model="numpy")
def rows_with_action(
    split: FloatArray, dividend: FloatArray, delisted: FloatArray, n_bars: int
) -> NDArray[np.bool_]:
    """Return, for every bar, whether any instrument splits, pays a dividend or is delisted."""
    found = np.zeros(n_bars, np.bool_)
    for row in range(split.shape[0]):
        for column in range(split.shape[1]):
            ratio = split[row, column]
            found[row] |= not math.isnan(ratio) and ratio != 1.0
    for row in range(dividend.shape[0]):
        for column in range(dividend.shape[1]):
            found[row] |= dividend[row, column] > 0.0
    for row in range(delisted.shape[0]):
        for column in range(delisted.shape[1]):
            found[row] |= delisted[row, column] > 0.0
    return found


@njit(cache=True, error_model="numpy")
def rows_with_target(values: FloatArray) -> tuple[NDArray[np.int64], int]:
    """Return the rows that hold a target, and the first one with an infinity, or -1."""
    found = np.empty(values.shape[0], np.int64)
    n_found = 0
    for row in range(values.shape[0]):
        n_targets = 0
        n_infinite = 0
        for column in range(values.shape[1]):
            value = values[row, column]
            n_targets += not math.isnan(value)
            n_infinite += abs(value) == math.inf
        if n_infinite > 0:
            return found[:0], row
        found[n_found] = row
        n_found += n_targets > 0
    return found[:n_found] if 2 * n_found > found.size else found[:n_found].copy(), -1
