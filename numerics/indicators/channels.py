"""Channels that a price moves in.

A row counts as observed where every series of the indicator is; windows count observations. Every
value at row t depends on rows up to t alone.
"""

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit
from numerics.indicators.moving import exponential_moving_average
from numerics.indicators.observed import is_complete, observed_rows, spread
from numerics.indicators.volatility import Channel, average_true_range, band
from numerics.indicators.windows import rolling_extreme


@njit(cache=True, error_model="numpy")
def rolling_maximum(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the largest of the last `window` observed values.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Any unit; NaN where nothing was observed.
    window : int
        Number of observations, the newest among them [observations], >= 1. Trusted.

    Returns
    -------
    float64 array, shape (n_bars,)
        Same unit. NaN at rows without an observation and before `window` observations exist.

    Notes
    -----
    Three comparisons per row, whatever the window and the values.

    References
    ----------
    .. [1] van Herk (1992), "A fast algorithm for local minimum and maximum filters on rectangular
       and octagonal kernels", Pattern Recognition Letters 13(7).
    """
    if is_complete(values):
        return rolling_extreme(values, window, 1.0)
    rows = observed_rows(values, values, values)
    return spread(rolling_extreme(values[rows], window, 1.0), rows, values.size)


@njit(cache=True, error_model="numpy")
def rolling_minimum(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the smallest of the last `window` observed values.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Any unit; NaN where nothing was observed.
    window : int
        Number of observations, the newest among them [observations], >= 1. Trusted.

    Returns
    -------
    float64 array, shape (n_bars,)
        Same unit. NaN at rows without an observation and before `window` observations exist.
    """
    if is_complete(values):
        return rolling_extreme(values, window, -1.0)
    rows = observed_rows(values, values, values)
    return spread(rolling_extreme(values[rows], window, -1.0), rows, values.size)


@njit(cache=True, error_model="numpy")
def donchian_channel(high: NDArray[np.float64], low: NDArray[np.float64], window: int) -> Channel:
    """Return the lowest low and the highest high of the last `window` bars.

    Parameters
    ----------
    high, low : float64 array, shape (n_bars,)
        Of each bar [quote currency]; NaN where not observed.
    window : int
        Bars of the channel, this one among them [observations], >= 1. Trusted. For a breakout
        compare with the channel of the bar before.

    Returns
    -------
    Channel
        [quote currency]; `middle` is halfway. NaN at rows without an observation and before
        `window` observations exist.

    References
    ----------
    .. [1] Donchian (1960), "High finance in copper", Financial Analysts Journal 16(6).
    """
    if is_complete(high) and is_complete(low):
        return _donchian(high, low, window)
    rows = observed_rows(high, low, low)
    compact = _donchian(high[rows], low[rows], window)
    return Channel(
        spread(compact.lower, rows, high.size),
        spread(compact.middle, rows, high.size),
        spread(compact.upper, rows, high.size),
    )


@njit(cache=True, error_model="numpy")
def keltner_channel(
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    window: int,
    range_window: int,
    n_ranges: float,
) -> Channel:
    """Return the exponential average of the close and a band of true ranges on both sides.

    Parameters
    ----------
    high, low, close : float64 array, shape (n_bars,)
        Of each bar [quote currency], ``low <= close <= high``; a row counts where all three are
        observed.
    window : int
        Span of the exponential average [observations], >= 1; usually 20. Trusted.
    range_window : int
        Window of Wilder's average true range [observations], >= 1; usually 10. Trusted.
    n_ranges : float
        Half the width [average true ranges], >= 0; usually 2.

    Returns
    -------
    Channel
        [quote currency]. NaN at rows without an observation; `middle` before `window` observations
        exist, the bounds until more than `range_window` do as well.

    Notes
    -----
    Keltner's own channel averages typical prices and plain ranges over ten days; this is the form
    of Linda Raschke that charts show today.

    References
    ----------
    .. [1] Keltner (1960), "How to Make Money in Commodities".
    .. [2] Connors and Raschke (1995), "Street Smarts".
    """
    if is_complete(high) and is_complete(low) and is_complete(close):
        return _keltner(high, low, close, window, range_window, n_ranges)
    rows = observed_rows(high, low, close)
    compact = _keltner(high[rows], low[rows], close[rows], window, range_window, n_ranges)
    return Channel(
        spread(compact.lower, rows, high.size),
        spread(compact.middle, rows, high.size),
        spread(compact.upper, rows, high.size),
    )


@njit(cache=True, error_model="numpy")
def _keltner(
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    window: int,
    range_window: int,
    n_ranges: float,
) -> Channel:
    ranges = average_true_range(high, low, close, range_window)
    return band(exponential_moving_average(close, window), ranges, n_ranges)


@njit(cache=True, error_model="numpy")
def _donchian(high: NDArray[np.float64], low: NDArray[np.float64], window: int) -> Channel:
    upper = rolling_extreme(high, window, 1.0)
    lower = rolling_extreme(low, window, -1.0)
    return Channel(lower, lower + 0.5 * (upper - lower), upper)
