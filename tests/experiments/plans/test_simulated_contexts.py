"""Whole experiments whose shares are by context, through the core that workers run."""

import math

import pytest

from benchmarks.simulate_contexts import (
    ALIKE,
    APART,
    Scene,
    estimate_of,
    has_difference,
    is_missed,
    plan_of,
    simulated,
)

N = 150


@pytest.mark.slow
class TestExperiments:
    @pytest.mark.long
    @pytest.mark.parametrize("scene", ALIKE.values(), ids=range(len(ALIKE)))
    def test_find_no_difference_of_arms_that_are_alike(self, scene):
        found = [simulated(plan_of(is_seen=True), scene, 10_000 + seed) for seed in range(N)]

        n_wrong = sum(has_difference(one.findings) for one in found)
        assert n_wrong <= N * 0.05 + 2.0 * math.sqrt(N * 0.05 * 0.95)
        estimates = [estimate_of(one) for one in found]
        error = math.sqrt(sum(each * each for each in estimates)) / N
        assert abs(sum(estimates) / N) < 4.0 * error

    @pytest.mark.parametrize(
        "scene",
        [
            Scene((0.5, -0.5), 1.0, is_common=True),
            Scene((0.5, -0.5), 1.0, is_common=True, stay=0, n_periods=220, batch=10),
            Scene((1.5 / 7, -0.5), n_units=20),
        ],
        ids=["regimes last", "a regime changes once", "few units"],
    )
    def test_cover_the_average_effect_of_what_was_seen(self, scene):
        plan = plan_of(is_seen=True, scene=scene)
        found = [simulated(plan, scene, 20_000 + seed) for seed in range(60)]

        n_missed = sum(is_missed(one) for one in found)
        assert n_missed <= 60 * 0.05 + 2.0 * math.sqrt(60 * 0.05 * 0.95)

    def test_lose_less_than_without_where_the_best_arm_depends_on_the_regime(self):
        scene = next(iter(APART.values()))

        by_context, for_all = (
            [simulated(plan_of(is_seen=is_seen), scene, seed).regret for seed in range(20)]
            for is_seen in (True, False)
        )

        assert sum(by_context) < 0.6 * sum(for_all)
