import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.indicators import (
    exponential_moving_average,
    macd,
    rate_of_change,
    relative_strength_index,
    simple_moving_average,
    stochastic,
)
from tests.numerics.indicators.registry import bars_with_holes

NAN = float("nan")


class TestRateOfChange:
    def test_matches_a_series_worked_by_hand(self):
        values = np.array([2.0, NAN, 0.0, 3.0, 5.0])

        np.testing.assert_allclose(rate_of_change(values, 2), [NAN, NAN, NAN, 0.5, NAN])

    def test_agrees_with_pandas(self):
        values = np.random.default_rng(0).lognormal(size=100)

        np.testing.assert_allclose(
            rate_of_change(values, 7), pd.Series(values).pct_change(7), rtol=1e-12
        )


class TestRelativeStrengthIndex:
    def test_matches_a_series_worked_by_hand(self):
        values = np.array([10.0, 12.0, NAN, 11.0, 14.0, 13.0])

        found = relative_strength_index(values, 2)

        # (U, D): (1, 1/2), then (2, 1/4), then (1, 5/8)
        expected = [NAN, NAN, NAN, 200.0 / 3.0, 800.0 / 9.0, 800.0 / 13.0]
        np.testing.assert_allclose(found, expected)

    def test_of_a_price_that_never_changed_is_unknown(self):
        assert np.all(np.isnan(relative_strength_index(np.full(100, 0.1), 14)))

    def test_of_a_price_that_only_rises_is_a_hundred(self):
        rising = np.arange(50.0)

        np.testing.assert_array_equal(relative_strength_index(rising, 14)[14:], 100.0)
        np.testing.assert_array_equal(relative_strength_index(-rising, 14)[14:], 0.0)

    def test_stays_while_the_price_stands_still(self):
        values = np.concatenate([np.array([1.0, 2.0, 1.5, 3.0]), np.full(50_000, 3.0)])

        found = relative_strength_index(values, 3)

        np.testing.assert_allclose(found[3:], found[3], rtol=1e-9)

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes(), st.integers(1, 6))
    def test_is_between_0_and_100(self, bars, window):
        found = relative_strength_index(bars["close"], window)

        known = found[~np.isnan(found)]
        assert np.all((known >= 0.0) & (known <= 100.0))

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes(), st.integers(1, 6))
    def test_mirrors_with_the_price(self, bars, window):
        found = relative_strength_index(-bars["close"], window)

        expected = 100.0 - relative_strength_index(bars["close"], window)
        np.testing.assert_allclose(found, expected, atol=1e-9)


class TestMacd:
    def test_is_made_of_exponential_averages(self):
        values = np.random.default_rng(0).lognormal(size=200)

        found = macd(values, 12, 26, 9)

        line = exponential_moving_average(values, 12) - exponential_moving_average(values, 26)
        np.testing.assert_array_equal(found.line, line)
        np.testing.assert_array_equal(found.signal, exponential_moving_average(line, 9))
        np.testing.assert_array_equal(found.histogram, found.line - found.signal)
        assert np.flatnonzero(~np.isnan(found.line))[0] == 25
        assert np.flatnonzero(~np.isnan(found.signal))[0] == 33

    def test_of_a_constant_is_zero(self):
        for line in macd(np.full(60, 0.1), 12, 26, 9):
            np.testing.assert_array_equal(line[33:], 0.0)

    def test_agrees_with_pandas_once_the_seeds_are_forgotten(self):
        values = pd.Series(np.random.default_rng(0).lognormal(size=1_000))
        line = values.ewm(span=12, adjust=False).mean() - values.ewm(span=26, adjust=False).mean()

        found = macd(values.to_numpy(), 12, 26, 9)

        np.testing.assert_allclose(found.line[800:], line[800:], atol=1e-12)
        np.testing.assert_allclose(
            found.signal[800:], line.ewm(span=9, adjust=False).mean()[800:], atol=1e-12
        )


class TestStochastic:
    def test_matches_bars_worked_by_hand(self):
        high = np.array([4.0, 6.0, NAN, 5.0])
        low = np.array([2.0, 3.0, 0.0, 1.0])
        close = np.array([3.0, 4.0, 0.0, 2.0])

        found = stochastic(high, low, close, 2, 1, 2)

        np.testing.assert_allclose(found.k, [NAN, 50.0, NAN, 20.0])
        np.testing.assert_allclose(found.d, [NAN, NAN, NAN, 35.0])

    def test_has_no_place_in_a_range_of_nothing(self):
        flat = np.full(30, 0.1)

        for line in stochastic(flat, flat, flat, 5, 3, 3):
            assert np.all(np.isnan(line))

    def test_smoothing_is_a_simple_average(self):
        rng = np.random.default_rng(0)
        close = rng.lognormal(size=100)
        high, low = close + rng.random(100), close - rng.random(100)

        slow = stochastic(high, low, close, 14, 3, 3)

        fast = stochastic(high, low, close, 14, 1, 3)
        np.testing.assert_allclose(slow.k, simple_moving_average(fast.k, 3), rtol=1e-12)
        np.testing.assert_allclose(slow.k, fast.d, rtol=1e-12)

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes(), st.integers(1, 6), st.integers(1, 3))
    def test_is_between_0_and_100(self, bars, window, smoothing):
        for line in stochastic(
            bars["high"], bars["low"], bars["close"], window, smoothing, smoothing
        ):
            known = line[~np.isnan(line)]
            assert np.all((known >= 0.0) & (known <= 100.0))

    @pytest.mark.parametrize("window", [1, 14])
    def test_agrees_with_pandas(self, window):
        rng = np.random.default_rng(0)
        close = rng.lognormal(size=200)
        high, low = close + rng.random(200), close - rng.random(200)
        lowest = pd.Series(low).rolling(window).min()
        place = (close - lowest) / (pd.Series(high).rolling(window).max() - lowest)

        np.testing.assert_allclose(
            stochastic(high, low, close, window, 1, 1).k, 100.0 * place, rtol=1e-12
        )
