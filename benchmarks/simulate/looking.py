"""Every method looks at the same simulated experiments, period by period."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from benchmarks.simulate.noises import Noise, draw
from experiments.statistics.sequential import (
    MixtureBoundary,
    PlannedBoundary,
    RunningMean,
    classic_schedule,
)
from experiments.statistics.sequential.boundaries import PLANNED_SHAPE, PLANNED_START
from experiments.statistics.sequential.bounded import bernstein, hedged
from experiments.statistics.sequential.running import (
    advance,
    law_of_noise,
    state_size,
    student_reach,
)
from experiments.statistics.sequential.sequences import LEAST_BATCHES
from numerics.compilation import njit

Floats = NDArray[np.float64]

KNOWN, IID, BATCHES, NEIGHBORS, HAC, LONG_BATCHES = range(6)
_BATCHES = np.array([1, 1, 10, 10, 1, 50])
_LAGS = np.array([0, 0, 0, 1, 10, 1])
_LAWS = np.array([law_of_noise(int(lag)) for lag in _LAGS])
_SIZE = state_size(int(_LAGS.max()))
_CHUNK = 250
BOUND, STEPS = 10.0, 2_000  # clips at so many standard deviations; steps of the bettors' grid


@dataclass(frozen=True, slots=True)
class Method:
    """A rule of when to stop: ``|mean| > reach * error`` after some period.

    Attributes
    ----------
    name : str
    errors : int
        Which standard error.
    reach : float array, shape (n_periods,)
        inf where one does not look.
    """

    name: str
    errors: int
    reach: Floats


@dataclass(frozen=True, slots=True)
class Watched:
    """What became of simulated experiments, one row an experiment and one column a method.

    Attributes
    ----------
    stops : int64 array, shape (n_paths, n_methods)
        Periods after which zero was first excluded; 0 for never.
    misses : bool array, shape (n_paths, n_methods)
        Whether any interval missed the truth.
    """

    stops: NDArray[np.int64]
    misses: NDArray[np.bool_]

    def rates(self) -> Floats:
        """Return the share of experiments that stopped, by method."""
        return np.asarray((self.stops > 0).mean(axis=0))

    def mean_stops(self, horizon: int) -> Floats:
        """Return the mean number of periods used, by method."""
        return np.asarray(np.where(self.stops > 0, self.stops, horizon).mean(axis=0))


def methods(n: int) -> list[Method]:
    """Return every method of the table for experiments of n periods."""
    t = np.arange(1, n + 1)
    start = n // 8
    freedom = np.maximum(t - 1.0, 1.0)
    student = np.where(t >= 30, stdtrit(freedom, 0.975), math.inf)
    chance = np.where(t >= 30, ndtri(0.95), math.inf)
    mixture = MixtureBoundary.tuned(0.95, n / 4)
    late = np.where(t >= start, mixture.reach(t), math.inf)
    early = np.where(t >= 30, mixture.reach(t), math.inf)
    twenty = np.isin(t, np.arange(1, 21) * (n // 20))
    return [
        Method("fixed t, one look", IID, np.where(t == n, student, math.inf)),
        Method("naive t, 20 looks", IID, np.where(twenty, student, math.inf)),
        Method("naive t, every look", IID, student),
        Method("flat-prior P(best) > 95 %", IID, chance),
        Method("O'Brien–Fleming, 5 looks", IID, classic_schedule(5).boundary(n).reach(t)),
        Method("Pocock, 5 looks", IID, classic_schedule(5, shape=0.5).boundary(n).reach(t)),
        Method("mSPRT, known variance", KNOWN, mixture.reach(t)),
        Method("asymptotic CS or plug-in mSPRT, iid variance", IID, early),
        Method(f"asymptotic CS, batches of 10, from {start}", BATCHES, late),
        Method(f"asymptotic CS, HAC-10, from {start}", HAC, late),
        planned(n, n),
    ]


def planned(
    n: int, horizon: int, name: str = "", shape: float = PLANNED_SHAPE, batch: int = 10
) -> Method:
    """Return the default, planned for a horizon and looked at for n periods.

    Parameters
    ----------
    batch : int
        10 or 50.
    """
    t = np.arange(1, n + 1)
    start = max(math.ceil(PLANNED_START * horizon), LEAST_BATCHES * batch)
    boundary = PlannedBoundary(0.95, horizon, start, shape)
    looks = RunningMean(batch, 1).extend(np.arange(n) % 7.0)
    reach = np.where(t >= start, student_reach(boundary.reach(t), looks.freedom), math.inf)
    errors = NEIGHBORS if batch == 10 else LONG_BATCHES
    return Method(name or f"**planned sequence**, from {start}", errors, reach)


def watch(
    noise: Noise,
    rules: list[Method],
    n_paths: int,
    seed: list[int],
    effect: float = 0.0,
    *,
    is_bounded: bool = False,
) -> Watched:
    """Return what became of experiments under each rule.

    Parameters
    ----------
    noise : Noise
    rules : list of Method
        All of as many periods.
    n_paths : int
    seed : list of int
        Chunk k of 250 experiments is drawn from ``default_rng([*seed, k])``.
    effect : float
        The true mean over its standard error at the end.
    is_bounded : bool
        Add two columns: empirical Bernstein and betting, of values clipped at 10 deviations.
    """
    n = rules[0].reach.size
    reach = np.array([rule.reach for rule in rules])
    errors = np.array([rule.errors for rule in rules])
    mean = effect * noise.long_run / math.sqrt(n)

    def chunk(number: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        size = min(_CHUNK, n_paths - number * _CHUNK)
        width = len(rules) + 2 * is_bounded
        stops = np.zeros((size, width), dtype=np.int64)
        misses = np.zeros((size, width), dtype=np.bool_)
        rng = np.random.default_rng([*seed, number])
        _watch(noise.number, noise.deviation, rng, mean, errors, reach, is_bounded, stops, misses)
        return stops, misses

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(chunk, range(math.ceil(n_paths / _CHUNK))))
    return Watched(*(np.concatenate(part) for part in zip(*parts, strict=True)))


@njit(cache=True, error_model="numpy", nogil=True)
def _watch(
    number: int,
    deviation: float,
    rng: np.random.Generator,
    truth: float,
    errors: NDArray[np.int64],
    reach: Floats,
    is_bounded: bool,
    stops: NDArray[np.int64],
    misses: NDArray[np.bool_],
) -> None:
    n_methods, n = reach.shape
    values, mean, freedom = np.empty(n), np.empty(n), np.empty(n)
    error = np.empty((_LAGS.size, n))
    for t in range(n):
        error[0, t] = deviation / math.sqrt(t + 1.0)
    wanted = np.zeros(_LAGS.size, dtype=np.bool_)
    wanted[errors] = True
    wanted[0], wanted[1] = False, True  # known; one is always needed, for the mean
    for path in range(stops.shape[0]):
        draw(number, rng, values)
        values += truth
        for kind in np.flatnonzero(wanted):
            state = np.zeros(_SIZE)
            batch, lag = _BATCHES[kind], _LAGS[kind]
            advance(values, batch, lag, _LAWS[kind], state, mean, error[kind], freedom)
        for method in range(n_methods):
            half = reach[method] * error[errors[method]]
            _follow(mean - half, mean + half, 0.0, truth, stops, misses, path, method)
        if is_bounded:
            bound = BOUND * deviation
            _watch_bounded(values, bound, truth, stops, misses, path)


@njit(cache=True, error_model="numpy", nogil=True)
def _follow(
    lower: Floats,
    upper: Floats,
    zero: float,
    truth: float,
    stops: NDArray[np.int64],
    misses: NDArray[np.bool_],
    path: int,
    method: int,
) -> None:
    """Note when intervals first exclude zero, and whether one misses the truth."""
    for t in range(lower.size):
        if stops[path, method] == 0 and (lower[t] > zero or upper[t] < zero):
            stops[path, method] = t + 1
        if lower[t] > truth or upper[t] < truth:
            misses[path, method] = True


@njit(cache=True, error_model="numpy", nogil=True)
def _watch_bounded(
    values: Floats,
    bound: float,
    truth: float,
    stops: NDArray[np.int64],
    misses: NDArray[np.bool_],
    path: int,
) -> None:
    scaled = (np.minimum(np.maximum(values, -bound), bound) + bound) / (2.0 * bound)
    lower, upper = np.empty(values.size), np.empty(values.size)
    zero, goal, log_level = 0.5, (truth + bound) / (2.0 * bound), math.log(2.0 / 0.05)
    first = stops.shape[1] - 2
    bernstein(scaled, log_level, np.zeros(6), lower, upper)
    _follow(lower, upper, zero, goal, stops, misses, path, first)
    capital, place = np.zeros((2, STEPS + 1)), np.array([0, STEPS])
    hedged(scaled, log_level, np.zeros(6), capital, place, lower, upper)
    _follow(lower, upper, zero, goal, stops, misses, path, first + 1)
