from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backtests.marketdata.actions import adjustment_gap, total_return_index

histories = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, (n, 2), elements=st.one_of(st.floats(1, 1e3), st.just(np.nan))),
        arrays(np.float64, (n, 2), elements=st.sampled_from([1.0, 1.0, 2.0, 0.1])),
        arrays(np.float64, (n, 2), elements=st.sampled_from([0.0, 0.0, 0.5])),
    )
)


class TestTotalReturnIndex:
    def test_matches_a_history_worked_by_hand(self):
        close = np.array([[100.0], [110.0], [54.0], [np.nan], [60.0]])
        split = np.array([[1.0], [1.0], [2.0], [1.0], [1.0]])
        dividend = np.array([[0.0], [0.0], [1.0], [0.0], [0.0]])

        index = total_return_index(close, split, dividend)

        # 110 -> two shares of 54 and 1 each = 110; then 60 / 54 over the gap.
        np.testing.assert_allclose(
            index[:, 0], [100.0, 110.0, 110.0, np.nan, 110.0 * 60.0 / 54.0], rtol=1e-14
        )

    def test_actions_inside_a_gap_wait_for_the_next_bar(self):
        close = np.array([[100.0], [np.nan], [np.nan], [26.0]])
        split = np.array([[1.0], [2.0], [2.0], [1.0]])
        dividend = np.array([[0.0], [3.0], [0.0], [0.0]])

        index = total_return_index(close, split, dividend)

        # Two shares after the first split earn 3 each; four shares of 26 in the end.
        np.testing.assert_allclose(index[3, 0], 4 * 26.0 + 2 * 3.0, rtol=1e-14)

    @given(histories, st.integers(1, 30))
    def test_never_changes_what_was_known_before(self, history, cut):
        close, split, dividend = history

        whole = total_return_index(close, split, dividend)[:cut]

        part = total_return_index(close[:cut], split[:cut], dividend[:cut])
        np.testing.assert_array_equal(part, whole)

    @given(histories)
    def test_is_present_exactly_where_the_close_is(self, history):
        close, split, dividend = history

        index = total_return_index(close, split, dividend)

        np.testing.assert_array_equal(np.isnan(index), np.isnan(close))

    def test_agrees_with_the_vendor_s_adjusted_closes(self, shared_data):
        table = pq.read_table(
            shared_data / "equities_daily_us40a.parquet", filters=[("symbol", "=", "AAPL")]
        )
        close, split, cash, adjusted = (
            table[name].to_numpy() for name in ("close", "split", "dividend", "adj_close")
        )

        index = total_return_index(close[:, None], split[:, None], cash[:, None])[:, 0]

        # The vendor reinvests at the day before's close, we at the ex-date's: second order.
        ours, theirs = np.diff(np.log(index)), np.diff(np.log(adjusted))
        assert np.abs(ours - theirs).max() < 2e-3
        # Seven for one in 2014, as the vendor rounds it.
        np.testing.assert_allclose(split.max(), 7.0, rtol=2e-6)


class TestAdjustmentGap:
    def test_is_zero_for_a_consistent_history(self):
        close = np.array([100.0, 110.0, 54.0])
        split, dividend = np.array([1.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0])
        factor = (1.0 - 2.0 / 110.0) / 2.0

        gap = adjustment_gap(close, close * [factor, factor, 1.0], split, dividend)

        np.testing.assert_allclose(gap, 0.0, atol=1e-14)

    def test_shows_a_factor_applied_a_day_early(self):
        close = np.array([100.0, 100.0, 50.0])
        early = close * [0.5, 1.0, 1.0]

        gap = adjustment_gap(close, early, np.array([1.0, 1.0, 2.0]))

        np.testing.assert_allclose(gap, [0.0, np.log(2), -np.log(2)], atol=1e-14)
