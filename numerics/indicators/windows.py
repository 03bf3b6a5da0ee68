"""Sums over a moving window of a complete series that never subtract what has left it.

The series is cut into blocks as long as the window. A window then is the end of one block and the
beginning of the next: two sums that only ever grow, so a giant that has left the window leaves no
rounding behind, and three additions per row whatever the window [1]_. Values are taken as
distances from the first value of the later block, which lies inside every such window: a constant
window has exactly zero sums, and a sum of squares loses at most ``log2(window)`` bits to
cancellation.

References
----------
.. [1] van Herk (1992), "A fast algorithm for local minimum and maximum filters on rectangular and
   octagonal kernels", Pattern Recognition Letters 13(7).
.. [2] Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance", The American
   Statistician 37(3), on shifted data.
"""

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit


@njit(cache=True, error_model="numpy")
def rolling_moments(
    values: NDArray[np.float64], window: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of each window and the sum of squared deviations from it.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Finite, below 1e150 in size.
    window : int
        Values per window, >= 1.

    Returns
    -------
    mean, squares : float64 array, shape (n_bars,)
        NaN in the first ``window - 1`` rows. `squares` is exactly 0 in a constant window.
    """
    n_bars = values.size
    mean = np.full(n_bars, np.nan)
    squares = np.full(n_bars, np.nan)
    older = np.zeros((2, window + 1))  # sums over the end of the earlier block, from each place on
    for start in range(0, n_bars, window):
        anchor = values[start]
        first = second = 0.0
        for k in range(window - 1 if start else 0, 0, -1):
            distance = values[start - window + k] - anchor
            first += distance
            second += distance * distance
            older[0, k] = first
            older[1, k] = second
        first = second = 0.0
        for k in range(min(window, n_bars - start)):
            distance = values[start + k] - anchor
            first += distance
            second += distance * distance
            if start + k >= window - 1:
                total = older[0, k + 1] + first
                shift = total / window
                mean[start + k] = anchor + shift
                squares[start + k] = max(older[1, k + 1] + second - total * shift, 0.0)
    return mean, squares


@njit(cache=True, error_model="numpy")
def rolling_comoments(
    x: NDArray[np.float64], y: NDArray[np.float64], window: int
) -> NDArray[np.float64]:
    """Return the sums of squared and crossed deviations from the means of each window.

    Parameters
    ----------
    x, y : float64 array, shape (n_bars,)
        Finite, below 1e150 in size.
    window : int
        Values per window, >= 1.

    Returns
    -------
    float64 array, shape (3, n_bars)
        Squares of x, squares of y, products; NaN in the first ``window - 1`` columns.
    """
    n_bars = x.size
    out = np.full((3, n_bars), np.nan)
    older = np.zeros((5, window + 1))
    for start in range(0, n_bars, window):
        x_anchor, y_anchor = x[start], y[start]
        sx = sy = sxx = syy = sxy = 0.0
        for k in range(window - 1 if start else 0, 0, -1):
            dx, dy = x[start - window + k] - x_anchor, y[start - window + k] - y_anchor
            sx, sy = sx + dx, sy + dy
            sxx, syy, sxy = sxx + dx * dx, syy + dy * dy, sxy + dx * dy
            older[0, k], older[1, k] = sx, sy
            older[2, k], older[3, k], older[4, k] = sxx, syy, sxy
        sx = sy = sxx = syy = sxy = 0.0
        for k in range(min(window, n_bars - start)):
            dx, dy = x[start + k] - x_anchor, y[start + k] - y_anchor
            sx, sy = sx + dx, sy + dy
            sxx, syy, sxy = sxx + dx * dx, syy + dy * dy, sxy + dx * dy
            if start + k >= window - 1:
                total_x, total_y = older[0, k + 1] + sx, older[1, k + 1] + sy
                out[0, start + k] = max(older[2, k + 1] + sxx - total_x * total_x / window, 0.0)
                out[1, start + k] = max(older[3, k + 1] + syy - total_y * total_y / window, 0.0)
                out[2, start + k] = older[4, k + 1] + sxy - total_x * total_y / window
    return out


@njit(cache=True, error_model="numpy")
def rolling_weighted_mean(
    values: NDArray[np.float64], weights: NDArray[np.float64], window: int
) -> NDArray[np.float64]:
    """Return ``sum(w v) / sum(w)`` of each window.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Finite.
    weights : float64 array, shape (n_bars,)
        Finite, >= 0.
    window : int
        Values per window, >= 1.

    Returns
    -------
    float64 array, shape (n_bars,)
        NaN in the first ``window - 1`` rows and where all weights of the window are 0.
    """
    n_bars = values.size
    out = np.full(n_bars, np.nan)
    older = np.zeros((2, window + 1))
    for start in range(0, n_bars, window):
        anchor = values[start]
        weight = moment = 0.0
        for k in range(window - 1 if start else 0, 0, -1):
            row = start - window + k
            weight += weights[row]
            moment += weights[row] * (values[row] - anchor)
            older[0, k] = weight
            older[1, k] = moment
        weight = moment = 0.0
        for k in range(min(window, n_bars - start)):
            row = start + k
            weight += weights[row]
            moment += weights[row] * (values[row] - anchor)
            if row >= window - 1:
                out[row] = anchor + (older[1, k + 1] + moment) / (older[0, k + 1] + weight)
    return out


@njit(cache=True, error_model="numpy")
def linearly_weighted_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the mean of each window under weights 1, 2, ..., `window`, the last value heaviest.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Finite.
    window : int
        Values per window, >= 1.

    Returns
    -------
    float64 array, shape (n_bars,)
        NaN in the first ``window - 1`` rows.

    Notes
    -----
    Adding up the suffix sums of the earlier block weights its rows 1, 2, ... from the oldest on.
    """
    n_bars = values.size
    out = np.full(n_bars, np.nan)
    older = np.zeros(window + 1)
    total_weight = window * (window + 1) / 2.0
    for start in range(0, n_bars, window):
        anchor = values[start]
        total = moment = 0.0
        for k in range(window - 1 if start else 0, 0, -1):
            total += values[start - window + k] - anchor
            moment += total
            older[k] = moment
        total = moment = 0.0
        for k in range(min(window, n_bars - start)):
            moment += window * (values[start + k] - anchor) - total
            total += values[start + k] - anchor
            if start + k >= window - 1:
                out[start + k] = anchor + (older[k + 1] + moment) / total_weight
    return out


@njit(cache=True, error_model="numpy")
def rolling_extreme(values: NDArray[np.float64], window: int, sign: float) -> NDArray[np.float64]:
    """Return the largest value of each window, or the smallest.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
        Without NaN.
    window : int
        Values per window, >= 1.
    sign : float
        1.0 for the largest, -1.0 for the smallest.

    Returns
    -------
    float64 array, shape (n_bars,)
        NaN in the first ``window - 1`` rows.
    """
    n_bars = values.size
    out = np.full(n_bars, np.nan)
    older = np.full(window + 1, -np.inf)
    for start in range(0, n_bars, window):
        top = -np.inf
        for k in range(window - 1 if start else 0, 0, -1):
            top = max(top, sign * values[start - window + k])
            older[k] = top
        top = -np.inf
        for k in range(min(window, n_bars - start)):
            top = max(top, sign * values[start + k])
            if start + k >= window - 1:
                out[start + k] = sign * max(older[k + 1], top)
    return out
