import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.indicators import rolling_beta, rolling_correlation, rolling_zscore
from tests.numerics.indicators.registry import bars_with_holes

NAN = float("nan")


@pytest.fixture
def returns():
    rng = np.random.default_rng(0)
    benchmark = rng.normal(0.0, 0.01, 1_000)
    return 1.5 * benchmark + rng.normal(0.0, 0.01, 1_000), benchmark


class TestRollingZscore:
    def test_matches_a_series_worked_by_hand(self):
        values = np.array([1.0, NAN, 3.0, 2.0, 2.0, 2.0])

        found = rolling_zscore(values, 3)

        root = math.sqrt(1.0 / 3.0)
        expected = [NAN, NAN, NAN, 0.0, -(1.0 / 3.0) / root, NAN]
        np.testing.assert_allclose(found, expected, atol=1e-15)

    @pytest.mark.parametrize("price", [0.1, 1e-9, 123456.789])
    def test_of_a_constant_is_unknown(self, price):
        values = np.concatenate([np.array([1.0, 2e9, 3.0]), np.full(500, price)])

        assert np.all(np.isnan(rolling_zscore(values, 7)[10:]))

    def test_agrees_with_pandas(self, returns):
        rolling = pd.Series(returns[0]).rolling(20)

        np.testing.assert_allclose(
            rolling_zscore(returns[0], 20),
            (returns[0] - rolling.mean()) / rolling.std(),
            atol=1e-10,
        )

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes(), st.integers(2, 8))
    def test_is_bounded_by_its_window(self, bars, window):
        found = rolling_zscore(bars["close"], window)

        known = found[~np.isnan(found)]
        assert np.all(np.abs(known) <= (window - 1.0) / math.sqrt(window) + 1e-9)

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes(), st.integers(2, 8), st.sampled_from([-64.0, 1024.0]))
    def test_does_not_depend_on_the_level(self, bars, window, shift):
        values = np.round(bars["close"])  # whole numbers shift without rounding

        np.testing.assert_array_equal(
            rolling_zscore(values + shift, window) > 0.0, rolling_zscore(values, window) > 0.0
        )
        np.testing.assert_allclose(
            rolling_zscore(values + shift, window), rolling_zscore(values, window), atol=1e-9
        )


class TestRollingBeta:
    def test_matches_a_series_worked_by_hand(self):
        returns = np.array([1.0, 5.0, NAN, 3.0, 3.0])
        benchmark = np.array([0.0, 2.0, 7.0, 1.0, 1.0])

        np.testing.assert_array_equal(
            rolling_beta(returns, benchmark, 2), [NAN, 2.0, NAN, 2.0, NAN]
        )

    def test_agrees_with_pandas(self, returns):
        asset, benchmark = map(pd.Series, returns)
        expected = asset.rolling(60).cov(benchmark) / benchmark.rolling(60).var()

        np.testing.assert_allclose(rolling_beta(*returns, 60), expected, rtol=1e-9)

    def test_of_a_constant_is_zero_and_to_a_constant_unknown(self, returns):
        flat = np.full(1_000, 0.1)

        np.testing.assert_array_equal(rolling_beta(flat, returns[0], 20)[19:], 0.0)
        assert np.all(np.isnan(rolling_beta(returns[0], flat, 20)))

    def test_does_not_drift_over_a_million_rows(self):
        rng = np.random.default_rng(4)
        x, y = 1.0 + rng.normal(size=(2, 1_000_000))

        found = rolling_beta(x, y, 252)

        for row in range(251, x.size, 99_991):
            inside = slice(row - 251, row + 1)
            covariance = np.cov(x[inside], y[inside])
            expected = covariance[0, 1] / covariance[1, 1]
            assert found[row] == pytest.approx(expected, rel=1e-9, abs=1e-12)


class TestRollingCorrelation:
    def test_matches_a_series_worked_by_hand(self):
        first = np.array([1.0, 5.0, NAN, 3.0, 3.0])
        second = np.array([0.0, 2.0, 7.0, 6.0, 1.0])

        found = rolling_correlation(first, second, 2)

        np.testing.assert_allclose(found, [NAN, 1.0, NAN, -1.0, NAN])

    def test_agrees_with_pandas(self, returns):
        asset, benchmark = map(pd.Series, returns)

        np.testing.assert_allclose(
            rolling_correlation(*returns, 60), asset.rolling(60).corr(benchmark), rtol=1e-9
        )

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes(), st.integers(2, 8))
    def test_is_symmetric_and_between_minus_one_and_one(self, bars, window):
        found = rolling_correlation(bars["close"], bars["open"], window)

        np.testing.assert_array_equal(
            found, rolling_correlation(bars["open"], bars["close"], window)
        )
        known = found[~np.isnan(found)]
        assert np.all(np.abs(known) <= 1.0)

    def test_with_a_constant_is_unknown(self, returns):
        assert np.all(np.isnan(rolling_correlation(returns[0], np.full(1_000, 0.1), 20)))

    def test_with_itself_is_one(self, returns):
        np.testing.assert_allclose(rolling_correlation(returns[0], returns[0], 20)[19:], 1.0)
