import math

import numpy as np
import pytest
from numba import njit
from scipy import stats

from experiments.bandits.streams import (
    new_streams,
    next_exponential,
    next_from_weights,
    next_gamma,
    next_normal,
    next_uniform,
    next_word,
)

MASK = 2**64 - 1


def xoshiro(state, n):
    """Blackman and Vigna's xoshiro256++ in Python's whole numbers."""

    def rotated(x, k):
        return ((x << k) | (x >> (64 - k))) & MASK

    words = []
    for _ in range(n):
        words.append((rotated((state[0] + state[3]) & MASK, 23) + state[0]) & MASK)
        shifted = (state[1] << 17) & MASK
        state[2] ^= state[0]
        state[3] ^= state[1]
        state[1] ^= state[2]
        state[0] ^= state[3]
        state[2] ^= shifted
        state[3] = rotated(state[3], 45)
    return words


@njit
def draw(stream, kind, n, shape):
    values = np.empty(n)
    d = shape - 1.0 / 3.0
    for i in range(n):
        if kind == 0:
            values[i] = next_uniform(stream)
        elif kind == 1:
            values[i] = next_normal(stream)
        elif kind == 2:
            values[i] = next_exponential(stream)
        else:
            values[i] = next_gamma(stream, d, 1.0 / (3.0 * math.sqrt(d)))
    return values


@njit
def draw_words(stream, words):
    for i in range(words.size):
        words[i] = next_word(stream)


@njit
def draw_positions(stream, weights, positions):
    for i in range(positions.size):
        positions[i] = next_from_weights(stream, weights)


class TestNextWord:
    def test_is_the_published_generator(self):
        stream = new_streams(3, 1)[0]
        expected = xoshiro([int(word) for word in stream], 200)

        words = np.empty(200, dtype=np.uint64)
        draw_words(stream, words)

        assert [int(word) for word in words] == expected


class TestNewStreams:
    def test_of_fewer_are_the_first_of_more(self):
        np.testing.assert_array_equal(new_streams(5, 3), new_streams(5, 10)[:3])

    def test_differ_by_seed_and_use(self):
        assert (
            len({tuple(new_streams(*key)[0]) for key in [(1, 1), (2, 1), (1, 1, 0), (1, 1, 1)]})
            == 4
        )


class TestLaws:
    @pytest.mark.parametrize(
        ("kind", "shape", "law"),
        [
            (0, 1.0, stats.uniform()),
            (1, 1.0, stats.norm()),
            (2, 1.0, stats.expon()),
            (3, 1.0, stats.gamma(1.0)),
            (3, 2.5, stats.gamma(2.5)),
            (3, 300.0, stats.gamma(300.0)),
        ],
    )
    def test_fit_the_theory(self, kind, shape, law):
        values = draw(new_streams(11, 1)[0], kind, 200_000, shape)

        assert stats.kstest(values, law.cdf).pvalue > 0.001

    def test_reach_into_the_tail_of_the_normal(self):
        values = draw(new_streams(12, 1)[0], 1, 5_000_000, 1.0)

        expected = 5_000_000 * 2 * stats.norm.sf(4.0)
        assert np.sum(np.abs(values) > 4.0) == pytest.approx(expected, abs=4 * math.sqrt(expected))
        assert np.abs(values).max() > 4.7


class TestNextFromWeights:
    def test_draws_in_proportion_and_never_what_has_no_weight(self):
        positions = np.empty(60_000, dtype=np.int64)

        draw_positions(new_streams(4, 1)[0], np.array([0.0, 1.0, 3.0, 0.0, 2.0]), positions)

        shares = np.bincount(positions, minlength=5) / positions.size
        np.testing.assert_allclose(shares, [0.0, 1 / 6, 1 / 2, 0.0, 1 / 3], atol=0.01)
        assert shares[0] == shares[3] == 0.0
