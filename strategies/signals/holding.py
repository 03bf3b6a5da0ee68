"""The signal that has no opinion: whatever trades may be held."""

import numpy as np
from numpy.typing import NDArray

from strategies.signals.scores import Scores, long_where_scored


def buy_and_hold(close: NDArray[np.float64]) -> Scores:
    """Return a score of 0, long, for every instrument that trades.

    Parameters
    ----------
    close : float64 array, shape (n_bars, n_assets)
        Adjusted prices [any currency], > 0; NaN where not tradable.
    """
    return long_where_scored(close * 0.0)
