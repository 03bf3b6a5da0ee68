"""One policy for what was not observed, shared by every indicator.

An indicator is worked out over the observations alone and its values are put back into their rows.
A row counts as observed when every input of the indicator was observed there.
"""

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit


@njit(cache=True, error_model="numpy")
def is_complete(values: NDArray[np.float64]) -> bool:
    """Say whether no value is NaN.

    Parameters
    ----------
    values : float64 array, shape (n_bars,)
    """
    n_missing = 0
    for value in values:
        n_missing += value != value  # noqa: PLR0124  (a form that compiles to vector instructions)
    return n_missing == 0


@njit(cache=True, error_model="numpy")
def observed_rows(
    first: NDArray[np.float64], second: NDArray[np.float64], third: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the rows at which none of three series is NaN, in order.

    Parameters
    ----------
    first, second, third : float64 array, shape (n_bars,)
        An indicator of fewer series names one of them twice.
    """
    return np.flatnonzero(~(np.isnan(first) | np.isnan(second) | np.isnan(third)))


@njit(cache=True, error_model="numpy")
def spread(
    compact: NDArray[np.float64], rows: NDArray[np.int64], n_bars: int
) -> NDArray[np.float64]:
    """Return the values at their rows and NaN at all others.

    Parameters
    ----------
    compact : float64 array, shape (n_rows,)
        One value per observed row.
    rows : int64 array, shape (n_rows,)
        Rows of the result, increasing.
    n_bars : int
        Length of the result, above every row.
    """
    out = np.full(n_bars, np.nan)
    for at in range(rows.size):
        out[rows[at]] = compact[at]
    return out
