import math

import numpy as np
import pytest
from scipy import integrate, stats

from backtests.engine.metrics import Conventions, compute_metrics
from backtests.engine.metrics.tails import cornish_fisher, edgeworth_tail_mean


class TestCornishFisher:
    def test_is_the_normal_quantile_without_skewness_and_kurtosis(self):
        assert cornish_fisher(-1.6, 0.0, 0.0) == (-1.6, 1.0)

    @pytest.mark.parametrize(("skewness", "kurtosis"), [(-0.5, 2.0), (0.3, 0.5)])
    def test_gives_its_own_slope(self, skewness, kurtosis):
        step = 1e-6
        above, _ = cornish_fisher(-1.6 + step, skewness, kurtosis)
        below, _ = cornish_fisher(-1.6 - step, skewness, kurtosis)

        _, slope = cornish_fisher(-1.6, skewness, kurtosis)

        assert slope == pytest.approx((above - below) / (2 * step), rel=1e-6)

    def test_approaches_the_quantile_of_a_skewed_law(self):
        law = stats.gamma(40.0)
        skewness, kurtosis = (float(moment) for moment in law.stats("sk"))
        z = stats.norm.ppf(0.05)

        found, _ = cornish_fisher(z, skewness, kurtosis)

        assert found == pytest.approx((law.ppf(0.05) - law.mean()) / law.std(), abs=2e-3)


class TestEdgeworthTailMean:
    @pytest.mark.parametrize(("skewness", "kurtosis"), [(0.0, 0.0), (-0.5, 2.0), (0.3, 0.5)])
    def test_is_the_integral_of_the_density(self, skewness, kurtosis):
        def weighted(z):
            third, fourth = z**3 - 3 * z, z**4 - 6 * z**2 + 3
            sixth = z**6 - 15 * z**4 + 45 * z**2 - 15
            expansion = 1 + skewness / 6 * third + kurtosis / 24 * fourth + skewness**2 / 72 * sixth
            return z * stats.norm.pdf(z) * expansion

        expected = integrate.quad(weighted, -30.0, -1.7)[0] / 0.05

        found = edgeworth_tail_mean(-1.7, 0.05, skewness, kurtosis)
        assert found == pytest.approx(expected, rel=1e-8)


class TestMeasureTails:
    @pytest.mark.parametrize("tail", [0.01, 0.05, 0.1, 0.3])
    @pytest.mark.parametrize("n", [2, 3, 17, 200, 755])
    def test_agree_with_numpy(self, sample, n, tail):
        found = compute_metrics(
            sample.equity[: n + 1],
            sample.ts[: n + 1],
            conventions=Conventions(tail_probability=tail),
        )
        returns = sample.equity[1 : n + 1] / sample.equity[:n] - 1.0
        low, high = np.quantile(returns, [tail, 1.0 - tail])

        assert found["value_at_risk_95"].value == pytest.approx(low, rel=1e-10)
        assert found["tail_ratio"].value == pytest.approx(abs(high / low), rel=1e-9)
        assert found["conditional_value_at_risk_95"].value == pytest.approx(
            returns[returns <= low + 1e-17].mean(), rel=1e-10
        )

    def test_order_the_parametric_values(self, sample):
        found = compute_metrics(sample.equity, sample.ts).values_by_name()
        returns = sample.returns
        skewness, kurtosis = stats.skew(returns), stats.kurtosis(returns)
        z = stats.norm.ppf(0.05)
        corrected = (
            z
            + (z**2 - 1) * skewness / 6
            + (z**3 - 3 * z) * kurtosis / 24
            - (2 * z**3 - 5 * z) * skewness**2 / 36
        )

        assert found["cornish_fisher_value_at_risk_95"] == pytest.approx(
            returns.mean() + corrected * returns.std(ddof=1), rel=1e-10
        )
        for law in ("gaussian_", "cornish_fisher_", ""):
            tail_mean = found[f"{law}conditional_value_at_risk_95"]
            assert tail_mean < found[f"{law}value_at_risk_95"] < 0.0

    def test_refuse_an_expansion_that_is_not_monotone(self):
        returns = np.full(400, 0.001)
        returns[::2] = -0.001
        returns[17] = 5.0

        found = compute_metrics(
            np.concatenate([[1.0], np.cumprod(1.0 + returns)]), np.arange(401) * 10**14
        )

        assert "monotone" in found["cornish_fisher_conditional_value_at_risk_95"].reason
        assert math.isfinite(found["gaussian_value_at_risk_95"].value)
