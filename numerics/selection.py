"""Order statistics by selection, without sorting the sample.

References
----------
.. [1] Hoare (1961), "Algorithm 65: find", Communications of the ACM 4(7).
.. [2] Hyndman and Fan (1996), "Sample quantiles in statistical packages", American Statistician
   50(4); definition 7.
"""

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit


@njit(cache=True, error_model="numpy")
def select(values: NDArray[np.float64], n: int, k: int) -> float:
    """Return the k-th smallest of the first n values, which are rearranged around it.

    Parameters
    ----------
    values : float64 array, shape (>= n,)
        No NaN. Afterwards ``values[:k] <= values[k] <= values[k + 1:n]``.
    n, k : int
        0 <= k < n.

    Notes
    -----
    Pivot: median of the first, the k-th and the last value of the part that is left. Expected
    linear time; no allocation.
    """
    low, high = 0, n - 1
    while low < high:
        first, middle, last = values[low], values[k], values[high]
        pivot = max(min(first, middle), min(max(first, middle), last))
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if j < k:
            low = i
        if k < i:
            high = j
    return float(values[k])


@njit(cache=True, error_model="numpy")
def gather_below(
    values: NDArray[np.float64], sign: float, threshold: float, out: NDArray[np.float64]
) -> int:
    """Copy ``sign * values`` that are at most a threshold into `out`; return how many.

    Parameters
    ----------
    values : float64 array, shape (n,)
    sign : float
        1 or -1.
    threshold : float
        inf takes everything but NaN.
    out : float64 array, shape (>= n,)
        What lies behind the returned count is overwritten too.
    """
    count = 0
    for t in range(values.size):  # no branch: a coin toss would cost more than the copy
        signed = sign * values[t]
        out[count] = signed
        count += int(signed <= threshold)
    return count


@njit(cache=True, error_model="numpy")
def quantile_of(values: NDArray[np.float64], n: int, count: int, probability: float) -> float:
    """Return a type-7 quantile of a sample from its smallest members alone.

    Parameters
    ----------
    values : float64 array, shape (>= count,)
        The `count` smallest of the sample in any order; rearranged.
    n, count : int
        Size of the sample, and members given: min(n, floor((n - 1) p) + 2) <= count <= n.
    probability : float
        0 <= p <= 1.

    Notes
    -----
    ``x[j] + (h - j) (x[j + 1] - x[j])`` with ``h = (n - 1) p``, ``j = floor(h)`` and x sorted.
    """
    at = (n - 1) * probability
    below = int(at)
    low = select(values, count, below)
    share = at - below
    if share == 0.0 or below + 1 >= count:
        return low
    high = np.inf
    for t in range(below + 1, count):
        high = min(high, values[t])
    return low + share * (high - low)


@njit(cache=True, error_model="numpy")
def tail_quantile(
    values: NDArray[np.float64],
    sign: float,
    probability: float,
    mean: float,
    deviation: float,
    scratch: NDArray[np.float64],
) -> tuple[float, int]:
    """Return the type-7 quantile of ``sign * values`` and how many candidates it was chosen from.

    Parameters
    ----------
    values : float64 array, shape (n,), n >= 1
        Finite.
    sign, probability : float
        1 for the lower tail and -1 for the upper one (the negative of whose quantile is
        returned); its probability, 0 <= p <= 1.
    mean, deviation : float
        Of the values; they place the first guesses and cannot change the result.
    scratch : float64 array, shape (>= n,)
        Afterwards holds the candidates, all values at or below the quantile among them.

    Notes
    -----
    Only the values below the mean less one deviation are searched, then those below the mean less
    0.3, then all, until there are enough: a tail of 5 % is found among a sixth of the sample.
    """
    n = values.size
    needed = min(n, int((n - 1) * probability) + 2)
    count = gather_below(values, sign, sign * mean - deviation, scratch)
    if count < needed:
        count = gather_below(values, sign, sign * mean - 0.3 * deviation, scratch)
    if count < needed:
        count = gather_below(values, sign, np.inf, scratch)
    return quantile_of(scratch, n, count, probability), count
