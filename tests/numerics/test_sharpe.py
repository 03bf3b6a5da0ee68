import math

import numpy as np
import pytest
from scipy import stats

from numerics.sharpe import (
    expected_maximum,
    shape_factor,
    sharpe_probability,
    track_record_length,
    write_luck,
)


def probability(annual, threshold, periods, n, skewness, kurtosis):
    sharpe = annual / math.sqrt(periods)
    factor = shape_factor(sharpe, skewness, kurtosis - 3.0)
    return sharpe_probability(sharpe, threshold / math.sqrt(periods), n, factor)


class TestSharpeProbability:
    @pytest.mark.parametrize(
        ("skewness", "kurtosis", "published"), [(-2.448, 10.164, 0.913), (0.0, 3.0, 0.982)]
    )
    def test_reproduces_bailey_and_lopez_de_prado_2012(self, skewness, kurtosis, published):
        found = probability(1.585, 0.0, 12, 24, skewness, kurtosis)

        assert found == pytest.approx(published, abs=5e-4)

    @pytest.mark.parametrize(
        ("n_trials", "skewness", "kurtosis", "published"),
        [(100, -3.0, 10.0, 0.9004), (46, -3.0, 10.0, 0.9505), (88, 0.0, 3.0, 0.9505)],
    )
    def test_reproduces_the_deflated_ratios_of_2014(self, n_trials, skewness, kurtosis, published):
        luck = expected_maximum(n_trials) * math.sqrt(0.5)

        found = probability(2.5, luck, 250, 1250, skewness, kurtosis)

        assert found == pytest.approx(published, abs=2e-4)


class TestTrackRecordLength:
    @pytest.mark.parametrize(
        ("periods", "skewness", "kurtosis", "years"),
        [(252, 0, 3, 2.73), (52, 0, 3, 2.83), (12, 0, 3, 3.24), (12, -0.72, 5.78, 4.99)],
    )
    def test_reproduces_the_published_years(self, periods, skewness, kurtosis, years):
        sharpe, threshold = 2.0 / math.sqrt(periods), 1.0 / math.sqrt(periods)
        factor = shape_factor(sharpe, skewness, kurtosis - 3.0)

        found = track_record_length(sharpe, threshold, 1.6448536269514722, factor) / periods

        assert found == pytest.approx(years, abs=6e-3)


class TestWriteLuck:
    def test_is_what_the_probability_leaves(self):
        rng = np.random.default_rng(0)
        sharpe, skewness = rng.normal(0.0, 0.1, 50), rng.normal(size=50)
        kurtosis, n = 3.0 + rng.exponential(3.0, 50), np.full(50, 250.0)
        out = np.empty(50)

        write_luck(sharpe, n, skewness, kurtosis, 0.02, out)

        factor = 1 - skewness * sharpe + (kurtosis + 2) / 4 * sharpe**2
        expected = stats.norm.sf((sharpe - 0.02) * np.sqrt(249 / factor))
        np.testing.assert_allclose(out, expected, rtol=1e-10)
        plain = np.empty(50)
        write_luck.py_func(sharpe, n, skewness, kurtosis, 0.02, plain)
        np.testing.assert_allclose(out, plain, rtol=1e-12)

    def test_keeps_what_is_smaller_than_rounding(self):
        out = np.empty(1)

        write_luck(np.array([1.0]), np.array([400.0]), np.zeros(1), np.zeros(1), 0.0, out)

        assert out[0] == pytest.approx(stats.norm.sf(math.sqrt(399 / 1.5)), rel=1e-9)

    def test_has_nothing_without_a_variance(self):
        out = np.empty(1)

        write_luck(np.array([1.0]), np.array([9.0]), np.array([3.0]), np.zeros(1), 0.0, out)

        assert math.isnan(out[0])


class TestExpectedMaximum:
    @pytest.mark.parametrize(("n", "least", "most"), [(10, 1.53, 1.60), (1000, 3.23, 3.27)])
    def test_is_near_the_exact_mean(self, n, least, most):
        assert least < expected_maximum(n) < most  # exact: 1.539, 3.241

    @pytest.mark.parametrize("n", [1.0, 1.01, 1.1, 1.2])
    def test_is_never_negative(self, n):
        assert expected_maximum(n) == 0.0
