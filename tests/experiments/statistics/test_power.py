import numpy as np
import pytest
from scipy import stats

from experiments.statistics.errors import NotComputedError, SampleError, SettingsError
from experiments.statistics.power import (
    check_null,
    detectable_information_ratio,
    deviation_of_difference,
    expected_duration,
    minimum_detectable_effect,
    periods_needed,
    power_of_means,
    sample_size_of_means,
    sample_size_of_proportions,
    years_to_detect,
)


class TestPowerOfMeans:
    @pytest.mark.parametrize(
        ("effect", "n", "m"), [(0.5, 20, 30), (0.2, 400, 300), (0.05, 9_000, 9_000), (2.0, 5, 4)]
    )
    def test_agrees_with_statsmodels(self, effect, n, m):
        from statsmodels.stats.power import tt_ind_solve_power

        expected = tt_ind_solve_power(effect_size=effect, nobs1=n, ratio=m / n, alpha=0.05)

        found = power_of_means(3.0 * effect, 3.0, n_control=n, n_treatment=m)

        assert found == pytest.approx(expected, abs=2e-4)

    def test_is_the_level_without_an_effect(self):
        assert power_of_means(0.0, 1.0, n_control=9, n_treatment=9) == pytest.approx(0.05)

    def test_refuses_settings_outside_their_domain(self):
        with pytest.raises(SettingsError):
            power_of_means(0.1, 0.0, n_control=9, n_treatment=9)
        with pytest.raises(SettingsError):
            power_of_means(0.1, 1.0, n_control=1, n_treatment=9)


class TestSampleSizeOfMeans:
    @pytest.mark.parametrize(("effect", "ratio"), [(0.5, 1.0), (0.8, 2.0), (0.02, 1.0)])
    def test_agrees_with_statsmodels(self, effect, ratio):
        from statsmodels.stats.power import tt_ind_solve_power

        expected = tt_ind_solve_power(effect_size=effect, power=0.8, ratio=ratio, alpha=0.05)

        found = sample_size_of_means(effect, 1.0, ratio=ratio)

        assert found == pytest.approx(np.ceil(expected), rel=2e-4)

    def test_has_cohens_64_for_a_medium_effect(self):
        assert sample_size_of_means(0.5, 1.0) == 64  # Cohen 1988, table 2.4.1

    def test_refuses_what_cannot_be_reached(self):
        with pytest.raises(NotComputedError):
            sample_size_of_means(1e-9, 1.0)
        with pytest.raises(SettingsError):
            sample_size_of_means(0.0, 1.0)
        with pytest.raises(SettingsError):
            sample_size_of_means(0.1, 1.0, power=0.04)


class TestMinimumDetectableEffect:
    def test_is_seen_with_the_power_asked_for(self):
        found = minimum_detectable_effect(2.0, n_control=100, n_treatment=50, power=0.9)

        assert power_of_means(found, 2.0, n_control=100, n_treatment=50) == pytest.approx(0.9)


class TestSampleSizeOfProportions:
    @pytest.mark.parametrize(
        ("method", "published"), [("pooled", 3_841), ("arcsine", 3_835), ("baseline", 3_532)]
    )
    def test_has_the_known_values_for_10_and_12_per_cent(self, method, published):
        assert sample_size_of_proportions(0.10, 0.12, method=method) == published

    def test_arcsine_agrees_with_statsmodels(self):
        from statsmodels.stats.power import NormalIndPower
        from statsmodels.stats.proportion import proportion_effectsize

        expected = NormalIndPower().solve_power(proportion_effectsize(0.3, 0.25), power=0.9,
                                                alpha=0.05)  # fmt: skip

        found = sample_size_of_proportions(0.25, 0.3, power=0.9, method="arcsine")

        assert found == np.ceil(expected)

    @pytest.mark.parametrize("wrong", [(0.1, 0.1), (0.0, 0.1), (0.1, 1.0), (0.1, np.nan)])
    def test_refuses_what_are_no_two_proportions(self, wrong):
        with pytest.raises(SettingsError):
            sample_size_of_proportions(*wrong)
        with pytest.raises(SettingsError):
            sample_size_of_proportions(0.1, 0.2, method="exact")


