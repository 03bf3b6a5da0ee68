"""Rates of error by simulation; `make simulate` has the same at 10,000 experiments."""

import math

import numpy as np
import pytest

from benchmarks.simulate.looking import methods, planned, watch
from benchmarks.simulate.noises import MAIN, NORMAL
from experiments.statistics.sequential import planned_sequence

N_PERIODS, N_PATHS, SEED = 2_000, 2_000, 7
EFFECT = 2.8015851

pytestmark = pytest.mark.slow


def most(rate, n=N_PATHS):
    return rate + 3.0 * math.sqrt(rate * (1.0 - rate) / n)


class TestPlannedSequence:
    @pytest.mark.parametrize("noise", MAIN, ids=lambda noise: noise.name)
    def test_keeps_its_level_under_looking_at_every_period(self, noise):
        watched = watch(noise, [planned(N_PERIODS, N_PERIODS)], N_PATHS, [SEED, noise.number])

        assert watched.rates()[0] <= most(0.05)

    @pytest.mark.parametrize("noise", MAIN, ids=lambda noise: noise.name)
    def test_covers_at_every_period_before_and_after_its_horizon(self, noise):
        rule = [planned(1_500, 500)]

        watched = watch(noise, rule, N_PATHS, [SEED, 1, noise.number], EFFECT)

        assert watched.misses.mean() <= most(0.05)

    def test_finds_what_is_there(self):
        watched = watch(NORMAL, [planned(N_PERIODS, N_PERIODS)], N_PATHS, [SEED, 2], EFFECT)

        assert watched.rates()[0] > 0.68
        assert watched.mean_stops(N_PERIODS)[0] < 1_480


HORIZON = 400


def thin(first):
    """Return deviations of periods of 400 units, but for one of 2 in 20 from some period on."""
    return [200.0**0.5 if t >= first and t % 20 == 10 else 1.0 for t in range(HORIZON)]


class TestUnequalPeriods:
    @pytest.mark.parametrize(
        "deviations",
        [
            [1.0] * 400,
            thin(150),
            [1.0] * 200 + [50.0**0.5] * 200,  # 400 units a period, then 8
            [1.0] * 200 + [5.0] * 200,
            [1.0] * 320 + [10.0] * 80,
            [1.0] * 323 + [10.0] * 77,
        ],
        ids=["alike", "one in 20 thin", "half thin", "five times", "ten times", "within a batch"],
    )
    def test_find_nothing_more_often_than_they_say(self, deviations):
        rng, n_paths = np.random.default_rng(SEED), 4_000
        found = 0
        for _ in range(n_paths):
            sequence = planned_sequence(rng.normal(0.0, deviations), horizon=HORIZON)
            found += sequence.excludes(0.0) is not None

        assert found / n_paths <= most(0.05, n_paths)


class TestOthers:
    def test_err_as_often_as_is_known_of_them(self):
        # Armitage, McPherson and Rowe (1969) for repeated tests; 5 % for designs of five looks.
        rules = {rule.name: rule for rule in methods(N_PERIODS)}
        known = {
            "fixed t, one look": 0.05,
            "naive t, 20 looks": 0.248,
            "O'Brien–Fleming, 5 looks": 0.05,
            "Pocock, 5 looks": 0.05,
        }

        watched = watch(NORMAL, [rules[name] for name in known], N_PATHS, [SEED, 3])

        goals = np.array(list(known.values()))
        errors = np.sqrt(goals * (1.0 - goals) / N_PATHS)
        assert np.all(np.abs(watched.rates() - goals) < 3.5 * errors)

    def test_bounded_sequences_hardly_ever_miss(self):
        rules = methods(N_PERIODS)[:1]

        watched = watch(NORMAL, rules, 500, [SEED, 4], is_bounded=True)

        assert np.all(watched.misses[:, 1:].mean(axis=0) <= 0.02)
