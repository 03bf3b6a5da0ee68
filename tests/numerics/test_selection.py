import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from numerics.selection import (
    gather_for,
    gather_tails,
    largest_of_rows,
    partition,
    quantile_of,
    select,
)

samples = arrays(
    np.float64,
    st.integers(1, 80),
    elements=st.one_of(st.floats(-1e3, 1e3), st.sampled_from([0.0, 1.0, np.inf, -np.inf])),
)
finite = arrays(np.float64, st.integers(1, 80), elements=st.floats(-1e3, 1e3))


class TestPartition:
    @given(samples, st.floats(-10.0, 10.0))
    @settings(deadline=None)
    def test_puts_what_is_below_in_front(self, values, bound):
        ordered = values.copy()

        split = partition(ordered, 0, values.size, bound)

        assert np.all(ordered[:split] < bound)
        assert np.all(ordered[split:] >= bound)
        np.testing.assert_array_equal(np.sort(ordered), np.sort(values))


class TestSelect:
    @given(samples, st.integers(0, 79))
    @settings(deadline=None)
    def test_finds_what_sorting_finds(self, values, k):
        k = min(k, values.size - 1)
        ordered, plain = values.copy(), values.copy()

        found = select(ordered, values.size, k)

        assert found == np.sort(values)[k] == ordered[k]
        assert np.all(ordered[:k] <= found)
        assert np.all(ordered[k:] >= found)
        assert select.py_func(plain, values.size, k) == found
        np.testing.assert_array_equal(plain, ordered)

    @pytest.mark.parametrize(
        "values", [np.full(500, 2.0), np.arange(500.0), np.arange(500.0)[::-1]]
    )
    def test_stands_equal_and_ordered_values(self, values):
        assert select(values.copy(), 500, 137) == np.sort(values)[137]


class TestQuantileOf:
    @given(finite, st.floats(0.0, 1.0))
    @settings(deadline=None)
    def test_agrees_with_numpy(self, values, probability):
        found = quantile_of(values.copy(), values.size, values.size, probability)

        assert found == pytest.approx(np.quantile(values, probability), rel=1e-12, abs=1e-12)


class TestGatherTails:
    def test_takes_both_tails(self):
        below, above = np.empty(5), np.empty(5)

        counts = gather_tails(np.array([3.0, -1.0, 0.0, 5.0, -2.0]), -1.0, 3.0, below, above)

        assert counts == (2, 2)
        assert below[:2].tolist() == [-1.0, -2.0]
        assert above[:2].tolist() == [-3.0, -5.0]


class TestGatherFor:
    @given(finite, st.floats(0.0, 1.0), st.floats(-1e3, 1e3), st.floats(0.0, 1e3))
    @settings(deadline=None)
    def test_gives_the_quantile_whatever_the_guess(self, values, probability, mean, deviation):
        below, above = np.empty(values.size), np.empty(values.size)

        n_below, n_above = gather_for(values, probability, mean, deviation, below, above)

        whole = quantile_of(values.copy(), values.size, values.size, probability)
        negated = quantile_of(-values, values.size, values.size, probability)
        assert quantile_of(below, values.size, n_below, probability) == whole
        assert quantile_of(above, values.size, n_above, probability) == negated

    def test_stands_a_guess_that_is_no_number(self):
        below, above = np.empty(3), np.empty(3)

        assert gather_for(np.ones(3), 0.05, np.inf, np.nan, below, above) == (3, 3)


class TestLargestOfRows:
    @given(arrays(np.float64, (3, 7), elements=st.integers(0, 5).map(float)), st.integers(1, 7))
    @settings(deadline=None)
    def test_chooses_as_a_stable_sort_does(self, table, n):
        chosen = largest_of_rows(table, n)

        order = np.argsort(-table, axis=1, kind="stable")[:, :n]
        expected = np.zeros(table.shape, bool)
        np.put_along_axis(expected, order, True, axis=1)
        np.testing.assert_array_equal(chosen, expected)
