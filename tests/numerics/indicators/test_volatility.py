import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.indicators import (
    average_true_range,
    bollinger_bands,
    corwin_schultz_half_spread,
    rolling_standard_deviation,
    simple_moving_average,
    true_range,
)
from tests.numerics.indicators.registry import bars_with_holes

NAN = float("nan")
HIGH = np.array([5.0, 9.0, NAN, 4.0, 6.0])
LOW = np.array([3.0, 7.0, 1.0, 2.0, 1.0])
CLOSE = np.array([4.0, 8.0, 1.0, 3.0, 2.0])


class TestTrueRange:
    def test_matches_bars_worked_by_hand(self):
        # A gap up of 3 above the range, a gap down below it, and a bar that holds the close.
        np.testing.assert_array_equal(true_range(HIGH, LOW, CLOSE), [NAN, 5.0, NAN, 6.0, 5.0])

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes())
    def test_is_at_least_the_range_of_the_bar(self, bars):
        found = true_range(bars["high"], bars["low"], bars["close"])

        known = ~np.isnan(found)
        assert np.all(found[known] >= (bars["high"] - bars["low"])[known])


class TestAverageTrueRange:
    def test_matches_bars_worked_by_hand(self):
        found = average_true_range(HIGH, LOW, CLOSE, 2)

        np.testing.assert_allclose(found, [NAN, NAN, NAN, 5.5, 5.25])

    def test_of_a_standing_price_is_zero(self):
        flat = np.full(40, 0.1)

        np.testing.assert_array_equal(average_true_range(flat, flat, flat, 14)[14:], 0.0)

    def test_agrees_with_pandas_from_the_seed_on(self):
        rng = np.random.default_rng(0)
        close = rng.lognormal(size=300)
        high, low = close + rng.random(300), close - rng.random(300)
        ranges = true_range(high, low, close)
        seeded = np.concatenate([[ranges[1:15].mean()], ranges[15:]])

        np.testing.assert_allclose(
            average_true_range(high, low, close, 14)[14:],
            pd.Series(seeded).ewm(alpha=1.0 / 14.0, adjust=False).mean(),
            rtol=1e-12,
        )


class TestRollingStandardDeviation:
    def test_matches_a_series_worked_by_hand(self):
        values = np.array([1.0, 3.0, NAN, 3.0, 7.0])

        found = rolling_standard_deviation(values, 2, 0)

        np.testing.assert_array_equal(found, [NAN, 1.0, NAN, 0.0, 2.0])

    @pytest.mark.parametrize("ddof", [0, 1])
    @pytest.mark.parametrize("window", [2, 3, 20, 333])
    def test_agrees_with_pandas(self, window, ddof):
        values = np.random.default_rng(0).lognormal(size=1_000)

        np.testing.assert_allclose(
            rolling_standard_deviation(values, window, ddof),
            pd.Series(values).rolling(window).std(ddof=ddof),
            rtol=1e-9,
        )

    def test_is_unknown_without_degrees_of_freedom(self):
        assert np.all(np.isnan(rolling_standard_deviation(np.arange(5.0), 1)))

    def test_keeps_its_digits_far_from_zero(self):
        noise = np.random.default_rng(0).integers(-50, 50, 2_000).astype(float)

        np.testing.assert_allclose(
            rolling_standard_deviation(1e12 + noise, 20),
            rolling_standard_deviation(noise, 20),
            rtol=1e-13,
        )

    def test_forgets_a_giant_as_soon_as_it_leaves(self):
        values = np.full(200, 0.1)
        values[50] = 1e18

        found = rolling_standard_deviation(values, 10)

        np.testing.assert_array_equal(found[60:], 0.0)

    @pytest.mark.parametrize("window", [20, 5_000])
    def test_does_not_drift_over_a_million_rows(self, window):
        values = np.exp(np.random.default_rng(4).normal(0.0, 1e-3, 1_000_000).cumsum())

        found = rolling_standard_deviation(values, window)

        for row in range(window - 1, values.size, 99_991):
            exact = np.std(values[row - window + 1 : row + 1].astype(np.longdouble), ddof=1)
            assert found[row] == pytest.approx(float(exact), rel=1e-10)

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes(), st.integers(2, 6), st.sampled_from([-64.0, 1024.0]))
    def test_does_not_depend_on_the_level(self, bars, window, shift):
        np.testing.assert_allclose(
            rolling_standard_deviation(bars["close"] + shift, window),
            rolling_standard_deviation(bars["close"], window),
            atol=1e-9,
        )


