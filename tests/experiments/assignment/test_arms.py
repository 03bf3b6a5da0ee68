from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.assignment.arms import (
    arm_position,
    arm_positions,
    arm_thresholds,
    least_moved_share,
    moved_share,
)
from experiments.assignment.buckets import N_BUCKETS, buckets_of
from experiments.assignment.errors import SettingsError


def normalized(parts):
    return [part / sum(parts) for part in parts]


def weights_of(n_arms):
    return (
        st.lists(st.integers(0, 100), min_size=n_arms, max_size=n_arms).filter(any).map(normalized)
    )


any_weights = st.integers(2, 6).flatmap(weights_of)
pairs = st.integers(2, 6).flatmap(lambda n_arms: st.tuples(weights_of(n_arms), weights_of(n_arms)))
numbers = st.integers(0, N_BUCKETS - 1)


class TestArmThresholds:
    def test_cuts_in_the_order_of_the_arms(self):
        assert arm_thresholds([0.25, 0.5, 0.25]) == (2**62, 3 * 2**62, 2**64)

    def test_leaves_nobody_out_where_sums_are_rounded(self):
        assert arm_thresholds([0.1] * 10)[-1] == N_BUCKETS
        assert arm_thresholds([1 / 3, 1 / 3, 1 / 3 - 1e-10, 0.0])[2:] == (N_BUCKETS, N_BUCKETS)

    @given(any_weights)
    def test_gives_each_arm_its_weight(self, weights):
        ends = arm_thresholds(weights)

        for weight, start, end in zip(weights, [0, *ends], ends, strict=False):
            assert abs(Fraction(end - start, N_BUCKETS) - Fraction(weight)) < 1e-12

    @pytest.mark.parametrize(
        "weights",
        [
            [], [0.0, 0.0], [0.5, 0.6], [0.5, 0.4], [1.5, -0.5], [float("nan"), 1.0],
            [True, False], ["0.5", "0.5"], [None, 1.0], [float("inf"), 0.0],
        ],
    )  # fmt: skip
    def test_refuses_what_are_no_weights(self, weights):
        with pytest.raises(SettingsError):
            arm_thresholds(weights)


class TestArmPosition:
    @given(any_weights, numbers)
    def test_never_meets_an_arm_without_a_share(self, weights, number):
        assert weights[arm_position(number, arm_thresholds(weights))] > 0

    @pytest.mark.parametrize(
        ("number", "position"),
        [(0, 1), (2**63 - 1, 1), (2**63, 3), (N_BUCKETS - 1, 3)],
    )
    def test_has_exclusive_upper_ends(self, number, position):
        assert arm_position(number, arm_thresholds([0.0, 0.5, 0.0, 0.5, 0.0])) == position


class TestArmPositions:
    @given(any_weights, st.lists(numbers, max_size=20))
    def test_agrees_with_one_by_one(self, weights, found):
        ends = arm_thresholds(weights)
        found = [*found, 0, N_BUCKETS - 1, *(end - 1 for end in ends if end), *ends[:-1]]
        found = [number for number in found if number < N_BUCKETS]

        positions = arm_positions(np.array(found, dtype=np.uint64), ends)

        assert positions.tolist() == [arm_position(number, ends) for number in found]

    @pytest.mark.parametrize("weights", [[0.5, 0.5], [0.9, 0.1], [0.2, 0.3, 0.0, 0.5]])
    def test_divides_fixed_units_as_the_weights_say(self, weights):
        found = buckets_of("pilot/arm", [f"unit-{number}" for number in range(100_000)])

        counts = np.bincount(arm_positions(found, arm_thresholds(weights)), minlength=len(weights))

        given = np.array(weights) > 0
        assert counts[~given].sum() == 0
        expected = np.array(weights)[given] * found.size
        assert stats.chisquare(counts[given], expected).pvalue > 0.001


class TestMovedShare:
    def test_is_nothing_without_a_change(self):
        assert moved_share([0.3, 0.7], [0.3, 0.7]) == 0.0

    @given(st.tuples(weights_of(2), weights_of(2)))
    def test_is_the_least_possible_of_two_arms(self, pair):
        assert moved_share(*pair) == pytest.approx(least_moved_share(*pair), abs=1e-12)

    @given(pairs)
    def test_is_within_the_bounds_of_several_arms(self, pair):
        least = least_moved_share(*pair)

        assert least - 1e-12 <= moved_share(*pair) <= (len(pair[0]) - 1) * least + 1e-12

    def test_is_what_happens_to_fixed_units(self):
        before, after = [0.4, 0.3, 0.3], [0.2, 0.5, 0.3]
        found = buckets_of("pilot/arm", [f"unit-{number}" for number in range(50_000)])

        old = arm_positions(found, arm_thresholds(before))
        new = arm_positions(found, arm_thresholds(after))

        assert moved_share(before, after) == pytest.approx(0.2)
        assert np.mean(old != new) == pytest.approx(0.2, abs=0.01)
        assert set(zip(old[old != new].tolist(), new[old != new].tolist(), strict=True)) == {(0, 1)}

    def test_refuses_another_number_of_arms(self):
        with pytest.raises(SettingsError):
            moved_share([0.5, 0.5], [0.3, 0.3, 0.4])
        with pytest.raises(SettingsError):
            least_moved_share([0.5, 0.5], [0.3, 0.3, 0.4])
