import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from experiments.bandits import AllocationLimits, ArmError, LimitsError, SettingsError

shares = st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8).filter(lambda s: sum(s) > 0.01)


def normalized(weights):
    return np.array(weights) / np.sum(weights)


class TestAllocationLimits:
    def test_raises_all_arms_by_the_floor(self):
        allocation = AllocationLimits(floor=0.1).applied([0.0, 0.25, 0.75])

        np.testing.assert_allclose(allocation, [0.1, 0.275, 0.625])

    def test_gives_what_is_above_the_cap_to_the_others_in_proportion(self):
        allocation = AllocationLimits(cap=0.4).applied([0.1, 0.6, 0.3])

        np.testing.assert_allclose(allocation, [0.2, 0.4, 0.4])

    def test_leaves_the_control_without_a_cap(self):
        np.testing.assert_allclose(AllocationLimits(cap=0.3).applied([0.9, 0.05, 0.05])[0], 0.9)

    def test_shortens_a_step_for_all_arms_alike(self):
        limits = AllocationLimits(max_step=0.1)

        allocation = limits.applied([0.9, 0.1, 0.0], previous=[0.5, 0.25, 0.25])

        np.testing.assert_allclose(allocation, [0.6, 0.2125, 0.1875])

    def test_brings_an_allocation_under_a_new_cap_at_once(self):
        limits = AllocationLimits(cap=0.2, max_step=0.05)

        allocation = limits.applied([0.1, 0.9], previous=[0.3, 0.7])

        np.testing.assert_allclose(allocation, [0.8, 0.2])

    @given(shares, st.floats(0.0, 1.0), st.floats(0.1, 1.0), st.floats(0.01, 1.0), st.data())
    def test_are_kept_by_every_allocation(self, weights, part, cap, step, data):
        n_arms = len(weights)
        floor = min(part / n_arms, cap)
        limits = AllocationLimits(floor=floor, cap=cap, max_step=step)
        other = data.draw(st.lists(st.floats(0.0, 1.0), min_size=n_arms, max_size=n_arms))
        assume(sum(other) > 0.01)
        before = limits.applied(normalized(other))

        after = limits.applied(normalized(weights), previous=before)

        assert after.sum() == pytest.approx(1.0, abs=1e-12)
        assert after.min() >= floor - 1e-9
        assert after[1:].max() <= cap + 1e-9
        assert np.abs(after - before).max() <= step + 1e-9

    @given(shares, st.floats(0.0, 1.0), st.floats(0.5, 1.0))
    def test_keep_the_order_of_arms_with_equal_caps(self, weights, part, cap):
        floor = part / len(weights)
        limits = AllocationLimits(floor=min(floor, cap), cap=cap, control=None)
        asked = normalized(weights)

        allocation = limits.applied(asked)

        order = np.argsort(asked, kind="stable")
        assert np.all(np.diff(allocation[order]) >= -1e-12)

    @pytest.mark.parametrize(
        "wrong", [{"floor": -0.1}, {"cap": 0.0}, {"max_step": 0.0}, {"floor": float("nan")}]
    )
    def test_refuse_settings_that_cannot_be(self, wrong):
        with pytest.raises(SettingsError):
            AllocationLimits(**wrong)

    @pytest.mark.parametrize(
        "limits",
        [{"floor": 0.4}, {"cap": 0.3, "control": None}, {"control": 5}],
    )
    def test_refuse_limits_that_nothing_fulfills(self, limits):
        with pytest.raises(LimitsError):
            AllocationLimits(**limits).applied([0.2, 0.3, 0.5])

    def test_refuse_a_floor_above_the_cap(self):
        with pytest.raises(LimitsError):
            AllocationLimits(floor=0.3, cap=0.2)

    @pytest.mark.parametrize("wrong", [[0.5, 0.6], [1.1, -0.1], [np.nan, 1.0], [1.0]])
    def test_refuse_weights_that_are_no_allocation(self, wrong):
        with pytest.raises(ArmError):
            AllocationLimits().applied(wrong)
