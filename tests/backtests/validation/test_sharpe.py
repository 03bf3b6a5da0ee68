import math

import numpy as np
import pytest
from scipy import stats

from backtests.validation.errors import NotComputedError, SettingsError
from backtests.validation.sharpe import (
    annualized_sharpe_ratio,
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    minimum_backtest_length,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
)

FUND = {"sharpe": 1.585 / math.sqrt(12), "n_observations": 24}  # Bailey, Lopez de Prado 2012
SKEWED = {"skewness": -2.448, "excess_kurtosis": 10.164 - 3.0}


class TestProbabilisticSharpeRatio:
    @pytest.mark.parametrize(("shape", "published"), [(SKEWED, 0.913), ({}, 0.982)])
    def test_reproduces_the_fund_of_2012(self, shape, published):
        assert probabilistic_sharpe_ratio(**FUND, **shape) == pytest.approx(published, abs=5e-4)

    def test_reproduces_the_fund_under_the_convention_of_2025(self):
        found = probabilistic_sharpe_ratio(**FUND, **SKEWED, convention="2025")

        assert found == pytest.approx(0.987, abs=6e-4)  # Lopez de Prado, Lipton, Zoonekynd 2025

    def test_is_surer_under_negative_autocorrelation(self):
        found = [
            probabilistic_sharpe_ratio(**FUND, convention="2025", autocorrelation=r)
            for r in (-0.3, 0.0, 0.3)
        ]

        assert found == sorted(found, reverse=True)
        z = FUND["sharpe"] * math.sqrt(24 * 0.7 / 1.3)
        assert found[2] == pytest.approx(stats.norm.cdf(z), rel=1e-12)

    def test_has_the_variance_of_simulated_autoregressions(self):
        rng = np.random.default_rng(5)
        shocks = rng.standard_normal((2_000, 600))
        returns = np.empty_like(shocks)
        returns[:, 0] = shocks[:, 0] / math.sqrt(1 - 0.09)
        for t in range(1, 600):
            returns[:, t] = 0.3 * returns[:, t - 1] + shocks[:, t]
        ratios = returns.mean(axis=1) / returns.std(axis=1, ddof=1)

        p = [
            probabilistic_sharpe_ratio(s, 600, convention="2025", autocorrelation=0.3)
            for s in ratios
        ]

        assert stats.kstest(p, "uniform").pvalue > 0.01

    @pytest.mark.parametrize(
        "wrong",
        [
            {"sharpe": math.nan},
            {"n_observations": 1},
            {"benchmark": math.inf},
            {"convention": "2020"},
            {"autocorrelation": 0.1},
            {"convention": "2025", "autocorrelation": 1.0},
        ],
    )
    def test_refuses_what_is_outside_its_domain(self, wrong):
        with pytest.raises(SettingsError):
            probabilistic_sharpe_ratio(**(FUND | wrong))

    def test_says_when_there_is_no_variance(self):
        with pytest.raises(NotComputedError, match="not positive"):
            probabilistic_sharpe_ratio(1.0, 24, skewness=3.0)


class TestDeflatedSharpeRatio:
    @pytest.mark.parametrize(
        ("n_trials", "shape", "published"),
        [
            (100, {"skewness": -3.0, "excess_kurtosis": 7.0}, 0.9004),
            (46, {"skewness": -3.0, "excess_kurtosis": 7.0}, 0.9505),
            (88, {}, 0.9505),
        ],
    )
    def test_reproduces_bailey_and_lopez_de_prado_2014(self, n_trials, shape, published):
        found = deflated_sharpe_ratio(
            2.5 / math.sqrt(250),
            1250,
            n_trials=n_trials,
            trial_sharpe_variance=0.5 / 250,
            **shape,
        )

        assert found == pytest.approx(published, abs=2e-4)

    def test_is_the_probabilistic_ratio_of_a_single_trial(self):
        found = deflated_sharpe_ratio(0.1, 500, n_trials=1, trial_sharpe_variance=0.3)

        assert found == probabilistic_sharpe_ratio(0.1, 500)


