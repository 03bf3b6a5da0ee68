import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from experiments.statistics.errors import NotComputedError, SampleError, SettingsError, ShapeError
from experiments.statistics.frequentist import (
    mann_whitney,
    paired_t,
    ratio_difference,
    relative_lift,
    t_of_differences,
    welch,
)
from experiments.statistics.summaries import Moments

samples = arrays(np.float64, st.integers(3, 30), elements=st.floats(-10.0, 10.0), unique=True)


def arms(seed, n=40, m=55, lift=0.3):
    rng = np.random.default_rng(seed)
    return rng.normal(2.0, 1.0, n), rng.normal(2.0 + lift, 2.0, m)


class TestWelch:
    @pytest.mark.parametrize("seed", range(4))
    def test_agrees_with_scipy(self, seed):
        a, b = arms(seed)
        expected = stats.ttest_ind(b, a, equal_var=False)
        low, high = expected.confidence_interval(0.9)

        found = welch(a, b, confidence=0.9)

        assert found.statistic == pytest.approx(expected.statistic)
        assert found.p_value == pytest.approx(expected.pvalue)
        assert found.freedom == pytest.approx(expected.df)
        assert (found.lower, found.upper) == pytest.approx((low, high))

    def test_gives_the_same_from_sufficient_statistics(self):
        a, b = arms(5)

        found = welch(Moments.of(a[:9]).merged(Moments.of(a[9:])), Moments.of(b))

        assert found.p_value == pytest.approx(welch(a, b).p_value)

    @given(samples, samples)
    @settings(deadline=None)
    def test_turns_its_sign_with_the_arms(self, a, b):
        assume(np.ptp(a) + np.ptp(b) > 1e-100)  # squares of less are nothing
        one, other = welch(a, b), welch(b, a)

        assert (one.difference, one.lower) == pytest.approx((-other.difference, -other.upper))
        assert one.p_value == pytest.approx(other.p_value)

    def test_is_never_certain(self):
        a, b = arms(6, n=4_000, m=4_000, lift=5.0)

        assert 0.0 < welch(a, b).p_value < 1e-300

    @pytest.mark.parametrize(
        ("a", "b", "error", "because"),
        [
            ([1.0], [1.0, 2.0], NotComputedError, "1 of the two observations"),
            ([1.0, 1.0], [2.0, 2.0], NotComputedError, "vary"),
            ([0.1] * 7, [0.1] * 7, NotComputedError, "vary"),
            ([1.0, np.nan], [2.0, 3.0], SampleError, "missing"),
            ([1.0, np.inf], [2.0, 3.0], SampleError, "infinite"),
            ([], [2.0, 3.0], ShapeError, "empty"),
        ],
    )
    def test_refuses_what_determines_nothing(self, a, b, error, because):
        with pytest.raises(error, match=because):
            welch(a, b)

    @pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, math.nan])
    def test_refuses_levels_outside_their_domain(self, confidence):
        with pytest.raises(SettingsError):
            welch([1.0, 2.0], [2.0, 4.0], confidence=confidence)


class TestPairedT:
    def test_agrees_with_scipy(self):
        a, b = arms(7, m=40)
        expected = stats.ttest_rel(b, a)

        found = paired_t(a, b)

        assert found.p_value == pytest.approx(expected.pvalue)
        interval = expected.confidence_interval(0.95)
        assert (found.lower, found.upper) == pytest.approx((interval.low, interval.high))
        assert t_of_differences(Moments.of(b - a)).p_value == pytest.approx(found.p_value)

    def test_refuses_arms_that_do_not_pair(self):
        with pytest.raises(ShapeError):
            paired_t([1.0, 2.0], [1.0])

    def test_refuses_differences_that_do_not_vary(self):
        with pytest.raises(NotComputedError):
            paired_t([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])