class TestBollingerBands:
    def test_matches_a_series_worked_by_hand(self):
        found = bollinger_bands(np.array([1.0, 3.0, 3.0, 7.0]), 2, 2.0)

        np.testing.assert_array_equal(found.lower, [NAN, 0.0, 3.0, 1.0])
        np.testing.assert_array_equal(found.middle, [NAN, 2.0, 3.0, 5.0])
        np.testing.assert_array_equal(found.upper, [NAN, 4.0, 3.0, 9.0])

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes(), st.integers(1, 6))
    def test_lie_on_both_sides_of_the_average(self, bars, window):
        found = bollinger_bands(bars["close"], window, 1.5)

        np.testing.assert_array_equal(found.middle, simple_moving_average(bars["close"], window))
        known = ~np.isnan(found.middle)
        assert np.all(found.lower[known] <= found.middle[known])
        assert np.all(found.middle[known] <= found.upper[known])

    def test_of_a_constant_have_no_width(self):
        for line in bollinger_bands(np.full(50, 0.1), 20, 2.0):
            np.testing.assert_array_equal(line[19:], 0.1)

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes(), st.integers(2, 6))
    def test_contain_every_price_of_the_window_when_wide(self, bars, window):
        # No value is further than sqrt(n - 1) population deviations from the mean of n.
        found = bollinger_bands(bars["close"], window, math.sqrt(window - 1.0))

        known = ~np.isnan(found.middle)
        assert np.all(bars["close"][known] <= found.upper[known] + 1e-9)
        assert np.all(bars["close"][known] >= found.lower[known] - 1e-9)


class TestCorwinSchultzHalfSpread:
    def test_matches_bars_worked_by_hand(self):
        # The second range equals the first: b = 2 r^2, g = r^2, and a = r exactly.
        flat = np.array([1.02, 1.02])
        found = corwin_schultz_half_spread(flat, np.ones(2), np.ones(2))

        r = math.log(1.02)
        np.testing.assert_allclose(found, [NAN, math.tanh(r / 2.0)], rtol=1e-12)
        assert found[1] == pytest.approx(0.02 / 2.02)  # half of (1.02 - 1) on the middle of 1.01

    def test_undoes_a_gap(self):
        high, low, close = np.array([1.02, 1.07]), np.array([1.0, 1.05]), np.array([1.02, 1.07])

        found = corwin_schultz_half_spread(high, low, close)

        together = np.array([1.02, 1.04]), np.array([1.0, 1.02]), close
        np.testing.assert_allclose(found, corwin_schultz_half_spread(*together), rtol=1e-12)
        mirrored = corwin_schultz_half_spread(
            np.array([1.07, 1.02]), np.array([1.05, 1.0]), np.array([1.05, 1.01])
        )
        touching = corwin_schultz_half_spread(
            np.array([1.07, 1.05]), np.array([1.05, 1.03]), np.array([1.05, 1.04])
        )
        np.testing.assert_allclose(mirrored, touching, rtol=1e-12)

    def test_is_zero_where_the_estimate_is_negative(self):
        high, low = np.array([1.02, 1.04]), np.array([1.0, 1.02])

        assert corwin_schultz_half_spread(high, low, high)[1] == 0.0

    def test_of_a_standing_price_is_zero(self):
        flat = np.full(10, 0.1)

        np.testing.assert_array_equal(corwin_schultz_half_spread(flat, flat, flat)[1:], 0.0)

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes())
    def test_is_a_fraction_of_the_price(self, bars):
        found = corwin_schultz_half_spread(bars["high"], bars["low"], bars["close"])

        known = found[~np.isnan(found)]
        assert np.all((known >= 0.0) & (known < 1.0))

    def test_finds_the_spread_of_a_simulated_market(self):
        # Trades at bid or ask of a diffusing price; zeros for negative estimates bias upward.
        rng = np.random.default_rng(0)
        price = np.exp(rng.normal(0.0, 0.01 / math.sqrt(390), (4_000, 390)).cumsum(axis=1))
        level = np.exp(np.concatenate([[0.0], np.log(price[:-1, -1]).cumsum()]))[:, None]
        traded = price * level * (1.0 + 0.01 * rng.choice([-1.0, 1.0], price.shape))

        found = corwin_schultz_half_spread(traded.max(1), traded.min(1), traded[:, -1])

        assert 0.0095 < np.nanmean(found) < 0.0105
