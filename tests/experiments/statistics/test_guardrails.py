import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics.errors import SettingsError
from experiments.statistics.frequentist import welch
from experiments.statistics.guardrails import judge_equivalence, judge_guardrail


def limits(lower, upper):
    return SimpleNamespace(lower=lower, upper=upper)


class TestJudgeGuardrail:
    @pytest.mark.parametrize(
        ("lower", "upper", "direction", "status"),
        [
            (-0.010, 0.001, "decrease", "held"),
            (0.003, 0.010, "decrease", "breached"),
            (0.001, 0.003, "decrease", "open"),
            (-0.001, 0.010, "increase", "held"),
            (-0.010, -0.003, "increase", "breached"),
            (-0.003, 0.010, "increase", "open"),
            (-math.inf, math.inf, "increase", "open"),
        ],
    )
    def test_says_on_which_side_of_its_margin_the_harm_is(self, lower, upper, direction, status):
        found = judge_guardrail(limits(lower, upper), direction=direction, margin=0.002)

        assert found.status == status
        assert "margin 0.002" in found.because

    @given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 0.5))
    def test_does_not_depend_on_which_way_is_called_good(self, lower, width, margin):
        upper = lower + width

        one = judge_guardrail(limits(lower, upper), direction="decrease", margin=margin)
        other = judge_guardrail(limits(-upper, -lower), direction="increase", margin=margin)

        assert one.status == other.status

    def test_takes_estimates(self):
        found = welch([0.0, 1.0, 2.0] * 50, [0.1, 1.1, 2.1] * 50)

        assert judge_guardrail(found, direction="increase", margin=0.2).status == "held"

    @pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf])
    def test_refuses_margins_that_cannot_be(self, margin):
        with pytest.raises(SettingsError):
            judge_guardrail(limits(0.0, 1.0), direction="increase", margin=margin)

    def test_refuses_limits_that_are_no_interval(self):
        with pytest.raises(SettingsError):
            judge_guardrail(limits(1.0, 0.0), direction="increase", margin=0.1)
        with pytest.raises(SettingsError):
            judge_guardrail(limits(math.nan, 0.0), direction="increase", margin=0.1)
        with pytest.raises(SettingsError):
            judge_guardrail(limits(0.0, 1.0), direction="up", margin=0.1)


class TestJudgeEquivalence:
    @pytest.mark.parametrize(
        ("lower", "upper", "status"),
        [
            (-0.5, 0.5, "equivalent"), (1.5, 2.0, "different"), (-2.0, -1.1, "different"),
            (0.5, 1.5, "open"), (-3.0, 3.0, "open"),
        ],
    )  # fmt: skip
    def test_says_whether_all_of_the_interval_is_inside(self, lower, upper, status):
        assert judge_equivalence(limits(lower, upper), region=1.0) == status

    def test_refuses_a_region_of_nothing(self):
        with pytest.raises(SettingsError):
            judge_equivalence(limits(0.0, 1.0), region=0.0)
