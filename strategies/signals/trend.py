"""Trend of one instrument against its own past."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from numerics.indicators import simple_moving_average
from strategies.signals.scores import Scores

Direction = Literal["long_flat", "long_short"]

# Averages of equal prices differ by rounding alone; that is no trend.
_DEAD_ZONE = 1e-12


def moving_average_cross(
    close: NDArray[np.float64],
    *,
    fast_bars: int,
    slow_bars: int,
    direction: Direction = "long_flat",
) -> Scores:
    """Return the distance of a fast from a slow moving average, and its side.

    Parameters
    ----------
    close : float64 array, shape (n_bars, n_assets)
        Adjusted prices [any currency], > 0; NaN where not tradable.
    fast_bars, slow_bars : int
        Windows [bars in which the instrument traded], 1 <= fast < slow. Trusted.
    direction : {"long_flat", "long_short"}
        Side while the fast average is not above the slow one: flat, or short where it is below.

    Returns
    -------
    Scores
        ``fast / slow - 1``, and exactly 0 where that is at most 1e-12 in size; eligible once an
        instrument has `slow_bars` prices.
    """
    score = np.empty_like(close)
    for column in range(close.shape[1]):
        prices = np.ascontiguousarray(close[:, column])
        fast = simple_moving_average(prices, fast_bars)
        score[:, column] = fast / simple_moving_average(prices, slow_bars) - 1.0
    score[np.abs(score) <= _DEAD_ZONE] = 0.0
    side = (score > 0.0).astype(np.int8)
    if direction == "long_short":
        side -= score < 0.0
    return Scores(score, side)
