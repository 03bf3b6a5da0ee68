import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from strategies.signals import (
    Scores,
    buy_and_hold,
    carried,
    centered_ranks,
    combine,
    last_live_row,
    momentum,
    moving_average_cross,
)

DAY_NS = 86_400_000_000_000
NAN = float("nan")
prices = st.one_of(st.floats(1.0, 1e4), st.just(NAN))
tables = arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(1, 4)), elements=prices)


def days(n):
    return np.arange(n, dtype=np.int64) * DAY_NS


def assert_prefix(signal, close, n):
    whole, part = signal(close), signal(close[:n].copy())
    np.testing.assert_array_equal(whole.score[:n], part.score)
    np.testing.assert_array_equal(whole.side[:n], part.side)


class TestBuyAndHold:
    def test_holds_what_trades(self):
        found = buy_and_hold(np.array([[1.0, NAN], [2.0, 3.0]]))

        assert found.side.tolist() == [[1, 0], [1, 1]]
        np.testing.assert_array_equal(found.score, [[0.0, NAN], [0.0, 0.0]])

    @given(tables, st.integers(1, 40))
    def test_never_looks_ahead(self, close, n):
        assert_prefix(buy_and_hold, close, n)


class TestMovingAverageCross:
    def test_matches_a_series_worked_by_hand(self):
        close = np.array([[4.0], [2.0], [6.0], [1.0]])

        flat = moving_average_cross(close, fast_bars=1, slow_bars=2)
        short = moving_average_cross(close, fast_bars=1, slow_bars=2, direction="long_short")

        np.testing.assert_allclose(flat.score[:, 0], [NAN, -1 / 3, 0.5, 1 / 3.5 - 1])
        assert flat.side[:, 0].tolist() == [0, 0, 1, 0]
        assert short.side[:, 0].tolist() == [0, -1, 1, -1]

    @given(tables, st.integers(1, 40))
    @settings(deadline=None)
    def test_never_looks_ahead(self, close, n):
        assert_prefix(lambda c: moving_average_cross(c, fast_bars=2, slow_bars=4), close, n)

    @given(st.floats(1.0, 1e6), st.integers(0, 1000))
    @settings(deadline=None)
    def test_sees_no_trend_in_equal_prices_after_noise(self, price, seed):
        noise = price * np.exp(np.random.default_rng(seed).normal(0.0, 0.05, 300))
        close = np.concatenate([noise, np.full(120, price)])[:, None]

        found = moving_average_cross(close, fast_bars=7, slow_bars=50, direction="long_short")

        assert np.all(found.score[350:] == 0.0)
        assert np.all(found.side[350:] == 0)

    def test_decides_ties_of_coarse_prices_as_exact_arithmetic_does(self):
        ticks = np.random.default_rng(4).integers(6, 9, 4_000)
        close = (ticks * 1e-5)[:, None]

        found = moving_average_cross(close, fast_bars=10, slow_bars=50, direction="long_short")

        sums = np.cumsum(np.concatenate([[0], ticks]))
        fast, slow = sums[50:] - sums[40:-10], sums[50:] - sums[:-50]
        exact = np.sign(fast * 5 - slow)
        assert np.count_nonzero(exact == 0) > 50
        np.testing.assert_array_equal(found.side[49:, 0], exact)


class TestLastLiveRow:
    def test_carries_the_last_bar_until_it_is_stale(self):
        ts = np.array([0, 1, 2, 31, 32, 33, 34]) * DAY_NS
        printed = np.array([[1, 0], [1, 0], [0, 0], [0, 0], [0, 0], [0, 1], [1, 0]], bool)

        live = last_live_row(ts, printed)

        # Last bar on day 1: alive on day 32, 31 days later, and gone on day 33.
        assert live[:, 0].tolist() == [0, 1, 1, 1, 1, -1, 6]
        assert live[:, 1].tolist() == [-1, -1, -1, -1, -1, 5, 5]

    def test_waits_ten_bars_of_a_slow_clock(self):
        ts = np.array([0, 30, 60, 90, 390, 391]) * DAY_NS
        printed = np.array([[1], [1], [1], [1], [0], [0]], bool)

        assert last_live_row(ts, printed)[:, 0].tolist() == [0, 1, 2, 3, 3, -1]


