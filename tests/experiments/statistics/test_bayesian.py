import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import betaln

from experiments.statistics.bayesian import (
    chance_of_difference,
    compare_posteriors,
    effect_prior,
    equivalence,
    normal_effect,
    proportion_prior,
)
from experiments.statistics.errors import NotComputedError, SampleError, SettingsError
from experiments.statistics.posteriors import Beta, Normal, NormalInverseGamma
from experiments.statistics.proportions import Proportion


def chance_of_whole_parameters(a, b):
    """Return P(B > A) of beta laws by the sum for a whole alpha of B."""
    i = np.arange(int(b.alpha))
    logs = betaln(a.alpha + i, a.beta + b.beta) - np.log(b.beta + i)
    logs -= betaln(1 + i, b.beta) + betaln(a.alpha, a.beta)
    return np.exp(logs).sum()


class TestComparePosteriors:
    @pytest.mark.parametrize(
        ("a", "b"),
        [
            ((11, 91), (13, 89)),
            ((1, 1), (1, 1)),
            ((2, 900), (9, 800)),
            ((501, 4_501), (601, 4_401)),
        ],
    )
    def test_agrees_with_the_sum_for_beta_laws(self, a, b):
        laws = [Beta(*map(float, law)) for law in (a, b)]

        found = compare_posteriors(laws)

        assert found.probability_best[1] == pytest.approx(
            chance_of_whole_parameters(*laws), abs=1e-8
        )

    @pytest.mark.parametrize(("a", "b"), [((11, 91), (13, 89)), ((2, 900), (9, 800))])
    def test_has_the_closed_form_of_the_loss(self, a, b):
        a, b = Beta(*map(float, a)), Beta(*map(float, b))
        loss_of_b = a.mean * (1 - chance_of_whole_parameters(Beta(a.alpha + 1, a.beta), b))
        loss_of_b -= b.mean * (1 - chance_of_whole_parameters(a, Beta(b.alpha + 1, b.beta)))

        found = compare_posteriors([a, b])

        assert found.expected_loss[1] == pytest.approx(loss_of_b, abs=1e-9)

    def test_agrees_with_simulation_for_laws_of_several_families(self):
        laws = [Normal(0.0, 1.0), NormalInverseGamma(0.2, 5.0, 2.5, 3.0), Normal(0.1, 0.05)]
        rng, n = np.random.default_rng(0), 400_000
        drawn = np.stack(
            [
                rng.normal(0.0, 1.0, n),
                0.2 + laws[1].deviation * rng.standard_t(5.0, n),
                rng.normal(0.1, 0.05, n),
            ]
        )

        found = compare_posteriors(laws)

        shares = np.bincount(drawn.argmax(axis=0), minlength=3) / n
        np.testing.assert_allclose(found.probability_best, shares, atol=3e-3)
        losses = (drawn.max(axis=0) - drawn).mean(axis=1)
        np.testing.assert_allclose(found.expected_loss, losses, atol=5e-3)

    @given(st.lists(st.tuples(st.floats(-2, 2), st.floats(0.01, 3)), min_size=2, max_size=6))
    @settings(deadline=None, max_examples=30)
    def test_adds_up_and_its_mirror_image_is_the_same(self, laws):
        found = compare_posteriors([Normal(*law) for law in laws])
        mirrored = compare_posteriors([Normal(-m, s) for m, s in laws], direction="decrease")

        assert found.probability_best.sum() == pytest.approx(1.0)
        assert np.all(found.expected_loss >= 0.0)
        np.testing.assert_allclose(found.probability_best, mirrored.probability_best, atol=1e-9)
        np.testing.assert_allclose(found.expected_loss, mirrored.expected_loss, atol=1e-9)

    def test_does_not_cancel_for_a_clear_winner(self):
        found = compare_posteriors([Normal(0.0, 1.0), Normal(10.0, 1.0)])

        s, z = np.sqrt(2.0), 10.0 / np.sqrt(2.0)
        exact = s * stats.norm.pdf(z) - 10.0 * stats.norm.sf(z)
        assert found.expected_loss[1] == pytest.approx(exact, rel=1e-4)

    def test_refuses_one_arm_and_laws_without_an_expected_value(self):
        with pytest.raises(SettingsError):
            compare_posteriors([Normal(0.0, 1.0)])
        with pytest.raises(NotComputedError):
            compare_posteriors([Normal(0.0, 1.0), NormalInverseGamma(0.0, 1.0, 0.5, 1.0)])


class TestEquivalence:
    def test_agrees_with_the_law_of_a_normal_difference(self):
        found = equivalence(Normal(0.0, 3.0), Normal(1.0, 4.0), region=2.0)

        law = stats.norm(1.0, 5.0)
        assert found.below == pytest.approx(law.cdf(-2.0), abs=1e-9)
        assert found.above == pytest.approx(law.sf(2.0), abs=1e-9)
        assert found.below + found.inside + found.above == pytest.approx(1.0)
        assert chance_of_difference(Normal(0.0, 3.0), Normal(1.0, 4.0), 0.0) == pytest.approx(
            law.sf(0.0), abs=1e-9
        )


