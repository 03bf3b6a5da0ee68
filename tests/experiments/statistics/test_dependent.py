import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from experiments.statistics.dependent import (
    mean_difference,
    mean_difference_bootstrap,
    mean_of_series,
    period_differences,
    ratio_difference_by_period,
    robust_lag,
    sharpe_difference,
    sharpe_difference_bootstrap,
)
from experiments.statistics.errors import NotComputedError, SampleError, SettingsError, ShapeError
from experiments.statistics.summaries import PeriodTable
from numerics.hac import fixed_b_law


def autoregression(n, seed, rho=0.2, freedom=5):
    rng = np.random.default_rng(seed)
    return lfilter([1.0], [1.0, -rho], rng.standard_t(freedom, n + 50))[50:] * 0.01


class TestRobustLag:
    @pytest.mark.parametrize(("n", "lag"), [(10, 1), (100, 12), (1_250, 45), (20_000, 183)])
    def test_grows_with_the_root_of_the_periods(self, n, lag):
        assert robust_lag(n) == lag


class TestPeriodDifferences:
    def table(self):
        return PeriodTable.of_outcomes(
            [0, 0, 0, 10, 20, 20], [0, 1, 1, 0, 1, 0], [1.0, 2.0, 4.0, 5.0, 6.0, 8.0]
        )

    def test_add_up_what_shadow_arms_made(self):
        found = period_differences(self.table(), 1, n_arms=2)

        assert found.tolist() == [5.0, -2.0]

    def test_compare_means_of_assigned_units(self):
        found = period_differences(self.table(), 1, n_arms=2, design="assigned")

        assert found.tolist() == [2.0, -2.0]

    def test_remove_shocks_that_the_units_of_a_period_share(self):
        rng = np.random.default_rng(0)
        period = np.repeat(np.arange(200), 20)
        arm = rng.integers(0, 2, period.size)
        shock = rng.normal(0.0, 5.0, 200)[period]
        table = PeriodTable.of_outcomes(period, arm, shock + 0.5 * arm + rng.normal(size=4_000))

        found = mean_of_series(period_differences(table, 1, n_arms=2, design="assigned"))

        assert found.lower < 0.5 < found.upper
        assert found.standard_error < 0.05

    def test_are_none_where_two_arms_never_met(self):
        table = PeriodTable.of_outcomes([0, 10], [0, 1], [1.0, 2.0])

        found = period_differences(table, 1, n_arms=2)

        with pytest.raises((NotComputedError, ShapeError)):
            mean_of_series(found)

    @pytest.mark.parametrize("wrong", [{"arm": 2}, {"arm": 1, "design": "crossed"}])
    def test_refuse_arms_that_there_are_not(self, wrong):
        with pytest.raises(SettingsError):
            period_differences(self.table(), n_arms=2, **wrong)


class TestMeanDifference:
    def test_is_the_paired_t_test_without_lags(self):
        a, b = autoregression(60, 1), autoregression(60, 2)
        expected = stats.ttest_rel(b, a)

        found = mean_difference(a, b, lag=0)

        assert (found.statistic, found.p_value) == pytest.approx(tuple(expected))
        assert found.freedom == pytest.approx(59)

    @pytest.mark.parametrize("lag", [1, 7, 20])
    def test_has_the_error_of_statsmodels_over_that_of_noise(self, lag):
        import statsmodels.api as sm

        d = autoregression(300, 3)
        fit = sm.OLS(d, np.ones(300)).fit(cov_type="HAC", cov_kwds={"maxlags": lag})

        found = mean_of_series(d, lag=lag)

        expected = fit.bse[0] / np.sqrt(fixed_b_law(300, lag)[0])
        assert found.standard_error == pytest.approx(expected)

    def test_does_not_depend_on_the_currency(self):
        d = autoregression(100, 4)

        one, other = mean_of_series(d), mean_of_series(d * 1e9)

        assert one.p_value == pytest.approx(other.p_value)
        assert other.lower == pytest.approx(1e9 * one.lower)

    @pytest.mark.slow
    @pytest.mark.parametrize("n", [250, 2_000])
    @pytest.mark.parametrize("rho", [0.0, 0.2, 0.5])
    def test_rejects_noise_as_often_as_it_says(self, n, rho):
        rejected = [
            mean_of_series(autoregression(n, seed, rho)).p_value <= 0.05 for seed in range(2_000)
        ]

        assert 0.035 <= np.mean(rejected) <= 0.065  # the iid test: 11 % at rho = 0.2

    @pytest.mark.parametrize(
        ("a", "b", "error"),
        [
            ([0.0] * 9, list(range(9)), NotComputedError),
            ([0.0] * 20, [0.1] * 20, NotComputedError),
            ([0.1 * k for k in range(20)], [0.1 * k + 0.3 for k in range(20)], NotComputedError),
            ([0.0] * 20, [0.1] * 19, ShapeError),
            ([0.0] * 20, [np.nan] * 20, SampleError),
            ([0.0] * 20, [np.inf] * 20, SampleError),
        ],
    )
    @pytest.mark.parametrize("test", [mean_difference, mean_difference_bootstrap])
    def test_refuses_what_determines_nothing(self, a, b, error, test):
        with pytest.raises(error):
            test(a, b)

    @pytest.mark.parametrize("lag", [-1, 0.5, 50])
    def test_refuses_lags_that_do_not_fit(self, lag):
        with pytest.raises(SettingsError):
            mean_of_series(autoregression(100, 0), lag=lag)


