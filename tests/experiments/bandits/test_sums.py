from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.bandits import ArmError, ArmStatistics, PropensityError, RewardError, StateError

pulls = st.lists(st.tuples(st.integers(0, 2), st.floats(-10.0, 10.0)), max_size=30)


def table_of(rows):
    period, arm, n, total, squares = (np.array(column) for column in zip(*rows, strict=True))
    return SimpleNamespace(
        period=period, arm=arm, n=n * 1.0, total=total * 1.0, squares=squares * 1.0
    )


TABLE = table_of(
    [(0, 0, 2, 3.0, 5.0), (0, 1, 1, 1.0, 1.0), (10, 0, 1, 2.0, 4.0), (20, 1, 4, 2.0, 2.0)]
)


class TestArmStatistics:
    def test_sums_rewards_by_arm(self):
        found = ArmStatistics.of_rewards([0, 2, 0], [1.0, 3.0, 2.0], 3)

        np.testing.assert_array_equal(found.n, [2, 0, 1])
        np.testing.assert_array_equal(found.total, [3, 0, 3])
        np.testing.assert_array_equal(found.squares, [5, 0, 9])
        np.testing.assert_array_equal(found.mean, [1.5, np.nan, 3.0])

    @given(pulls, pulls)
    def test_merged_are_those_of_all_rewards(self, first, second):
        def of(rows):
            return ArmStatistics.of_rewards(
                np.array([arm for arm, _ in rows], dtype=int), [r for _, r in rows], 3
            )

        merged = of(first).merged(of(second))
        joint = of(first + second)

        for name in ("n", "total", "squares"):
            np.testing.assert_allclose(getattr(merged, name), getattr(joint, name), atol=1e-9)

    def test_divide_by_the_probability_where_it_is_known(self):
        found = ArmStatistics.of_rewards([0, 1], [1.0, 2.0], 2, probabilities=[0.5, 0.25])

        np.testing.assert_array_equal(found.weighted_n, [2, 4])
        np.testing.assert_array_equal(found.weighted_total, [2, 8])

    def test_of_periods_adds_them(self):
        found = ArmStatistics.of_periods(TABLE, 2)

        np.testing.assert_array_equal(found.n, [3, 5])
        np.testing.assert_array_equal(found.total, [5, 3])

    def test_of_periods_discounts_by_age(self):
        found = ArmStatistics.of_periods(TABLE, 2, discount=0.5, period_length=10)

        np.testing.assert_allclose(found.n, [2 / 4 + 1 / 2, 1 / 4 + 4])

    def test_of_periods_leaves_out_what_is_older_than_the_window_or_after_the_end(self):
        found = ArmStatistics.of_periods(TABLE, 2, window=1, period_length=10, at=10)

        np.testing.assert_array_equal(found.n, [1, 0])

    def test_of_periods_draws_replicates_of_whole_periods(self):
        rows = [(t, k, 1, t + 10 * k, (t + 10 * k) ** 2) for t in range(40) for k in (0, 1)]

        found = ArmStatistics.of_periods(table_of(rows), 2, n_replicates=500, randomness=1)

        n, total = found.replicates
        np.testing.assert_array_equal(n[0], n[1])  # a period comes with both of its arms
        np.testing.assert_allclose(total[1] - total[0], 10 * n[0])
        assert np.mean(total[0] / n[0]) == pytest.approx(19.5, abs=0.4)

    def test_goes_to_json_and_back(self):
        found = ArmStatistics.of_rewards([0, 1], [1.0, 2.0], 2, probabilities=[0.5, 0.25])

        again = ArmStatistics.from_dict(found.to_dict())

        assert again.to_dict() == found.to_dict()

    @pytest.mark.parametrize(
        ("sums", "error"),
        [
            (([1.0], [1.0], [1.0]), ArmError),
            (([1, 1], [1, 1], [1, 1, 1]), ArmError),
            (([1, np.nan], [1, 1], [1, 1]), RewardError),
            (([1, -1], [1, 1], [1, 1]), RewardError),
            (([1, 0], [1, 1], [1, 1]), RewardError),
        ],
    )
    def test_refuses_sums_that_cannot_be(self, sums, error):
        with pytest.raises(error):
            ArmStatistics(*sums)

    @pytest.mark.parametrize("wrong", [0.0, 1.5, np.nan])
    def test_refuses_probabilities_that_are_none(self, wrong):
        with pytest.raises(PropensityError):
            ArmStatistics.of_rewards([0, 1], [1.0, 1.0], 2, probabilities=[0.5, wrong])

    def test_refuses_to_merge_other_arms(self):
        with pytest.raises(StateError):
            ArmStatistics([1, 1], [1, 1], [1, 1]).merged(ArmStatistics([1] * 3, [1] * 3, [1] * 3))

    def test_refuses_a_state_with_unknown_keys(self):
        with pytest.raises(StateError):
            ArmStatistics.from_dict({"n": [1, 1], "sum": [1, 1]})