class TestPairs:
    def test_at_a_correlation_of_0_9_need_a_tenth(self):
        paired = deviation_of_difference(0.01, 0.01, 0.9)
        apart = deviation_of_difference(0.01, 0.01, 0.0)

        assert periods_needed(1e-4, apart) / periods_needed(1e-4, paired) == pytest.approx(
            10.0, rel=1e-3
        )

    def test_of_a_ratio_of_one_deviation_a_year_need_the_published_years(self):
        assert periods_needed(1 / 252, 1 / np.sqrt(252)) / 252 == pytest.approx(7.85, abs=0.01)

    def test_need_more_periods_under_autocorrelation(self):
        assert periods_needed(1.0, 10.0, autocorrelation=0.2) == pytest.approx(
            1.5 * periods_needed(1.0, 10.0), rel=0.01
        )

    def test_of_one_series_do_not_vary(self):
        with pytest.raises(NotComputedError):
            deviation_of_difference(0.01, 0.01, 1.0)


class TestYearsToDetect:
    @pytest.mark.parametrize(("ratio", "years"), [(1.0, 7.85), (2.0, 1.96), (0.5, 31.4)])
    def test_has_the_published_values(self, ratio, years):
        found = years_to_detect(ratio)

        assert found == pytest.approx(years, rel=2e-3)
        assert detectable_information_ratio(found) == pytest.approx(ratio)

    def test_is_right_by_simulation(self):
        rng = np.random.default_rng(0)
        n = round(252 * years_to_detect(2.0))

        d = rng.normal(2.0 / 252, 1.0 / np.sqrt(252), (4_000, n))

        seen = np.mean(stats.ttest_1samp(d, 0.0, axis=1).pvalue <= 0.05)
        assert seen == pytest.approx(0.8, abs=0.02)

    @pytest.mark.parametrize("ratio", [0.0, np.nan, np.inf])
    def test_refuses_no_ratio(self, ratio):
        with pytest.raises(SettingsError):
            years_to_detect(ratio)


class TestExpectedDuration:
    @pytest.mark.parametrize(
        ("needed", "arriving", "periods"),
        [(1_000, 100.0, 10), (1_001, 100.0, 11), (1_000, [10, 90, 300], 5), (100, [10, 90], 2)],
    )
    def test_counts_the_periods_of_a_ramp_and_of_what_follows(self, needed, arriving, periods):
        assert expected_duration(needed, arriving) == periods

    def test_is_not_computed_when_nobody_arrives(self):
        with pytest.raises(NotComputedError):
            expected_duration(10, 0.0)
        with pytest.raises(SampleError):
            expected_duration(10, [-1.0, 5.0])


class TestCheckNull:
    def test_finds_uniform_p_values_sound(self):
        p = np.random.default_rng(1).uniform(size=2_000)
        expected = stats.binomtest(int(np.sum(p <= 0.05)), 2_000).proportion_ci(0.99)

        found = check_null(p)

        assert found.is_sound
        assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high))
        assert found.uniformity == pytest.approx(stats.kstest(p, "uniform").pvalue, abs=0.01)

    def test_finds_an_analysis_that_alarms_too_often(self):
        p = np.random.default_rng(2).uniform(size=2_000) ** 2

        found = check_null(p)

        assert not found.is_sound
        assert found.uniformity < 1e-6

    def test_lets_an_analysis_be_too_cautious(self):
        assert check_null(np.ones(100)).is_sound

    def test_refuses_what_says_nothing(self):
        with pytest.raises(NotComputedError):
            check_null(np.full(99, 0.5))
        with pytest.raises(SampleError):
            check_null(np.full(200, 1.5))
