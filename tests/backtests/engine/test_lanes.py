"""Lanes of bars: compiled and in plain Python they are the same, and write no further."""

import numpy as np
import pytest
from numba import njit

from backtests.engine.lanes import LANES, fill_lanes, mark_lanes, reach_lanes, value_lanes

FIRST = 5
CASH, POSITION = -20.5, 3.0


@njit
def compiled_values(close, curve, bar, cash, position):
    value_lanes(close.ctypes.data, curve.ctypes.data, bar, cash, position)


@njit
def compiled_fill(close, curve, bar, worth):
    fill_lanes(close.ctypes.data, curve.ctypes.data, bar, worth)


@njit
def compiled_marks(close, curve, bar, cash, position, floor):
    return mark_lanes(close.ctypes.data, curve.ctypes.data, bar, cash, position, floor)


@njit
def compiled_reach(high, low, bar, above, below):
    return reach_lanes(high.ctypes.data, low.ctypes.data, bar, above, below)


@pytest.fixture
def close():
    return 10.0 + np.random.default_rng(3).normal(0.0, 1.0, FIRST + LANES + 7)


@pytest.fixture
def curve(close):
    return np.full(close.size, np.nan)


def written(curve):
    return np.flatnonzero(~np.isnan(curve))


class TestValueLanes:
    def test_marks_its_bars_alone(self, close, curve):
        compiled_values(close, curve, FIRST, CASH, POSITION)

        np.testing.assert_array_equal(written(curve), np.arange(FIRST, FIRST + LANES))
        np.testing.assert_array_equal(curve[written(curve)], CASH + POSITION * close[FIRST:-7])

    def test_is_the_same_in_plain_python(self, close, curve):
        plain = curve.copy()

        compiled_values(close, curve, FIRST, CASH, POSITION)
        value_lanes(close.ctypes.data, plain.ctypes.data, FIRST, CASH, POSITION)

        np.testing.assert_array_equal(curve, plain)

    def test_marks_as_the_lanes_with_a_floor_do(self, close, curve):
        marked = curve.copy()

        compiled_values(close, curve, FIRST, CASH, POSITION)
        compiled_marks(close, marked, FIRST, CASH, POSITION, 0.0)

        np.testing.assert_array_equal(curve, marked)


class TestFillLanes:
    def test_writes_one_number(self, close, curve):
        plain = curve.copy()

        compiled_fill(close, curve, FIRST, CASH)
        fill_lanes(close.ctypes.data, plain.ctypes.data, FIRST, CASH)

        np.testing.assert_array_equal(written(curve), np.arange(FIRST, FIRST + LANES))
        np.testing.assert_array_equal(curve, plain)
        assert set(curve[written(curve)]) == {CASH}


class TestMarkLanes:
    def test_names_the_bars_below_the_floor(self, close, curve):
        close[FIRST + 4] = np.nan
        plain = curve.copy()

        bits = compiled_marks(close, curve, FIRST, CASH, POSITION, 1.0)

        same = mark_lanes(close.ctypes.data, plain.ctypes.data, FIRST, CASH, POSITION, 1.0)
        assert bits % 2**LANES == int(same) % 2**LANES
        assert bits >> 4 & 1
        np.testing.assert_array_equal(curve, plain)


class TestReachLanes:
    def test_names_the_bars_that_reach_a_level(self, close):
        high, low = close + 1.0, close - 1.0
        above, below = np.quantile(high, 0.8), np.quantile(low, 0.2)

        bits = compiled_reach(high, low, FIRST, above, below)

        reached = (high >= above) | (low <= below)
        expected = sum(1 << k for k in range(LANES) if reached[FIRST + k])
        assert bits % 2**LANES == expected
        same = reach_lanes(high.ctypes.data, low.ctypes.data, FIRST, above, below)
        assert int(same) % 2**LANES == expected
