import numpy as np
import pytest

from experiments.statistics.errors import NotComputedError, SampleError, SettingsError, ShapeError
from experiments.statistics.frequentist import welch
from experiments.statistics.summaries import Moments
from experiments.statistics.variance import cuped, market_adjusted_difference


def units(seed, n=400, rho=0.706, lift=0.2):
    rng = np.random.default_rng(seed)
    x = rng.normal(3.0, 1.0, n)
    return rho * x + np.sqrt(1 - rho**2) * rng.normal(size=n) + lift, x


class TestCuped:
    def test_agrees_with_the_regression_on_arm_and_covariate(self):
        import statsmodels.api as sm

        (ya, xa), (yb, xb) = units(0, lift=0.0), units(1, n=300)
        design = np.column_stack(
            [np.ones(700), np.repeat([0.0, 1.0], [400, 300]), np.concatenate([xa, xb])]
        )
        fit = sm.OLS(np.concatenate([ya, yb]), design).fit()

        found = cuped(Moments.of(ya, xa), Moments.of(yb, xb))

        assert found.slope == pytest.approx(fit.params[2])
        assert found.estimate.difference == pytest.approx(fit.params[1])
        assert found.estimate.standard_error == pytest.approx(fit.bse[1], rel=0.02)

    def test_has_half_the_variance_at_a_correlation_of_0_706(self):
        samples = [Moments.of(*units(seed, n=20_000)) for seed in (2, 3)]

        assert cuped(*samples).variance_ratio == pytest.approx(0.5016, abs=0.01)  # 1 - 0.706^2

    def test_changes_nothing_without_correlation(self):
        samples = [Moments.of(*units(seed, n=5_000, rho=0.0)) for seed in (4, 5)]

        found = cuped(*samples).estimate

        assert found.p_value == pytest.approx(welch(*samples).p_value, rel=0.05)

    def test_gives_the_same_when_parts_are_merged(self):
        y, x = units(6)
        parts = Moments.of(y[:90], x[:90]).merged(Moments.of(y[90:], x[90:]))
        other = Moments.of(*units(7))

        assert cuped(parts, other).estimate.difference == pytest.approx(
            cuped(Moments.of(y, x), other).estimate.difference
        )

    def test_warns_of_a_covariate_that_the_treatment_changed(self):
        y, x = units(8)

        found = cuped(Moments.of(y, x), Moments.of(y + 1.0, x + 1.0 + 0.1 * np.sin(y)))

        assert "before the assignment" in found.estimate.warnings[0]

    def test_refuses_a_covariate_that_does_not_vary(self):
        with pytest.raises(NotComputedError, match="covariate"):
            cuped(Moments.of([1.0, 2.0, 4.0]), Moments.of([1.0, 3.0, 4.0]))

    def test_refuses_an_outcome_that_is_the_covariate(self):
        x = np.arange(9.0)
        with pytest.raises(NotComputedError, match="but the covariate"):
            cuped(Moments.of(2 * x, x), Moments.of(2 * x + 1.0, x))


class TestMarketAdjustedDifference:
    def series(self, n=500):
        rng = np.random.default_rng(9)
        market = rng.normal(0.0005, 0.01, n)
        return 0.8 * market, 1.3 * market + rng.normal(0.0002, 0.002, n), market

    @pytest.mark.parametrize("lag", [0, 5])
    @pytest.mark.parametrize("expected_market", [0.0, 0.001])
    def test_agrees_with_statsmodels(self, lag, expected_market):
        import statsmodels.api as sm

        from numerics.hac import fixed_b_law

        a, b, market = self.series()
        fit = sm.OLS(b - a, sm.add_constant(market - expected_market)).fit(
            cov_type="HAC", cov_kwds={"maxlags": lag}
        )

        found = market_adjusted_difference(a, b, market, expected_market=expected_market, lag=lag)

        assert found.slope == pytest.approx(fit.params[1])
        assert found.estimate.difference == pytest.approx(fit.params[0])
        scale = fixed_b_law(500, lag)[0] * 498 / 499
        assert found.estimate.standard_error == pytest.approx(fit.bse[0] / np.sqrt(scale))

    def test_is_much_sharper_than_the_plain_difference(self):
        assert market_adjusted_difference(*self.series()).variance_ratio < 0.5

    def test_refuses_what_determines_nothing(self):
        a, b, market = self.series(30)
        with pytest.raises(NotComputedError, match="market"):
            market_adjusted_difference(a, b, np.full(30, 0.01))
        with pytest.raises(NotComputedError, match="only the market"):
            market_adjusted_difference(a, a + 0.3 * market, market)
        with pytest.raises(NotComputedError, match="ten periods"):
            market_adjusted_difference(a[:9], b[:9], market[:9])
        with pytest.raises(ShapeError):
            market_adjusted_difference(a, b, market[:9])
        with pytest.raises(SampleError):
            market_adjusted_difference(a, b, np.where(market > 0, np.inf, market))
        with pytest.raises(SettingsError):
            market_adjusted_difference(a, b, market, lag=15)