class TestNormalEffect:
    def test_has_the_risks_of_the_formula(self):
        found = normal_effect(0.4, 0.3, prior=Normal(0.0, 0.2))

        weights = 1 / 0.2**2, 1 / 0.3**2
        mean, s = 0.4 * weights[1] / sum(weights), sum(weights) ** -0.5
        z = mean / s
        assert (found.posterior.mean, found.posterior.deviation) == pytest.approx((mean, s))
        assert found.chance_to_win == pytest.approx(stats.norm.cdf(z))
        expected = s * stats.norm.pdf(z) - mean * stats.norm.sf(z)
        assert found.risk_of_shipping == pytest.approx(expected)
        assert found.risk_of_keeping == pytest.approx(expected + mean)
        assert found.warnings == ()

    def test_warns_of_a_flat_prior(self):
        found = normal_effect(0.4, 0.3)

        assert found.posterior == Normal(0.4, 0.3)
        assert "Flat prior" in found.warnings[0]

    @pytest.mark.parametrize("wrong", [(np.nan, 1.0), (0.0, 0.0), (0.0, np.inf)])
    def test_refuses_what_is_no_estimate(self, wrong):
        with pytest.raises(SettingsError):
            normal_effect(*wrong)


class TestEffectPrior:
    def test_solves_the_equation_of_paule_and_mandel(self):
        rng = np.random.default_rng(1)
        se = rng.uniform(0.1, 0.5, 40)
        d = rng.normal(0.2, 0.4, 40) + rng.normal(0.0, se)

        found = effect_prior(d, se)

        weights = 1 / (se**2 + found.deviation**2)
        assert weights @ (d - found.mean) ** 2 == pytest.approx(39.0)
        assert found.mean == pytest.approx(np.average(d, weights=weights))

    def test_recovers_the_law_of_many_experiments(self):
        rng = np.random.default_rng(2)
        se = rng.uniform(0.1, 0.5, 20_000)
        d = rng.normal(0.2, 0.4, 20_000) + rng.normal(0.0, se)

        found = effect_prior(d, se)

        assert (found.mean, found.deviation) == pytest.approx((0.2, 0.4), abs=0.01)

    def test_agrees_with_statsmodels(self):
        from statsmodels.stats.meta_analysis import combine_effects

        rng = np.random.default_rng(3)
        se = rng.uniform(0.1, 0.5, 15)
        d = rng.normal(0.0, 0.5, 15) + rng.normal(0.0, se)

        expected = combine_effects(d, se**2, method_re="iterated", atol=1e-12)

        assert effect_prior(d, se).deviation ** 2 == pytest.approx(expected.tau2, rel=1e-4)

    def test_is_wider_where_it_is_to_be_certain(self):
        """The Q-profile: as often as said the deviation is no smaller than the true one."""
        rng, n_below = np.random.default_rng(6), 0
        for _ in range(300):
            se = rng.uniform(0.3, 0.6, 8)
            d = rng.normal(0.2, 1.0, 8) + se * rng.standard_normal(8)
            likely, certain = effect_prior(d, se), effect_prior(d, se, certainty=0.9)
            assert certain.deviation > likely.deviation
            of_mean = 1.0 / np.sum(1.0 / (se**2 + certain.deviation**2))
            n_below += certain.deviation**2 - of_mean < 0.9

        assert n_below / 300 <= 0.1 + 2.5 * np.sqrt(0.1 * 0.9 / 300)

    def test_refuses_what_determines_nothing(self):
        with pytest.raises(NotComputedError, match="fewer than three"):
            effect_prior([0.1, 0.2], [0.1, 0.1])
        with pytest.raises(NotComputedError, match="errors explain"):
            effect_prior([0.1, 0.1, 0.1], [0.1, 0.1, 0.1])
        with pytest.raises(SampleError):
            effect_prior([0.1, 0.2, 0.3], [0.1, 0.0, 0.1])


class TestProportionPrior:
    def test_recovers_the_law_of_many_arms(self):
        rng = np.random.default_rng(4)
        history = [Proportion(rng.binomial(500, p), 500) for p in rng.beta(20.0, 180.0, 400)]

        found = proportion_prior(history)

        assert found.mean == pytest.approx(0.1, abs=0.003)
        assert found.alpha + found.beta == pytest.approx(200.0, rel=0.25)

    def test_refuses_what_determines_nothing(self):
        with pytest.raises(NotComputedError, match="fewer than three"):
            proportion_prior([Proportion(1, 2)] * 2)
        with pytest.raises(NotComputedError, match="chance explains"):
            proportion_prior([Proportion(10, 100)] * 5)
        with pytest.raises(NotComputedError, match="same value"):
            proportion_prior([Proportion(0, 100)] * 5)
        with pytest.raises(NotComputedError, match="no units"):
            proportion_prior([Proportion(0, 0), Proportion(1, 3), Proportion(2, 3)])
