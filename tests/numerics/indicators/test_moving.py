import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from numerics.indicators import simple_moving_average

NAN = float("nan")
prices = st.one_of(st.floats(0.01, 1e6), st.just(NAN))
series = arrays(np.float64, st.integers(1, 60), elements=prices)


class TestSimpleMovingAverage:
    def test_matches_a_series_worked_by_hand(self):
        values = np.array([1.0, NAN, 3.0, 5.0, NAN, 4.0])

        found = simple_moving_average(values, 2)

        np.testing.assert_allclose(found, [NAN, NAN, 2.0, 4.0, NAN, 4.5])

    def test_agrees_with_pandas(self):
        import pandas as pd

        values = np.random.default_rng(0).lognormal(size=3_000).cumsum()

        np.testing.assert_allclose(
            simple_moving_average(values, 50), pd.Series(values).rolling(50).mean(), rtol=1e-12
        )

    def test_forgets_a_giant(self):
        values = np.ones(2_000)
        values[5] = 1e18

        assert simple_moving_average(values, 10)[-1] == 1.0

    @given(series, st.integers(1, 8))
    def test_stays_within_its_window(self, values, window):
        found = simple_moving_average(values, window)

        for row in np.flatnonzero(~np.isnan(found)):
            seen = values[: row + 1][~np.isnan(values[: row + 1])][-window:]
            np.testing.assert_allclose(found[row], seen.mean(), rtol=1e-9, atol=1e-6)

    @given(series, st.integers(1, 8), st.integers(0, 60))
    def test_never_looks_ahead(self, values, window, n):
        np.testing.assert_array_equal(
            simple_moving_average(values, window)[:n], simple_moving_average(values[:n], window)
        )

    @given(series, st.integers(1, 8))
    def test_compiled_agrees_with_plain_python(self, values, window):
        np.testing.assert_array_equal(
            simple_moving_average(values, window), simple_moving_average.py_func(values, window)
        )
