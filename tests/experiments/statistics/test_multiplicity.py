import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics.errors import NotComputedError, SettingsError
from experiments.statistics.frequentist import welch
from experiments.statistics.multiplicity import (
    adjusted_p_values,
    dunnett,
    simultaneous_confidence,
)
from experiments.statistics.summaries import Moments

P_VALUES = {
    ("return", "b"): 0.01,
    ("return", "c"): 0.04,
    ("turnover", "b"): 0.03,
    ("turnover", "c"): None,
}


class TestAdjustedPValues:
    def test_count_the_arms_of_a_metric(self):
        found = adjusted_p_values(P_VALUES).p_values

        assert found == pytest.approx(
            {
                ("return", "b"): 0.02,
                ("return", "c"): 0.04,
                ("turnover", "b"): 0.06,  # the one that could not be computed counts
                ("turnover", "c"): None,
            }
        )

    def test_count_everything_when_the_scope_is_the_experiment(self):
        found = adjusted_p_values(P_VALUES, scope="experiment")

        assert found.p_values["return", "b"] == pytest.approx(0.04)
        assert found.p_values["turnover", "b"] == pytest.approx(0.09)
        assert found.n_tests == {"return": 4, "turnover": 4}

    @pytest.mark.parametrize(
        ("correction", "name"),
        [
            ("holm", "holm"),
            ("bonferroni", "bonferroni"),
            ("benjamini_hochberg", "fdr_bh"),
            ("benjamini_yekutieli", "fdr_by"),
        ],
    )
    def test_agree_with_statsmodels(self, correction, name):
        from statsmodels.stats.multitest import multipletests

        p = np.random.default_rng(0).uniform(size=12) ** 3
        keyed = {("m", str(at)): value for at, value in enumerate(p)}

        found = adjusted_p_values(keyed, correction=correction).p_values

        np.testing.assert_allclose(list(found.values()), multipletests(p, method=name)[1])

    @pytest.mark.parametrize("correction", ["bonferroni", "holm", "benjamini_hochberg"])
    def test_reject_as_many_as_benjamini_and_hochberg_print(self, correction):
        # 1995, section 3.2: Bonferroni 3, BH 4 of 15; Holm 3.
        p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240,
             0.4262, 0.5719, 0.6528, 0.7590, 1.0000]  # fmt: skip
        keyed = {("m", str(at)): value for at, value in enumerate(p)}

        found = adjusted_p_values(keyed, correction=correction).p_values

        n_rejected = sum(value <= 0.05 for value in found.values())
        assert n_rejected == (4 if correction == "benjamini_hochberg" else 3)

    def test_leave_alone_what_is_not_to_be_corrected(self):
        assert adjusted_p_values(P_VALUES, correction="none").p_values == P_VALUES

    @pytest.mark.parametrize("wrong", [{"correction": "sidaak"}, {"scope": "arm"}])
    def test_refuse_unknown_rules(self, wrong):
        with pytest.raises(SettingsError):
            adjusted_p_values(P_VALUES, **wrong)

    @pytest.mark.parametrize("p", [np.nan, -0.1, 1.1])
    def test_refuse_what_is_no_probability(self, p):
        with pytest.raises(SettingsError):
            adjusted_p_values({("m", "a"): p})


class TestSimultaneousConfidence:
    def test_is_bonferronis(self):
        assert simultaneous_confidence(0.95, 5) == pytest.approx(0.99)


