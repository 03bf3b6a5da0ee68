import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.indicators import (
    average_true_range,
    donchian_channel,
    exponential_moving_average,
    keltner_channel,
    rolling_maximum,
    rolling_minimum,
)
from tests.numerics.indicators.registry import bars_with_holes

NAN = float("nan")


class TestRollingMaximum:
    def test_matches_a_series_worked_by_hand(self):
        values = np.array([1.0, 5.0, NAN, 2.0, 1.0])

        np.testing.assert_array_equal(rolling_maximum(values, 2), [NAN, 5.0, NAN, 5.0, 2.0])

    @pytest.mark.parametrize("window", [1, 2, 7, 100, 500])
    def test_agrees_with_pandas(self, window):
        values = np.random.default_rng(0).integers(-9, 9, 500).astype(float)

        np.testing.assert_array_equal(
            rolling_maximum(values, window), pd.Series(values).rolling(window).max()
        )
        np.testing.assert_array_equal(
            rolling_minimum(values, window), pd.Series(values).rolling(window).min()
        )


class TestRollingMinimum:
    def test_matches_a_series_worked_by_hand(self):
        values = np.array([1.0, 5.0, NAN, 2.0, 1.0])

        np.testing.assert_array_equal(rolling_minimum(values, 2), [NAN, 1.0, NAN, 2.0, 1.0])


class TestDonchianChannel:
    def test_matches_bars_worked_by_hand(self):
        high = np.array([4.0, 6.0, NAN, 5.0, 3.0])
        low = np.array([2.0, 3.0, 0.0, 1.0, 2.0])

        found = donchian_channel(high, low, 2)

        np.testing.assert_array_equal(found.lower, [NAN, 2.0, NAN, 1.0, 1.0])
        np.testing.assert_array_equal(found.middle, [NAN, 4.0, NAN, 3.5, 3.0])
        np.testing.assert_array_equal(found.upper, [NAN, 6.0, NAN, 6.0, 5.0])

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes(), st.integers(1, 8))
    def test_contains_the_price(self, bars, window):
        found = donchian_channel(bars["high"], bars["low"], window)

        known = ~np.isnan(found.upper) & ~np.isnan(bars["close"])
        assert np.all(found.lower[known] <= bars["close"][known])
        assert np.all(bars["close"][known] <= found.upper[known])

    def test_of_a_constant_has_no_width(self):
        flat = np.full(20, 0.1)

        for line in donchian_channel(flat, flat, 5):
            np.testing.assert_array_equal(line[4:], 0.1)


class TestKeltnerChannel:
    def test_is_an_average_and_true_ranges(self):
        rng = np.random.default_rng(0)
        close = rng.lognormal(size=100)
        high, low = close + rng.random(100), close - rng.random(100)

        found = keltner_channel(high, low, close, 20, 10, 1.5)

        middle = exponential_moving_average(close, 20)
        width = 1.5 * average_true_range(high, low, close, 10)
        np.testing.assert_array_equal(found.middle, middle)
        np.testing.assert_array_equal(found.lower, middle - width)
        np.testing.assert_array_equal(found.upper, middle + width)

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes())
    def test_holds_its_middle(self, bars):
        found = keltner_channel(bars["high"], bars["low"], bars["close"], 3, 2, 2.0)

        known = ~np.isnan(found.upper)
        assert np.all(found.lower[known] <= found.middle[known])
        assert np.all(found.middle[known] <= found.upper[known])

    def test_of_a_constant_has_no_width(self):
        flat = np.full(40, 0.1)

        for line in keltner_channel(flat, flat, flat, 20, 10, 2.0):
            np.testing.assert_array_equal(line[19:], 0.1)
