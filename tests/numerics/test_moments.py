import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from numerics.moments import central_sums, excess_kurtosis, is_constant, skewness

SAMPLE = np.random.default_rng(2).gamma(2.0, size=500)


class TestSkewness:
    def test_agrees_with_scipy(self):
        assert skewness(SAMPLE) == pytest.approx(stats.skew(SAMPLE), rel=1e-12)

    def test_is_missing_without_variation(self):
        assert np.isnan(skewness(np.full(5, 0.1)))


class TestExcessKurtosis:
    def test_agrees_with_scipy(self):
        assert excess_kurtosis(SAMPLE) == pytest.approx(stats.kurtosis(SAMPLE), rel=1e-12)


class TestCentralSums:
    def test_are_what_moments_are_made_of(self):
        deviation = np.empty(SAMPLE.size)

        squares, cubes, fourths, neighbors = central_sums(SAMPLE, SAMPLE.mean(), deviation)

        n = SAMPLE.size
        np.testing.assert_array_equal(deviation, SAMPLE - SAMPLE.mean())
        assert squares / n == pytest.approx(SAMPLE.var(), rel=1e-12)
        assert cubes / n / SAMPLE.std() ** 3 == pytest.approx(stats.skew(SAMPLE), rel=1e-12)
        assert fourths / n / SAMPLE.var() ** 2 - 3 == pytest.approx(stats.kurtosis(SAMPLE))
        assert neighbors == pytest.approx(deviation[1:] @ deviation[:-1])

    def test_compiled_agrees_with_plain_python(self):
        out = np.empty(SAMPLE.size)

        assert central_sums(SAMPLE, 2.0, out) == central_sums.py_func(SAMPLE, 2.0, out)


class TestIsConstant:
    @given(st.floats(-1e6, 1e6), st.integers(1, 50))
    def test_sees_through_rounding(self, value, n):
        assert is_constant(np.full(n, value))

    def test_sees_variation(self):
        assert not is_constant(np.array([1.0, 1.0 + 1e-9]))
