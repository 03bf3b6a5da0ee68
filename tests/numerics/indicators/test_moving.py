import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from numerics.indicators import (
    exponential_moving_average,
    simple_moving_average,
    simple_moving_averages,
    weighted_moving_average,
)

NAN = float("nan")
prices = st.one_of(st.floats(0.01, 1e6), st.just(NAN))
series = arrays(np.float64, st.integers(1, 60), elements=prices)
averages = pytest.mark.parametrize(
    "average", [simple_moving_average, exponential_moving_average, weighted_moving_average]
)


@pytest.fixture(scope="module")
def million():
    return np.exp(np.random.default_rng(4).normal(0.0, 1e-3, 1_000_000).cumsum())


class TestAnyAverage:
    @averages
    @settings(deadline=None)  # the first call compiles
    @given(series, st.integers(1, 8))
    def test_lies_between_what_was_seen(self, average, values, window):
        found = average(values, window)

        for row in np.flatnonzero(~np.isnan(found)):
            seen = values[: row + 1][~np.isnan(values[: row + 1])]
            slack = 1e-9 * seen.max()
            assert seen.min() - slack <= found[row] <= seen.max() + slack

    @averages
    @pytest.mark.parametrize("price", [0.1, 1.0 / 3.0, 1e-9, 123456.789])
    def test_of_equal_prices_is_that_price(self, average, price):
        found = average(np.full(2_000, price), 49)

        np.testing.assert_array_equal(found[48:], price)

    @averages
    def test_of_one_observation_is_the_observation(self, average):
        values = np.random.default_rng(0).lognormal(size=1_500)
        values[::7] = NAN

        np.testing.assert_allclose(average(values, 1), values, rtol=1e-13)

    @averages
    @settings(deadline=None)  # the first call compiles
    @given(series, st.integers(1, 8), st.floats(-100.0, 100.0))
    def test_shifts_with_the_price(self, average, values, window, shift):
        found = average(values + shift, window)

        np.testing.assert_allclose(found, average(values, window) + shift, atol=1e-6)

    @averages
    def test_is_silent_when_the_series_is_shorter_than_the_window(self, average):
        assert np.all(np.isnan(average(np.ones(4), 5)))
        assert average(np.ones(0), 5).size == 0


class TestSimpleMovingAverage:
    def test_matches_a_series_worked_by_hand(self):
        values = np.array([1.0, NAN, 3.0, 5.0, NAN, 4.0])

        found = simple_moving_average(values, 2)

        np.testing.assert_allclose(found, [NAN, NAN, 2.0, 4.0, NAN, 4.5])

    @pytest.mark.parametrize("window", [1, 2, 7, 50, 255, 256, 257, 511, 512, 700, 2_999, 3_000])
    def test_agrees_with_pandas(self, window):
        values = np.random.default_rng(0).lognormal(size=3_000).cumsum()

        np.testing.assert_allclose(
            simple_moving_average(values, window),
            pd.Series(values).rolling(window).mean(),
            rtol=1e-12,
        )

    def test_of_one_observation_has_no_rounding(self):
        values = np.random.default_rng(0).lognormal(size=1_500)

        np.testing.assert_array_equal(simple_moving_average(values, 1), values)

    def test_forgets_a_giant(self):
        values = np.ones(2_000)
        values[5] = 1e18

        assert simple_moving_average(values, 10)[-1] == 1.0

    @settings(deadline=None)  # the first call compiles
    @given(series, st.integers(1, 8))
    def test_stays_within_its_window(self, values, window):
        found = simple_moving_average(values, window)

        for row in np.flatnonzero(~np.isnan(found)):
            seen = values[: row + 1][~np.isnan(values[: row + 1])][-window:]
            np.testing.assert_allclose(found[row], seen.mean(), rtol=1e-9, atol=1e-6)

    @pytest.mark.parametrize("window", [10, 1_000, 100_000])
    def test_does_not_drift_over_a_million_rows(self, million, window):
        found = simple_moving_average(million, window)

        for row in range(window - 1, million.size, 99_991):
            exact = math.fsum(million[row - window + 1 : row + 1]) / window
            assert found[row] == pytest.approx(exact, rel=1e-12)


