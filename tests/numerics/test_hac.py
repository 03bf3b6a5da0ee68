import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import stdtrit

from numerics.hac import (
    andrews_bandwidth,
    fixed_b_law,
    long_run_covariance,
    long_run_variance,
    newey_west_lag,
    parzen_covariance,
)


class TestNeweyWestLag:
    @pytest.mark.parametrize(("n", "lag"), [(1, 0), (2, 1), (100, 4), (1_000, 6), (2_520, 8)])
    def test_follows_the_plug_in_rule(self, n, lag):
        assert newey_west_lag(n) == lag


class TestLongRunCovariance:
    def test_matches_a_case_worked_by_hand(self):
        values = np.array([[1.0], [3.0], [2.0], [6.0]])  # deviations -2, 0, -1, 3

        # G0 = 14/4; G1 = (0 + 0 - 3)/4; weight 1/2, twice.
        assert long_run_covariance(values, 1)[0, 0] == pytest.approx(14 / 4 - 3 / 4)

    def test_is_the_population_covariance_without_lags(self):
        values = np.random.default_rng(0).normal(size=(50, 3))

        np.testing.assert_allclose(
            long_run_covariance(values, 0), np.cov(values.T, ddof=0), rtol=1e-12
        )

    def test_is_symmetric_and_positive_semidefinite(self):
        values = np.random.default_rng(1).normal(size=(60, 3)).cumsum(axis=0)

        found = long_run_covariance(values)

        np.testing.assert_allclose(found, found.T)
        assert np.linalg.eigvalsh(found).min() > -1e-9

    def test_approaches_the_truth_of_an_autoregression(self):
        rng = np.random.default_rng(3)
        series = np.empty(200_000)
        last = 0.0
        for at, shock in enumerate(rng.standard_normal(series.size)):
            last = 0.3 * last + shock
            series[at] = last

        assert long_run_covariance(series[:, None], 60)[0, 0] == pytest.approx(1 / 0.49, rel=0.05)


class TestLongRunVariance:
    def test_matches_a_case_worked_by_hand(self):
        deviation = np.array([-2.0, 0.0, -1.0, 3.0])

        # Moving sums of two: -2, -2, -1, 2, 3; their squares add up to 22.
        assert long_run_variance(deviation, 1) == pytest.approx(22 / (4 * 2))

    @given(
        arrays(np.float64, st.integers(2, 60), elements=st.floats(-10.0, 10.0)),
        st.integers(0, 59),
    )
    @settings(deadline=None)
    def test_agrees_with_the_covariance_of_one_column(self, values, lag):
        lag = min(lag, values.size - 1)
        deviation = values - values.mean()

        found = long_run_variance(deviation, lag)

        expected = long_run_covariance(values[:, None], lag)[0, 0]
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert found >= 0.0
        assert found == long_run_variance.py_func(deviation, lag)


class TestAndrewsBandwidth:
    def test_matches_the_formula_of_one_autoregression(self):
        series = np.random.default_rng(0).normal(size=(400, 1)).cumsum(axis=0) * 0.0
        rng, last = np.random.default_rng(1), 0.0
        for at in range(400):
            last = 0.4 * last + rng.standard_normal()
            series[at] = last
        rho = np.polyfit(series[:-1, 0], series[1:, 0], 1)[0]

        alpha = 4 * rho**2 / (1 - rho) ** 4
        assert andrews_bandwidth(series) == pytest.approx(2.6614 * (alpha * 400) ** 0.2)


class TestParzenCovariance:
    @pytest.mark.parametrize("bandwidth", [0.0, 0.8, 3.0, 7.4])
    def test_agrees_with_statsmodels(self, bandwidth):
        from statsmodels.stats.sandwich_covariance import S_hac_simple

        values = np.random.default_rng(2).normal(size=(120, 3)).cumsum(axis=0)
        values -= values.mean(axis=0)

        def parzen(n_lags):
            x = np.arange(n_lags + 1) / max(bandwidth, 1e-9)
            near, far = 1 - 6 * x**2 + 6 * x**3, 2 * (1 - x) ** 3
            return np.where(x <= 0.5, near, np.where(x <= 1.0, far, 0.0))

        expected = S_hac_simple(values, nlags=8, weights_func=parzen) / 117
        np.testing.assert_allclose(parzen_covariance(values, bandwidth), expected, rtol=1e-10)


class TestFixedBLaw:
    def test_is_the_t_test_without_lags(self):
        assert fixed_b_law(10, 0) == pytest.approx((0.9, 9.0))

    @pytest.mark.parametrize(("n", "lag"), [(2, 1), (7, 3), (30, 29)])
    def test_has_the_traces_of_the_quadratic_form(self, n, lag):
        apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
        form = (np.eye(n) - 1 / n) @ np.maximum(0.0, 1.0 - apart / (lag + 1))

        mean, freedom = fixed_b_law(n, lag)

        assert mean == pytest.approx(np.trace(form) / n)
        assert freedom == pytest.approx(np.trace(form) ** 2 / np.trace(form @ form))

    @pytest.mark.parametrize("b", [0.02, 0.05, 0.1, 0.2])
    @pytest.mark.parametrize(
        ("level", "cubic"),
        [
            (0.95, (1.6449, 2.1859, 0.3142, -0.3427)),
            (0.975, (1.9600, 2.9694, 0.4160, -0.5324)),
        ],
    )
    def test_has_the_critical_values_of_kiefer_and_vogelsang(self, b, level, cubic):
        mean, freedom = fixed_b_law(2_000, int(b * 2_000) - 1)

        published = np.polyval(cubic[::-1], b)
        assert stdtrit(freedom, level) / np.sqrt(mean) == pytest.approx(published, rel=0.02)
