import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics.errors import NotComputedError, SampleError, SettingsError, ShapeError
from experiments.statistics.srm import anytime_sample_ratio, sample_ratio


class TestSampleRatio:
    def test_agrees_with_scipy(self):
        expected = stats.chisquare([480, 530, 990], [500, 500, 1_000])

        found = sample_ratio([480, 530, 990], [0.25, 0.25, 0.5])

        assert (found.statistic, found.p_value) == pytest.approx(tuple(expected))
        assert found.freedom == 2.0
        assert not found.is_mismatch

    def test_does_not_count_an_arm_without_weight(self):
        found = sample_ratio([480, 530, 0], [1, 1, 0])

        assert found.freedom == 1.0
        assert found.p_value == pytest.approx(stats.chisquare([480, 530]).pvalue)

    def test_keeps_digits_where_one_less_the_cdf_would_be_zero(self):
        found = sample_ratio([5_000, 6_000], [1, 1])

        assert 0.0 < found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 1))
        assert found.p_value < 1e-17

    def test_holds_each_allocation_against_its_own_weights(self):
        counts = [[500, 500], [900, 100]]

        assert not sample_ratio(counts, [[0.5, 0.5], [0.9, 0.1]]).is_mismatch
        assert sample_ratio(np.sum(counts, axis=0), [0.5, 0.5]).is_mismatch
        assert sample_ratio(counts, [[0.5, 0.5], [0.9, 0.1]]).freedom == 2.0

    @pytest.mark.parametrize("test", [sample_ratio, anytime_sample_ratio])
    def test_is_certain_of_units_in_an_arm_without_weight(self, test):
        found = test([50, 1], [1, 0])

        assert found.is_mismatch
        assert found.warnings

    @pytest.mark.parametrize("test", [sample_ratio, anytime_sample_ratio])
    @pytest.mark.parametrize(
        ("counts", "weights", "error"),
        [
            ([0, 0], [1, 1], NotComputedError),
            ([5, 0], [1, 0], NotComputedError),
            ([5, 5], [0, 0], SettingsError),
            ([5, 5], [-1, 2], SettingsError),
            ([5.5, 5], [1, 1], SampleError),
            ([-5, 5], [1, 1], SampleError),
            ([np.nan, 5], [1, 1], SampleError),
            ([5, 5, 5], [1, 1], ShapeError),
        ],
    )
    def test_refuses_what_cannot_be(self, test, counts, weights, error):
        with pytest.raises(error):
            test(counts, weights)


class TestAnytimeSampleRatio:
    def test_matches_the_formula_worked_by_hand(self):
        # a = (1, 1), c = (2, 1): B(3, 2) / B(1, 1) = 2! 1! / 4! = 1 / 12; times 2^3.
        found = anytime_sample_ratio([2, 1], [1, 1], concentration=2.0)

        assert found.p_value == 1.0  # the e-value 2/3 is no evidence
        later = anytime_sample_ratio([20, 0], [1, 1], concentration=2.0)
        assert later.statistic == pytest.approx(np.log(2.0**20 / 21))

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
    @settings(deadline=None)
    def test_does_not_depend_on_how_units_are_batched(self, arms):
        weights = np.array([0.1, 0.2, 0.3, 0.4])
        log_e, prior = 0.0, 100 * weights
        for arm in arms:
            log_e += np.log(prior[arm] / prior.sum() / weights[arm])
            prior[arm] += 1

        found = anytime_sample_ratio(np.bincount(arms, minlength=4), weights)

        assert found.statistic == pytest.approx(max(0.0, log_e), abs=1e-9)

    def test_keeps_evidence_that_recedes(self):
        first = anytime_sample_ratio([700, 300], [1, 1])

        later = anytime_sample_ratio([700, 700], [1, 1], largest_log_e=first.statistic)

        assert first.is_mismatch
        assert later.p_value == first.p_value

    def test_multiplies_over_allocations(self):
        one = anytime_sample_ratio([130, 70], [1, 1]).statistic
        other = anytime_sample_ratio([160, 20], [4, 1]).statistic

        both = anytime_sample_ratio([[130, 70], [160, 20]], [[1, 1], [4, 1]]).statistic

        assert both == pytest.approx(one + other)

    @pytest.mark.slow
    def test_raises_fewer_false_alarms_than_it_says_and_chi_square_many(self):
        rng, n_runs, n_looks = np.random.default_rng(0), 500, 200
        alarms, repeated = 0, 0
        for _ in range(n_runs):
            arrived = rng.binomial(50, 0.5, n_looks).cumsum()
            counts = np.stack([arrived, 50 * np.arange(1, n_looks + 1) - arrived], axis=1)
            alarms += any(anytime_sample_ratio(c, [1, 1]).is_mismatch for c in counts[::5])
            chi = (2 * counts[:, 0] - counts.sum(axis=1)) ** 2 / counts.sum(axis=1)
            repeated += bool(np.any(chi > 3.841459))

        assert alarms / n_runs <= 0.02  # 1 % and its error; measured 0.5 %
        assert 0.35 <= repeated / n_runs <= 0.5

    @pytest.mark.parametrize(
        "wrong", [{"level": 0.0}, {"concentration": 0.0}, {"largest_log_e": -1.0}]
    )
    def test_refuses_settings_outside_their_domain(self, wrong):
        with pytest.raises(SettingsError):
            anytime_sample_ratio([5, 5], [1, 1], **wrong)
