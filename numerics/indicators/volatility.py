"""How far prices move, and what that says about the spread they are quoted at.

A row counts as observed where every series of the indicator is; windows count observations. Every
value at row t depends on rows up to t alone.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit
from numerics.indicators.moving import simple_moving_average, smooth
from numerics.indicators.observed import is_complete, observed_rows, spread
from numerics.indicators.windows import rolling_moments


class Channel(NamedTuple):
    """A lower bound, a middle and an upper bound, each of shape (n_bars,)."""

    lower: NDArray[np.float64]
    middle: NDArray[np.float64]
    upper: NDArray[np.float64]


@njit(cache=True, error_model="numpy")
def true_range(
    high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the range of each bar together with the close before it.

    Parameters
    ----------
    high, low, close : float64 array, shape (n_bars,)
        Of each bar [quote currency], ``low <= close <= high``; NaN where not observed.

    Returns
    -------
    float64 array, shape (n_bars,)
        ``max(high_t, close_(t-1)) - min(low_t, close_(t-1))`` [quote currency], >= 0. NaN at rows
        without an observation and at the first one, which has no close before it.

    References
    ----------
    .. [1] Wilder (1978), "New Concepts in Technical Trading Systems".
    """
    if is_complete(high) and is_complete(low) and is_complete(close):
        return _true_range(high, low, close)
    rows = observed_rows(high, low, close)
    return spread(_true_range(high[rows], low[rows], close[rows]), rows, high.size)


@njit(cache=True, error_model="numpy")
def average_true_range(
    high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64], window: int
) -> NDArray[np.float64]:
    """Return Wilder's average of the true range.

    Parameters
    ----------
    high, low, close : float64 array, shape (n_bars,)
        Of each bar [quote currency], ``low <= close <= high``; NaN where not observed.
    window : int
        Ranges averaged [observations], >= 1; Wilder uses 14. Trusted.

    Returns
    -------
    float64 array, shape (n_bars,)
        [quote currency], >= 0. NaN at rows without an observation and in the first `window`.

    Notes
    -----
    The simple average of the first `window` true ranges, then
    ``a_t = a_(t-1) + (range_t - a_(t-1)) / window``.

    References
    ----------
    .. [1] Wilder (1978), "New Concepts in Technical Trading Systems".
    """
    if is_complete(high) and is_complete(low) and is_complete(close):
        return _average_true_range(high, low, close, window)
    rows = observed_rows(high, low, close)
    compact = _average_true_range(high[rows], low[rows], close[rows], window)
    return spread(compact, rows, high.size)


@njit(cache=True, error_model="numpy")
def rolling_standard_deviation(
    values: NDArray[np.float64], window: int, ddof: int = 1
) -> NDArray[np.float64]:
    """Return the standard deviation of the last `window` observed values.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Any unit; finite, or NaN where nothing was observed.
    window : int
        Number of observations [observations], >= 1. Trusted.
    ddof : int
        The divisor is ``window - ddof``: 1 for a sample, 0 for a population.

    Returns
    -------
    float64 array, shape (n_bars,)
        Same unit, >= 0, exactly 0 where all are equal. NaN at rows without an observation, before
        `window` observations exist, and everywhere if ``window <= ddof``.
    """
    if is_complete(values):
        return _standard_deviation(values, window, ddof)
    rows = observed_rows(values, values, values)
    return spread(_standard_deviation(values[rows], window, ddof), rows, values.size)


@njit(cache=True, error_model="numpy")
def bollinger_bands(values: NDArray[np.float64], window: int, n_deviations: float) -> Channel:
    """Return the simple moving average and a band of deviations on both sides of it.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Prices [any unit]; finite, or NaN where not observed.
    window : int
        Number of observations [observations], >= 1; Bollinger uses 20. Trusted.
    n_deviations : float
        Half the width [population standard deviations of the window], >= 0; Bollinger uses 2.

    Returns
    -------
    Channel
        [same unit]; `middle` is `simple_moving_average`. NaN at rows without an observation and
        before `window` observations exist. A constant price has a band of no width.

    References
    ----------
    .. [1] Bollinger (2001), "Bollinger on Bollinger Bands".
    """
    deviation = rolling_standard_deviation(values, window, 0)
    return band(simple_moving_average(values, window), deviation, n_deviations)


