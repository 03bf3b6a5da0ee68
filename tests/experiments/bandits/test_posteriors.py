import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from experiments.bandits import SettingsError
from experiments.bandits.posteriors import (
    BetaPosterior,
    LocationPosterior,
    beta_after,
    beta_posterior,
    nig_after,
    nig_posterior,
    normal_after,
    normal_posterior,
    probability_best,
)

rewards = st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=20)


def beta_first_better(first, second):
    """P(first > second) for whole shapes: the sum of STATISTICS, section 8 (Evan Miller's)."""
    (a, b), (c, d) = second, first
    i = np.arange(c)
    log = special.betaln(a + i, b + d) - np.log(d + i) - special.betaln(1 + i, d)
    return float(np.sum(np.exp(log - special.betaln(a, b))))


class TestBetaAfter:
    def test_adds_successes_and_failures(self):
        assert beta_after(1.0, 2.0, 10.0, 4.0) == (5.0, 8.0)

    def test_compiled_agrees_with_plain_python(self):
        assert beta_after(0.5, 0.5, 7.5, 3.25) == beta_after.py_func(0.5, 0.5, 7.5, 3.25)


class TestNormalAfter:
    def test_weighs_by_precision(self):
        mean, variance = normal_after(1.0, 4.0, 2.0, 6.0, 12.0)

        assert variance == pytest.approx(1.0 / (1 / 4 + 6 / 2))
        assert mean == pytest.approx((1 / 4 + 12 / 2) * variance)


class TestNigAfter:
    def test_matches_an_example_worked_by_hand(self):
        # prior (0, 1, 2, 3), rewards 1, 2, 3: mean 2, sum of squares about it 2
        mean, nu, alpha, beta = nig_after(0.0, 1.0, 2.0, 3.0, 3.0, 6.0, 14.0)

        assert (mean, nu, alpha) == (1.5, 4.0, 3.5)
        assert beta == pytest.approx(3.0 + 0.5 * (2.0 + 1.0 * 3.0 * 4.0 / 4.0))

    @settings(deadline=None)  # kernels compile once
    @given(rewards, rewards)
    def test_in_two_steps_is_the_same_as_in_one(self, first, second):
        def sums(values):
            return len(values), sum(values), sum(v * v for v in values)

        prior = (0.1, 2.0, 1.5, 0.7)

        stepped = nig_after(*nig_after(*prior, *map(float, sums(first))), *map(float, sums(second)))
        joint = nig_after(*prior, *map(float, sums(first + second)))

        np.testing.assert_allclose(stepped, joint, rtol=1e-9, atol=1e-9)

    def test_never_loses_the_scale_of_the_prior_to_rounding(self):
        n, value = 1_000.0, 1e8 + 0.1

        assert nig_after(1e8, 1.0, 1.0, 1e-4, n, n * value, n * value * value)[3] >= 1e-4


class TestProbabilityBest:
    def test_agrees_with_the_sum_for_two_beta_arms(self):
        best = probability_best(BetaPosterior(np.array([31.0, 25.0]), np.array([70.0, 80.0])))

        assert best[0] == pytest.approx(beta_first_better((31, 70), (25, 80)), abs=1e-10)

    def test_agrees_with_the_formula_for_two_normal_arms(self):
        posterior = normal_posterior((0.0, 100.0), 1.0, [50, 80], [10.0, 12.0])

        best = probability_best(posterior)

        z = np.diff(posterior.mean)[0] / np.hypot(*posterior.scale)
        assert best[1] == pytest.approx(stats.norm.cdf(z), abs=1e-10)

    def test_agrees_with_adaptive_quadrature_for_four_t_arms(self):
        posterior = nig_posterior(
            (0.0, 1.0, 1.0, 1.0), [5, 50, 500, 3], [1.0, 9.0, 80.0, 2.0], [4.0, 60.0, 500.0, 9.0]
        )
        laws = [
            stats.t(df, m, s)
            for df, m, s in zip(posterior.degrees, posterior.mean, posterior.scale, strict=True)
        ]

        def density(x, k):
            return laws[k].pdf(x) * np.prod([law.cdf(x) for j, law in enumerate(laws) if j != k])

        expected = [
            integrate.quad(density, -30, 30, args=(k,), limit=500, points=[0, 0.2, 0.4])[0]
            for k in range(4)
        ]
        np.testing.assert_allclose(probability_best(posterior), expected, atol=1e-6)

    def test_sees_a_narrow_arm_beside_a_wide_one(self):
        posterior = LocationPosterior(
            np.array([0.0, 1e-9]), np.array([1.0, 1e-12]), np.full(2, np.inf)
        )

        np.testing.assert_allclose(probability_best(posterior), [0.5, 0.5], atol=1e-8)

    @settings(deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 10_000), st.floats(0.0, 1.0)), min_size=2, max_size=8),
        st.randoms(use_true_random=False),
    )
    def test_sums_to_one_and_follows_the_arms(self, arms, shuffled):
        n = np.array([float(count) for count, _ in arms])
        total = np.floor(n * np.array([share for _, share in arms]))
        order = list(range(len(arms)))
        shuffled.shuffle(order)

        best = probability_best(beta_posterior((1.0, 1.0), n, total))
        moved = probability_best(beta_posterior((1.0, 1.0), n[order], total[order]))

        assert best.sum() == pytest.approx(1.0, abs=1e-12)
        assert best.min() >= 0.0
        np.testing.assert_allclose(best[order], moved, atol=1e-10)

    def test_refuses_a_prior_that_is_none(self):
        with pytest.raises(SettingsError):
            beta_posterior((0.0, 1.0), [1, 1], [1, 0])
