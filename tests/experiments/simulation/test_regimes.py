"""Worlds whose arms pay by a regime: what they are made of, and what seeing it is worth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.bandits import (
    ArmStatistics,
    LinearThompson,
    LinUCB,
    ThompsonGaussian,
    Uniform,
)
from experiments.simulation import Regimes, SettingsError, compare_regimes

OPPOSITE = [[0.0, 0.4], [0.4, 0.0]]
paths = st.lists(st.integers(0, 1), min_size=1, max_size=40)


class TestRegimes:
    @given(paths)
    def test_are_a_changing_world_to_whoever_does_not_see_them(self, path):
        world = Regimes(np.array(OPPOSITE), np.array(path))

        unseen = world.unseen()

        segment = np.searchsorted(unseen.starts, np.arange(len(path)), side="right") - 1
        np.testing.assert_array_equal(unseen.means[segment], np.array(OPPOSITE)[path])
        assert world.shares.sum() == pytest.approx(1.0)

    def test_stay_as_long_as_they_are_asked_to(self):
        world = Regimes.switching(OPPOSITE, [0.99, 0.91], 200_000, seed=1)

        changes = np.diff(world.path) != 0
        assert world.shares[1] == pytest.approx(0.1, abs=0.01)  # 0.01 / (0.01 + 0.09)
        assert changes[world.path[:-1] == 0].mean() == pytest.approx(0.01, abs=0.001)
        assert changes[world.path[:-1] == 1].mean() == pytest.approx(0.09, abs=0.01)

    def test_visit_all_of_several(self):
        world = Regimes.switching(np.zeros((4, 2)), [0.5] * 4, 20_000, seed=2)

        np.testing.assert_allclose(world.shares, 0.25, atol=0.02)

    @pytest.mark.parametrize(
        ("means", "stay", "n"),
        [
            ([[0.0, 1.0]], [0.5], 10),
            (OPPOSITE, [0.5], 10),
            (OPPOSITE, [0.5, 1.1], 10),
            (OPPOSITE, [0.5, 0.5], 0),
        ],
    )
    def test_refuse_what_is_no_chain(self, means, stay, n):
        with pytest.raises(SettingsError):
            Regimes.switching(means, stay, n)

    @pytest.mark.parametrize("path", [[], [0, 2], [-1]])
    def test_refuse_a_path_of_other_regimes(self, path):
        with pytest.raises(SettingsError):
            Regimes(np.array(OPPOSITE), np.array(path, dtype=int))


class TestCompareRegimes:
    def test_uniform_play_loses_the_same_either_way(self):
        world = Regimes.switching(OPPOSITE, [0.95, 0.95], 500, seed=3)

        found = compare_regimes(world, {"uniform": Uniform(2)}, repetitions=200)[0]

        error = np.hypot(found.unseen_error, found.seen_error)
        assert found.unseen == pytest.approx(500 * 0.2, abs=4 * found.unseen_error)
        assert found.seen == pytest.approx(found.unseen, abs=4 * error)

    def test_whoever_sees_the_regime_loses_less_where_it_decides(self):
        world = Regimes.switching(OPPOSITE, [0.95, 0.95], 1_000, seed=4)

        found = compare_regimes(world, {"thompson": ThompsonGaussian(2)}, repetitions=100)[0]

        assert found.seen < 0.4 * found.unseen

    def test_and_more_where_it_does_not(self):
        alike = Regimes.switching([[0.0, 0.2]] * 2, [0.95, 0.95], 2_000, seed=5)

        found = compare_regimes(alike, {"thompson": ThompsonGaussian(2)}, repetitions=400)[0]

        assert found.unseen < found.seen


class TestOnePolicyAContext:
    """Disjoint linear policies of indicators are one policy a context."""

    @given(st.integers(0, 10_000))
    def test_is_linear_thompson_with_indicators(self, seed):
        rng = np.random.default_rng(seed)
        linear = LinearThompson(2, 2, seed=1)
        n, total = np.zeros((2, 2)), np.zeros((2, 2))  # by context and arm
        for _ in range(12):
            context, arm, reward = rng.integers(0, 2), rng.integers(0, 2), rng.normal()
            linear.update(np.eye(2)[context], arm, reward)
            n[context, arm] += 1.0
            total[context, arm] += reward

        for context in range(2):
            mean, error = linear.predict(np.eye(2)[context])
            precision = 1.0 + n[context]  # of a prior N(0, 1) and noise of 1
            np.testing.assert_allclose(mean, total[context] / precision, atol=1e-12)
            np.testing.assert_allclose(error, 1.0 / np.sqrt(precision))

    def test_has_the_shares_of_its_own_sums(self):
        linear = LinearThompson(2, 2, seed=1)
        rewards = {(0, 0): [0.3, -0.2], (0, 1): [0.9, 0.8], (1, 0): [1.5], (1, 1): [0.1, -0.4]}
        for (context, arm), values in rewards.items():
            for value in values:
                linear.update(np.eye(2)[context], arm, value)

        for context in range(2):
            own = [np.array(rewards[context, arm]) for arm in range(2)]
            sums = ArmStatistics(
                n=[each.size for each in own], total=[each.sum() for each in own],
                squares=[each @ each for each in own],
            )  # fmt: skip
            one = ThompsonGaussian(2).allocation_of(sums)
            np.testing.assert_allclose(
                linear.allocation(np.eye(2)[context]), one, atol=0.015  # of 20,000 draws
            )  # fmt: skip

    def test_keeps_what_is_learned_in_one_context_from_the_other(self):
        policy = LinUCB(2, 2)
        before = policy.predict([0.0, 1.0])

        policy.update([1.0, 0.0], 1, 5.0)

        np.testing.assert_array_equal(policy.predict([0.0, 1.0]), before)