class TestExpectedMaximumSharpe:
    def test_reproduces_bailey_and_lopez_de_prado_2014(self):
        assert expected_maximum_sharpe(100, 0.5 / 250) == pytest.approx(0.1132, abs=5e-5)

    def test_agrees_with_the_exact_mean_within_a_hundredth(self):
        n, x = 200, np.linspace(-8.0, 8.0, 20_001)
        density = n * stats.norm.pdf(x) * stats.norm.cdf(x) ** (n - 1)

        assert expected_maximum_sharpe(n, 1.0) == pytest.approx(
            np.trapezoid(x * density, x), rel=0.01
        )

    @pytest.mark.parametrize(("n", "variance"), [(0.5, 1.0), (5, -1.0), (math.inf, 1.0)])
    def test_refuses_what_is_impossible(self, n, variance):
        with pytest.raises(SettingsError):
            expected_maximum_sharpe(n, variance)


class TestMinimumTrackRecordLength:
    @pytest.mark.parametrize(
        ("periods", "shape", "years"),
        [
            (252, {}, 2.73),
            (52, {}, 2.83),
            (12, {}, 3.24),
            (12, {"skewness": -0.72, "excess_kurtosis": 2.78}, 4.99),
        ],
    )
    def test_reproduces_the_published_years(self, periods, shape, years):
        year = math.sqrt(periods)

        found = minimum_track_record_length(2.0 / year, benchmark=1.0 / year, **shape)

        assert found / periods == pytest.approx(years, abs=6e-3)

    @pytest.mark.parametrize("options", [{}, {"convention": "2025", "autocorrelation": 0.2}])
    def test_is_where_the_probability_reaches_the_confidence(self, options):
        length = minimum_track_record_length(0.1, benchmark=0.02, confidence=0.9, **options)

        before, after = (
            probabilistic_sharpe_ratio(0.1, n, benchmark=0.02, **options)
            for n in (math.floor(length), math.ceil(length))
        )
        assert before <= 0.9 <= after

    def test_says_when_no_length_would_do(self):
        with pytest.raises(NotComputedError, match="does not exceed"):
            minimum_track_record_length(0.1, benchmark=0.1)

    @pytest.mark.parametrize("confidence", [0.5, 1.0, math.nan])
    def test_refuses_an_impossible_confidence(self, confidence):
        with pytest.raises(SettingsError):
            minimum_track_record_length(0.1, confidence=confidence)


class TestMinimumBacktestLength:
    def test_reproduces_forty_five_configurations_in_five_years(self):
        found = minimum_backtest_length(45, 1.0)  # Bailey et al. 2014

        assert found == pytest.approx(5.0, abs=0.01)
        assert found < 2.0 * math.log(45)

    def test_says_when_the_ratio_is_not_positive(self):
        with pytest.raises(NotComputedError):
            minimum_backtest_length(45, 0.0)


class TestAnnualizedSharpeRatio:
    def test_reproduces_the_factor_of_lo_2002(self):
        found = annualized_sharpe_ratio(1.0 / math.sqrt(12), 12, autocorrelation=0.1)

        assert found == pytest.approx(0.912245460839, abs=1e-12)

    @pytest.mark.parametrize(("r", "q"), [(0.3, 12), (-0.4, 12), (-0.4, 5), (0.0, 252)])
    def test_has_two_formulas_that_agree_on_an_autoregression(self, r, q):
        general = annualized_sharpe_ratio(0.1, q, autocorrelations=r ** np.arange(1, q))

        assert annualized_sharpe_ratio(0.1, q, autocorrelation=r) == pytest.approx(general)

    def test_is_the_ratio_of_sums_of_returns(self):
        r = np.array([0.2, -0.1])
        variance = 4 + 2 * (3 * 0.2 + 2 * -0.1)  # of a sum of four

        found = annualized_sharpe_ratio(0.5, 4, autocorrelations=r)

        assert found == pytest.approx(4 * 0.5 / math.sqrt(variance))

    def test_says_when_a_year_has_no_variance(self):
        with pytest.raises(NotComputedError):
            annualized_sharpe_ratio(0.1, 12, autocorrelations=[-0.9, -0.9])

    @pytest.mark.parametrize("wrong", [{"periods_per_year": 0.5}, {"autocorrelation": -1.0}])
    def test_refuses_what_is_outside_its_domain(self, wrong):
        with pytest.raises(SettingsError):
            annualized_sharpe_ratio(**({"sharpe": 0.1, "periods_per_year": 12} | wrong))
