"""When Brownian motion first leaves a region: the numbers behind every boundary planned ahead.

The motion B has drift theta and unit variance at time 1, the horizon. Its law inside the region is
carried from look to look by numerical integration [1]_; between few looks this is exact, and many
looks stand for all times once each boundary is moved in by the mean overshoot of a random walk,
``0.5826 sqrt(dt)`` [2]_.

References
----------
.. [1] Armitage, McPherson and Rowe (1969), "Repeated significance tests on accumulating data",
   JRSS A 132(2); Jennison and Turnbull (2000), "Group sequential methods", chapter 19.
.. [2] Siegmund (1985), "Sequential analysis", chapter X; Broadie, Glasserman and Kou (1997), "A
   continuity correction for discrete barrier options", Mathematical Finance 7(4).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from experiments.statistics.checks import FloatArray
from numerics.compilation import kernel_part, njit

OVERSHOOT = 0.5825971579390106  # -zeta(1/2) / sqrt(2 pi)

_LEAST_NODES = 16
_FAR = 8.0  # no mass is so many standard deviations away
_LEAST_LOOKS = 30  # that stand for all times; what is left falls as one over their number
_LOOKS_A_FOLD = 14  # for each factor e from the start to the horizon


@kernel_part
def _upper_tail(z: float) -> float:
    """Return the probability that a standard normal is above z."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


@kernel_part
def _density(z: float) -> float:
    """Return the standard normal density."""
    return math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


