import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import xlogy

from experiments.statistics.errors import NotComputedError, SampleError
from experiments.statistics.proportions import (
    Proportion,
    chi_square,
    fisher_exact,
    two_proportions,
)
from experiments.statistics.summaries import Moments

counts = st.tuples(st.integers(0, 30), st.integers(1, 30), st.integers(0, 30), st.integers(1, 30))


class TestProportion:
    def test_comes_from_values_and_moments(self):
        values = [1.0, 0.0, 1.0, 1.0]

        assert Proportion.of(values) == Proportion.of(Moments.of(values)) == Proportion(3, 4)

    @pytest.mark.parametrize("values", [[0.5, 1.0], [2.0, 0.0], [-1.0, 1.0]])
    def test_refuses_values_other_than_yes_and_no(self, values):
        for sample in (values, Moments.of(values)):
            with pytest.raises(SampleError):
                Proportion.of(sample)

    @pytest.mark.parametrize("wrong", [(5, 4), (-1, 4), (0.5, 4), (np.nan, 4), (1, np.inf)])
    def test_refuses_counts_that_cannot_be(self, wrong):
        with pytest.raises(SampleError):
            Proportion(*wrong)

    @pytest.mark.parametrize(("k", "n"), [(0, 20), (1, 40), (7, 30), (200, 200)])
    def test_has_the_interval_of_clopper_and_pearson(self, k, n):
        expected = stats.binomtest(k, n).proportion_ci(0.9, method="exact")

        np.testing.assert_allclose(Proportion(k, n).interval(0.9), expected, rtol=1e-12)

    def test_has_no_interval_of_nothing(self):
        with pytest.raises(NotComputedError):
            Proportion(0, 0).interval()


class TestTwoProportions:
    def test_agrees_with_statsmodels(self):
        from statsmodels.stats.proportion import proportions_ztest

        z, p = proportions_ztest([60, 40], [500, 480])

        found = two_proportions(Proportion(40, 480), Proportion(60, 500))

        assert (found.statistic, found.p_value) == pytest.approx((z, p))
        assert found.warnings == ()

    @pytest.mark.parametrize("four", [(40, 480, 60, 500), (3, 200, 9, 50), (0, 20, 5, 25)])
    def test_has_limits_one_quantile_from_the_likeliest_shares(self, four):
        # statsmodels 0.15 fits other shares at the limits, which are less likely than these.
        from scipy.optimize import minimize_scalar

        s0, n0, s1, n1 = four
        found = two_proportions(Proportion(s0, n0), Proportion(s1, n1))

        for limit in (found.lower, found.upper):
            fit = minimize_scalar(
                lambda p, d=limit: -(
                    xlogy(s0, p) + xlogy(n0 - s0, 1 - p) + xlogy(s1, p + d)
                    + xlogy(n1 - s1, 1 - p - d)
                ),
                bounds=(max(1e-12, 1e-12 - limit), min(1.0, 1.0 - limit) - 1e-12),
                method="bounded",
                options={"xatol": 1e-12},
            )  # fmt: skip
            p0, p1 = fit.x, fit.x + limit
            error = np.sqrt(p0 * (1 - p0) / n0 + p1 * (1 - p1) / n1)
            assert abs(found.difference - limit) == pytest.approx(1.959964 * error, rel=1e-4)

    def test_squares_to_the_chi_square(self):
        found = two_proportions(Proportion(7, 40), Proportion(15, 45))

        assert found.statistic**2 == pytest.approx(chi_square([[7, 33], [15, 30]]).statistic)

    @given(counts)
    @settings(deadline=None)
    def test_excludes_zero_exactly_when_it_rejects(self, four):
        a, b = Proportion(four[0], four[0] + four[1]), Proportion(four[2], four[2] + four[3])
        if four[0] + four[2] == 0:
            return

        found = two_proportions(a, b)

        assert -1.0 <= found.lower <= found.difference <= found.upper <= 1.0
        if abs(found.p_value - 0.05) > 1e-6:
            assert (found.p_value < 0.05) == (not found.lower <= 0.0 <= found.upper)

    def test_warns_of_few_counts(self):
        assert two_proportions(Proportion(1, 10), Proportion(3, 10)).warnings

    @pytest.mark.parametrize("successes", [(0, 0), (10, 12)])
    def test_refuses_when_every_unit_is_alike(self, successes):
        with pytest.raises(NotComputedError, match="same value"):
            two_proportions(Proportion(successes[0], 10), Proportion(successes[1], 12))

    def test_refuses_an_arm_without_units(self):
        with pytest.raises(NotComputedError, match="no units"):
            two_proportions(Proportion(0, 0), Proportion(1, 3))


class TestChiSquare:
    @pytest.mark.parametrize("table", [[[7, 33], [15, 30]], [[10, 20, 30], [6, 9, 17], [5, 5, 9]]])
    @pytest.mark.parametrize("is_corrected", [False, True])
    def test_agrees_with_scipy(self, table, is_corrected):
        expected = stats.chi2_contingency(table, correction=is_corrected)

        found = chi_square(table, is_corrected=is_corrected)

        assert (found.statistic, found.p_value, found.freedom) == pytest.approx(expected[:3])

    @pytest.mark.parametrize("wrong", [[[0, 0], [1, 2]], [[0, 1], [0, 2]], [[1, 2]]])
    def test_refuses_tables_without_counts(self, wrong):
        with pytest.raises(NotComputedError):
            chi_square(wrong)

    @pytest.mark.parametrize(
        "wrong", [[[0.5, 1], [1, 2]], [[-1, 1], [1, 2]], [[np.nan, 1], [1, 2]]]
    )
    def test_refuses_what_is_no_count(self, wrong):
        with pytest.raises(SampleError):
            chi_square([[wrong, 1], [1, 2]])


class TestFisherExact:
    @given(counts)
    @settings(deadline=None, max_examples=50)
    def test_agrees_with_scipy(self, four):
        expected = stats.fisher_exact([[four[0], four[1]], [four[2], four[3]]])

        found = fisher_exact(
            Proportion(four[0], four[0] + four[1]), Proportion(four[2], four[2] + four[3])
        )

        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6)

    def test_has_the_value_of_the_lady_tasting_tea(self):
        # Fisher 1935: three of four cups right; 34/70 two-sided.
        assert fisher_exact(Proportion(1, 4), Proportion(3, 4)).p_value == pytest.approx(34 / 70)
