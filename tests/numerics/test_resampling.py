import numpy as np
import pytest
from scipy import stats

from numerics.errors import DomainError
from numerics.resampling import (
    circular_indices,
    optimal_block_lengths,
    resampling_counts,
    stationary_indices,
)


def autoregression(rho, n, seed, k=1):
    shocks = np.random.default_rng(seed).standard_normal((n, k))
    series = shocks.copy()
    for t in range(1, n):
        series[t] = rho * series[t - 1] + shocks[t]
    return series


class TestStationaryIndices:
    def test_has_blocks_of_geometric_length(self):
        rows = stationary_indices(500, 200, 5.0, np.random.default_rng(0))

        ends = np.flatnonzero((np.diff(rows, axis=1) % 500 != 1).ravel())
        lengths = np.diff(ends)
        assert rows.min() == 0
        assert rows.max() == 499
        assert np.mean(lengths) == pytest.approx(5.0, rel=0.02)
        expected = stats.geom.pmf(np.arange(1, 4), 0.2)
        found = [np.mean(lengths == at) for at in (1, 2, 3)]
        np.testing.assert_allclose(found, expected, atol=0.01)

    def test_gives_the_mean_the_variance_that_theory_gives(self):
        series = autoregression(0.5, 400, 1)[:, 0]
        off, n, p = series - series.mean(), 400, 1.0 / 8.0
        variance = off @ off / n
        for lag in range(1, n):  # Politis and Romano 1994, lemma 1
            kappa = (1 - lag / n) * (1 - p) ** lag + lag / n * (1 - p) ** (n - lag)
            variance += 2 * kappa * (off[:-lag] @ off[lag:]) / n

        rows = stationary_indices(n, 20_000, 8.0, np.random.default_rng(2))

        assert n * series[rows].mean(axis=1).var() == pytest.approx(variance, rel=0.03)

    @pytest.mark.parametrize("length", [7, 900])
    def test_may_be_shorter_or_longer_than_the_series(self, length):
        rows = stationary_indices(50, 300, 4.0, np.random.default_rng(1), length=length)

        assert rows.shape == (300, length)
        assert (rows.min(), rows.max()) == (0, 49)
        assert np.mean(np.diff(rows, axis=1) % 50 == 1) == pytest.approx(0.75, abs=0.03)

    def test_repeats_with_its_seed(self):
        first, second = (stationary_indices(50, 3, 4.0, np.random.default_rng(7)) for _ in "ab")

        np.testing.assert_array_equal(first, second)

    @pytest.mark.parametrize("wrong", [(0, 1, 2.0), (5, 0, 2.0), (5, 1, 0.5), (5, 1, np.nan)])
    def test_refuses_what_cannot_be(self, wrong):
        with pytest.raises(DomainError):
            stationary_indices(*wrong, np.random.default_rng(0))


class TestCircularIndices:
    def test_has_blocks_of_one_length_that_wrap_round(self):
        rows = circular_indices(10, 400, 4, np.random.default_rng(0))

        steps = np.diff(rows, axis=1) % 10
        assert rows.shape == (400, 10)
        assert np.all(np.delete(steps, [3, 7], axis=1) == 1)
        assert np.bincount(rows[:, 0], minlength=10).min() > 20

    def test_refuses_a_block_longer_than_the_series(self):
        with pytest.raises(DomainError):
            circular_indices(5, 1, 6, np.random.default_rng(0))


class TestResamplingCounts:
    def test_gives_the_means_of_the_resamples(self):
        rng = np.random.default_rng(0)
        values, rows = rng.normal(size=(30, 4)), stationary_indices(30, 9, 3.0, rng)

        counts = resampling_counts(rows, 30)

        np.testing.assert_allclose(counts @ values / 30, values[rows].mean(axis=1), atol=1e-12)


class TestOptimalBlockLengths:
    @pytest.mark.parametrize(
        ("rho", "n"), [(0.0, 100), (0.2, 250), (0.6, 1_000), (0.95, 800), (-0.5, 500), (0.1, 40)]
    )
    def test_agrees_with_arch(self, rho, n):
        from arch.bootstrap import optimal_block_length

        series = autoregression(rho, n, 11, k=6)

        found = optimal_block_lengths(series)

        expected = optimal_block_length(series)
        np.testing.assert_allclose(found.stationary, expected["stationary"], rtol=1e-9)
        np.testing.assert_allclose(found.circular, expected["circular"], rtol=1e-9)

    def test_takes_a_single_series(self):
        series = autoregression(0.4, 300, 3)

        assert optimal_block_lengths(series[:, 0]) == optimal_block_lengths(series)

    @pytest.mark.parametrize("values", [np.ones(50), np.arange(7.0), np.full(50, np.nan)])
    def test_refuses_what_has_no_length(self, values):
        with pytest.raises(DomainError):
            optimal_block_lengths(values)
