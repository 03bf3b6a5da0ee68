"""Speed and direction of a price, bounded or in its own unit.

NaN means "not observed"; windows count observations. Every value at row t depends on rows up to t.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit
from numerics.indicators.moving import simple_moving_average, smooth
from numerics.indicators.observed import is_complete, observed_rows, spread
from numerics.indicators.windows import rolling_extreme

_FORGOTTEN = 1e-200


class Macd(NamedTuple):
    """The three series of a moving average convergence divergence, each of shape (n_bars,)."""

    line: NDArray[np.float64]
    signal: NDArray[np.float64]
    histogram: NDArray[np.float64]


class Stochastic(NamedTuple):
    """The two series of a stochastic oscillator, each of shape (n_bars,)."""

    k: NDArray[np.float64]
    d: NDArray[np.float64]


@njit(cache=True, error_model="numpy")
def rate_of_change(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the fractional change over `window` observations.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Prices [quote currency]; NaN where not observed.
    window : int
        Distance [observations], >= 1. Trusted.

    Returns
    -------
    float64 array, shape (n_bars,)
        ``x_t / x_(t-window) - 1`` [fraction]. NaN at rows without an observation, in the first
        `window` observations and where the earlier value is 0.
    """
    if is_complete(values):
        return _rate_of_change(values, window)
    rows = observed_rows(values, values, values)
    return spread(_rate_of_change(values[rows], window), rows, values.size)


