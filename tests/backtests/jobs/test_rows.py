"""The rows of trials, column by column."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from backtests import search
from backtests.jobs import rows

curves = arrays(np.float64, (3, 40), elements=st.floats(0.5, 2.0, width=32))


class TestMomentsOf:
    def test_are_those_of_scipy(self):
        returns = np.random.default_rng(0).normal(0.001, 0.01, (4, 300))

        found = dict(zip(rows.MOMENTS, rows.moments_of(returns).T, strict=True))

        np.testing.assert_array_equal(found["n_returns"], 300.0)
        np.testing.assert_allclose(found["mean_return"], returns.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(found["std_return"], returns.std(axis=1, ddof=1), rtol=1e-12)
        np.testing.assert_allclose(found["skew_return"], stats.skew(returns, axis=1), rtol=1e-9)
        np.testing.assert_allclose(
            found["kurtosis_return"], stats.kurtosis(returns, axis=1), rtol=1e-9
        )

    def test_leave_out_what_is_not_known(self):
        returns = np.random.default_rng(1).normal(0.0, 0.01, (1, 50))
        gaps = np.concatenate([returns[:, :20], [[np.nan] * 7], returns[:, 20:]], axis=1)

        np.testing.assert_allclose(rows.moments_of(gaps), rows.moments_of(returns), rtol=1e-12)

    def test_say_nothing_of_what_they_cannot(self):
        returns = np.array([[np.nan] * 5, [0.1] + [np.nan] * 4, [0.0] * 5])

        nothing, single, still = rows.moments_of(returns)

        assert (nothing[0], single[0], still[0]) == (0.0, 1.0, 5.0)
        assert np.isnan(nothing[1:]).all()
        assert np.isnan(single[1:]).all()
        np.testing.assert_array_equal(still[1:], [0.0, 0.0, np.nan, np.nan])

    @given(curves)
    def test_of_many_are_those_of_each(self, equity):
        returns = rows.returns_of(equity)
        together = rows.moments_of(returns)

        for at in range(3):
            np.testing.assert_array_equal(rows.moments_of(returns[at : at + 1])[0], together[at])


class TestReturnsOf:
    def test_end_where_the_money_does(self):
        found = rows.returns_of(np.array([[100.0, 110.0, 0.0, 5.0, -1.0]]))

        np.testing.assert_allclose(found, [[0.1, -1.0, np.nan, -1.2]])


class TestBlocksOf:
    @pytest.mark.parametrize("n_bars", [17, 40, 2520])
    def test_add_up_to_all_returns(self, n_bars):
        returns = np.random.default_rng(2).normal(0.0, 0.01, (2, n_bars - 1))

        sums, squares = rows.blocks_of(returns, rows.edges_of(n_bars))

        assert sums.shape == squares.shape == (2, rows.N_BLOCKS)
        np.testing.assert_allclose(sums.sum(axis=1), returns.sum(axis=1), atol=1e-12)
        np.testing.assert_allclose(squares.sum(axis=1), np.square(returns).sum(axis=1))


class TestRows:
    FOUND = search.plan(
        {"kind": "grid", "over": {"a": [1, 2], "b": ["x"]}, "objective": "sharpe"},
        metrics=["sharpe"],
    )

    def test_tell_what_is_not_computed_from_what_is_not_a_number(self):
        written = rows.Rows(self.FOUND, 3, 0)
        judged = [
            self.FOUND.judge(self.FOUND.trial(0), {"sharpe": 1.5}),
            self.FOUND.failed(self.FOUND.trial(1), "It fell."),
            self.FOUND.judge(self.FOUND.trial(0), {"sharpe": -1.0}),
        ]
        for number, result in zip((0, 1, 0), judged, strict=True):
            written.add(self.FOUND.trial(number), result)
        values = np.array([[1.5, np.nan], [-1.0, 7.0]])
        known = np.array([[True, False], [True, True]])
        written.fill(["sharpe", "cagr"], np.array([0, 2]), values, known)
        written.fill(["skew_return"], np.array([0, 2]), np.array([[np.nan], [0.5]]))

        table = written.table()

        assert table.column_names == [*rows.schema(1).names, "axis_0"]
        assert table["objective_0"].to_pylist() == [1.5, None, -1.0]
        assert table["reason"].to_pylist() == ["", "It fell.", ""]
        assert table["cagr"].to_pylist() == [None, None, 7.0]
        assert np.isnan(table["skew_return"][0].as_py())
        assert table["skew_return"].to_pylist()[1:] == [None, 0.5]
        assert table["axis_0"].to_pylist() == [1.0, 2.0, 1.0]
        assert json.loads(table["parameters"][1].as_py()) == {"a": 2, "b": "x"}

    def test_have_what_the_search_of_a_fold_is_told(self):
        written = rows.Rows(self.FOUND, 2, 1, is_folded=True)
        judged = self.FOUND.judge(self.FOUND.trial(0), {"sharpe": 1.5})
        for number in range(2):
            written.add(self.FOUND.trial(number), judged)
        written.tell(1, self.FOUND.judge(self.FOUND.trial(1), {"sharpe": -0.5}))

        table = written.table()

        assert table.column_names == [*rows.schema(1, 1, is_folded=True).names, "axis_0"]
        assert table["told_0"].to_pylist() == [None, -0.5]
        assert table["told_violation"].to_pylist() == [None, 0.0]
        assert table["told_reason"].to_pylist() == [None, ""], "the first was not told at all"
