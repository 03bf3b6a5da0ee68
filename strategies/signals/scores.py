"""What every signal returns: how strongly, and on which side."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Scores(NamedTuple):
    """The opinion of one signal on every instrument at every bar.

    Attributes
    ----------
    score : float64 array, shape (n_bars, n_assets)
        Larger is stronger upwards; NaN where the signal has no opinion: the instrument has no bar
        in that row, or too little history.
    side : int8 array, shape (n_bars, n_assets)
        1 long, 0 flat, -1 short; 0 where there is no score.
    """

    score: FloatArray
    side: NDArray[np.int8]


def long_where_scored(score: FloatArray) -> Scores:
    """Return scores whose every eligible instrument may be held long."""
    return Scores(score, (~np.isnan(score)).astype(np.int8))
