import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.bandits import (
    ArmError,
    LoggedDecisions,
    PropensityError,
    RewardError,
    SettingsError,
    direct_method,
    doubly_robust,
    inverse_propensity,
    self_normalized,
)

# Four decisions worked by hand: weights of the target (0.8, 0.2) are 1.6, 0.4, 3.2 and 0.25.
HAND = LoggedDecisions([0, 1, 0, 1], [1.0, 2.0, 0.0, 4.0], [0.5, 0.5, 0.25, 0.8], 2)
TARGET = [0.8, 0.2]
ESTIMATORS = [inverse_propensity, self_normalized, direct_method, doubly_robust]


def logged(n, rng, floor=0.2):
    chances = floor + (1 - 2 * floor) * rng.random(n)
    arms = (rng.random(n) < chances).astype(int)
    rewards = rng.normal(np.where(arms == 1, 0.3, 0.1), 1.0)
    return LoggedDecisions(arms, rewards, np.where(arms == 1, chances, 1 - chances), 2)


class TestInversePropensity:
    def test_matches_an_example_worked_by_hand(self):
        found = inverse_propensity(HAND, TARGET)

        terms = np.array([1.6, 0.8, 0.0, 1.0])
        assert found.value == pytest.approx(terms.mean())
        assert found.standard_error == pytest.approx(terms.std(ddof=1) / 2)
        assert found.effective_n == pytest.approx(5.45**2 / (1.6**2 + 0.4**2 + 3.2**2 + 0.25**2))
        assert found.largest_weight == pytest.approx(3.2)

    def test_cuts_weights(self):
        found = inverse_propensity(HAND, TARGET, clip=1.5)

        assert found.value == pytest.approx((1.5 + 0.8 + 0.0 + 1.0) / 4)
        assert found.share_clipped == 0.5

    def test_counts_clusters_not_decisions(self):
        rows = np.repeat(np.arange(2), 2)
        clustered = LoggedDecisions(HAND.arms, HAND.rewards, HAND.probabilities, 2, clusters=rows)

        found = inverse_propensity(clustered, TARGET)

        sums = np.array([2.4, 1.0])
        assert found.standard_error == pytest.approx(math.sqrt(2 * sums.var()) / 4 * math.sqrt(2))


class TestSelfNormalized:
    def test_matches_an_example_worked_by_hand(self):
        assert self_normalized(HAND, TARGET).value == pytest.approx(3.4 / 5.45)

    @given(st.floats(-100.0, 100.0))
    def test_moves_with_the_rewards(self, shift):
        moved = LoggedDecisions(HAND.arms, HAND.rewards + shift, HAND.probabilities, 2)

        expected = self_normalized(HAND, TARGET).value + shift

        assert self_normalized(moved, TARGET).value == pytest.approx(expected, abs=1e-9)


class TestDirectMethod:
    def test_averages_predictions(self):
        assert direct_method(HAND, TARGET).value == pytest.approx(0.8 * 0.5 + 0.2 * 3.0)
        assert direct_method(HAND, TARGET, [1.0, 2.0]).value == pytest.approx(1.2)


class TestDoublyRobust:
    def test_matches_an_example_worked_by_hand(self):
        found = doubly_robust(HAND, TARGET, [0.5, 3.0])

        corrections = [1.6 * 0.5, 0.4 * -1.0, 3.2 * -0.5, 0.25 * 1.0]
        assert found.value == pytest.approx(1.0 + np.mean(corrections))

    def test_is_inverse_propensity_where_predictions_are_zero(self):
        found, plain = doubly_robust(HAND, TARGET, [0.0, 0.0]), inverse_propensity(HAND, TARGET)

        assert (found.value, found.standard_error) == (plain.value, plain.standard_error)

    @pytest.mark.slow
    @pytest.mark.parametrize("estimate", [inverse_propensity, self_normalized, doubly_robust])
    def test_covers_the_truth(self, estimate):
        rng, truth, covered = np.random.default_rng(8), 0.1 * 0.3 + 0.3 * 0.7, 0
        for _ in range(1_000):
            found = estimate(logged(300, rng), [0.3, 0.7])
            covered += abs(found.value - truth) < 1.96 * found.standard_error

        assert covered / 1_000 == pytest.approx(0.95, abs=0.025)


class TestRefusals:
    @pytest.mark.parametrize("estimate", ESTIMATORS)
    @pytest.mark.parametrize(
        "target", [[0.5, 0.6], [1.0], [1.2, -0.2], [math.nan, 1.0], [[0.5, 0.5]] * 3]
    )
    def test_of_targets_that_are_none(self, estimate, target):
        with pytest.raises(PropensityError):
            estimate(HAND, target)

    @pytest.mark.parametrize("wrong", [math.nan, 0.0, -0.1, 1.1])
    def test_of_probabilities_that_are_none(self, wrong):
        with pytest.raises(PropensityError):
            LoggedDecisions([0, 1], [1.0, 1.0], [0.5, wrong], 2)

    def test_of_an_arm_that_nobody_logged(self):
        with pytest.raises(PropensityError):
            inverse_propensity(LoggedDecisions([0, 0], [1, 1], [0.5, 0.5], 2), [0.5, 0.5])

    def test_of_logs_that_do_not_fit(self):
        with pytest.raises(PropensityError):
            LoggedDecisions([0, 1], [1.0, 1.0], [0.5], 2)
        with pytest.raises(RewardError):
            LoggedDecisions([0, 1], [1.0, math.nan], [0.5, 0.5], 2)
        with pytest.raises(ArmError):
            LoggedDecisions([0], [1.0], [0.5], 2)
        with pytest.raises(ArmError):
            LoggedDecisions([0, 2], [1.0, 1.0], [0.5, 0.5], 2)
        with pytest.raises(SettingsError):
            inverse_propensity(HAND, TARGET, clip=0.5)
        with pytest.raises(RewardError):
            doubly_robust(HAND, TARGET, [1.0, math.inf])
