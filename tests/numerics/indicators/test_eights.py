"""Eight rows of a running mean at once: the compiled group is the plain one, bit for bit."""

import numpy as np
import pytest
from numba import njit

from numerics.bits import WORD
from numerics.indicators.eights import GROUP, add_up, eight_means, few_means, word_above

FAST, SLOW = 3, 11
SCALES = 1.0 / FAST, 1.0 / SLOW


@njit
def compiled_group(values, row, window, scale, mean, out):
    return eight_means(values.ctypes.data, row, window, scale, mean, out.ctypes.data, 2)


@njit
def compiled_word(values, row, windows, scales, means):
    return word_above(values.ctypes.data, row, windows, scales, means)


@pytest.fixture
def values():
    return 100.0 + np.random.default_rng(7).normal(0.0, 1.0, 200).cumsum()


class TestEightMeans:
    def test_is_the_mean_of_the_window(self, values):
        out = np.full(12, np.nan)

        last = compiled_group(values, 16, 5, 0.2, values[11:16].mean(), out)

        expected = [values[row - 4 : row + 1].mean() for row in range(16, 16 + GROUP)]
        np.testing.assert_allclose(out[2:10], expected, rtol=1e-14)
        assert last == out[9]
        assert np.isnan(out[[0, 1, 10, 11]]).all()

    def test_is_the_same_in_plain_python(self, values):
        mine, theirs = np.zeros(12), np.zeros(12)

        last = compiled_group(values, 24, 7, 1.0 / 7.0, 99.5, mine)
        plain = eight_means(values.ctypes.data, 24, 7, 1.0 / 7.0, 99.5, theirs.ctypes.data, 2)

        np.testing.assert_array_equal(mine, theirs)
        assert last == plain

    def test_keeps_the_sign_of_a_zero(self):
        out = np.ones(12)

        compiled_group(np.full(40, 3.0), 16, 5, 0.2, -0.0, out)

        np.testing.assert_array_equal(np.signbit(out[2:10]), np.signbit(-0.0 + np.zeros(8)))


class TestFewMeans:
    @pytest.mark.parametrize("n_rows", range(1, GROUP))
    def test_begins_as_the_whole_group_does(self, values, n_rows):
        whole, few = np.zeros(12), np.zeros(n_rows)

        compiled_group(values, 24, 7, 1.0 / 7.0, 99.5, whole)
        last = few_means(values, 24, 7, 99.5, few)

        np.testing.assert_array_equal(few, whole[2 : 2 + n_rows])
        assert last == few[-1]


class TestAddUp:
    def test_gives_running_sums(self, values):
        steps = values[:GROUP].copy()

        add_up(steps)

        np.testing.assert_allclose(steps, np.cumsum(values[:GROUP]), rtol=1e-15)


class TestWordAbove:
    def test_compares_what_the_groups_give(self, values):
        first, second = 99.0, 101.0
        over, under = np.zeros(12), np.zeros(12)
        expected = []
        a, b = first, second
        for row in range(16, 16 + WORD, GROUP):
            a = compiled_group(values, row, FAST, SCALES[0], a, over)
            b = compiled_group(values, row, SLOW, SCALES[1], b, under)
            expected += (over[2:10] > under[2:10]).tolist()

        bits, *means = compiled_word(values, 16, (FAST, SLOW), SCALES, (first, second))

        assert [bool(bits >> row & 1) for row in range(WORD)] == expected
        assert means == [a, b]

    def test_is_the_same_in_plain_python(self, values):
        asked = 16, (FAST, SLOW), SCALES, (100.0, 100.0)

        assert compiled_word(values, *asked) == word_above(values.ctypes.data, *asked)