@njit(cache=True, error_model="numpy")
def corwin_schultz_half_spread(
    high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Estimate half the bid-ask spread from the highs and lows of two consecutive bars.

    Parameters
    ----------
    high, low, close : float64 array, shape (n_bars,)
        Of each bar [quote currency], ``0 < low <= close <= high``; NaN where not observed. The
        paper's bars are days.

    Returns
    -------
    float64 array, shape (n_bars,)
        Half spread over the bars t-1 and t [fraction of price], in [0, 1); a negative estimate is
        0, as in the paper. NaN at rows without an observation and at the first one.

    Notes
    -----
    With ``b`` the sum of both squared log ranges, ``g`` the squared log range of the two bars
    together and ``c = 3 - 2 sqrt(2)``: ``a = (sqrt(2 b) - sqrt(b)) / c - sqrt(g / c)``; the spread
    is ``2 (e^a - 1) / (1 + e^a)``, of which half is ``tanh(a / 2)``. Bar t is first moved to
    undo a gap: down if its low is above the close before, up if its high is below. One estimate is
    noisy: average many before use.

    References
    ----------
    .. [1] Corwin and Schultz (2012), "A simple way to estimate bid-ask spreads from daily high and
       low prices", Journal of Finance 67(2).
    """
    if is_complete(high) and is_complete(low) and is_complete(close):
        return _corwin_schultz(high, low, close)
    rows = observed_rows(high, low, close)
    return spread(_corwin_schultz(high[rows], low[rows], close[rows]), rows, high.size)


@njit(cache=True, error_model="numpy")
def band(middle: NDArray[np.float64], unit: NDArray[np.float64], n_units: float) -> Channel:
    """Return the channel of `n_units` times a width on both sides of a line.

    Parameters
    ----------
    middle, unit : float64 array, shape (n_bars,)
        Same unit; NaN where unknown. `unit` is overwritten: it becomes the upper bound.
    n_units : float
        Half the width, >= 0.
    """
    lower = np.empty(middle.size)
    for row in range(middle.size):
        width = n_units * unit[row]
        lower[row] = middle[row] - width
        unit[row] = middle[row] + width
    return Channel(lower, middle, unit)


@njit(cache=True, error_model="numpy")
def _true_range(
    high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64]
) -> NDArray[np.float64]:
    out = np.full(high.size, np.nan)
    for row in range(1, high.size):
        before = close[row - 1]
        out[row] = max(high[row], before) - min(low[row], before)
    return out


@njit(cache=True, error_model="numpy")
def _average_true_range(
    high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64], window: int
) -> NDArray[np.float64]:
    out = _true_range(high, low, close)
    out[1:] = smooth(out[1:], window, 1.0 / window)
    return out


@njit(cache=True, error_model="numpy")
def _standard_deviation(values: NDArray[np.float64], window: int, ddof: int) -> NDArray[np.float64]:
    if window <= ddof:
        return np.full(values.size, np.nan)
    deviation = rolling_moments(values, window)[1]
    for row in range(values.size):
        deviation[row] = math.sqrt(deviation[row] / (window - ddof))
    return deviation


@njit(cache=True, error_model="numpy")
def _corwin_schultz(
    high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64]
) -> NDArray[np.float64]:
    out = np.full(high.size, np.nan)
    c = 3.0 - 2.0 * math.sqrt(2.0)
    slope, root = (math.sqrt(2.0) - 1.0) / c, math.sqrt(c)
    for row in range(1, high.size):
        before = close[row - 1]
        gap = max(low[row] - before, 0.0) + min(high[row] - before, 0.0)
        top, bottom = high[row] - gap, low[row] - gap
        earlier, later = math.log(high[row - 1] / low[row - 1]), math.log(top / bottom)
        together = math.log(max(high[row - 1], top) / min(low[row - 1], bottom))
        a = slope * math.sqrt(earlier * earlier + later * later) - together / root
        out[row] = math.tanh(a / 2.0) if a > 0.0 else 0.0
    return out