class TestCarried:
    def test_keeps_score_and_side_of_the_last_bar(self):
        scores = Scores(np.array([[0.5], [NAN], [NAN]]), np.array([[-1], [0], [0]], np.int8))

        found = carried(scores, np.array([[0], [0], [-1]]))

        np.testing.assert_array_equal(found.score, [[0.5], [0.5], [NAN]])
        assert found.side.tolist() == [[-1], [-1], [0]]


class TestMomentum:
    def test_counts_rows_when_bars_are_daily(self):
        close = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])

        found = momentum(days(5), close, lookback_days=3, skip_days=1)

        np.testing.assert_allclose(found.score[:, 0], [NAN, NAN, NAN, 3.0, 3.0])
        assert found.side[:, 0].tolist() == [0, 0, 0, 1, 1]

    def test_counts_days_when_bars_are_shorter(self):
        ts = np.array([1, 2, DAY_NS + 1, DAY_NS + 2, 2 * DAY_NS + 1, 2 * DAY_NS + 2])
        close = np.array([[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]])

        found = momentum(ts, close, lookback_days=1, skip_days=0)

        np.testing.assert_allclose(found.score[:, 0], [NAN, NAN, 0.5, 1.0, 0.25, 0.5])

    def test_gives_a_bar_that_ends_at_midnight_to_the_day_it_closes(self):
        ts = np.array([12, 24, 36, 48], np.int64) * (DAY_NS // 24)
        close = np.array([[1.0], [2.0], [3.0], [4.0]])

        found = momentum(ts, close, lookback_days=1, skip_days=0)

        np.testing.assert_allclose(found.score[:, 0], [NAN, NAN, 0.5, 1.0])

    def test_counts_each_instruments_own_days(self):
        close = np.array([[1.0, 1.0], [NAN, 2.0], [3.0, 3.0], [NAN, 4.0], [4.5, 5.0]])

        found = momentum(days(5), close, lookback_days=2, skip_days=1)

        np.testing.assert_allclose(found.score[4], [3.0 / 1.0 - 1.0, 4.0 / 3.0 - 1.0])

    def test_uses_the_last_price_known_but_only_while_it_trades(self):
        close = np.array([[1.0], [NAN], [3.0], [NAN]])

        found = momentum(days(4), close, lookback_days=1, skip_days=0)

        np.testing.assert_allclose(found.score[:, 0], [NAN, NAN, 2.0, NAN])

    @given(tables, st.integers(1, 40), st.integers(1, 5))
    @settings(deadline=None)
    def test_never_looks_ahead(self, close, n, bars_per_day):
        def signal(part):
            ts = np.arange(part.shape[0], dtype=np.int64) * (DAY_NS // bars_per_day)
            return momentum(ts, part, lookback_days=4, skip_days=1)

        assert_prefix(signal, close, n)


class TestCenteredRanks:
    @given(
        arrays(
            np.float64,
            st.tuples(st.integers(1, 5), st.integers(1, 8)),
            elements=st.one_of(st.integers(-3, 3).map(float), st.just(NAN)),
        )
    )
    def test_agrees_with_scipy(self, score):
        found = centered_ranks(score)

        for row, ranked in zip(score, found, strict=True):
            present = ~np.isnan(row)
            n = present.sum()
            expected = (2 * rankdata(row[present]) - n - 1) / max(n - 1, 1)
            np.testing.assert_allclose(ranked[present], expected, atol=1e-15)
            assert np.all(np.isnan(ranked[~present]))


class TestCombine:
    def test_passes_a_single_signal_through(self):
        only = buy_and_hold(np.ones((2, 2)))

        assert combine([only]) is only

    def test_averages_ranks_and_asks_for_agreement(self):
        one = Scores(np.array([[1.0, 2.0, 3.0, NAN]]), np.array([[1, 1, 1, 0]], np.int8))
        other = Scores(np.array([[9.0, 5.0, 7.0, 1.0]]), np.array([[1, -1, 1, 1]], np.int8))

        found = combine([one, other])

        np.testing.assert_allclose(found.score, [[0.0, -0.5, 0.5, NAN]])
        assert found.side.tolist() == [[1, 0, 1, 0]]
