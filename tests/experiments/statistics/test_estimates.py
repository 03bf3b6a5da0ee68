import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics.errors import NotComputedError, SettingsError
from experiments.statistics.estimates import student_estimate, two_sided


def estimate(difference=0.5, variance=0.04, **settings):
    return student_estimate(
        difference, variance, **({"confidence": 0.95, "method": "by hand"} | settings)
    )


class TestStudentEstimate:
    @pytest.mark.parametrize("freedom", [1.5, 12.0, math.inf])
    def test_has_the_interval_of_the_student_law(self, freedom):
        law = stats.norm() if math.isinf(freedom) else stats.t(freedom)

        found = estimate(freedom=freedom)

        reach = 0.2 * law.ppf(0.975)
        assert (found.lower, found.upper) == pytest.approx((0.5 - reach, 0.5 + reach))
        assert found.p_value == pytest.approx(2 * law.sf(2.5))

    @given(st.floats(-5, 5), st.floats(0.01, 10), st.floats(0.5, 200), st.floats(0.5, 0.999))
    def test_excludes_zero_exactly_when_it_rejects(self, difference, variance, freedom, confidence):
        found = estimate(difference, variance, freedom=freedom, confidence=confidence)

        if abs(found.p_value - (1 - confidence)) > 1e-9:
            excludes = not found.lower <= 0.0 <= found.upper
            assert excludes == (found.p_value < 1 - confidence)

    def test_adds_warnings_that_say_something(self):
        assert estimate().warned("", "look").warned("again").warnings == ("look", "again")

    @pytest.mark.parametrize(
        "wrong",
        [{"variance": 0.0}, {"variance": math.nan}, {"difference": math.inf}, {"freedom": 0.0}],
    )
    def test_is_not_computed_without_variance_or_freedom(self, wrong):
        with pytest.raises(NotComputedError):
            estimate(**wrong)

    def test_refuses_levels_outside_their_domain(self):
        with pytest.raises(SettingsError):
            estimate(confidence=1.0)


class TestTwoSided:
    def test_is_never_zero(self):
        assert two_sided(100.0, math.inf) > 0.0
        assert two_sided(0.0, 3.0) == 1.0