class TestRatioDifference:
    def test_agrees_with_the_linearized_values(self):
        rng = np.random.default_rng(8)
        values = []
        for n, rate in ((300, 0.5), (400, 0.6)):
            x = rng.poisson(5.0, n) + 1.0
            values.append((rate * x + rng.normal(size=n), x))
        linear = [(y - y.mean() / x.mean() * x) / x.mean() for y, x in values]
        error = math.sqrt(sum(z.var(ddof=1) / z.size for z in linear))

        found = ratio_difference(*(Moments.of(y, x) for y, x in values))

        (y0, x0), (y1, x1) = values
        assert found.difference == pytest.approx(y1.sum() / x1.sum() - y0.sum() / x0.sum())
        assert found.standard_error == pytest.approx(error)
        assert found.warnings == ()

    def test_is_welch_when_every_denominator_is_one(self):
        a, b = arms(9)

        found = ratio_difference(Moments.of(a, np.ones(a.size)), Moments.of(b, np.ones(b.size)))

        assert found.p_value == pytest.approx(welch(a, b).p_value)

    def test_warns_of_a_denominator_near_zero(self):
        rng = np.random.default_rng(10)
        found = ratio_difference(
            *(Moments.of(rng.normal(size=50), rng.normal(0.1, 1.0, 50)) for _ in range(2))
        )

        assert "misleads" in found.warnings[0]

    def test_refuses_a_denominator_of_zero(self):
        with pytest.raises(NotComputedError, match="denominator"):
            ratio_difference(Moments.of([1.0, 2.0], [1.0, -1.0]), Moments.of([1.0, 2.0], [1.0, 1]))


class TestRelativeLift:
    def test_has_the_variance_of_the_delta_method(self):
        a, b = arms(11)
        m, v = (a.mean(), b.mean()), (a.var(ddof=1) / a.size, b.var(ddof=1) / b.size)

        found = relative_lift(a, b)

        assert found.difference == pytest.approx(m[1] / m[0] - 1)
        assert found.standard_error**2 == pytest.approx(
            v[1] / m[0] ** 2 + v[0] * m[1] ** 2 / m[0] ** 4
        )
        assert found.warnings == ()

    def test_warns_of_a_baseline_near_zero_as_returns_have_it(self):
        rng = np.random.default_rng(12)
        r = rng.normal(0.0003, 0.01, (2, 500))

        assert "baseline" in relative_lift(*r).warnings[0]

    def test_refuses_a_baseline_of_zero(self):
        with pytest.raises(NotComputedError):
            relative_lift([-1.0, 1.0], [1.0, 2.0])


class TestMannWhitney:
    @pytest.mark.parametrize("digits", [1, 12])
    def test_agrees_with_scipy(self, digits):
        a, b = (np.round(x, digits) for x in arms(13))
        expected = stats.mannwhitneyu(b, a)

        found = mann_whitney(a, b)

        assert found.p_value == pytest.approx(expected.pvalue)
        wins = np.mean(np.sign(b[:, None] - a[None, :]) + 1) / 2
        assert found.difference == pytest.approx(wins - 0.5)
        assert found.lower < found.difference < found.upper

    def test_has_newcombes_interval(self):
        # Newcombe's worked variance at the limits: the limit is z errors from the estimate.
        a, b = arms(14, n=20, m=30)
        found = mann_whitney(a, b)

        for limit in (found.lower + 0.5, found.upper + 0.5):
            inner = 1 + 24 * ((1 - limit) / (2 - limit) + limit / (1 + limit))
            error = math.sqrt(limit * (1 - limit) * inner / 600)
            assert abs(limit - found.difference - 0.5) == pytest.approx(1.959964 * error, rel=1e-6)

    def test_has_an_interval_inside_the_domain_when_arms_do_not_overlap(self):
        found = mann_whitney(np.arange(10.0), np.arange(20.0, 32.0))

        assert 0.0 < found.lower < found.upper == 0.5

    def test_refuses_values_that_are_all_equal(self):
        with pytest.raises(NotComputedError):
            mann_whitney([1.0, 1.0], [1.0, 1.0])
        with pytest.raises(NotComputedError):
            mann_whitney([1.0], [1.0, 2.0])
