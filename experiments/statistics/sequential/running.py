"""The mean of a growing series with its standard error after every period, in one pass.

The error comes from sums of `batch` periods and, at lag L, from the covariance of batches up to L
apart with Bartlett weights [1]_. Batch 1 and lag 0 is the ordinary error, batch 1 and lag L that of
Newey and West, lag 0 the method of batch means. Each is divided by its own expected value under
noise and has the degrees of freedom that noise gives it, so that few batches are no licence. The
batch that is not complete is in the error as it is in the mean: an error that did not know of it
would call the first periods of a wild time a discovery.

References
----------
.. [1] Newey and West (1987), Econometrica 55(3), over batches. The law under noise is that of
   `numerics.hac.fixed_b_law`.
.. [2] Wallace (1959), "Bounds on normal approximations to Student's and the chi-square
   distributions", Annals of Mathematical Statistics 30(4).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.checks import (
    NO_SPREAD,
    FloatArray,
    IntArray,
    numbers_of,
    require_count,
    require_positive,
)
from numerics.compilation import kernel_part, njit

_COUNT, _TOTAL, _SHIFT, _BATCH, _N_BATCHES, _BATCH_TOTAL, _PEAK = range(7)
_SQUARES, _TRACE, _FREEDOM = range(7, 10)  # of the batches that are complete
_FIXED = 10  # places of the state before those that depend on the lag


@dataclass(frozen=True, slots=True)
class Looks:
    """A mean and its standard error as they stood after each of some periods.

    Attributes
    ----------
    periods : int64 array, shape (n_looks,)
        Number of periods seen.
    mean : float64 array, shape (n_looks,)
    error : float64 array, shape (n_looks,)
        Of the mean, > 0; NaN while it cannot be computed.
    freedom : float64 array, shape (n_looks,)
        Degrees of freedom of the error; inf where the variance is known.
    """

    periods: IntArray
    mean: FloatArray
    error: FloatArray
    freedom: FloatArray

    def scores(self, of: float = 0.0, *, is_student: bool = True) -> FloatArray:
        """Return the standard normal values that say as much as each mean does against `of`.

        Parameters
        ----------
        of : float
            The mean under the hypothesis.
        is_student : bool
            Whether the error's degrees of freedom count, by [2]_.
        """
        ratio = (self.mean - of) / self.error
        return normal_score(ratio, self.freedom) if is_student else ratio


def normal_score(ratio: FloatArray, freedom: FloatArray) -> FloatArray:
    """Return the normal value as far out as a Student ratio, by Wallace's approximation [2]_."""
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.sqrt(freedom * np.log1p(ratio * ratio / freedom))
        student = np.sign(ratio) * size * (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0)
    return np.where(np.isinf(freedom), ratio, student)


def student_reach(score: FloatArray, freedom: FloatArray) -> FloatArray:
    """Return the Student ratio, >= 0, that lies as far out as a normal value: the inverse."""
    with np.errstate(over="ignore", invalid="ignore"):
        inner = score * (8.0 * freedom + 3.0) / (8.0 * freedom + 1.0)
        student = np.sqrt(freedom * np.expm1(inner * inner / freedom))
    return np.where(np.isinf(freedom), score, student)


@kernel_part
def _add_up_batches(
    state: NDArray[np.float64], batch: int, lag: int, law: NDArray[np.float64]
) -> None:
    """Set the squares of complete batches, how many variances they expect, and their freedom."""
    m = state[_N_BATCHES]
    state[_SQUARES], state[_TRACE], state[_FREEDOM] = np.nan, np.nan, np.nan
    if m < 2.0 * (lag + 1.0):
        return
    products, first, last = _FIXED, _FIXED + lag + 1, _FIXED + 2 * (lag + 1)
    center = state[_BATCH_TOTAL] / m
    whole = 0.0
    at_end = 0.0
    for j in range(lag + 1):
        if j > 0:
            at_end += state[last + (int(m) - j) % (lag + 1)]
        both = 2.0 * state[_BATCH_TOTAL] - state[first + j] - at_end
        product = state[products + j] - center * both + (m - j) * center * center
        whole += product if j == 0 else 2.0 * (1.0 - j / (lag + 1.0)) * product
    trace = m - law[0] + law[1] / m
    squares = law[2] * m - law[3] - 2.0 * (law[4] * m + law[5]) / m
    squares += (law[0] - law[1] / m) ** 2
    variance = whole / trace / batch
    if variance > (NO_SPREAD * state[_PEAK]) ** 2 and variance < np.inf:
        state[_SQUARES], state[_TRACE], state[_FREEDOM] = whole, trace, trace * trace / squares


@kernel_part
def _variance(state: NDArray[np.float64], batch: int) -> float:
    """Return the variance of a period: of complete batches and the open one, by its periods."""
    open_share = state[_COUNT] / batch - state[_N_BATCHES]
    off = state[_BATCH] - open_share * state[_BATCH_TOTAL] / state[_N_BATCHES]
    variance: float = (state[_SQUARES] + off * off) / (state[_TRACE] + open_share) / batch
    return variance


