import math

import numpy as np
import pytest

from experiments.simulation import Environment, SettingsError


class TestLaiRobbins:
    def test_of_bernoulli_arms_worked_by_hand(self):
        divergence = 0.45 * math.log(0.45 / 0.55) + 0.55 * math.log(0.55 / 0.45)

        assert Environment.bernoulli([0.45, 0.55]).lai_robbins == pytest.approx(0.1 / divergence)

    def test_of_normal_arms_is_twice_the_variance_over_the_gap(self):
        assert Environment.gaussian([0.0, 0.5], 2.0).lai_robbins == pytest.approx(2 * 4 / 0.5)

    def test_is_of_fixed_known_families(self):
        with pytest.raises(SettingsError):
            _ = Environment.student([0.0, 1.0]).lai_robbins
        with pytest.raises(SettingsError):
            _ = Environment.bernoulli([[0.1, 0.2], [0.2, 0.1]], [10]).lai_robbins


class TestEnvironment:
    def test_wanders_in_steps(self):
        world = Environment.wandering([0.0, 1.0], 0.1, 1_000, every=50, seed=3)

        assert world.means.shape == (20, 2)
        np.testing.assert_array_equal(world.means[0], [0.0, 1.0])
        np.testing.assert_array_equal(world.starts, np.arange(0, 1_000, 50))

    def test_says_what_it_is(self):
        world = Environment.bernoulli([[0.1, 0.2], [0.2, 0.1]], [10])

        assert str(world) == "2 Bernoulli arms, 1 changes"

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda: Environment.bernoulli([0.5]),
            lambda: Environment.bernoulli([0.5, 1.5]),
            lambda: Environment.bernoulli([0.5, math.nan]),
            lambda: Environment.bernoulli([[0.5, 0.5], [0.4, 0.4]]),
            lambda: Environment.bernoulli([[0.5, 0.5], [0.4, 0.4]], [0]),
            lambda: Environment.gaussian([0.0, 1.0], 0.0),
            lambda: Environment.student([0.0, 1.0], degrees=2.0),
            lambda: Environment.wandering([0.0, 1.0], 0.0, 100),
        ],
    )
    def test_refuses_what_cannot_be(self, wrong):
        with pytest.raises(SettingsError):
            wrong()
