"""Features of the past alone: by hand, by another library, and without a look ahead."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.simulation import (
    SettingsError,
    contexts_of,
    momentum,
    standardized,
    turbulence,
    volatility,
)

OF_RETURNS = [momentum, volatility, turbulence]
series = st.lists(st.floats(-0.2, 0.2), min_size=8, max_size=60)


def walk(n: int = 300) -> np.ndarray:
    return np.random.default_rng(3).normal(0.0, np.where(np.arange(n) % 100 < 50, 0.01, 0.03), n)


class TestNoLookAhead:
    @pytest.mark.parametrize("feature", OF_RETURNS)
    @settings(deadline=None, max_examples=40)
    @given(series, st.data())
    def test_of_returns_of_a_period_or_later(self, feature, returns, data):
        cut = data.draw(st.integers(0, len(returns) - 1))
        other = np.array(returns)
        other[cut:] = data.draw(
            st.lists(
                st.floats(-0.2, 0.2),
                min_size=len(returns) - cut,
                max_size=len(returns) - cut,
            )
        )

        found, changed = feature(returns, 5), feature(other, 5)

        np.testing.assert_array_equal(found[: cut + 1], changed[: cut + 1])

    @settings(deadline=None, max_examples=40)
    @given(series, st.integers(1, 40))
    def test_of_given_values_after_the_period(self, values, n):
        whole, begun = standardized(values * 3), standardized((values * 3)[:n])

        np.testing.assert_array_equal(whole[:n], begun)


class TestMomentum:
    def test_is_the_t_ratio_of_the_last_returns(self):
        returns = walk()

        found = momentum(returns, 20)

        for t in (20, 57, 299):
            expected = stats.ttest_1samp(returns[t - 20 : t], 0.0).statistic
            assert found[t] == pytest.approx(np.clip(expected, -5, 5), rel=1e-9)
        assert np.isnan(found[:20]).all()

    def test_is_nothing_where_nothing_moves(self):
        assert momentum(np.zeros(10), 5)[5:].tolist() == [0.0] * 5

    @given(st.floats(0.1, 100.0))
    @settings(deadline=None)
    def test_does_not_depend_on_the_unit(self, unit):
        np.testing.assert_allclose(momentum(walk() * unit, 20), momentum(walk(), 20), rtol=1e-6)


class TestVolatility:
    def test_is_the_last_deviation_over_that_of_all_before(self):
        returns = walk()

        found, is_turbulent = volatility(returns, 20), turbulence(returns, 20)

        for t in (20, 130, 299):
            expected = np.log(returns[t - 20 : t].std(ddof=1) / returns[:t].std(ddof=1))
            assert found[t] == pytest.approx(expected, abs=1e-9)
            assert is_turbulent[t] == (expected > 1e-9)
        assert np.isnan(found[:20]).all()
        assert np.isnan(is_turbulent[:20]).all()

    def test_is_not_known_where_nothing_moves(self):
        assert np.isnan(volatility(np.full(30, 0.01), 5)).all()


class TestStandardized:
    def test_is_less_the_mean_so_far_over_the_deviation_so_far(self):
        values = 5.0 + walk()

        found = standardized(values)

        for t in (19, 100, 299):
            so_far = values[: t + 1]
            expected = (values[t] - so_far.mean()) / so_far.std(ddof=1)
            assert found[t] == pytest.approx(expected, rel=1e-9)
        assert np.isnan(found[:19]).all()

    def test_leaves_out_what_is_missing(self):
        values = np.concatenate([[np.nan] * 7, walk(60)])

        found = standardized(values)

        np.testing.assert_array_equal(found[7:], standardized(values[7:]))
        assert np.isnan(found[:7]).all()

    def test_is_nothing_of_a_constant(self):
        assert np.isnan(standardized(np.full(40, 1.5))).all()


class TestContexts:
    def test_are_an_intercept_and_the_features_with_nothing_for_unknown(self):
        found = contexts_of([[np.nan, 2.0], [3.0, 4.0]], 2)

        assert found.tolist() == [[1.0, 0.0, 3.0], [1.0, 2.0, 4.0]]


class TestRefusals:
    @pytest.mark.parametrize("given_returns", [[[0.1, 0.2]], [0.1, np.nan, 0.2]])
    def test_of_what_is_no_series(self, given_returns):
        with pytest.raises(SettingsError, match="one series of finite returns"):
            momentum(given_returns, 5)

    def test_of_a_window_of_one(self):
        with pytest.raises(SettingsError, match="two returns or more"):
            volatility(walk(), 1)
