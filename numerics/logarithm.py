"""A logarithm that a compiler can turn into vector instructions."""

import math

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit

_SMALL = 0.125  # where the series below is exact to rounding


@njit(cache=True, error_model="numpy")
def write_log1p(values: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Write ``log(1 + x)`` of every value, within three units of the last place.

    Parameters
    ----------
    values : float64 array, shape (n,)
        Finite and > -1.
    out : float64 array, shape (>= n,)
        Written.

    Notes
    -----
    ``2 atanh(s) = 2 (s + s^3/3 + s^5/5 + ...)`` with ``s = x / (2 + x)`` for x between -1/8
    and 1/8, where seven terms leave 1e-18 of the result; the library's function
    elsewhere. Small values take no call and no branch.

    References
    ----------
    .. [1] Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 4.1.27.
    """
    n = values.size
    n_large = 0
    for t in range(n):
        s = values[t] / (2.0 + values[t])
        q = s * s
        tail = 1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0)))
        out[t] = 2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * tail)))
        n_large += int(abs(values[t]) > _SMALL)
    if n_large > 0:
        for t in range(n):
            if abs(values[t]) > _SMALL:
                out[t] = math.log1p(values[t])
