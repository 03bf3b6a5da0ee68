"""Confidence sequences that hold exactly, for values with hard bounds, and evidence about a mean.

No limit theorem and no variance: the price is bounds that must be true, and wide intervals where
they are far from what happens. Returns have none; clip them at declared bounds, and then it is the
mean of clipped returns that is found. Values may depend on the past in every way except through
their mean, so autocorrelated returns do not qualify.

References
----------
.. [1] Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting",
   JRSS B 86(1), theorems 2 (empirical Bernstein) and 3 (hedged capital).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.checks import (
    FloatArray,
    numbers_of,
    require_count,
    require_finite,
    require_fraction,
)
from experiments.statistics.errors import SampleError, SettingsError
from experiments.statistics.sequential.sequences import Sequence
from numerics.compilation import kernel_part, njit

# Before the first value the mean is believed to be 1/2 and the variance 1/4, as from one value.
_PRIOR_MEAN, _PRIOR_VARIANCE = 0.5, 0.25
_MOST_BET = 0.5
_COUNT, _TOTAL, _SQUARES, _BETS, _WON_LOW, _WON_HIGH = range(6)


@kernel_part
def _bet(state: NDArray[np.float64], log_level: float) -> float:
    """Return the bet on the next value that the past suggests."""
    t = state[_COUNT] + 1.0
    variance = (_PRIOR_VARIANCE + state[_SQUARES]) / t
    return math.sqrt(2.0 * log_level / (variance * t * math.log1p(t)))


@kernel_part
def _take_in(state: NDArray[np.float64], value: float) -> None:
    """Add a value to the mean and to the squares about the mean with it."""
    state[_COUNT] += 1.0
    state[_TOTAL] += value
    off = value - (_PRIOR_MEAN + state[_TOTAL]) / (state[_COUNT] + 1.0)
    state[_SQUARES] += off * off


@njit(cache=True, error_model="numpy", nogil=True)
def bernstein(
    values: NDArray[np.float64],
    log_level: float,
    state: NDArray[np.float64],
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
) -> None:
    """Write the empirical-Bernstein bounds after each value [1]_.

    Parameters
    ----------
    values : float64 array, shape (n,)
        0 <= x <= 1; trusted.
    log_level : float
        ``ln(2 / alpha)``.
    state : float64 array, shape (6,)
        Zeros before the first value; changed.
    lower, upper : float64 arrays, shape (n,)
        Written; they may lie outside (0, 1).
    """
    for i in range(values.size):
        x = values[i]
        n = state[_COUNT]
        bet = min(_MOST_BET, _bet(state, log_level))
        cost = -math.log1p(-bet) - bet
        low = state[_TOTAL] / n if n > 0.0 else 0.0
        high = 1.0 - low if n > 0.0 else 0.0
        state[_BETS] += bet
        state[_WON_LOW] += bet * x - (x - low) ** 2 * cost
        state[_WON_HIGH] += bet * (1.0 - x) - (1.0 - x - high) ** 2 * cost
        lower[i] = (state[_WON_LOW] - log_level) / state[_BETS]
        upper[i] = 1.0 - (state[_WON_HIGH] - log_level) / state[_BETS]
        _take_in(state, x)


@njit(cache=True, error_model="numpy", nogil=True)
def hedged(
    values: NDArray[np.float64],
    log_level: float,
    state: NDArray[np.float64],
    capital: NDArray[np.float64],
    place: NDArray[np.int64],
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
) -> None:
    """Write the means against which neither bettor has won ``2 / alpha`` so far [1]_.

    Parameters
    ----------
    values, log_level, state
        As `bernstein` has them.
    capital : float64 array, shape (2, n_means)
        Logarithms of what was won by betting that the mean is above, and below, each of equally
        spaced means from 0 to 1; zeros before the first value; changed.
    place : int64 array, shape (2,)
        First and last mean that is still possible; 0 and n_means - 1 before the first value;
        changed. Means outside are done with.
    lower, upper : float64 arrays, shape (n,)
        Written: the neighbors outside of the first and the last mean that were never ruled out.
    """
    last = capital.shape[1] - 1
    for i in range(values.size):
        x = values[i]
        bet = _bet(state, log_level)
        for k in range(place[0], place[1] + 1):
            mean = k / last
            up = min(bet, _MOST_BET / mean) if k > 0 else bet
            down = min(bet, _MOST_BET / (1.0 - mean)) if k < last else bet
            capital[0, k] += math.log1p(up * (x - mean))
            capital[1, k] += math.log1p(-down * (x - mean))
        while place[0] < place[1] and capital[0, place[0]] >= log_level:
            place[0] += 1
        while place[1] > place[0] and capital[1, place[1]] >= log_level:
            place[1] -= 1
        lower[i] = max(place[0] - 1, 0) / last
        upper[i] = min(place[1] + 1, last) / last
        _take_in(state, x)


@njit(cache=True, error_model="numpy", nogil=True)
def _capital(
    values: NDArray[np.float64], mean: float, log_level: float, evidence: NDArray[np.float64]
) -> None:
    """Write the logarithm of the mean wealth of two who bet above and below one mean."""
    state = np.zeros(6)
    above, below = 0.0, 0.0
    for i in range(values.size):
        bet = _bet(state, log_level)
        off = values[i] - mean
        above += math.log1p(min(bet, _MOST_BET / mean) * off)
        below += math.log1p(-min(bet, _MOST_BET / (1.0 - mean)) * off)
        most = max(above, below)
        evidence[i] = most + math.log(0.5 * (math.exp(above - most) + math.exp(below - most)))
        _take_in(state, values[i])


class BoundedStream:
    """A confidence sequence for values within bounds; in parts it gives what it gives at once.

    Parameters
    ----------
    low, high : float
        Every value lies between them.
    confidence : float
        0 < c < 1.
    is_clipped : bool
        Values outside are moved to the bound, and the sequence is about the mean of such values;
        otherwise they are refused.
    is_betting : bool
        The hedged capital instead of empirical Bernstein: tighter, slower, on a grid.
    resolution : int
        Steps of that grid between low and high, >= 2; intervals are rounded outwards to it.
    """

    def __init__(
        self,
        low: float,
        high: float,
        *,
        confidence: float = 0.95,
        is_clipped: bool = False,
        is_betting: bool = False,
        resolution: int = 1000,
    ) -> None:
        require_finite(low=low, high=high)
        require_fraction(confidence=confidence)
        if not low < high:
            raise SettingsError(f"The lower bound {low!r} must be below the upper, {high!r}.")
        self.low, self.high, self.confidence = low, high, confidence
        self.is_clipped, self.is_betting = is_clipped, is_betting
        n_means = require_count("resolution", resolution, 2) + 1
        self._state = np.zeros(6)
        self._capital = np.zeros((2, n_means if is_betting else 0))
        self._place = np.array([0, n_means - 1])
        self._n_clipped = 0

    def extend(self, values: ArrayLike) -> Sequence:
        """Take in the next values and return the looks after each of them.

        Raises
        ------
        SampleError
            A value outside the bounds, unless it is clipped; one that is missing or infinite.
        """
        x = self.scaled(values)
        before, total = int(self._state[_COUNT]), float(self._state[_TOTAL])
        lower, upper = np.empty(x.size), np.empty(x.size)
        log_level = math.log(2.0 / (1.0 - self.confidence))
        if self.is_betting:
            hedged(x, log_level, self._state, self._capital, self._place, lower, upper)
        else:
            bernstein(x, log_level, self._state, lower, upper)
        periods = np.arange(before + 1, before + x.size + 1)
        width = self.high - self.low
        return Sequence(
            "hedged betting" if self.is_betting else "empirical Bernstein",
            self.confidence,
            periods,
            self.low + width * (total + np.cumsum(x)) / periods,
            self.low + width * np.clip(lower, 0.0, 1.0),
            self.low + width * np.clip(upper, 0.0, 1.0),
            np.full(x.size, math.nan),
            None,
            self._warnings(),
        )

    def scaled(self, values: ArrayLike) -> FloatArray:
        """Return values as shares of the way from low to high; refuses as `extend` does."""
        x = numbers_of(values, "values")
        outside = int(np.sum((x < self.low) | (x > self.high)))
        if outside and not self.is_clipped:
            raise SampleError(f"{outside} values lie outside {self.low:g} to {self.high:g}.")
        self._n_clipped += outside
        return (np.clip(x, self.low, self.high) - self.low) / (self.high - self.low)

    def _warnings(self) -> tuple[str, ...]:
        if self._n_clipped == 0:
            return ()
        warning = (
            f"{self._n_clipped} values were moved to {self.low:g} or {self.high:g}: this is the "
            "mean of clipped values."
        )
        return (warning,)


def bernstein_sequence(
    values: ArrayLike,
    *,
    low: float,
    high: float,
    confidence: float = 0.95,
    is_clipped: bool = False,
) -> Sequence:
    """Return the empirical-Bernstein confidence sequence with predictable plug-in [1]_.

    Parameters
    ----------
    values : float array, shape (n,)
    low, high, confidence, is_clipped
        As `BoundedStream` has them.
    """
    stream = BoundedStream(low, high, confidence=confidence, is_clipped=is_clipped)
    return stream.extend(values)


def betting_sequence(
    values: ArrayLike,
    *,
    low: float,
    high: float,
    confidence: float = 0.95,
    is_clipped: bool = False,
    resolution: int = 1000,
) -> Sequence:
    """Return the confidence sequence of hedged capital [1]_, a running intersection.

    Parameters
    ----------
    values : float array, shape (n,)
    low, high, confidence, is_clipped, resolution
        As `BoundedStream` has them.
    """
    stream = BoundedStream(
        low,
        high,
        confidence=confidence,
        is_clipped=is_clipped,
        is_betting=True,
        resolution=resolution,
    )
    return stream.extend(values)


def betting_evidence(
    values: ArrayLike, *, mean: float, low: float, high: float, confidence: float = 0.95
) -> FloatArray:
    """Return the logarithm of an e-value against a mean, after each value.

    Parameters
    ----------
    values : float array, shape (n,)
        Within the bounds.
    mean : float
        The hypothesis, low < mean < high.
    confidence : float
        Sizes the bets; the e-value is one at any.

    Returns
    -------
    float64 array, shape (n,)
        Under the hypothesis the chance that it ever reaches ``ln(1 / p)`` is at most p.
    """
    stream = BoundedStream(low, high, confidence=confidence)
    if not low < mean < high:
        raise SettingsError(f"The mean {mean!r} must lie between {low:g} and {high:g}.")
    x = stream.scaled(values)
    evidence = np.empty(x.size)
    scaled = (mean - low) / (high - low)
    _capital(x, scaled, math.log(2.0 / (1.0 - confidence)), evidence)
    return evidence