@njit(cache=True, error_model="numpy", nogil=True)
def advance(
    values: NDArray[np.float64],
    batch: int,
    lag: int,
    law: NDArray[np.float64],
    state: NDArray[np.float64],
    mean: NDArray[np.float64],
    error: NDArray[np.float64],
    freedom: NDArray[np.float64],
) -> None:
    """Take in periods and write the mean, its error and its freedom after each of them.

    Parameters
    ----------
    values : float64 array, shape (n,)
        Finite; trusted.
    batch, lag : int
        Periods of a batch, >= 1; furthest batches whose covariance counts, >= 0.
    law : float64 array, shape (6,)
        `law_of_noise(lag)`.
    state : float64 array, shape (`state_size(lag)`,)
        Zeros before the first period; changed.
    mean, error, freedom : float64 arrays, shape (n,)
        Written.

    Notes
    -----
    Sums are taken of values less the first one, which keeps their digits when the mean is far from
    zero. Time grows with n, and with lag n / batch; no allocation.
    """
    products, first, last = _FIXED, _FIXED + lag + 1, _FIXED + 2 * (lag + 1)
    for t in range(values.size):
        if state[_COUNT] == 0.0:
            state[_SHIFT] = values[t]
        value = values[t] - state[_SHIFT]
        state[_COUNT] += 1.0
        state[_TOTAL] += value
        state[_BATCH] += value
        state[_PEAK] = max(state[_PEAK], abs(values[t]))
        if state[_COUNT] % batch == 0.0:
            m = int(state[_N_BATCHES])
            total = state[_BATCH]
            state[products] += total * total
            for j in range(1, min(lag, m) + 1):
                state[products + j] += total * state[last + (m - j) % (lag + 1)]
            for j in range(m + 1, lag + 1):
                state[first + j] += total
            state[last + m % (lag + 1)] = total
            state[_N_BATCHES] += 1.0
            state[_BATCH_TOTAL] += total
            state[_BATCH] = 0.0
            _add_up_batches(state, batch, lag, law)
        known = state[_N_BATCHES] > 0.0
        mean[t] = state[_SHIFT] + state[_TOTAL] / state[_COUNT]
        error[t] = math.sqrt(_variance(state, batch) / state[_COUNT]) if known else np.nan
        freedom[t] = state[_FREEDOM] if known else np.nan


def state_size(lag: int) -> int:
    """Return the length of the state that `advance` keeps."""
    return _FIXED + 3 * (lag + 1)


def law_of_noise(lag: int) -> FloatArray:
    """Return the six sums over Bartlett weights from which `fixed_b_law` follows for any n."""
    width = lag + 1.0
    j = np.arange(1, lag + 1)
    weights = 1.0 - j / width
    rows = 1.0 + lag / 2.0 + np.concatenate([[0.0], np.cumsum(weights)])[: lag + 1]
    return np.array(
        [
            width,  # sum of an inner row
            (width * width - 1.0) / 3.0,  # what the rows at both ends lack
            1.0 + 2.0 * float(np.sum(weights**2)),
            2.0 * float(j @ weights**2),
            width * width,
            2.0 * float(np.sum(rows**2 - width * width)),
        ]
    )


class RunningMean:
    """The state of a growing series from which the mean and its error follow at any time.

    Parameters
    ----------
    batch : int
        Periods of a batch, >= 1: longer than the dependence reaches.
    lag : int
        Furthest batches whose covariance counts, >= 0.
    variance : float, optional
        The variance of a period where it is known; then batch and lag do not matter.
    """

    def __init__(self, batch: int = 1, lag: int = 0, variance: float | None = None) -> None:
        self.batch = require_count("batch", batch, 1)
        self.lag = require_count("lag", lag, 0)
        if variance is not None:
            require_positive(variance=variance)
        self.variance = variance
        self._law = law_of_noise(lag)
        self._state = np.zeros(state_size(lag))

    @property
    def n_periods(self) -> int:
        """Number of periods seen."""
        return int(self._state[_COUNT])

    @property
    def n_batches(self) -> int:
        """Number of complete batches."""
        return int(self._state[_N_BATCHES])

    @property
    def neighbor_correlation(self) -> float:
        """Correlation of neighboring batches; NaN at lag 0 or without a variance."""
        m, total = self.n_batches, float(self._state[_BATCH_TOTAL])
        if self.lag == 0 or m < 3:
            return math.nan
        center = total / m
        own = self._state[_FIXED] - m * center * center
        first = self._state[_FIXED + self.lag + 2]
        last = self._state[_FIXED + 2 * (self.lag + 1) + (m - 1) % (self.lag + 1)]
        cross = self._state[_FIXED + 1] - center * (2.0 * total - first - last)
        cross += (m - 1) * center * center
        return float(cross / own) if own > 0.0 else math.nan

    def extend(self, values: ArrayLike) -> Looks:
        """Take in the next periods and return what was known after each of them.

        Parameters
        ----------
        values : float array, shape (n,)
            Finite, in time order.
        """
        x = numbers_of(values, "values")
        before = self.n_periods
        mean, error, freedom = np.empty(x.size), np.empty(x.size), np.empty(x.size)
        advance(x, self.batch, self.lag, self._law, self._state, mean, error, freedom)
        periods = np.arange(before + 1, before + x.size + 1)
        if self.variance is not None:
            error = np.sqrt(self.variance / periods)
            freedom = np.full(x.size, math.inf)
        return Looks(periods, mean, error, freedom)
