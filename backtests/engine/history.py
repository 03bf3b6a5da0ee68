"""The history that a strategy sees: a split is no crash, a dividend is no loss."""

import math

import numpy as np

from backtests.engine.dtypes import FloatArray
from backtests.engine.inputs import Bars
from numerics.compilation import njit


def adjusted_closes(bars: Bars) -> FloatArray:
    """Return closes chained forward through splits and dividends, shape (n_bars, n_assets).

    Notes
    -----
    Built forwards from the first bar: what happens later never changes an earlier value.
    """
    if bars.split is None and bars.dividend is None:
        return bars.close
    neutral = np.full((1, 1), np.nan)
    split = neutral if bars.split is None else bars.split
    dividend = neutral if bars.dividend is None else bars.dividend
    adjusted: FloatArray = _chained(bars.close, split, dividend)
    return adjusted


@njit(cache=True, error_model="numpy")
def _chained(close: FloatArray, split: FloatArray, dividend: FloatArray) -> FloatArray:
    """Return the value of one unit bought at the first close, dividends reinvested at the close."""
    n_bars, n_assets = close.shape
    out = np.empty_like(close)
    units = np.ones(n_assets)
    waiting = np.zeros(n_assets)  # dividends not yet reinvested, for want of a price
    for bar in range(n_bars):
        for asset in range(n_assets):
            if split.shape[0] == n_bars and not math.isnan(split[bar, asset]):
                units[asset] *= split[bar, asset]
            if dividend.shape[0] == n_bars and dividend[bar, asset] > 0.0:
                waiting[asset] += units[asset] * dividend[bar, asset]
            price = close[bar, asset]
            out[bar, asset] = price
            if math.isnan(price):
                continue
            units[asset] += waiting[asset] / price
            waiting[asset] = 0.0
            out[bar, asset] = units[asset] * price
    return out
