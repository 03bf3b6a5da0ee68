"""Agreement with quantstats, empyrical-reloaded and statsmodels where conventions agree."""

import math
import warnings

import numpy as np
import pytest

from backtests.engine.metrics import Conventions, compute_metrics
from numerics.hac import long_run_covariance, long_run_variance

# empyrical-reloaded 0.7.1 on numpy 2.4.6 and pandas 3.1.1, `Sample` of conftest.py as a pandas
# Series on weekdays: empyrical.<function>(returns[, market]).
EMPYRICAL = {
    "total_return": 1.0903698579532235,  # cum_returns_final
    "cagr": 0.27861867954333963,
    "annual_volatility": 0.15281722063054715,
    "downside_volatility": 0.09902472432765444,  # downside_risk
    "sharpe": 1.6853636332095525,
    "sortino": 2.6008917260571307,
    "calmar": 2.642447318553486,
    "omega": 1.3007052783851707,
    "max_drawdown": 0.10543963453389092,  # with the other sign
    "stability": 0.9731037971251445,  # stability_of_timeseries
    "tail_ratio": 1.1167040539640027,
    "value_at_risk_95": -0.015353449194660094,
    "conditional_value_at_risk_95": -0.018491212244405385,
    "beta": 0.46356027693191426,
    "information_ratio": 0.07185527621994228 * math.sqrt(252),  # excess_sharpe, per day
    # up_capture, down_capture: theirs is annual, CAGR over CAGR
}
EMPYRICAL_SHARPE_RISK_FREE = 1.52046075187183  # sharpe_ratio(risk_free=0.0001), per day
EMPYRICAL_SORTINO_REQUIRED = 2.0558505666732056  # sortino_ratio(required_return=0.0002), per day

# statsmodels 0.15.0: OLS on a constant, cov_type="HAC", maxlags=6, use_correction=False; and
# S_hac_simple of (r, r^2) with the delta method.
STATSMODELS_SE_OF_MEAN = 0.00040986252837957294
STATSMODELS_SE_OF_ANNUAL_SHARPE = 0.6810924896501226


@pytest.fixture(scope="module")
def metrics(sample):
    return compute_metrics(
        sample.equity, sample.ts, periods_per_year=252, benchmark=sample.benchmark
    )


@pytest.fixture(scope="module")
def series(sample):
    pandas = pytest.importorskip("pandas")
    index = pandas.DatetimeIndex(sample.ts[1:])
    return pandas.Series(sample.returns, index), pandas.Series(sample.market, index)


@pytest.fixture(scope="module")
def stats():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from quantstats import stats

        yield stats


def with_conventions(sample, **options):
    return compute_metrics(
        sample.equity,
        sample.ts,
        periods_per_year=252,
        benchmark=sample.benchmark,
        conventions=Conventions(**options),
    )


def per_year(rate_per_bar):
    return math.expm1(252 * math.log1p(rate_per_bar))


class TestEmpyrical:
    def test_agrees_with_golden_numbers(self, metrics):
        for name, value in EMPYRICAL.items():
            assert metrics[name].value == pytest.approx(value, rel=1e-10), name

    def test_agrees_on_rates_by_convention(self, sample):
        excess = with_conventions(sample, risk_free_rate=per_year(0.0001))
        above = with_conventions(sample, target_return=per_year(0.0002))

        assert excess["sharpe"].value == pytest.approx(EMPYRICAL_SHARPE_RISK_FREE, rel=1e-10)
        assert above["sortino"].value == pytest.approx(EMPYRICAL_SORTINO_REQUIRED, rel=1e-10)

    def test_agrees_with_the_installed_library(self, metrics, series):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            empyrical = pytest.importorskip("empyrical")
            returns, market = series
            theirs = {
                "total_return": empyrical.cum_returns_final(returns),
                "cagr": empyrical.cagr(returns),
                "annual_volatility": empyrical.annual_volatility(returns),
                "downside_volatility": empyrical.downside_risk(returns),
                "sharpe": empyrical.sharpe_ratio(returns),
                "sortino": empyrical.sortino_ratio(returns),
                "calmar": empyrical.calmar_ratio(returns),
                "omega": empyrical.omega_ratio(returns),
                "max_drawdown": -empyrical.max_drawdown(returns),
                "stability": empyrical.stability_of_timeseries(returns),
                "tail_ratio": empyrical.tail_ratio(returns),
                "value_at_risk_95": empyrical.value_at_risk(returns),
                "conditional_value_at_risk_95": empyrical.conditional_value_at_risk(returns),
                "beta": empyrical.beta(returns, market),
                "information_ratio": empyrical.excess_sharpe(returns, market) * math.sqrt(252),
            }

        for name, value in theirs.items():
            assert metrics[name].value == pytest.approx(float(value), rel=1e-10), name


