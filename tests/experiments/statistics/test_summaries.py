import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.statistics.errors import (
    NotComputedError,
    SampleError,
    SettingsError,
    ShapeError,
)
from experiments.statistics.summaries import Moments, PeriodTable

samples = arrays(np.float64, st.integers(2, 40), elements=st.floats(-100.0, 100.0))


def outcomes(n, seed, n_arms=2, n_periods=9):
    """Return periods, arms, allocations, values and a covariate of single outcomes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(1.0, 2.0, n)
    return (
        rng.integers(0, n_periods, n) * 10,
        rng.integers(0, n_arms, n),
        rng.integers(0, 3, n),
        0.5 * x + rng.normal(size=n),
        x,
    )


class TestMoments:
    def test_match_numpy(self):
        *_, y, x = outcomes(50, 0)

        found = Moments.of(y, x)

        assert found.variance == pytest.approx(np.var(y, ddof=1))
        assert found.x_variance == pytest.approx(np.var(x, ddof=1))
        assert found.covariance == pytest.approx(np.cov(x, y)[0, 1])
        assert (found.n, found.mean, found.x_mean) == pytest.approx((50, y.mean(), x.mean()))

    @given(samples, st.data())
    @settings(deadline=None)
    def test_merge_to_those_of_the_whole_at_any_cut(self, values, data):
        cut = data.draw(st.integers(1, values.size - 1))
        x = values[::-1] ** 2

        whole = Moments.of(values, x)
        merged = Moments.of(values[:cut], x[:cut]).merged(Moments.of(values[cut:], x[cut:]))

        for name in ("n", "mean", "m2", "x_mean", "x_m2", "xy"):
            assert getattr(merged, name) == pytest.approx(
                getattr(whole, name), rel=1e-9, abs=1e-9 * (1.0 + whole.x_m2)
            )

    def test_of_a_far_away_mean_keep_their_digits_when_merged(self):
        values = 1e9 + np.random.default_rng(1).normal(size=1_000)

        merged = Moments.of(values[:300]).merged(Moments.of(values[300:600], None))
        merged = merged.merged(Moments.of(values[600:]))

        assert merged.variance == pytest.approx(np.var(values, ddof=1), rel=1e-6)

    def test_come_from_sums(self):
        *_, y, x = outcomes(80, 2)

        found = Moments.of_sums(80, y.sum(), y @ y, x.sum(), x @ x, x @ y)

        assert found.variance == pytest.approx(np.var(y, ddof=1))
        assert found.covariance == pytest.approx(np.cov(x, y)[0, 1])

    def test_of_a_constant_have_no_variance_however_they_were_added(self):
        total = squares = 0.0
        for _ in range(100_000):
            total, squares = total + 0.1, squares + 0.1 * 0.1

        assert Moments.of_sums(100_000, total, squares).m2 == 0.0
        assert Moments.of(np.full(7, 0.1)).merged(Moments.of(np.full(3, 0.1))).m2 == 0.0

    def test_of_one_observation_have_no_variance(self):
        with pytest.raises(NotComputedError, match="two observations"):
            _ = Moments.of([1.0]).variance

    @pytest.mark.parametrize("wrong", [[np.nan], [np.inf, 1.0], ["a"], [None]])
    def test_refuse_missing_and_infinite_values(self, wrong):
        with pytest.raises(SampleError):
            Moments.of(wrong)

    def test_refuse_covariates_of_other_units(self):
        with pytest.raises(ShapeError):
            Moments.of([1.0, 2.0], [1.0])

    @pytest.mark.parametrize("sums", [(1, 2.0, 3.0), (2, 0.0, -1.0), (-1, 0.0, 0.0), (0, 1.0, 1.0)])
    def test_refuse_sums_that_no_sample_has(self, sums):
        with pytest.raises(SampleError):
            Moments.of_sums(*sums)


class TestPeriodTable:
    def test_is_sorted_by_period_allocation_and_arm(self):
        table = PeriodTable.of([20, 10, 10], [0, 1, 0], [0, 0, 1], [1, 1, 1], [1, 2, 3], [1, 4, 9])

        assert table.total.tolist() == [2.0, 3.0, 1.0]

    @given(st.integers(1, 200), st.integers(0, 9), st.integers(2, 8))
    @settings(deadline=None, max_examples=25)
    def test_of_shards_in_any_grouping_is_the_table_of_all(self, n, seed, n_parts):
        period, arm, allocation, y, x = outcomes(n, seed)
        part = np.random.default_rng(seed + 1).integers(0, n_parts, n)

        whole = PeriodTable.of_outcomes(period, arm, y, allocation=allocation, covariate=x)
        shards = [
            PeriodTable.of_outcomes(
                period[at], arm[at], y[at], allocation=allocation[at], covariate=x[at]
            )
            for at in (part == k for k in range(n_parts))
            if at.any()
        ]
        merged = shards[0].merged(*shards[1:])

        for name in ("period", "arm", "allocation", "n"):
            np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))
        for name in ("total", "squares", "x_total", "x_squares", "x_product"):
            np.testing.assert_allclose(
                getattr(merged, name), getattr(whole, name), rtol=1e-9, atol=1e-9
            )

    def test_has_the_moments_of_the_single_outcomes(self):
        period, arm, allocation, y, x = outcomes(300, 4, n_arms=3)
        table = PeriodTable.of_outcomes(period, arm, y, allocation=allocation, covariate=x)

        for k, found in enumerate(table.moments(3)):
            expected = Moments.of(y[arm == k], x[arm == k])
            for name in ("n", "mean", "m2", "x_mean", "x_m2", "xy"):
                assert getattr(found, name) == pytest.approx(getattr(expected, name))

    def test_pairs_the_periods_in_which_every_arm_has_an_outcome(self):
        table = PeriodTable.of_outcomes(
            [0, 0, 0, 10, 20, 20], [0, 1, 1, 0, 0, 1], [1.0, 2.0, 4.0, 5.0, 6.0, 7.0]
        )

        periods, totals = table.paired(2)
        _, means = table.paired(2, "mean")

        assert periods.tolist() == [0, 20]
        assert totals.tolist() == [[1.0, 6.0], [6.0, 7.0]]
        assert means.tolist() == [[1.0, 3.0], [6.0, 7.0]]

    def test_lets_in_what_ended_by_the_watermark(self):
        table = PeriodTable.of_outcomes([0, 10, 20], [0, 0, 0], [1.0, 2.0, 3.0])

        assert table.ended(20, 10).total.tolist() == [1.0, 2.0]
        assert table.ended(9, 10).n_rows == 0

    def test_has_the_rows_of_an_allocation(self):
        table = PeriodTable.of_outcomes([0, 10], [0, 0], [1.0, 2.0], allocation=[1, 2])

        assert table.of_allocation(2).total.tolist() == [2.0]

    def test_may_be_empty(self):
        table = PeriodTable.of([], [], [], [], [], [])

        assert table.merged().n_rows == 0
        assert table.paired(2)[1].shape == (0, 2)
        assert [arm.n for arm in table.moments(2)] == [0.0, 0.0]

    def test_refuses_fewer_arms_than_it_has(self):
        with pytest.raises(SettingsError):
            PeriodTable.of_outcomes([0], [2], [1.0]).paired(2)

    @pytest.mark.parametrize(
        ("columns", "error"),
        [
            (([0], [0], [0], [1], [2.0], [3.0]), SampleError),  # a square below the mean's
            (([0], [-1], [0], [1], [2.0], [4.0]), SampleError),
            (([0], [0], [0], [-1], [2.0], [4.0]), SampleError),
            (([0], [0], [0], [1], [np.nan], [4.0]), SampleError),
            (([0.5], [0], [0], [1], [2.0], [4.0]), SampleError),
            (([0, 1], [0], [0], [1], [2.0], [4.0]), ShapeError),
        ],
    )
    def test_refuses_rows_that_cannot_be(self, columns, error):
        with pytest.raises(error):
            PeriodTable.of(*columns)
