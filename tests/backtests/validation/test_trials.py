import numpy as np
import pytest
from scipy import stats

from backtests.validation.errors import NotComputedError, SampleError, SettingsError, ShapeError
from backtests.validation.sharpe import probabilistic_sharpe_ratio
from backtests.validation.trials import (
    TrialSummaries,
    _mean_silhouette,
    effective_number_of_trials,
)


def groups(n_groups, size, n_blocks, noise, seed=0):
    rng = np.random.default_rng(seed)
    base = np.repeat(rng.standard_normal((n_groups, n_blocks)), size, axis=0)
    return base + noise * rng.standard_normal(base.shape)


class TestTrialSummaries:
    def test_has_the_moments_of_scipy(self):
        returns = np.random.default_rng(0).gamma(2.0, 0.01, (300, 4)) - 0.018

        found = TrialSummaries.of_returns(returns)

        np.testing.assert_allclose(found.deviation, returns.std(axis=0, ddof=1), rtol=1e-12)
        np.testing.assert_allclose(found.skewness, stats.skew(returns), rtol=1e-9)
        np.testing.assert_allclose(found.excess_kurtosis, stats.kurtosis(returns), rtol=1e-9)
        p = [
            1 - probabilistic_sharpe_ratio(s, 300, skewness=g3, excess_kurtosis=g4)
            for s, g3, g4 in zip(found.sharpe, found.skewness, found.excess_kurtosis, strict=True)
        ]
        np.testing.assert_allclose(found.p_values(), p, rtol=1e-9)

    def test_counts_trials_that_have_no_ratio(self):
        returns = np.random.default_rng(0).normal(size=(30, 3))
        returns[:, 1] = 0.0

        found = TrialSummaries.of_returns(returns)

        assert found.n_trials == 3
        assert np.isnan(found.sharpe).tolist() == [False, True, False]
        assert np.isnan(found.p_values()).tolist() == [False, True, False]

    def test_takes_one_number_of_observations_for_all(self):
        found = TrialSummaries(250, [0.1, 0.2], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0])

        assert found.n_observations.tolist() == [250.0, 250.0]

    def test_agrees_with_the_metrics_that_a_sweep_keeps(self):
        from backtests.engine.metrics import compute_metrics_table

        returns = np.random.default_rng(2).normal(0.0004, 0.01, (500, 6))
        equity = np.vstack([np.ones(6), np.cumprod(1.0 + returns, axis=0)])
        stamps = np.arange(1, 502) * 86_400_000_000_000
        values, _, names = compute_metrics_table(equity, stamps, periods_per_year=252)
        kept = dict(zip(names, values.T, strict=True))

        found = TrialSummaries.of_annual(
            n_observations=500,
            periods_per_year=252,
            **{
                name: kept[name]
                for name in ("annual_return", "annual_volatility", "skewness", "excess_kurtosis")
            },
        )

        np.testing.assert_allclose(found.sharpe * 252**0.5, kept["sharpe"], rtol=1e-12)
        np.testing.assert_allclose(1 - found.p_values(), kept["probabilistic_sharpe"], rtol=1e-12)
        plain = TrialSummaries.of_returns(returns)
        np.testing.assert_allclose(found.sharpe, plain.sharpe, rtol=1e-9)

    def test_refuses_a_year_without_bars(self):
        with pytest.raises(SettingsError):
            TrialSummaries.of_annual(
                n_observations=5, annual_return=[0.1], annual_volatility=[0.1], skewness=[0.0],
                excess_kurtosis=[0.0], periods_per_year=0.0,
            )  # fmt: skip

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ShapeError, match="deviation"):
            TrialSummaries(250, [0.1, 0.2], [1.0], [0.0, 0.0], [0.0, 0.0])
        with pytest.raises(ShapeError):
            TrialSummaries(250, [], [], [], [])
        with pytest.raises(NotComputedError):
            TrialSummaries.of_returns([[0.1]])


class TestEffectiveNumberOfTrials:
    def test_counts_groups_of_like_trials(self):
        found = effective_number_of_trials(groups(8, 25, 120, 0.05))

        assert found.n_clusters == 8
        assert found.participation == pytest.approx(8.0, rel=0.1)
        assert 6.0 < found.effective_rank <= 9.5
        assert found.number == pytest.approx(8.0, rel=0.2)

    @pytest.mark.parametrize(("n", "n_blocks"), [(40, 16), (400, 16), (400, 100)])
    def test_counts_nearly_all_of_independent_trials(self, n, n_blocks):
        noise = np.random.default_rng(1).standard_normal((n, n_blocks))

        found = effective_number_of_trials(noise)

        assert found.participation > 0.75 * n
        assert found.effective_rank <= found.rank_ceiling == min(n, n_blocks - 1)
        assert found.number <= n

    def test_counts_one_of_a_trial_repeated(self):
        one = np.random.default_rng(2).standard_normal((1, 16))

        found = effective_number_of_trials(np.tile(one, (50, 1)))

        assert found.number == pytest.approx(1.0)
        assert found.silhouette is None

    def test_has_the_entropy_rank_of_the_correlations(self):
        blocks = groups(3, 4, 30, 0.5)
        values = np.linalg.eigvalsh(np.corrcoef(blocks))
        values = values[values > 1e-10] / values.sum()

        found = effective_number_of_trials(blocks)

        assert found.effective_rank == pytest.approx(np.exp(stats.entropy(values)), rel=1e-9)
        others = np.corrcoef(blocks)[np.triu_indices(12, 1)]
        assert found.mean_correlation == pytest.approx(others.mean())

    def test_does_not_depend_on_scale_or_order(self):
        blocks = groups(5, 6, 40, 0.3)

        plain = effective_number_of_trials(blocks)
        other = effective_number_of_trials(blocks[::-1] * 7.0)

        assert other.n_clusters == plain.n_clusters
        assert other.participation == pytest.approx(plain.participation, rel=1e-9)

    def test_draws_a_sample_of_many_with_its_seed(self):
        blocks = groups(4, 500, 24, 0.1)

        first, second = (
            effective_number_of_trials(blocks, n_sampled=100, seed=5) for _ in range(2)
        )

        assert first == second
        assert first.n_sampled == 100
        assert first.n_trials == 2_000
        assert first.n_clusters == 4

    def test_leaves_out_what_never_moves(self):
        blocks = np.vstack([groups(3, 4, 30, 0.5), np.zeros((5, 30))])

        assert effective_number_of_trials(blocks).n_trials == 12

    @pytest.mark.parametrize(
        ("blocks", "options", "error"),
        [
            (np.full((3, 8), np.nan), {}, SampleError),
            (np.ones(8), {}, ShapeError),
            (np.eye(8), {"n_sampled": 1}, SettingsError),
            (np.eye(3), {}, NotComputedError),
            (np.ones((3, 8)), {}, NotComputedError),
        ],
    )
    def test_refuses_what_cannot_be(self, blocks, options, error):
        with pytest.raises(error):
            effective_number_of_trials(blocks, **options)


class TestMeanSilhouette:
    def test_matches_a_case_worked_by_hand(self):
        near, far = 0.1, 0.9
        distance = np.full((5, 5), far)
        distance[:2, :2] = distance[2:4, 2:4] = near
        np.fill_diagonal(distance, 0.0)

        found = _mean_silhouette(distance, np.array([0, 0, 1, 1, 2]))

        assert found == pytest.approx(4 / 5 * (far - near) / far)  # the fifth is alone: 0
