import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.indicators import crossings, moving_average_cross, simple_moving_average
from tests.numerics.indicators.registry import bars_with_holes

NAN = float("nan")


def assert_equal_crossings(found, expected):
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.is_above, expected.is_above)
    assert found.rows.dtype == np.int64
    assert found.is_above.dtype == np.bool_


class TestCrossings:
    def test_matches_lines_worked_by_hand(self):
        first = np.array([NAN, 1.0, 3.0, NAN, 3.0, 2.0, 2.0, 5.0])
        second = np.array([0.0, 2.0, 2.0, 9.0, NAN, 2.0, 1.0, 9.0])

        found = crossings(first, second)

        np.testing.assert_array_equal(found.rows, [2, 5, 6, 7])
        np.testing.assert_array_equal(found.is_above, [True, False, True, False])

    def test_of_equal_lines_are_none(self):
        assert crossings(np.ones(5), np.ones(5)).rows.size == 0

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes())
    def test_rebuild_the_comparison(self, bars):
        found = crossings(bars["close"], bars["open"])

        known = ~np.isnan(bars["close"]) & ~np.isnan(bars["open"])
        last = np.searchsorted(found.rows, np.arange(known.size), side="right") - 1
        state = np.where(last >= 0, last % 2 == 0, False)
        np.testing.assert_array_equal(state[known], (bars["close"] > bars["open"])[known])
        np.testing.assert_array_equal(found.is_above, np.arange(found.rows.size) % 2 == 0)
        assert np.all(known[found.rows])


class TestMovingAverageCross:
    def test_matches_a_series_worked_by_hand(self):
        values = np.array([3.0, NAN, 2.0, 4.0, 4.0, 1.0])

        found = moving_average_cross(values, 1, 2)

        np.testing.assert_array_equal(found.rows, [3, 4])
        np.testing.assert_array_equal(found.is_above, [True, False])

    @settings(deadline=None)  # the first call compiles
    @given(bars_with_holes(), st.integers(1, 9), st.integers(1, 9))
    def test_equals_the_crossings_of_two_averages(self, bars, fast, slow):
        lines = [simple_moving_average(bars["close"], window) for window in (fast, slow)]

        assert_equal_crossings(moving_average_cross(bars["close"], fast, slow), crossings(*lines))

    @pytest.mark.parametrize("share", [0.0, 0.01])
    @pytest.mark.parametrize("n_bars", [0, 1, 511, 512, 513, 4_097, 9_998, 9_999])
    @pytest.mark.parametrize(
        ("fast", "slow"), [(1, 2), (10, 50), (7, 300), (300, 7), (255, 257), (600, 3_000)]
    )
    def test_equals_them_across_blocks(self, fast, slow, n_bars, share):
        rng = np.random.default_rng(3)
        values = np.round(100.0 + rng.normal(size=n_bars).cumsum(), 1)  # many equal averages
        values[rng.random(n_bars) < share] = NAN
        lines = [simple_moving_average(values, window) for window in (fast, slow)]

        assert_equal_crossings(moving_average_cross(values, fast, slow), crossings(*lines))

    def test_finds_many_crossings_in_few_rows(self):
        noise = np.random.default_rng(11).normal(100.0, 1.0, 3_000)

        found = moving_average_cross(noise, 2, 3)

        assert found.rows.size > 1_000
        assert_equal_crossings(
            found, crossings(simple_moving_average(noise, 2), simple_moving_average(noise, 3))
        )

    def test_of_a_constant_are_none(self):
        assert moving_average_cross(np.full(5_000, 0.1), 10, 49).rows.size == 0