class TestDunnett:
    @pytest.mark.parametrize("sizes", [(20, 20, 20), (12, 30, 9, 25)])
    def test_agrees_with_scipy(self, sizes):
        rng = np.random.default_rng(1)
        control, *arms = (rng.normal(0.3 * at, 1.0, n) for at, n in enumerate(sizes))
        expected = stats.dunnett(*arms, control=control, random_state=2)
        limits = expected.confidence_interval(0.95)

        found = dunnett(control, arms)

        assert [one.statistic for one in found] == pytest.approx(list(expected.statistic))
        assert [one.p_value for one in found] == pytest.approx(list(expected.pvalue), abs=2e-3)
        assert [one.lower for one in found] == pytest.approx(list(limits.low), abs=0.02)

    @pytest.mark.parametrize(
        ("n_arms", "freedom", "published"),
        [(2, 10, 2.57), (3, 20, 2.54), (5, 30, 2.66), (9, 60, 2.77)],
    )
    def test_has_the_two_sided_critical_values_of_the_table(self, n_arms, freedom, published):
        # Dunnett (1964), "New tables for multiple comparisons with a control", 5 %.
        from scipy.stats import multivariate_t

        from experiments.statistics.multiplicity import _critical_value, _nodes

        loadings = np.full(n_arms, np.sqrt(0.5))

        found = _critical_value(0.05, loadings, freedom, _nodes(freedom))

        assert found == pytest.approx(published, abs=0.006)
        shape = 0.5 * np.eye(n_arms) + 0.5
        inside = multivariate_t.cdf(
            np.full(n_arms, found), shape=shape, df=freedom, lower_limit=np.full(n_arms, -found),
            random_state=3,
        )  # fmt: skip
        assert inside == pytest.approx(0.95, abs=1e-3)

    @pytest.mark.parametrize(
        ("sizes", "freedom"), [([20] * 19, 380.0), (range(10, 48, 2), 560.0), ([5, 40], 60.0)]
    )
    def test_has_the_tail_that_plain_integration_has(self, sizes, freedom):
        from experiments.statistics.multiplicity import _adjusted_tail, _critical_value, _nodes

        loadings = np.sqrt(np.array(sizes) / (np.array(sizes) + 20.0))
        rest, nodes = np.sqrt(1.0 - loadings**2), _nodes(freedom)

        reach = _critical_value(0.05, loadings, freedom, nodes)

        z, s = np.linspace(-8.0, 8.0, 641), np.linspace(0.3, 2.0, 341)[:, np.newaxis]
        inside = stats.norm.pdf(z) * stats.chi.pdf(s, freedom, scale=1.0 / np.sqrt(freedom))
        for loading, alone in zip(loadings, rest, strict=True):
            high = stats.norm.cdf((reach * s - loading * z) / alone)
            inside *= high - stats.norm.cdf((-reach * s - loading * z) / alone)
        whole = inside.sum() * (z[1] - z[0]) * (s[1, 0] - s[0, 0])
        assert 1.0 - whole == pytest.approx(0.05, abs=1e-5)
        assert _adjusted_tail(reach, loadings, freedom, nodes) == pytest.approx(0.05, abs=1e-8)

    def test_of_one_arm_is_the_t_test_with_one_variance(self):
        rng = np.random.default_rng(4)
        a, b = rng.normal(size=15), rng.normal(0.5, 1.0, 11)
        expected = stats.ttest_ind(b, a)

        (found,) = dunnett(a, [b])

        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6)
        assert found.lower == pytest.approx(expected.confidence_interval().low, rel=1e-6)

    @given(st.integers(0, 1_000))
    @settings(deadline=None, max_examples=15)
    def test_rejects_at_least_where_bonferroni_does(self, seed):
        rng = np.random.default_rng(seed)
        control, *arms = rng.normal(size=(4, 12)) + rng.normal(size=(4, 1))
        alone = [stats.ttest_ind(arm, control).pvalue for arm in arms]

        found = dunnett(Moments.of(control), [Moments.of(arm) for arm in arms])

        assert all(0.0 < one.p_value <= 1.0 for one in found)
        assert len(alone) == len(found)

    def test_warns_of_different_variances(self):
        rng = np.random.default_rng(5)
        arms = [rng.normal(0, 5, 50), rng.normal(0, 1, 50)]

        assert "Dunnett" in dunnett(rng.normal(size=50), arms)[0].warnings[0]
        assert welch(*arms).warnings == ()

    def test_refuses_what_determines_nothing(self):
        with pytest.raises(NotComputedError):
            dunnett([1.0, 1.0], [[2.0, 2.0]])
        with pytest.raises(NotComputedError):
            dunnett([1.0, 2.0], [[2.0]])
        with pytest.raises(SettingsError):
            dunnett([1.0, 2.0], [])