class TestSimpleMovingAverages:
    @settings(deadline=None)  # the first call compiles
    @given(series, st.lists(st.integers(1, 70), max_size=5))
    def test_equal_the_single_averages_bit_for_bit(self, values, windows):
        found = simple_moving_averages(values, np.array(windows, np.int64))

        assert found.shape == (len(windows), values.size)
        for row, window in zip(found, windows, strict=True):
            np.testing.assert_array_equal(row, simple_moving_average(values, window))

    @pytest.mark.parametrize("share", [0.0, 0.1])
    def test_equal_the_single_averages_across_blocks(self, share):
        rng = np.random.default_rng(1)
        values = np.where(rng.random(5_000) < share, NAN, rng.lognormal(size=5_000))
        windows = np.array([3, 52, 55, 254, 300, 1_000])

        for row, window in zip(simple_moving_averages(values, windows), windows, strict=True):
            np.testing.assert_array_equal(row, simple_moving_average(values, window))


class TestExponentialMovingAverage:
    def test_matches_a_series_worked_by_hand(self):
        values = np.array([1.0, 3.0, NAN, 5.0, 9.0])

        found = exponential_moving_average(values, 3)  # the newest weighs a half

        np.testing.assert_allclose(found, [NAN, NAN, NAN, 3.0, 6.0])

    def test_agrees_with_pandas_from_the_seed_on(self):
        values = np.random.default_rng(0).lognormal(size=500).cumsum()
        seeded = np.concatenate([[values[:20].mean()], values[20:]])

        np.testing.assert_allclose(
            exponential_moving_average(values, 20)[19:],
            pd.Series(seeded).ewm(span=20, adjust=False).mean(),
            rtol=1e-12,
        )

    def test_does_not_drift_over_a_million_rows(self, million):
        weights = (1.0 - 2.0 / 51.0) ** np.arange(3_000)[::-1] * (2.0 / 51.0)

        found = exponential_moving_average(million, 50)

        for row in range(5_000, million.size, 99_991):
            exact = math.fsum(weights * million[row - 2_999 : row + 1])
            assert found[row] == pytest.approx(exact, rel=1e-12)


class TestWeightedMovingAverage:
    def test_matches_a_series_worked_by_hand(self):
        values = np.array([1.0, 4.0, NAN, 7.0, 1.0, 2.0])

        found = weighted_moving_average(values, 3)

        expected = [NAN, NAN, NAN, 30.0 / 6.0, (4.0 + 14.0 + 3.0) / 6.0, (7.0 + 2.0 + 6.0) / 6.0]
        np.testing.assert_allclose(found, expected)

    @pytest.mark.parametrize("window", [1, 2, 9, 100])
    def test_agrees_with_weights_applied_one_by_one(self, window):
        values = np.random.default_rng(0).lognormal(size=400).cumsum()
        weights = np.arange(1.0, window + 1.0)

        np.testing.assert_allclose(
            weighted_moving_average(values, window),
            pd.Series(values).rolling(window).apply(lambda x: np.average(x, weights=weights)),
            rtol=1e-12,
        )

    @pytest.mark.parametrize("window", [10, 10_000])
    def test_does_not_drift_over_a_million_rows(self, million, window):
        weights = np.arange(1.0, window + 1.0)

        found = weighted_moving_average(million, window)

        for row in range(window - 1, million.size, 99_991):
            exact = math.fsum(weights * million[row - window + 1 : row + 1]) / weights.sum()
            assert found[row] == pytest.approx(exact, rel=1e-11)

    def test_forgets_a_giant_as_soon_as_it_leaves(self):
        values = np.arange(100.0)
        values[5] = 1e18

        found = weighted_moving_average(values, 10)

        np.testing.assert_allclose(found[20:], np.arange(20.0, 100.0) - 3.0, rtol=1e-14)
