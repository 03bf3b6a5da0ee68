import numpy as np
import pytest

from experiments.statistics.errors import NotComputedError, SampleError, SettingsError
from experiments.statistics.quantiles import quantile_difference
from experiments.statistics.sketches import QuantileSketch


def arms(seed, n=400, m=500, lift=0.0):
    rng = np.random.default_rng(seed)
    return rng.standard_t(4, n), rng.standard_t(4, m) + lift


class TestQuantileDifference:
    @pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
    def test_scatters_as_much_as_the_bootstrap_of_values(self, p):
        a, b = arms(0)
        rng = np.random.default_rng(1)
        upper, lower = (
            np.quantile(rng.choice(x, (4_000, x.size)), p, axis=1, method="inverted_cdf")
            for x in (b, a)
        )
        drawn = upper - lower

        found = quantile_difference(a, b, p)

        assert found.difference == pytest.approx(np.quantile(b, p) - np.quantile(a, p))
        assert found.standard_error == pytest.approx(drawn.std(), rel=0.08)
        low, high = np.quantile(drawn, [0.025, 0.975])
        assert (found.lower, found.upper) == pytest.approx((low, high), abs=0.25 * drawn.std())

    def test_of_sketches_is_near_that_of_values_and_no_narrower(self):
        a, b = arms(2, lift=0.3)
        exact = quantile_difference(a, b, 0.5)

        found = quantile_difference(QuantileSketch.of(a), QuantileSketch.of(b), 0.5)

        assert found.difference == pytest.approx(exact.difference, abs=0.01)
        assert found.lower <= exact.lower + 1e-9
        assert found.upper >= exact.upper - 1e-9

    @pytest.mark.slow
    @pytest.mark.parametrize("p", [0.25, 0.5, 0.95])
    def test_rejects_equal_arms_as_often_as_it_says(self, p):
        rejected = [
            quantile_difference(*arms(seed), p, n_resamples=999).p_value <= 0.05
            for seed in range(1_000)
        ]

        assert 0.025 <= np.mean(rejected) <= 0.07

    def test_is_never_certain(self):
        a, b = arms(3, lift=50.0)

        assert quantile_difference(a, b, 0.5).p_value == pytest.approx(2e-4)

    def test_refuses_what_determines_nothing(self):
        a, b = arms(4)
        with pytest.raises(NotComputedError, match="fewer than five"):
            quantile_difference(a, b, 0.995)
        with pytest.raises(NotComputedError, match="vary"):
            quantile_difference(np.ones(50), np.ones(50), 0.5)
        with pytest.raises(SampleError):
            quantile_difference(a, np.append(b, np.nan), 0.5)
        with pytest.raises(SettingsError):
            quantile_difference(a, b, 1.0)