class TestQuantstats:
    def test_agrees_with_the_installed_library(self, metrics, series, stats):
        returns, market = series
        theirs = {
            "total_return": stats.comp(returns),
            "cagr": stats.cagr(returns),
            "annual_volatility": stats.volatility(returns),
            "sharpe": stats.sharpe(returns),
            "sortino": stats.sortino(returns),
            "calmar": stats.calmar(returns),
            "omega": stats.omega(returns),
            "gain_to_pain": stats.gain_to_pain_ratio(returns),
            "max_drawdown": -stats.max_drawdown(returns),
            "gaussian_value_at_risk_95": stats.value_at_risk(returns),
            "gaussian_conditional_value_at_risk_95": stats.conditional_value_at_risk(returns),
            "tail_ratio": stats.tail_ratio(returns),
            "hit_rate": stats.win_rate(returns),
            "payoff": stats.payoff_ratio(returns),
            "profit_factor": stats.profit_factor(returns),
            "best_day": stats.best(returns),
            "worst_day": stats.worst(returns),
            "best_month": stats.best(returns, aggregate="ME"),
            "worst_month": stats.worst(returns, aggregate="ME"),
            "r_squared": stats.r_squared(returns, market),
            "information_ratio": stats.information_ratio(returns, market) * math.sqrt(252),
            "beta": stats.greeks(returns, market)["beta"],
            "alpha": stats.greeks(returns, market)["alpha"],
        }

        for name, value in theirs.items():
            assert metrics[name].value == pytest.approx(float(value), rel=1e-10), name

    def test_agrees_by_convention(self, sample, series, stats):
        returns, _ = series
        corrected = with_conventions(sample, moments="sample")
        excess = with_conventions(sample, risk_free_rate=0.03)
        above = with_conventions(sample, target_return=0.03)

        assert corrected["skewness"].value == pytest.approx(stats.skew(returns), rel=1e-10)
        assert corrected["excess_kurtosis"].value == pytest.approx(
            stats.kurtosis(returns), rel=1e-10
        )
        assert excess["sharpe"].value == pytest.approx(stats.sharpe(returns, rf=0.03), rel=1e-10)
        assert above["sortino"].value == pytest.approx(stats.sortino(returns, rf=0.03), rel=1e-10)

    def test_differs_where_the_documentation_says_so(self, metrics, series, stats):
        returns, market = series
        n = returns.size

        ulcer = metrics["ulcer_index"].value
        assert stats.ulcer_index(returns) == pytest.approx(
            ulcer * math.sqrt((n + 1) / (n - 1)), rel=1e-10
        )
        assert stats.treynor_ratio(returns, market) == pytest.approx(
            metrics["total_return"].value / metrics["beta"].value, rel=1e-10
        )
        assert stats.recovery_factor(returns) == pytest.approx(
            returns.sum() / metrics["max_drawdown"].value, rel=1e-10
        )


class TestStatsmodels:
    def test_agrees_on_the_error_of_a_mean(self, sample):
        variance = long_run_variance(sample.returns - sample.returns.mean(), 6)

        error = math.sqrt(variance / sample.returns.size)
        assert error == pytest.approx(STATSMODELS_SE_OF_MEAN, rel=1e-10)

    def test_agrees_on_the_error_of_a_sharpe_ratio(self, metrics):
        error = metrics["sharpe_standard_error"].value

        assert error == pytest.approx(STATSMODELS_SE_OF_ANNUAL_SHARPE, rel=1e-10)

    def test_agrees_with_the_covariance_of_two_moments(self, sample, metrics):
        returns = sample.returns
        mean, raw = returns.mean(), np.mean(returns**2)
        gradient = np.array([raw, -mean / 2.0]) / (raw - mean**2) ** 1.5
        joint = long_run_covariance(np.column_stack([returns, returns**2]))

        error = math.sqrt(gradient @ joint @ gradient / returns.size * 252)
        assert metrics["sharpe_standard_error"].value == pytest.approx(error, rel=1e-10)