@njit(cache=True, error_model="numpy")
def exits(
    times: NDArray[np.float64],
    outer: NDArray[np.float64],
    drift: float,
    nodes: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the probability that ``|B|`` first reaches a boundary at each look, by side.

    Parameters
    ----------
    times : float64 array, shape (n_looks,)
        Ascending, > 0; trusted.
    outer : float64 array, shape (n_looks,)
        The boundary, > 0; trusted.
    drift : float
        Mean of B(1).
    nodes, weights : float64 array, shape (n_nodes,)
        Gauss-Legendre rule on (-1, 1), used on either side of zero.

    Returns
    -------
    above, below : float64 array, shape (n_looks,)
    """
    n_looks, n_nodes = times.size, nodes.size
    n_sides = 1 if drift == 0.0 else 2
    above, below = np.empty(n_looks), np.empty(n_looks)
    at, mass = np.zeros(2 * n_nodes), np.zeros(2 * n_nodes)
    next_at, next_mass = np.empty(2 * n_nodes), np.empty(2 * n_nodes)
    mass[0] = 1.0
    n_points = 1
    before = 0.0
    for look in range(n_looks):
        step = times[look] - before
        spread, shift = math.sqrt(step), drift * step
        top = outer[look]
        up, down = 0.0, 0.0
        for i in range(n_points):
            center = at[i] + shift
            up += mass[i] * _upper_tail((top - center) / spread)
            down += mass[i] * _upper_tail((top + center) / spread)
        above[look], below[look] = up, down
        half = 0.5 * min(top, abs(drift) * times[look] + _FAR * math.sqrt(times[look]))
        for j in range(n_nodes):
            place = half * (1.0 + nodes[j])
            for side in range(n_sides):
                y = place if side == 0 else -place
                total = 0.0
                for i in range(n_points):
                    away = (y - at[i] - shift) / spread
                    if abs(away) < _FAR:
                        total += mass[i] * _density(away)
                next_at[2 * j + side] = y
                next_mass[2 * j + side] = total / spread * weights[j] * half
            if n_sides == 1:
                next_at[2 * j + 1] = -place
                next_mass[2 * j + 1] = next_mass[2 * j]
        at, next_at = next_at, at
        mass, next_mass = next_mass, mass
        n_points = 2 * n_nodes
        before = times[look]
    return above, below


@dataclass(frozen=True, slots=True)
class Inside:
    """The law of the motion at a time, of the paths that have not left the region before.

    Attributes
    ----------
    time : float
    at, mass : float64 arrays, shape (n_points,)
        Places and the probability that each stands for.
    """

    time: float
    at: FloatArray
    mass: FloatArray

    @classmethod
    def origin(cls) -> "Inside":
        """Return the motion before it starts."""
        return cls(0.0, np.zeros(1), np.ones(1))

    def tails(self, time: float, outer: float, drift: float = 0.0) -> tuple[float, float]:
        """Return the chances that the motion is above `outer` and below ``-outer`` at a time."""
        spread, center = math.sqrt(time - self.time), self.at + drift * (time - self.time)
        up = float(self.mass @ ndtr((center - outer) / spread))
        return up, float(self.mass @ ndtr((-outer - center) / spread))

    def middle(self, time: float, inner: float, drift: float = 0.0) -> float:
        """Return the chance that the motion is within ``+-inner`` at a time."""
        spread, center = math.sqrt(time - self.time), self.at + drift * (time - self.time)
        inside = ndtr((inner - center) / spread) - ndtr((-inner - center) / spread)
        return float(self.mass @ inside)

    def carried(
        self, time: float, outer: float, inner: float = 0.0, drift: float = 0.0
    ) -> "Inside":
        """Return the law at a later time of the paths with ``inner < |B| < outer`` there."""
        step = time - self.time
        spread = math.sqrt(step)
        top = min(outer, abs(drift) * time + _FAR * math.sqrt(time))
        half = 0.5 * max(top - inner, 0.0)
        # Finer than the bell of this step, and than that of a next step half as long.
        nodes, weights = _rule(4.0 * half / spread)
        side = inner + half * (1.0 + nodes)
        at = np.concatenate([-side[::-1], side])
        ratio = (at[:, None] - self.at[None, :] - drift * step) / spread
        density = np.exp(-0.5 * ratio * ratio) @ self.mass / (spread * math.sqrt(2.0 * math.pi))
        both = np.concatenate([weights[::-1], weights]) * half
        return Inside(time, at, density * both)


def crossing(constant: float, shape: float, start: float, drift: float = 0.0) -> float:
    """Return the chance that ``|B(t)| >= constant t^shape`` at some time t of (start, 1).

    Parameters
    ----------
    constant : float
        > 0, [standard deviations at the horizon].
    shape : float
        Delta of Wang and Tsiatis, 0 <= shape < 1/2.
    start : float
        0 < start < 1, as a share of the horizon.
    drift : float
        Mean of B(1).

    Notes
    -----
    Extrapolated from two numbers of looks; for shape 0 within 0.2 % of the exact series.
    """
    n_looks = _n_looks(start)
    few, many = (
        float(sum(side.sum() for side in crossing_times(constant, shape, start, drift, n)[1:]))
        for n in (n_looks, 2 * n_looks)
    )
    return min(1.0, max(0.0, 2.0 * many - few))


def crossing_times(
    constant: float, shape: float, start: float, drift: float, n_looks: int | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return times from `start` to 1, and the chance of leaving above and below since the last.

    Parameters are those of `crossing`.
    """
    n = n_looks or 2 * _n_looks(start)
    times = start ** (1.0 - np.arange(n + 1) / n)
    steps = np.diff(times, prepend=start)  # the first look sees the motion where it is
    outer = np.maximum(constant * times**shape - OVERSHOOT * np.sqrt(steps), 1e-9)
    far = abs(drift) * times + _FAR * np.sqrt(times)
    widest = float(np.max(np.minimum(outer, far)[1:] / np.sqrt(steps[1:])))
    above, below = exits(times, outer, drift, *_rule(widest))
    return times, above, below


def _n_looks(start: float) -> int:
    return max(_LEAST_LOOKS, math.ceil(-_LOOKS_A_FOLD * math.log(start)))


def _rule(widest: float) -> tuple[FloatArray, FloatArray]:
    """Return a rule that resolves a bell on an interval of so many of its spreads."""
    return _legendre(_LEAST_NODES + 8 * math.ceil(min(1.1 * widest, 400.0) / 8.0))


@lru_cache(maxsize=64)
def _legendre(n_nodes: int) -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    return nodes, weights
