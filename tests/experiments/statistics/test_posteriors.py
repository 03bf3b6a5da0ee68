import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics.errors import NotComputedError, SettingsError
from experiments.statistics.posteriors import Beta, Normal, NormalInverseGamma, credible_interval
from experiments.statistics.proportions import Proportion
from experiments.statistics.summaries import Moments


class TestBeta:
    def test_counts_successes_and_failures(self):
        assert Beta(1.0, 1.0).updated(Proportion(3, 10)) == Beta(4.0, 8.0)

    def test_is_the_law_of_scipy(self):
        law, expected = Beta(4.0, 8.0), stats.beta(4, 8)
        x = np.array([-0.1, 0.2, 0.5, 1.5])

        np.testing.assert_allclose(law.cdf(x), expected.cdf(x))
        np.testing.assert_allclose(law.quantile(np.array([0.1, 0.9])), expected.ppf([0.1, 0.9]))
        assert law.mean == pytest.approx(expected.mean())


class TestNormal:
    def test_is_the_law_of_scipy(self):
        law, expected = Normal(1.0, 2.0), stats.norm(1, 2)

        np.testing.assert_allclose(law.cdf(np.array([0.0, 3.0])), expected.cdf([0, 3]))
        assert credible_interval(law) == pytest.approx(expected.interval(0.95))

    @given(st.floats(-5, 5), st.floats(0.1, 5), st.floats(-5, 5), st.floats(0.1, 5))
    def test_weighs_by_precision(self, mean, deviation, estimate, error):
        found = Normal(mean, deviation).updated(estimate, error)

        weights = np.array([deviation**-2, error**-2])
        assert found.mean == pytest.approx(weights @ [mean, estimate] / weights.sum(), abs=1e-9)
        assert found.deviation == pytest.approx(weights.sum() ** -0.5)


class TestNormalInverseGamma:
    def test_updates_as_one_by_one(self):
        values = np.random.default_rng(0).normal(size=7)
        law = NormalInverseGamma(0.5, 1.0, 1.0, 1.0)
        for value in values:
            law = law.updated(Moments.of([value]))

        at_once = NormalInverseGamma(0.5, 1.0, 1.0, 1.0).updated(Moments.of(values))

        assert at_once.location == pytest.approx(law.location)
        assert at_once.scale == pytest.approx(law.scale)
        assert at_once.shape == law.shape == 4.5

    def test_has_a_student_law_of_the_mean(self):
        law = NormalInverseGamma(0.5, 3.0, 4.0, 6.0)
        expected = stats.t(8.0, 0.5, np.sqrt(6.0 / 12.0))

        np.testing.assert_allclose(law.cdf(np.array([0.0, 2.0])), expected.cdf([0, 2]))
        assert credible_interval(law, 0.9) == pytest.approx(expected.interval(0.9))

    def test_has_no_expected_mean_with_one_degree_of_freedom(self):
        with pytest.raises(NotComputedError):
            _ = NormalInverseGamma(0.0, 1.0, 0.5, 1.0).mean


@pytest.mark.parametrize(
    ("law", "arguments"),
    [
        (Beta, (0.0, 1.0)),
        (Beta, (1.0, np.inf)),
        (Normal, (np.nan, 1.0)),
        (Normal, (0.0, 0.0)),
        (NormalInverseGamma, (0.0, 1.0, -1.0, 1.0)),
    ],
)
def test_laws_refuse_parameters_outside_their_domain(law, arguments):
    with pytest.raises(SettingsError):
        law(*arguments)
