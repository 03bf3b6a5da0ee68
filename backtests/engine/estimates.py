"""Estimates of what the bars do not carry, each from bars that were known before."""

import numpy as np

from backtests.engine.dtypes import FloatArray
from numerics.indicators import corwin_schultz_half_spread

IMPACT_BARS = 20


def known_half_spread(
    high: FloatArray, low: FloatArray, close: FloatArray, split: FloatArray | None = None
) -> FloatArray:
    """Return the half spread at each bar, as Corwin and Schultz estimate it one bar before.

    Parameters
    ----------
    high, low, close : float64 array, shape (n_bars, n_assets)
        Raw prices [currency]; NaN where not traded.
    split : float64 array, same shape, optional
        New units per old unit, NaN where not split.

    Returns
    -------
    float64 array, shape (n_bars, n_assets)
        Currency per unit; 0 where the estimate is negative, NaN where the bar before has none.

    Notes
    -----
    `numerics.indicators.corwin_schultz_half_spread` of the two bars before, times the last close.
    """
    estimate = np.full_like(close, np.nan)
    units = np.cumprod(_ratios(close, split), axis=0)
    for column in range(close.shape[1]):
        per_first_unit = (
            np.ascontiguousarray(prices[:, column] * units[:, column])
            for prices in (high, low, close)
        )
        share = corwin_schultz_half_spread(*per_first_unit)
        known = share * close[:, column] * units[:, column]
        estimate[1:, column] = known[:-1]
    return estimate / units


def _ratios(close: FloatArray, split: FloatArray | None) -> FloatArray:
    return np.ones_like(close) if split is None else np.where(np.isnan(split), 1.0, split)


def trailing_impact_inputs(
    close: FloatArray, volume: FloatArray, split: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Return the deviation of the returns and the mean volume of the bars before each bar.

    Parameters
    ----------
    close, volume, split : float64 array, shape (n_bars, n_assets)
        Raw; NaN where not traded, or not split.

    Returns
    -------
    tuple of float64 array, shape (n_bars, n_assets)
        Over the 20 bars before each bar, NaN with fewer than two returns among them; volumes in
        the units of the bar. A split falls into neither figure.

    Notes
    -----
    Per bar, whatever its length: ``sigma sqrt(Q / V)`` does not depend on the horizon that both
    are of.
    """
    ratio = _ratios(close, split)
    units = np.cumprod(ratio, axis=0)
    change = np.full_like(close, np.nan)
    change[1:] = close[1:] * ratio[1:] / close[:-1] - 1.0
    n, total = _trailing(np.where(np.isnan(change), 0.0, 1.0)), _trailing(np.nan_to_num(change))
    squares = _trailing(np.nan_to_num(change) ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = (squares - total**2 / n) / (n - 1.0)
        sigma = np.where(n >= 2.0, np.sqrt(np.maximum(variance, 0.0)), np.nan)
        n_traded = _trailing(np.where(np.isnan(volume), 0.0, 1.0))
        total = _trailing(np.nan_to_num(volume / units))
        mean = np.where(n_traded > 0.0, total / n_traded, np.nan)
    return sigma, mean * units


def _trailing(values: FloatArray) -> FloatArray:
    """Return the sum over the 20 rows before each row, each added up afresh."""
    total = np.zeros_like(values)
    for back in range(1, IMPACT_BARS + 1):
        total[back:] += values[:-back]
    return total