@njit(cache=True, error_model="numpy")
def relative_strength_index(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return Wilder's relative strength index.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Prices [any unit]; finite, or NaN where not observed.
    window : int
        Changes averaged [observations], >= 1; Wilder uses 14. Trusted.

    Returns
    -------
    float64 array, shape (n_bars,)
        ``100 U / (U + D)`` in [0, 100]. NaN at rows without an observation, in the first `window`
        observations and as long as the price has never changed: 0 / 0 has no strength.

    Notes
    -----
    U and D are the averages of rises and falls: simple over the first `window` changes, then
    ``U_t = U_(t-1) + (rise_t - U_(t-1)) / window``. While a price stands still both shrink alike
    and the index stays; the shrinking is stopped before it leaves the range of floats.

    References
    ----------
    .. [1] Wilder (1978), "New Concepts in Technical Trading Systems".
    """
    if is_complete(values):
        return _relative_strength_index(values, window)
    rows = observed_rows(values, values, values)
    return spread(_relative_strength_index(values[rows], window), rows, values.size)


@njit(cache=True, error_model="numpy")
def macd(
    values: NDArray[np.float64], fast_window: int, slow_window: int, signal_window: int
) -> Macd:
    """Return the moving average convergence divergence, its signal and their difference.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Prices [any unit]; finite, or NaN where not observed.
    fast_window, slow_window, signal_window : int
        Spans [observations], >= 1; Appel uses 12, 26 and 9. Trusted.

    Returns
    -------
    Macd
        `line` is the fast less the slow exponential average, `signal` the exponential average of
        the line, `histogram` the line less the signal [same unit]. NaN at rows without an
        observation and before `slow_window` observations, or ``slow_window + signal_window - 1``.

    Notes
    -----
    Every average is seeded by the simple average of its own first window, see
    `exponential_moving_average`. TA-Lib seeds the fast one later, at the row of the slow one's
    seed; the difference dies out as ``(1 - 2 / (fast_window + 1))^t``.

    References
    ----------
    .. [1] Appel (2005), "Technical Analysis: Power Tools for Active Investors".
    """
    if is_complete(values):
        return _macd(values, fast_window, slow_window, signal_window)
    rows = observed_rows(values, values, values)
    compact = _macd(values[rows], fast_window, slow_window, signal_window)
    return Macd(
        spread(compact.line, rows, values.size),
        spread(compact.signal, rows, values.size),
        spread(compact.histogram, rows, values.size),
    )


@njit(cache=True, error_model="numpy")
def stochastic(
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    window: int,
    k_smoothing: int,
    d_smoothing: int,
) -> Stochastic:
    """Return the place of the close within the range of the last `window` bars.

    Parameters
    ----------
    high, low, close : float64 array, shape (n_bars,)
        Of each bar [quote currency], ``low <= close <= high``; a row counts where all three are
        observed.
    window : int
        Bars of the range, this one among them [observations], >= 1. Trusted.
    k_smoothing, d_smoothing : int
        Windows of the simple averages that make %K of the raw place and %D of %K, >= 1; with
        `k_smoothing` 1 this is Lane's fast oscillator, with 3 the slow one. Trusted.

    Returns
    -------
    Stochastic
        ``k = 100 (close - lowest) / (highest - lowest)``, averaged, and `d`; in [0, 100]. NaN at
        rows without an observation, before enough of them, and where the range is 0; a bar without
        a place is no observation to the averages.

    References
    ----------
    .. [1] Lane (1984), "Lane's stochastics", Technical Analysis of Stocks and Commodities 2(3).
    """
    if is_complete(high) and is_complete(low) and is_complete(close):
        return _stochastic(high, low, close, window, k_smoothing, d_smoothing)
    rows = observed_rows(high, low, close)
    k, d = _stochastic(high[rows], low[rows], close[rows], window, k_smoothing, d_smoothing)
    return Stochastic(spread(k, rows, high.size), spread(d, rows, high.size))


@njit(cache=True, error_model="numpy")
def _stochastic(
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    window: int,
    k_smoothing: int,
    d_smoothing: int,
) -> Stochastic:
    place = rolling_extreme(high, window, 1.0)
    lowest = rolling_extreme(low, window, -1.0)
    for row in range(place.size):
        place[row] = 100.0 * ((close[row] - lowest[row]) / (place[row] - lowest[row]))
    k = _average_percentage(place, window - 1, k_smoothing)
    return Stochastic(k, _average_percentage(k, window + k_smoothing - 2, d_smoothing))


@njit(cache=True, error_model="numpy")
def _average_percentage(
    values: NDArray[np.float64], first: int, window: int
) -> NDArray[np.float64]:
    """Average what begins at row `first`; what precedes it is NaN and is not searched for holes."""
    out = np.full(values.size, np.nan)
    known = simple_moving_average(values[first:], window)
    for at in range(known.size):
        if not math.isnan(known[at]):
            out[first + at] = min(max(known[at], 0.0), 100.0)  # rounding may leave the bounds
    return out


@njit(cache=True, error_model="numpy")
def _rate_of_change(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    out = np.full(values.size, np.nan)
    for row in range(window, values.size):
        if values[row - window] != 0.0:
            out[row] = values[row] / values[row - window] - 1.0
    return out


@njit(cache=True, error_model="numpy")
def _relative_strength_index(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    out = np.full(values.size, np.nan)
    rise = fall = 0.0
    for row in range(1, values.size):
        change = values[row] - values[row - 1]
        if row <= window:
            rise += max(change, 0.0) / window
            fall += max(-change, 0.0) / window
        elif change != 0.0 or rise + fall > _FORGOTTEN:
            rise += (max(change, 0.0) - rise) / window
            fall += (max(-change, 0.0) - fall) / window
        if row >= window and rise + fall > 0.0:
            out[row] = 100.0 * (rise / (rise + fall))
    return out


@njit(cache=True, error_model="numpy")
def _macd(
    values: NDArray[np.float64], fast_window: int, slow_window: int, signal_window: int
) -> Macd:
    line = smooth(values, fast_window, 2.0 / (fast_window + 1.0))
    slow = smooth(values, slow_window, 2.0 / (slow_window + 1.0))
    line -= slow
    first = min(max(fast_window, slow_window) - 1, values.size)
    signal = np.empty(values.size)
    signal[:first] = np.nan
    signal[first:] = smooth(line[first:], signal_window, 2.0 / (signal_window + 1.0))
    return Macd(line, signal, line - signal)
