"""Period returns of known laws, all with mean zero."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import njit

_WARM_UP = 200


@dataclass(frozen=True, slots=True)
class Noise:
    """A law of period returns.

    Attributes
    ----------
    name : str
    number : int
        By which the kernel knows it.
    deviation, long_run : float
        Standard deviation of a period, and of the mean of n periods times sqrt(n).
    """

    name: str
    number: int
    deviation: float
    long_run: float


_T5 = math.sqrt(5.0 / 3.0)


def _autoregression(number: int, rho: float) -> Noise:
    name = f"AR(1) {rho:g} with t(5)".replace("-", "−")
    return Noise(name, number, _T5 / math.sqrt(1.0 - rho * rho), _T5 / (1.0 - rho))


NORMAL = Noise("normal", 0, 1.0, 1.0)
T3 = Noise("t(3)", 1, math.sqrt(3.0), math.sqrt(3.0))
AR02 = _autoregression(2, 0.2)
GARCH = Noise("GARCH(1,1)", 3, 1.0, 1.0)
MAIN = (NORMAL, T3, AR02, GARCH)

HARD = (
    _autoregression(4, 0.5),
    _autoregression(5, 0.8),
    _autoregression(6, -0.3),
    Noise("positions held 5 periods", 7, math.sqrt(5.0), 5.0),
    Noise("skewed (log-normal)", 8, 1.0, 1.0),
    Noise("volatility triples at half", 9, math.sqrt(5.0), math.sqrt(5.0)),
)
_RHO = np.array([0.0, 0.0, 0.2, 0.0, 0.5, 0.8, -0.3])
_OMEGA, _ARCH, _GARCH = 0.05, 0.1, 0.85  # variance 1, persistence 0.95
_LOG_DEVIATION = 1.0
_HELD = 5


@njit(cache=True, error_model="numpy", nogil=True)
def draw(number: int, rng: np.random.Generator, out: NDArray[np.float64]) -> None:
    """Write a path of one of the laws."""
    if number == 0:
        out[:] = rng.standard_normal(out.size)
    elif number == 1:
        out[:] = rng.standard_t(3.0, out.size)
    elif number == 3:
        _garch(rng, out)
    elif number == 7:
        _held(rng, out)
    elif number == 8:
        mean = math.exp(0.5 * _LOG_DEVIATION**2)
        spread = mean * math.sqrt(math.expm1(_LOG_DEVIATION**2))
        out[:] = (np.exp(_LOG_DEVIATION * rng.standard_normal(out.size)) - mean) / spread
    elif number == 9:
        out[:] = rng.standard_normal(out.size)
        out[out.size // 2 :] *= 3.0
    else:
        last = 0.0
        for t in range(-_WARM_UP, out.size):
            last = _RHO[number] * last + rng.standard_t(5.0)
            if t >= 0:
                out[t] = last


@njit(cache=True, error_model="numpy", nogil=True)
def _garch(rng: np.random.Generator, out: NDArray[np.float64]) -> None:
    variance, last = 1.0, 0.0
    for t in range(-_WARM_UP, out.size):
        variance = _OMEGA + _ARCH * last * last + _GARCH * variance
        last = math.sqrt(variance) * rng.standard_normal()
        if t >= 0:
            out[t] = last


@njit(cache=True, error_model="numpy", nogil=True)
def _held(rng: np.random.Generator, out: NDArray[np.float64]) -> None:
    """Write moving sums: each decision earns over as many periods as its position is held."""
    shocks = np.zeros(_HELD)
    total = 0.0
    for t in range(-_HELD, out.size):
        shock = rng.standard_normal()
        total += shock - shocks[t % _HELD]
        shocks[t % _HELD] = shock
        if t >= 0:
            out[t] = total
