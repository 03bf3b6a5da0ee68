import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backtests.engine.metrics import compute_metrics
from backtests.engine.metrics.drawdown import deepest_fall, find_falls

DAY_NS = 86_400_000_000_000
curves = arrays(np.float64, st.integers(1, 60), elements=st.floats(1.0, 1e6))


def stamps(n):
    return np.arange(n) * DAY_NS


class TestFindFalls:
    def test_matches_a_curve_worked_by_hand(self):
        curve = np.array([100.0, 90.0, 100.0, 120.0, 60.0, 90.0, 110.0])

        falls = find_falls(curve, stamps(7))

        assert falls.deepest == pytest.approx(0.5)
        assert falls.depths == pytest.approx(0.6)
        assert falls.squares == pytest.approx(0.1**2 + 0.5**2 + 0.25**2 + (1 / 12) ** 2)
        assert (falls.n_under, falls.n_drawdowns) == (4, 2)
        assert (falls.longest_ns, falls.spans_ns) == (3 * DAY_NS, 5 * DAY_NS)

    @given(curves)
    @settings(deadline=None)
    def test_agrees_with_the_running_maximum(self, curve):
        fall = 1.0 - curve / np.maximum.accumulate(curve)

        falls = find_falls(curve, stamps(curve.size))

        assert falls.deepest == fall.max() == deepest_fall(curve)
        assert falls.n_under == np.count_nonzero(fall)
        assert falls.squares == pytest.approx(np.sum(fall**2), rel=1e-9, abs=1e-14)
        assert falls.depths <= falls.n_drawdowns * falls.deepest * (1 + 1e-12)

    @given(curves)
    @settings(deadline=None)
    def test_compiled_agrees_with_plain_python(self, curve):
        ts = stamps(curve.size)

        assert find_falls(curve, ts) == find_falls.py_func(curve, ts)
        assert deepest_fall(curve) == deepest_fall.py_func(curve)


class TestCalmar36Months:
    def test_looks_at_the_last_three_years(self):
        days = np.arange(np.datetime64("2015-01-31"), np.datetime64("2021-02-01"))
        ts = days.astype("datetime64[ns]").astype(np.int64)
        equity = np.full(days.size, 100.0)
        equity[10] = 50.0  # long ago
        equity[-400:-390] = 80.0
        equity[-1] = 133.1

        found = compute_metrics(equity, ts)

        assert found["max_drawdown"].value == pytest.approx(0.5)
        assert found["calmar_36_months"].value == pytest.approx(0.1 / 0.2)

    def test_is_missing_for_a_shorter_curve(self):
        found = compute_metrics(np.array([1.0, 0.9, 1.2]), stamps(3))

        assert "36 months" in found["calmar_36_months"].reason
