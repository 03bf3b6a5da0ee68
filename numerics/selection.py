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
def partition(values: NDArray[np.float64], low: int, high: int, bound: float) -> int:
    """Move what is below a bound to the front of ``values[low:high]``; return where it ends.

    Parameters
    ----------
    values : float64 array
        No NaN; rearranged.
    low, high : int
        The part that is looked at.
    bound : float
    """
    split = low
    for at in range(low, high):  # no branch: a coin toss would cost more than the exchange
        value = values[at]
        values[at] = values[split]
        values[split] = value
        split += int(value < bound)
    return split


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
    Pivot: median of the first, the middle and the last value of the part that is left. Expected
    linear time, also with many equal values; no allocation.
    """
    low, high = 0, n
    while high - low > 1:
        first, middle, last = values[low], values[(low + high) // 2], values[high - 1]
        pivot = max(min(first, middle), min(max(first, middle), last))
        split = partition(values, low, high, pivot)
        if k < split:
            high = split
            continue
        if split > low:
            low = split
            continue
        low = partition(values, low, high, np.nextafter(pivot, np.inf))  # equal values
        if k < low or pivot == np.inf:
            return float(pivot)
    return float(values[k])


@njit(cache=True, error_model="numpy")
def gather_tails(
    values: NDArray[np.float64],
    low: float,
    high: float,
    below: NDArray[np.float64],
    above: NDArray[np.float64],
) -> tuple[int, int]:
    """Copy values of at most `low`, and the negatives of those of at least `high`; count both.

    Parameters
    ----------
    values : float64 array, shape (n,)
        No NaN.
    low, high : float
        inf and -inf take everything.
    below, above : float64 array, shape (>= n,)
        Written; what lies behind the returned counts is overwritten too.
    """
    n_below, n_above = 0, 0
    for t in range(values.size):
        value = values[t]
        below[n_below] = value
        above[n_above] = -value
        n_below += int(value <= low)
        n_above += int(value >= high)
    return n_below, n_above


@njit(cache=True, error_model="numpy")
def gather_for(
    values: NDArray[np.float64],
    probability: float,
    mean: float,
    deviation: float,
    below: NDArray[np.float64],
    above: NDArray[np.float64],
) -> tuple[int, int]:
    """Gather both tails widely enough to have the quantiles of a probability in them.

    Parameters
    ----------
    values : float64 array, shape (n,), n >= 1
        Finite.
    probability : float
        Of either tail, 0 <= p <= 1.
    mean, deviation : float
        Of the values; they place the first guesses and cannot change a quantile.
    below, above : float64 array, shape (>= n,)
        Written: the candidates for `quantile_of`, those of the upper tail negated.

    Notes
    -----
    What lies 1.2 deviations from the mean is taken, else 0.6, else everything: a tail of 5 % is
    found among a tenth of the sample.
    """
    n = values.size
    needed = min(n, int((n - 1) * probability) + 2)
    for reach in (1.2 * deviation, 0.6 * deviation):
        n_below, n_above = gather_tails(values, mean - reach, mean + reach, below, above)
        if min(n_below, n_above) >= needed:
            return n_below, n_above
    return gather_tails(values, np.inf, -np.inf, below, above)


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
def largest_of_rows(table: NDArray[np.float64], n: int) -> NDArray[np.bool_]:
    """Return which values are among the n largest of their row.

    Parameters
    ----------
    table : float64 array, shape (n_rows, n_columns)
        No NaN.
    n : int
        1 <= n <= n_columns.

    Returns
    -------
    bool array, shape (n_rows, n_columns)
        n in each row; of equal values the lower columns first.
    """
    n_rows, n_columns = table.shape
    chosen = np.zeros((n_rows, n_columns), np.bool_)
    scratch = np.empty(n_columns)
    for row in range(n_rows):
        scratch[:] = table[row]
        least = select(scratch, n_columns, n_columns - n)
        n_above = 0
        for column in range(n_columns):
            above = table[row, column] > least
            chosen[row, column] = above
            n_above += above
        for column in range(n_columns):
            if n_above == n:
                break
            if table[row, column] == least:
                chosen[row, column] = True
                n_above += 1
    return chosen
