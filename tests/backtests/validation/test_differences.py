import numpy as np
import pytest
from scipy import stats

from backtests.validation.differences import sharpe_difference, sharpe_difference_bootstrap
from backtests.validation.errors import NotComputedError, SampleError, SettingsError, ShapeError


def pair(n, seed, rho=0.0, lift=0.0):
    """Return two correlated series, autoregressive, with heavy tails, of equal Sharpe ratios."""
    rng = np.random.default_rng(seed)
    shocks = rng.standard_t(5, (n + 50, 2)) * 0.01
    shocks[:, 1] = 0.6 * shocks[:, 0] + 0.8 * shocks[:, 1]
    series = shocks.copy()
    for t in range(1, n + 50):
        series[t] = rho * series[t - 1] + shocks[t]
    return series[50:] + np.array([0.0005 + lift, 0.0005])


class TestSharpeDifference:
    def test_has_the_error_that_statsmodels_has_without_dependence(self):
        from statsmodels.stats.sandwich_covariance import S_hac_simple

        from numerics.hac import andrews_bandwidth

        r = pair(400, 0)
        m, c = r.mean(axis=0), np.square(r).mean(axis=0)
        y = np.hstack([r - m, r**2 - c])
        width = andrews_bandwidth(y)

        def parzen(n_lags):
            x = np.arange(n_lags + 1) / width
            return np.where(x <= 0.5, 1 - 6 * x**2 + 6 * x**3, np.maximum(2 * (1 - x) ** 3, 0.0))

        psi = S_hac_simple(y, nlags=int(width), weights_func=parzen) / 396
        s = (c - m**2) ** 1.5
        d = np.array([c[0] / s[0], -c[1] / s[1], -m[0] / (2 * s[0]), m[1] / (2 * s[1])])

        found = sharpe_difference(r[:, 0], r[:, 1])

        assert found.standard_error == pytest.approx(np.sqrt(d @ psi @ d / 400), rel=1e-9)
        assert found.difference == pytest.approx(m[0] / r.std(axis=0)[0] - m[1] / r.std(axis=0)[1])
        z = abs(found.difference) / found.standard_error
        assert found.p_value == pytest.approx(2 * stats.norm.sf(z))

    def test_is_near_memmel_for_normal_returns(self):
        rng = np.random.default_rng(3)
        r = rng.multivariate_normal([0.1, 0.05], [[1, 0.7], [0.7, 1]], 50_000)
        s, rho = r.mean(axis=0) / r.std(axis=0), np.corrcoef(r.T)[0, 1]
        variance = 2 - 2 * rho + 0.5 * (s @ s - 2 * s[0] * s[1] * rho**2)  # Memmel 2003

        found = sharpe_difference(r[:, 0], r[:, 1])

        assert found.standard_error == pytest.approx(np.sqrt(variance / 50_000), rel=0.03)

    @pytest.mark.parametrize("prewhitened", [False, True])
    def test_does_not_depend_on_the_currency_and_turns_its_sign(self, prewhitened):
        r = pair(300, 1, 0.2, 0.001)

        plain = sharpe_difference(r[:, 0], r[:, 1], prewhitened=prewhitened)
        turned = sharpe_difference(r[:, 1], r[:, 0], prewhitened=prewhitened)

        assert turned.difference == pytest.approx(-plain.difference)
        assert turned.p_value == pytest.approx(plain.p_value, rel=1e-6)

    @pytest.mark.slow
    @pytest.mark.parametrize(("rho", "prewhitened"), [(0.0, False), (0.2, False), (0.2, True)])
    def test_rejects_equal_ratios_about_as_often_as_it_says(self, rho, prewhitened):
        rejected = [
            sharpe_difference(*pair(500, seed, rho).T, prewhitened=prewhitened).p_value <= 0.05
            for seed in range(1_000)
        ]

        assert 0.03 <= np.mean(rejected) <= 0.09  # iid errors: 11 % at rho = 0.2

    @pytest.mark.parametrize(
        ("first", "second", "error"),
        [
            (np.ones(20), np.arange(20.0), NotComputedError),
            (np.arange(9.0), np.arange(9.0), NotComputedError),
            (np.arange(20.0), np.arange(20.0), NotComputedError),
            (np.arange(20.0), np.arange(19.0), ShapeError),
            (np.arange(20.0), np.full(20, np.nan), SampleError),
        ],
    )
    def test_refuses_what_cannot_be(self, first, second, error):
        with pytest.raises(error):
            sharpe_difference(first, second)


class TestSharpeDifferenceBootstrap:
    def test_agrees_with_the_paper_step_by_step(self):
        r, block = pair(200, 2, 0.1, 0.001), 5
        found = sharpe_difference_bootstrap(*r.T, block=block, n_resamples=99, seed=4)

        from numerics.resampling import circular_indices

        rows = circular_indices(200, 99, block, np.random.default_rng(4))
        hac = sharpe_difference(*r.T, prewhitened=True)
        n_reached = 0
        for drawn in (r[row] for row in rows):
            m, c = drawn.mean(axis=0), np.square(drawn).mean(axis=0)
            s = (c - m**2) ** 1.5
            d = np.array([c[0] / s[0], -c[1] / s[1], -m[0] / (2 * s[0]), m[1] / (2 * s[1])])
            y = np.hstack([drawn - m, drawn**2 - c])
            zeta = np.sqrt(block) * y.reshape(-1, block, 4).mean(axis=1)
            psi = zeta.T @ zeta / len(zeta)
            star = m[0] / drawn.std(axis=0)[0] - m[1] / drawn.std(axis=0)[1]
            distance = abs(star - hac.difference) / np.sqrt(d @ psi @ d / 200)
            n_reached += distance >= abs(hac.difference) / hac.standard_error
        assert found.p_value == (n_reached + 1) / 100

    def test_chooses_its_block_and_says_so(self):
        found = sharpe_difference_bootstrap(*pair(300, 5, 0.3).T, n_resamples=50)

        assert "blocks of" in found.method

    @pytest.mark.slow
    def test_rejects_equal_ratios_about_as_often_as_it_says(self):
        rejected = [
            sharpe_difference_bootstrap(*pair(250, seed, 0.2).T, block=6, n_resamples=199).p_value
            <= 0.05
            for seed in range(400)
        ]

        assert 0.02 <= np.mean(rejected) <= 0.08

    @pytest.mark.parametrize("wrong", [{"block": 0}, {"block": 60}, {"n_resamples": 0}])
    def test_refuses_settings_outside_their_domain(self, wrong):
        with pytest.raises(SettingsError):
            sharpe_difference_bootstrap(*pair(100, 0).T, **wrong)
