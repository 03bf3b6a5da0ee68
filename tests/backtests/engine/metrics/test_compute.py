import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from backtests.engine.errors import SettingsError, ShapeError
from backtests.engine.metrics import DEFINITIONS, TradingActivity, compute_metrics

DAY_NS = 86_400_000_000_000


def weekdays(n):
    days = np.arange(np.datetime64("2015-01-01"), np.datetime64("2015-01-01") + 2 * n)
    return days[np.is_busday(days)][:n].astype("datetime64[ns]").astype(np.int64)


@pytest.fixture(scope="module")
def curves():
    rng = np.random.default_rng(11)
    market = rng.standard_t(5, 1_000) * 0.008 + 0.0004
    own = 0.7 * market + rng.standard_t(5, 1_000) * 0.006
    growth = [np.concatenate([[1.0], np.cumprod(1.0 + returns)]) for returns in (own, market)]
    return growth[0] * 1e6, growth[1] * 50.0, own, market


@pytest.fixture(scope="module")
def metrics(curves):
    equity, benchmark, *_ = curves
    return compute_metrics(equity, weekdays(1_001), periods_per_year=252, benchmark=benchmark)


class TestComputeMetrics:
    def test_matches_a_curve_worked_by_hand(self):
        equity = np.array([100.0, 120.0, 90.0, 99.0, 132.0])

        found = compute_metrics(equity, np.arange(5) * DAY_NS, periods_per_year=4).values_by_name()

        # Returns +20 %, -25 %, +10 %, +33.3 %; one drawdown of 25 % and 17.5 % over two bars.
        assert found["total_return"] == pytest.approx(0.32)
        assert found["cagr"] == pytest.approx(0.32)
        assert found["max_drawdown"] == pytest.approx(0.25)
        assert found["average_drawdown"] == pytest.approx(0.25)
        assert found["longest_drawdown_days"] == 3.0
        assert found["time_under_water"] == pytest.approx(2 / 5)
        assert found["ulcer_index"] == pytest.approx(math.sqrt((0.25**2 + 0.175**2) / 5))
        assert found["calmar"] == pytest.approx(0.32 / 0.25)
        assert found["downside_volatility"] == pytest.approx(math.sqrt(0.25**2 / 4) * 2)
        assert found["omega"] == pytest.approx((0.2 + 0.1 + 1 / 3) / 0.25)
        assert found["hit_rate"] == pytest.approx(3 / 4)
        assert found["best_day"] == pytest.approx(1 / 3)
        assert found["worst_day"] == pytest.approx(-0.25)

    def test_agrees_with_quantstats_where_conventions_agree(self, curves, metrics):
        import pandas as pd

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from quantstats import stats as qs
        _, _, own, _market = curves
        returns = pd.Series(own, index=pd.DatetimeIndex(weekdays(1_001)[1:]))

        theirs = {
            "total_return": qs.comp(returns),
            "annual_volatility": qs.volatility(returns),
            "sharpe": qs.sharpe(returns),
            "sortino": qs.sortino(returns),
            "omega": qs.omega(returns),
            "max_drawdown": -qs.max_drawdown(returns),
            "tail_ratio": qs.tail_ratio(returns),
            "profit_factor": qs.profit_factor(returns),
            "hit_rate": qs.win_rate(returns),
            "payoff": qs.payoff_ratio(returns),
            "best_day": qs.best(returns),
            "worst_day": qs.worst(returns),
        }

        for name, value in theirs.items():
            assert metrics[name].value == pytest.approx(float(value), rel=1e-9), name

    def test_agrees_with_scipy_and_numpy(self, curves, metrics):
        _, _, own, market = curves
        line = stats.linregress(market, own)
        active = own - market

        expected = {
            "skewness": stats.skew(own),
            "excess_kurtosis": stats.kurtosis(own),
            "value_at_risk_95": np.quantile(own, 0.05),
            "conditional_value_at_risk_95": own[own <= np.quantile(own, 0.05)].mean(),
            "beta": line.slope,
            "alpha": line.intercept * 252,
            "correlation": line.rvalue,
            "r_squared": line.rvalue**2,
            "tracking_error": active.std(ddof=1) * math.sqrt(252),
            "information_ratio": active.mean() / active.std(ddof=1) * math.sqrt(252),
        }

        for name, value in expected.items():
            assert metrics[name].value == pytest.approx(float(value), rel=1e-9), name

    def test_reproduces_the_published_probabilistic_sharpe(self):
        # Bailey and Lopez de Prado (2012): annual 1.585, 24 months, skewness -2.448 and kurtosis
        # 10.164 give 0.913. A sample with those moments is found by reweighting quantiles.
        returns = _sample_with_moments(24, 1.585 / math.sqrt(12), -2.448, 10.164)
        equity = np.concatenate([[1.0], np.cumprod(1.0 + 0.01 * returns)])

        found = compute_metrics(equity, np.arange(25) * 30 * DAY_NS)

        assert found["probabilistic_sharpe"].value == pytest.approx(0.913, abs=5e-4)

    def test_widens_the_standard_error_under_autocorrelation(self):
        rng = np.random.default_rng(5)
        noise = rng.standard_normal(4_000) * 0.01
        returns = noise.copy()
        for t in range(1, returns.size):
            returns[t] += 0.4 * returns[t - 1]
        white, red = (
            compute_metrics(
                np.concatenate([[1.0], np.cumprod(1 + r)]), weekdays(4_001), periods_per_year=252
            )["sharpe_standard_error"].value
            for r in (noise, returns)
        )

        assert white == pytest.approx(math.sqrt(252 / 4_000), rel=0.1)
        assert 1.25 * white < red < 1.7 * white

    def test_counts_trading_and_costs(self):
        equity = np.array([100.0, 100.0, 110.0])
        activity = TradingActivity(
            traded_notional=np.array([0.0, 50.0, 0.0]),
            costs=np.array([0.0, 1.0, 0.0]),
            gross_exposure=np.array([0.0, 50.0, 55.0]),
            net_exposure=np.array([0.0, -50.0, -55.0]),
        )

        found = compute_metrics(
            equity, weekdays(3), activity=activity, periods_per_year=2
        ).values_by_name()

        mean_equity = 310.0 / 3.0
        assert found["turnover"] == pytest.approx(50.0 / mean_equity)
        assert found["exposure_time"] == pytest.approx(2 / 3)
        assert found["average_gross_exposure"] == pytest.approx(1 / 3)
        assert found["average_net_exposure"] == pytest.approx(-1 / 3)
        assert found["max_leverage"] == pytest.approx(0.5)
        assert found["total_costs"] == 1.0
        assert found["cost_drag"] == pytest.approx(1.0 / mean_equity)
        assert found["average_cost_bps"] == pytest.approx(200.0)
        assert found["break_even_cost_bps"] == pytest.approx(2_200.0)

    @pytest.mark.parametrize(
        ("equity", "name", "reason"),
        [
            ([1.0], "total_return", "fewer than two values"),
            ([1.0, 1.0, 1.0], "sharpe", "do not vary"),
            ([1.0, 1.1, 1.2], "calmar", "never fell"),
            ([1.0, 1.1, 1.2], "sortino", "no return was negative"),
            ([1.0, -1.0, 1.2], "cagr", "zero or negative"),
            ([1.0, math.nan, 1.2], "max_drawdown", "missing values"),
            ([1.0, 1.1, 1.2], "turnover", "no trading activity"),
            ([1.0, 1.1, 1.2], "beta", "no benchmark"),
        ],
    )
    def test_says_why_a_metric_is_missing(self, equity, name, reason):
        metric = compute_metrics(np.array(equity), weekdays(len(equity)))[name]

        assert metric.value is None
        assert metric.reason.startswith("not computed, because")
        assert reason in metric.reason

    @given(
        arrays(
            np.float64,
            st.integers(1, 30),
            elements=st.floats(allow_nan=True, allow_infinity=True, width=64),
        )
    )
    @settings(max_examples=200, deadline=None)
    def test_never_returns_inf_or_nan(self, equity):
        metrics = compute_metrics(equity, weekdays(equity.size), benchmark=equity[::-1].copy())

        assert set(metrics) == set(DEFINITIONS)
        for metric in metrics.values():
            assert (metric.value is None) == bool(metric.reason)
            assert metric.value is None or math.isfinite(metric.value)

    @given(
        arrays(np.float64, st.integers(2, 40), elements=st.floats(10.0, 1e4)),
        st.sampled_from([0.25, 8.0]),
    )
    @settings(max_examples=50, deadline=None)
    def test_does_not_depend_on_the_currency(self, equity, factor):
        one = compute_metrics(equity, weekdays(equity.size)).values_by_name()
        other = compute_metrics(equity * factor, weekdays(equity.size)).values_by_name()

        assert other == one

    def test_refuses_arrays_of_different_lengths(self):
        with pytest.raises(ShapeError):
            compute_metrics(np.ones(3), weekdays(2))

    @pytest.mark.parametrize("periods", [0.0, -1.0, math.inf, math.nan])
    def test_refuses_an_impossible_number_of_periods(self, periods):
        with pytest.raises(SettingsError):
            compute_metrics(np.ones(3), weekdays(3), periods_per_year=periods)


def _sample_with_moments(n, sharpe, skew, raw_kurtosis):
    """Return n values with a given mean / sd (ddof 1), population skewness and raw kurtosis."""
    from scipy.optimize import least_squares

    start = np.linspace(-1.0, 1.0, n)
    start[0] = -4.0

    def misfit(values):
        return [stats.skew(values) - skew, stats.kurtosis(values) + 3.0 - raw_kurtosis]

    values = least_squares(misfit, start).x
    return (values - values.mean()) / values.std(ddof=1) + sharpe