class TestRatioDifferenceByPeriod:
    def test_has_the_error_of_the_series_of_influences(self):
        rng = np.random.default_rng(1)
        period, arm = np.repeat(np.arange(200), 6), np.tile([0, 1], 600)
        x = rng.poisson(5.0, 1_200) + 1.0
        y = (0.3 + 0.1 * arm) * x + rng.normal(size=1_200)
        table = PeriodTable.of_outcomes(period, arm, y, covariate=x)
        influence = 0.0
        for k, sign in ((1, 1.0), (0, -1.0)):
            own = arm == k
            sums = [np.bincount(period[own], z[own]) for z in (y, x)]
            ratio = sums[0].sum() / sums[1].sum()
            influence = influence + sign * (sums[0] - ratio * sums[1]) / sums[1].mean()

        found = ratio_difference_by_period(table, 1, n_arms=2)

        expected = mean_of_series(influence)
        assert found.standard_error == pytest.approx(expected.standard_error)
        ratios = [y[arm == k].sum() / x[arm == k].sum() for k in (0, 1)]
        assert found.difference == pytest.approx(ratios[1] - ratios[0])
        assert found.lower < 0.1 < found.upper

    def test_is_the_difference_of_means_when_every_denominator_is_one(self):
        rng = np.random.default_rng(2)
        period, arm = np.repeat(np.arange(50), 2), np.tile([0, 1], 50)
        table = PeriodTable.of_outcomes(period, arm, rng.normal(size=100), covariate=np.ones(100))

        found = ratio_difference_by_period(table, 1, n_arms=2)

        assert found.p_value == pytest.approx(
            mean_of_series(period_differences(table, 1, n_arms=2)).p_value
        )

    def test_warns_and_refuses(self):
        rng = np.random.default_rng(3)
        period, arm = np.repeat(np.arange(50), 2), np.tile([0, 1], 50)
        near = PeriodTable.of_outcomes(
            period, arm, rng.normal(size=100), covariate=rng.normal(size=100)
        )
        without = PeriodTable.of_outcomes(period, arm, rng.normal(size=100))

        assert "misleads" in ratio_difference_by_period(near, 1, n_arms=2).warnings[0]
        with pytest.raises(NotComputedError, match="denominator"):
            ratio_difference_by_period(without, 1, n_arms=2)
        with pytest.raises(NotComputedError, match="ten periods"):
            ratio_difference_by_period(near.ended(9, 1), 1, n_arms=2)
        with pytest.raises(SettingsError):
            ratio_difference_by_period(near, 2, n_arms=2)


class TestMeanDifferenceBootstrap:
    def test_is_near_the_robust_test(self):
        a, b = autoregression(400, 5), autoregression(400, 6) + 0.001

        found, robust = mean_difference_bootstrap(a, b), mean_difference(a, b)

        assert found.difference == pytest.approx(robust.difference)
        assert found.p_value == pytest.approx(robust.p_value, abs=0.05)
        assert found.upper - found.lower == pytest.approx(robust.upper - robust.lower, rel=0.15)

    def test_is_the_same_for_the_same_seed_and_never_zero(self):
        a, b = autoregression(100, 7), autoregression(100, 8) + 1.0

        found = mean_difference_bootstrap(a, b, n_resamples=99, seed=3)

        assert found == mean_difference_bootstrap(a, b, n_resamples=99, seed=3)
        assert found.p_value == 0.01

    @pytest.mark.slow
    @pytest.mark.parametrize("rho", [0.0, 0.2, 0.5])
    def test_rejects_noise_as_often_as_it_says(self, rho):
        zero = np.zeros(250)
        rejected = [
            mean_difference_bootstrap(zero, autoregression(250, seed, rho), n_resamples=299).p_value
            <= 0.05
            for seed in range(600)
        ]

        assert 0.03 <= np.mean(rejected) <= 0.085

    @pytest.mark.parametrize("wrong", [{"n_resamples": 10}, {"mean_block": 0.5}])
    def test_refuses_settings_outside_their_domain(self, wrong):
        with pytest.raises(SettingsError):
            mean_difference_bootstrap(autoregression(50, 0), autoregression(50, 1), **wrong)


class TestSharpeDifference:
    def test_is_that_of_the_shared_mathematics(self):
        from numerics.sharpe_difference import ratio_difference

        a, b = autoregression(300, 9), autoregression(300, 10) + 0.001
        expected = ratio_difference(np.stack([b, a], axis=1))

        found = sharpe_difference(a, b)

        assert (found.difference, found.standard_error) == pytest.approx(expected[:2])
        assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(found.statistic)))

    def test_bootstrap_agrees(self):
        a, b = autoregression(300, 11), autoregression(300, 12) + 0.001

        found, robust = sharpe_difference_bootstrap(a, b), sharpe_difference(a, b)

        assert found.difference == pytest.approx(robust.difference)
        assert found.p_value == pytest.approx(robust.p_value, abs=0.08)

    @pytest.mark.parametrize("test", [sharpe_difference, sharpe_difference_bootstrap])
    def test_refuses_what_determines_nothing(self, test):
        series = autoregression(50, 13)
        with pytest.raises(NotComputedError):
            test(series, 2.0 * series)
        with pytest.raises(NotComputedError):
            test(np.zeros(50), series)
        with pytest.raises(NotComputedError):
            test(series[:9], series[9:18])
