"""Random numbers of kernels: one small state that Python and compiled loops share.

A stream is four words of state. The same stream gives the same numbers in a decision made from
Python and within a compiled simulation, so that both play the same arms.

References
----------
.. [1] Blackman and Vigna (2021), "Scrambled linear pseudorandom number generators", ACM
   Transactions on Mathematical Software 47(4): xoshiro256++.
.. [2] Marsaglia and Tsang (2000), "The ziggurat method for generating random variables", Journal
   of Statistical Software 5(8).
.. [3] Marsaglia and Tsang (2000), "A simple method for generating gamma variables", ACM
   Transactions on Mathematical Software 26(3).
"""

import math

import numpy as np
from numpy.typing import NDArray

from numerics.compilation import bare_part, kernel_part

Stream = NDArray[np.uint64]

_N_LAYERS = 256
_TAIL = 3.6541528853610088  # where the tail of the normal begins, for 256 layers of equal area
_AREA = 0.00492867323399
_TO_UNIT, _TO_SIGNED = 2.0**-53, 2.0**-52

_WORDS = (5, 8, 11, 17, 19, 23, 41, 45, 64)
_U5, _U8, _U11, _U17, _U19, _U23, _U41, _U45, _U64 = (np.uint64(word) for word in _WORDS)
_LAYER, _BASE, _I11 = np.uint64(255), np.uint64(0), np.int64(11)


def _layers() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the right edges of the ziggurat's layers and the density (unscaled) at them."""
    edge = np.zeros(_N_LAYERS + 1)
    edge[1] = _TAIL
    edge[0] = _AREA / math.exp(-0.5 * _TAIL * _TAIL)  # the base's width with the tail's area
    for layer in range(2, _N_LAYERS):
        previous = edge[layer - 1]
        height = math.exp(-0.5 * previous * previous) + _AREA / previous
        edge[layer] = math.sqrt(-2.0 * math.log(height))
    return edge, np.exp(-0.5 * edge * edge)


_EDGES, _HEIGHTS = _layers()
_EDGE, _INNER = _EDGES[:-1].copy(), _EDGES[1:].copy()
_HEIGHT, _RISE = _HEIGHTS[:-1].copy(), np.diff(_HEIGHTS)


def new_streams(seed: int, n_streams: int, *path: int) -> Stream:
    """Return independent streams of one seed, uint64 array of shape (n_streams, 4).

    Parameters
    ----------
    seed : int
        >= 0.
    n_streams : int
        >= 1; the first of more are those of fewer.
    path : int
        Distinguishes uses of one seed.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=path)
    words = np.asarray(sequence.generate_state(4 * n_streams, np.uint64), dtype=np.uint64)
    return words.reshape(n_streams, 4)


@bare_part
def next_word(stream: Stream) -> np.uint64:
    """Return 64 random bits and move the stream on [1]_."""
    first, second, third, last = stream[0], stream[1], stream[2], stream[3]
    summed = first + last
    word = ((summed << _U23) | (summed >> _U41)) + first
    shifted = second << _U17
    third ^= first
    last ^= second
    stream[1] = second ^ third
    stream[0] = first ^ last
    stream[2] = third ^ shifted
    stream[3] = (last << _U45) | (last >> _U19)
    return word


@bare_part
def next_uniform(stream: Stream) -> float:
    """Return a number uniform on [0, 1), a multiple of 2^-53."""
    return (next_word(stream) >> _U11) * _TO_UNIT


@bare_part
def next_below(stream: Stream, n: int) -> int:
    """Return a whole number uniform on 0 to n - 1, n < 2^53."""
    return int(next_uniform(stream) * n)


@bare_part
def next_exponential(stream: Stream) -> float:
    """Return a standard exponential number."""
    return -math.log(1.0 - next_uniform(stream))


@bare_part
def next_normal(stream: Stream) -> float:
    """Return a standard normal number by the ziggurat [2]_."""
    word = next_word(stream)
    layer = word & _LAYER  # unsigned, so that no index is looked at from the end
    value = (np.int64(word) >> _I11) * _TO_SIGNED * _EDGE[layer]
    if abs(value) < _INNER[layer]:
        return value
    return _on_the_edge(stream, layer, value)


@kernel_part
def _on_the_edge(stream: Stream, layer: np.uint64, value: float) -> float:
    while True:
        if layer == _BASE:
            return math.copysign(_from_tail(stream), value)
        height = _HEIGHT[layer] + next_uniform(stream) * _RISE[layer]
        if height < math.exp(-0.5 * value * value):
            return value
        word = next_word(stream)
        layer = word & _LAYER
        value = (np.int64(word) >> _I11) * _TO_SIGNED * _EDGE[layer]
        if abs(value) < _INNER[layer]:
            return value


@bare_part
def _from_tail(stream: Stream) -> float:
    while True:
        beyond = next_exponential(stream) / _TAIL
        if 2.0 * next_exponential(stream) > beyond * beyond:
            return _TAIL + beyond


@bare_part
def next_gamma(stream: Stream, d: float, c: float) -> float:
    """Return a gamma number of scale 1 and shape d + 1/3 >= 1 [3]_.

    Parameters
    ----------
    stream : uint64 array, shape (4,)
    d : float
        Shape less a third.
    c : float
        ``1 / (3 sqrt(d))``.
    """
    while True:
        normal = next_normal(stream)
        cubed = 1.0 + c * normal
        if cubed <= 0.0:
            continue
        cubed = cubed * cubed * cubed
        uniform = next_uniform(stream)
        squared = normal * normal
        if uniform < 1.0 - 0.0331 * squared * squared:
            return d * cubed
        if math.log(uniform) < 0.5 * squared + d * (1.0 - cubed + math.log(cubed)):
            return d * cubed


@bare_part
def next_from_weights(stream: Stream, weights: NDArray[np.float64]) -> int:
    """Return a position drawn in proportion to weights >= 0, not all of them 0."""
    summed, last = 0.0, 0
    for k in range(weights.size):
        summed += weights[k]
    left = next_uniform(stream) * summed
    for k in range(weights.size):
        if weights[k] > 0.0:
            last = k
            left -= weights[k]
            if left < 0.0:
                return k
    return last
