"""Intervals that hold together: the printed tables of Dunnett, scipy, and what bounds them."""

import numpy as np
import pytest
from scipy import stats

from experiments.statistics import SettingsError, confidence_of_each


def alike(k, correlation=0.5):
    return np.full((k, k), correlation) + (1.0 - correlation) * np.eye(k)


class TestConfidenceOfEach:
    @pytest.mark.parametrize(
        ("k", "printed"), [(2, 2.21), (3, 2.35), (4, 2.44), (5, 2.51), (7, 2.61), (9, 2.69)]
    )
    def test_is_dunnetts_table_where_errors_are_known(self, k, printed):
        """Two-sided 5 %, infinitely many degrees of freedom: Dunnett (1964), Biometrics 20."""
        found = confidence_of_each(alike(k), freedom=np.inf)

        assert stats.norm.ppf((1.0 + found) / 2.0) == pytest.approx(printed, abs=0.02)

    def test_agrees_with_scipy_on_many_units(self):
        rng = np.random.default_rng(2)
        arms = [rng.standard_normal(400) for _ in range(4)]
        dunnett = stats.dunnett(*arms[1:], control=arms[0], rng=np.random.default_rng(1))
        high = dunnett.confidence_interval(0.95).high
        pooled = np.sqrt(np.mean([np.var(arm, ddof=1) for arm in arms]))
        reach = (high[0] - (arms[1].mean() - arms[0].mean())) / (pooled * np.sqrt(2.0 / 400))

        found = confidence_of_each(alike(3), freedom=1596.0)

        assert stats.t.ppf((1.0 + found) / 2.0, 1596) == pytest.approx(reach, rel=0.01)

    def test_lies_between_one_estimate_and_bonferroni(self):
        same = confidence_of_each(alike(3, 1.0), freedom=np.inf)
        apart = confidence_of_each(alike(3, 0.0), freedom=np.inf)

        assert same == pytest.approx(0.95, abs=0.003)
        assert apart == pytest.approx(0.95 ** (1 / 3), abs=0.001)  # Sidak's
        assert confidence_of_each(alike(1), freedom=5.0) == pytest.approx(0.95)
        assert confidence_of_each(alike(4), freedom=4.0) == pytest.approx(1.0 - 0.05 / 4)

    def test_holds_for_paired_differences_with_errors_of_their_own(self):
        """Student ratios of 12 periods of three challengers that share a control and a market."""
        rng = np.random.default_rng(3)
        arms = rng.standard_normal((20_000, 12, 4))
        differences = arms[:, :, 1:] - arms[:, :, :1]
        error = differences.std(axis=1, ddof=1) / np.sqrt(12)
        largest = np.abs(differences.mean(axis=1) / error).max(axis=1)

        found = confidence_of_each(alike(3), freedom=11.0)

        missed = np.mean(largest > stats.t.ppf((1.0 + found) / 2.0, 11))
        assert missed == pytest.approx(0.05, abs=2.5 * np.sqrt(0.05 * 0.95 / 20_000) + 0.002)

    @pytest.mark.parametrize("k", [3, 4, 9])
    def test_moves_by_no_more_than_the_last_bit_of_a_correlation(self, k):
        """Outcomes summed in another order: what each interval may miss moved by 3 in 100."""
        noise = np.random.default_rng(5).standard_normal((k, k)) * 2e-16
        summed_anew = alike(k) + (noise + noise.T) * (1.0 - np.eye(k))

        found, again = (confidence_of_each(one, freedom=60.0) for one in (alike(k), summed_anew))

        assert found == confidence_of_each(alike(k), freedom=60.0)
        assert again == pytest.approx(found, abs=1e-12)

    @pytest.mark.parametrize("freedom", [12.0, 60.0])
    def test_is_off_by_no_more_than_is_said(self, freedom):
        """Against draws of every error by itself, from the series that they are of."""
        n, k = int(freedom) + 1, 4
        rng = np.random.default_rng(8)
        root = np.linalg.cholesky(alike(k))
        largest = []
        for _ in range(10):
            series = rng.standard_normal((10_000, n, k)) @ root.T
            error = series.std(axis=1, ddof=1) / np.sqrt(n)
            largest.append(np.abs(series.mean(axis=1) / error).max(axis=1))
        largest = np.concatenate(largest)

        missed = [
            np.mean(largest > stats.t.ppf((1.0 + each) / 2.0, freedom))
            for each in (confidence_of_each(alike(k), freedom=freedom, seed=s) for s in range(12))
        ]

        assert np.mean(missed) == pytest.approx(0.05, abs=0.002)
        assert np.std(missed) < 0.0016

    @pytest.mark.parametrize(
        ("correlation", "freedom"),
        [(np.eye(2) * 2.0, 10.0), (np.full((2, 2), np.nan), 10.0), (np.eye(2), 0.0)],
    )
    def test_refuses_what_is_no_correlation(self, correlation, freedom):
        with pytest.raises(SettingsError):
            confidence_of_each(correlation, freedom=freedom)
