import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from numerics.moments import excess_kurtosis, is_constant, skewness

SAMPLE = np.random.default_rng(2).gamma(2.0, size=500)


class TestSkewness:
    def test_agrees_with_scipy(self):
        assert skewness(SAMPLE) == pytest.approx(stats.skew(SAMPLE), rel=1e-12)

    def test_is_missing_without_variation(self):
        assert np.isnan(skewness(np.full(5, 0.1)))


class TestExcessKurtosis:
    def test_agrees_with_scipy(self):
        assert excess_kurtosis(SAMPLE) == pytest.approx(stats.kurtosis(SAMPLE), rel=1e-12)


class TestIsConstant:
    @given(st.floats(-1e6, 1e6), st.integers(1, 50))
    def test_sees_through_rounding(self, value, n):
        assert is_constant(np.full(n, value))

    def test_sees_variation(self):
        assert not is_constant(np.array([1.0, 1.0 + 1e-9]))
