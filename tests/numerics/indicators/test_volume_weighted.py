import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.indicators import rolling_vwap, session_vwap

NAN = float("nan")


class TestRollingVwap:
    def test_matches_a_series_worked_by_hand(self):
        price = np.array([10.0, 20.0, NAN, 40.0, 50.0])
        volume = np.array([1.0, 3.0, 9.0, 1.0, NAN])

        found = rolling_vwap(price, volume, 2)

        np.testing.assert_allclose(found, [NAN, 17.5, NAN, 25.0, NAN])

    def test_is_silent_where_nothing_traded(self):
        price = np.arange(1.0, 8.0)
        volume = np.array([0.1, 0.2, 0.0, 0.0, 0.0, 0.3, 0.0])

        found = rolling_vwap(price, volume, 2)

        np.testing.assert_allclose(found, [NAN, 5.0 / 3.0, 2.0, NAN, NAN, 6.0, 6.0])

    @pytest.mark.parametrize("window", [1, 5, 64])
    def test_agrees_with_pandas(self, window):
        rng = np.random.default_rng(0)
        price, volume = rng.lognormal(size=500), rng.lognormal(size=500)
        expected = (
            pd.Series(price * volume).rolling(window).sum()
            / pd.Series(volume).rolling(window).sum()
        )

        np.testing.assert_allclose(rolling_vwap(price, volume, window), expected, rtol=1e-11)

    @settings(deadline=None)  # the first call compiles
    @given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.sampled_from([2.0**-20, 8.0, 2.0**40]))
    def test_does_not_depend_on_the_lot_size(self, seed, window, lot):
        rng = np.random.default_rng(seed)
        price, volume = rng.lognormal(size=30), rng.integers(0, 3, 30).astype(float)

        np.testing.assert_array_equal(
            rolling_vwap(price, volume * lot, window), rolling_vwap(price, volume, window)
        )

    def test_of_a_constant_price_is_that_price(self):
        volume = np.random.default_rng(0).lognormal(size=200)

        found = rolling_vwap(np.full(200, 0.1), volume, 7)

        np.testing.assert_array_equal(found[6:], 0.1)


class TestSessionVwap:
    def test_restarts_with_the_session(self):
        price = np.array([10.0, 20.0, NAN, 40.0, 50.0, 60.0])
        volume = np.array([1.0, 3.0, 9.0, 1.0, 3.0, 0.0])
        session = np.array([1, 1, 1, 1, 2, 2])

        found = session_vwap(price, volume, session)

        np.testing.assert_allclose(found, [10.0, 17.5, NAN, 22.0, 50.0, 50.0])

    def test_is_silent_until_something_trades(self):
        found = session_vwap(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 5.0]), np.zeros(3, int))

        np.testing.assert_array_equal(found, [NAN, NAN, 3.0])

    def test_agrees_with_pandas(self):
        rng = np.random.default_rng(0)
        price, volume = rng.lognormal(size=500), rng.lognormal(size=500)
        session = np.sort(rng.integers(0, 9, 500))
        sums = pd.DataFrame({"pv": price * volume, "v": volume}).groupby(session).cumsum()

        np.testing.assert_allclose(
            session_vwap(price, volume, session), sums["pv"] / sums["v"], rtol=1e-12
        )

    def test_does_not_drift_over_a_session_of_a_million_rows(self):
        rng = np.random.default_rng(1)
        price, volume = (
            100.0 + rng.normal(size=1_000_000).cumsum() * 1e-3,
            rng.lognormal(size=1_000_000),
        )

        found = session_vwap(price, volume, np.zeros(1_000_000, np.int64))

        assert found[-1] == pytest.approx(np.average(price, weights=volume), rel=1e-12)
