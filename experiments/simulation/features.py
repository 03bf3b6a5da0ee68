"""What a policy may know when a period begins: features of the past alone.

Each value is made of what came before its period, so that returns of a period and of later ones
change none up to it. Where nothing is known yet the value is NaN; `contexts_of` makes it 0, the
middle of every feature here, so that a policy then goes by the arm's mean alone.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.simulation.errors import SettingsError
from numerics.compilation import njit
from numerics.indicators import rolling_standard_deviation, simple_moving_average

FloatArray = NDArray[np.float64]
MOST = 5.0  # what is farther out is cut: a linear policy would follow a single day of a crash
FEWEST = 20  # values that make a mean and a deviation
_ROUNDING = 1e-9  # of the logarithm of a ratio of deviations


def momentum(returns: ArrayLike, window: int) -> FloatArray:
    """Return the t ratio of the mean of the last returns before each period.

    Parameters
    ----------
    returns : float array, shape (n_periods,)
        Finite, in the order of time.
    window : int
        Returns that are looked at, >= 2.

    Returns
    -------
    float64 array, shape (n_periods,)
        ``sqrt(window) mean / deviation``, cut at -5 and 5; 0 where they are all equal, NaN before
        there are enough.
    """
    values = _series(returns, window)
    deviation = rolling_standard_deviation(values, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sqrt(window) * simple_moving_average(values, window) / deviation
    return _before(np.clip(np.where(deviation == 0.0, 0.0, ratio), -MOST, MOST))


def volatility(returns: ArrayLike, window: int) -> FloatArray:
    """Return how volatile the last returns before each period were against all before it.

    Parameters
    ----------
    returns, window
        As `momentum`.

    Returns
    -------
    float64 array, shape (n_periods,)
        ``ln(deviation of the last / deviation of all so far)``, cut at -5 and 5; NaN before there
        are enough, and where either is 0.
    """
    values = _series(returns, window)
    last, whole = rolling_standard_deviation(values, window), _moments(values)[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(last / whole)
    known = (last > 0.0) & (whole > 0.0)
    return _before(np.clip(np.where(known, logarithm, np.nan), -MOST, MOST))


def turbulence(returns: ArrayLike, window: int) -> FloatArray:
    """Return 1 where the last returns were more volatile than all so far, else 0.

    Parameters
    ----------
    returns, window
        As `momentum`.

    Returns
    -------
    float64 array, shape (n_periods,)
        0 or 1; NaN where `volatility` is.
    """
    ratio = volatility(returns, window)
    return np.where(np.isnan(ratio), np.nan, (ratio > _ROUNDING).astype(np.float64))


def standardized(values: ArrayLike) -> FloatArray:
    """Return given values less the mean so far and over the deviation so far.

    Parameters
    ----------
    values : float array, shape (n_periods,)
        Each known when its period begins; NaN where none is.

    Returns
    -------
    float64 array, shape (n_periods,)
        The value itself is in mean and deviation; cut at -5 and 5. NaN where there is none, of the
        first 19, and where all so far were equal.
    """
    given = np.asarray(values, dtype=np.float64)
    found = np.full(given.shape, np.nan)
    seen = np.isfinite(given)
    mean, deviation = _moments(given[seen])
    enough = (deviation > 0.0) & (np.arange(mean.size) >= FEWEST - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.clip((given[seen] - mean) / deviation, -MOST, MOST)
    found[seen] = np.where(enough, score, np.nan)
    return found


def contexts_of(features: Sequence[ArrayLike], n_periods: int) -> FloatArray:
    """Return the contexts of a linear policy: a 1 for the intercept, then each feature.

    Parameters
    ----------
    features : sequence of float arrays, shape (n_periods,) each
        NaN where nothing is known yet.

    Returns
    -------
    float64 array, shape (n_periods, 1 + n_features)
    """
    columns = [np.ones(n_periods), *(np.nan_to_num(np.asarray(one)) for one in features)]
    return np.ascontiguousarray(np.column_stack(columns))


def _series(returns: ArrayLike, window: int) -> FloatArray:
    values = np.ascontiguousarray(returns, dtype=np.float64)
    if values.ndim != 1 or not bool(np.isfinite(values).all()):
        raise SettingsError("A feature needs one series of finite returns.")
    if window < 2:
        raise SettingsError(f"A feature looks at two returns or more, not {window!r}.")
    return values


def _before(known_after: FloatArray) -> FloatArray:
    """Return what is known before each period, from what is known after it."""
    return np.concatenate([[np.nan], known_after])[: known_after.size]


@njit(cache=True, error_model="numpy")
def _moments(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of the values up to each; that of one is 0 (Welford)."""
    means, deviations = np.empty(values.size), np.zeros(values.size)
    mean, squares = 0.0, 0.0
    for t in range(values.size):
        off = values[t] - mean
        mean += off / (t + 1)
        squares += off * (values[t] - mean)
        means[t] = mean
        if t > 0:
            deviations[t] = np.sqrt(squares / t)
    return means, deviations
