import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.bandits import (
    POLICIES,
    UCB1,
    EpsilonGreedy,
    Exp3,
    Hedge,
    Leader,
    ThompsonBeta,
    ThompsonGaussian,
    ThompsonNormal,
    Uniform,
    make_policy,
)
from experiments.bandits.deciding import start
from experiments.bandits.streams import new_streams
from experiments.simulation import (
    Environment,
    ReturnsError,
    SettingsError,
    collect,
    replay,
    simulate,
)
from experiments.simulation.results import RunningCurve

WORLD = Environment.bernoulli([0.6, 0.4, 0.5])


def played_in_python(name, returns, seed, **asked):
    """Play a policy through its Python methods on given returns, with the stream of replay."""
    policy = make_policy(name, returns.shape[1], **asked)
    policy.memory.stream[:] = new_streams(seed, 1, 0, 0)[0]
    start(policy.rule, policy.memory)  # bootstrap's prior draws come from the stream
    earned, arms = 0.0, []
    for row in returns:
        arm = policy.choose()
        arms.append(arm)
        earned += row[arm]
        if policy.needs_all_rewards:
            policy.update_all(row)
        else:
            policy.update(arm, row[arm])
    return earned, np.bincount(arms, minlength=returns.shape[1]) / len(returns)


class TestTheSamePolicyTwice:
    """Compiled simulations and Python's policies make the same decisions."""

    @pytest.mark.parametrize("name", sorted(POLICIES))
    @pytest.mark.parametrize("forgetting", [{}, {"discount": 0.9}, {"window": 20}])
    @settings(max_examples=5, deadline=None)
    @given(seed=st.integers(0, 1_000))
    def test_decides_alike(self, name, forgetting, seed):
        if forgetting and not POLICIES[name].forgets:
            return
        if "window" in forgetting and name == "thompson_bootstrap":
            return
        returns = (np.random.default_rng(seed).random((120, 3)) < [0.5, 0.4, 0.6]) * 1.0

        found = replay(
            returns,
            {"it": make_policy(name, 3, **forgetting)},
            as_happened=True,
            repetitions=1,
            seed=seed,
        )["it"]

        earned, shares = played_in_python(name, returns, seed, **forgetting)
        assert found.reward.final == pytest.approx(earned)
        np.testing.assert_allclose(found.shares, shares)


class TestSimulate:
    def test_counts_pseudo_regret(self):
        found = simulate(WORLD, {"uniform": Uniform(3)}, horizon=3_000, repetitions=200, seed=1)

        regret = found["uniform"].regret
        assert regret.final == pytest.approx(3_000 * 0.1, abs=4 * regret.final_error)
        np.testing.assert_allclose(found["uniform"].shares, 1 / 3, atol=0.005)

    def test_counts_regret_from_the_best_of_each_moment(self):
        world = Environment.bernoulli([[0.0, 1.0], [1.0, 0.0]], [50])

        found = simulate(
            world,
            {"greedy": EpsilonGreedy(2, epsilon=0.0)},
            horizon=100,
            repetitions=20,
            checkpoints=[50, 100],
        )

        mean = found["greedy"].regret.mean
        assert mean[0] <= 1.0
        assert mean[1] - mean[0] == pytest.approx(50.0, abs=3.0)

    def test_repeats_with_its_seed_and_not_with_another(self):
        runs = [
            simulate(WORLD, {"it": ThompsonBeta(3)}, horizon=200, repetitions=300, seed=seed)
            for seed in (1, 1, 2)
        ]

        assert runs[0].to_dict() == runs[1].to_dict()
        assert runs[0]["it"].regret.final != runs[2]["it"].regret.final

    def test_does_not_depend_on_what_the_policy_learned_before_nor_change_it(self):
        fresh, old = ThompsonBeta(3), ThompsonBeta(3)
        old.update_many([0] * 50, [0.0] * 50)
        before = old.to_dict()

        runs = [
            simulate(WORLD, {"it": policy}, horizon=100, repetitions=10) for policy in (fresh, old)
        ]

        assert runs[0].to_dict() == runs[1].to_dict()
        assert old.to_dict() == before

    def test_gives_policies_side_by_side_the_results_they_have_alone(self):
        together = simulate(
            WORLD, {"a": UCB1(3), "b": ThompsonBeta(3)}, horizon=300, repetitions=20, seed=3
        )

        alone = simulate(WORLD, {"b": ThompsonBeta(3)}, horizon=300, repetitions=20, seed=3)

        assert together["b"].regret.final == alone["b"].regret.final

    def test_has_standard_rewards_of_every_family(self):
        for world in (
            Environment.gaussian([0.0, 0.0], 0.5),
            Environment.student([0.0, 0.0], 0.5, degrees=5.0),
        ):
            found = collect(world, Uniform(2), horizon=1_000, repetitions=200, n_draws=10)
            assert found.rewards.mean() == pytest.approx(0.0, abs=0.005)
            assert found.rewards.std() == pytest.approx(0.5, rel=0.02)

    def test_costs_more_where_rewards_come_late(self):
        def regret(**late):
            found = simulate(WORLD, {"it": UCB1(3)}, horizon=1_000, repetitions=50, **late)
            return found["it"].regret.final

        assert regret() < regret(delay=200) < 1_000 * 0.1 + 1.0
        assert regret() < regret(batch=200)
        assert regret(delay=(0, 400)) == pytest.approx(regret(delay=200), rel=0.5)

    def test_learns_nothing_before_the_delay(self):
        found = simulate(WORLD, {"it": ThompsonBeta(3)}, horizon=500, repetitions=100, delay=1_000)

        np.testing.assert_allclose(found["it"].shares, 1 / 3, atol=0.01)

    def test_costs_little_where_batches_are_short(self):
        """Batches of 100 cost 1 to 10 %; a batch of one and no delay is the plain loop."""
        world = Environment.bernoulli([0.5] + [0.4] * 9)

        def regret(batch):
            found = simulate(
                world, {"it": ThompsonBeta(10)}, horizon=10_000, repetitions=100, batch=batch
            )
            return found["it"].regret.final

        assert regret(100) / regret(1) == pytest.approx(1.05, abs=0.1)

    def test_lets_those_see_all_rewards_who_may(self):
        found = simulate(
            WORLD,
            {"shadow": ThompsonBeta(3), "bandit": ThompsonBeta(3), "hedge": Hedge(3)},
            horizon=1_000,
            repetitions=50,
            all_rewards=["shadow"],
        )

        assert [result.has_all_rewards for result in found.results] == [True, False, True]
        assert found["shadow"].regret.final < 0.6 * found["bandit"].regret.final

    def test_goes_to_json(self):
        found = simulate(WORLD, {"it": UCB1(3)}, horizon=50, repetitions=5)

        assert json.loads(json.dumps(found.to_dict()))["policies"]["it"]["shares"]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"horizon": 0},
            {"repetitions": 0},
            {"batch": 0},
            {"seed": -1},
            {"delay": -1},
            {"delay": (5, 2)},
            {"checkpoints": [0]},
            {"checkpoints": [101]},
            {"policies": {}},
            {"policies": {"it": UCB1(2)}},
            {"all_rewards": ["nobody"]},
            {"all_rewards": ["it"], "delay": 3},
        ],
    )
    def test_refuses_what_cannot_be(self, wrong):
        asked = {"policies": {"it": UCB1(3)}, "horizon": 100, "repetitions": 2} | wrong
        policies = asked.pop("policies")

        with pytest.raises(SettingsError):
            simulate(WORLD, policies, **asked)

    def test_refuses_a_slope_between_times_it_did_not_keep(self):
        found = simulate(WORLD, {"it": UCB1(3)}, horizon=100, repetitions=2, checkpoints=[10, 100])

        assert found.log_slope("it", 10, 100) > 0.0
        with pytest.raises(SettingsError):
            found.log_slope("it", 20, 100)


class TestRunningCurve:
    @given(st.lists(st.integers(1, 50), min_size=1, max_size=5), st.integers(0, 1_000))
    def test_is_that_of_all_rows_at_once(self, sizes, seed):
        rng = np.random.default_rng(seed)
        parts = [rng.normal(5.0, 2.0, (size, 3)) for size in sizes]
        curve = RunningCurve(3)
        for part in parts:
            curve.add(part)

        found, rows = curve.finished(), np.concatenate(parts)

        np.testing.assert_allclose(found.mean, rows.mean(axis=0))
        if len(rows) > 1:
            expected = rows.std(axis=0, ddof=1) / math.sqrt(len(rows))
            np.testing.assert_allclose(found.standard_error, expected)
        np.testing.assert_allclose(found.percentiles[2], np.median(rows, axis=0))


class TestReplay:
    RETURNS = np.random.default_rng(4).normal([0.001, 0.0, -0.0005], 0.01, (500, 3))

    def test_measures_against_hindsight_uniform_and_the_best_of_each_period(self):
        found = replay(
            self.RETURNS, {"it": Uniform(3)}, as_happened=True, repetitions=400, checkpoints=[250]
        )["it"]

        for c, end in enumerate([250, 500]):
            part = self.RETURNS[:end]
            error = 5 * found.reward.standard_error[c]
            assert found.reward.mean[c] == pytest.approx(part.mean(axis=1).sum(), abs=error)
            best_arm = found.regret_to_best_arm.mean[c] + found.reward.mean[c]
            assert best_arm == pytest.approx(part.sum(axis=0).max())
            best_each = found.regret_to_best_per_period.mean[c] + found.reward.mean[c]
            assert best_each == pytest.approx(part.max(axis=1).sum())
        assert found.gain_over_uniform.final == pytest.approx(0.0, abs=error)
        assert found.share_of_uniform_regret == pytest.approx(1.0, abs=0.2)

    def test_pairs_arms_by_time(self):
        base = np.random.default_rng(5).normal(0.0, 1.0, 400)
        returns = np.column_stack([base, base + 0.01])

        found = replay(returns, {"it": Leader(2)}, repetitions=50, mean_block=10.0)["it"]

        # one period is enough to tell them apart, though each is a hundred times noisier
        assert found.regret_to_best_arm.percentiles.max() <= 0.01 + 1e-9

    def test_resamples_alike_for_all_policies(self):
        policies = {"a": Uniform(3), "b": Uniform(3)}

        found = replay(self.RETURNS, policies, repetitions=20, seed=3)

        assert found["a"].reward.final == found["b"].reward.final

    def test_chooses_blocks_by_the_dependence(self):
        shocks = np.random.default_rng(6).normal(size=(1_000, 2))
        smooth = np.apply_along_axis(lambda c: np.convolve(c, np.ones(10), "same"), 0, shocks)

        blocks = [
            replay(returns, {"it": Uniform(2)}, repetitions=2).mean_block
            for returns in (shocks, smooth)
        ]

        assert blocks[0] < blocks[1]
        assert blocks[1] > 5.0

    def test_of_centered_returns_has_no_better_arm(self):
        found = replay(
            self.RETURNS,
            {"it": ThompsonNormal(3, prior=(0.0, 1.0, 1.0, 1e-4))},
            center=True,
            repetitions=300,
            mean_block=1.0,
        )

        assert found.is_centered
        gain = found["it"].gain_over_uniform
        assert abs(gain.final) < 4 * gain.final_error

    def test_goes_to_json(self):
        found = replay(self.RETURNS, {"it": UCB1(3, scale=0.02)}, repetitions=3, batch=5, delay=2)

        assert json.loads(json.dumps(found.to_dict()))["n_periods"] == 500

    @pytest.mark.parametrize(
        ("returns", "policy"),
        [
            (np.zeros((0, 2)), UCB1(2)),
            (np.zeros(5), UCB1(2)),
            (np.zeros((5, 1)), UCB1(2)),
            (np.array([[0.1, np.nan]]), UCB1(2)),
            (np.array([[0.1, -0.1]]), ThompsonBeta(2)),
        ],
    )
    def test_refuses_returns_that_cannot_be(self, returns, policy):
        with pytest.raises(ReturnsError):
            replay(returns, {"it": policy})

    def test_refuses_a_block_below_one(self):
        with pytest.raises(SettingsError):
            replay(self.RETURNS, {"it": UCB1(3)}, mean_block=0.5)


class TestCollect:
    def test_keeps_the_floor_and_hands_out_the_probabilities_it_used(self):
        found = collect(
            Environment.gaussian([0.0, 0.5]),
            ThompsonGaussian(2),
            horizon=205,
            repetitions=400,
            batch=10,
            floor=0.1,
            n_draws=100,
        )

        chances = found.probabilities
        assert chances.shape == (400, 205, 2)
        np.testing.assert_allclose(chances.sum(axis=2), 1.0)
        assert chances.min() >= 0.1 - 1e-12
        chosen = (found.arms == 1) - chances[:, :, 1]
        assert abs(chosen.mean()) < 4 * chosen.std() / math.sqrt(chosen.size)
        assert chances[:, -1, 1].mean() > 0.8

    def test_of_single_draws_is_the_policy_itself(self):
        found = collect(Environment.gaussian([0.0, 0.0]), Exp3(2, reward_range=(-9, 9)),
                        horizon=50, repetitions=5, n_draws=1)  # fmt: skip

        assert set(np.unique(found.allocations)) == {0.0, 1.0}

    def test_refuses_floors_that_exceed_one(self):
        with pytest.raises(SettingsError):
            collect(WORLD, UCB1(3), horizon=10, repetitions=1, floor=0.4)


@pytest.mark.slow
class TestPublishedRegret:
    """STATISTICS section 13: regret at 10,000, within what 200 repetitions can tell."""

    @pytest.mark.parametrize(
        ("means", "expected"),
        [
            ([0.5] + [0.4] * 9, (169, 257, 592, 621)),
            ([0.45, 0.55], (19.4, 29, 89, 162)),
            ([0.1] + [0.05] * 3 + [0.02] * 3 + [0.01] * 3, (81, 111, 500, 484)),
        ],
    )
    def test_at_ten_thousand(self, means, expected):
        world = Environment.bernoulli(means)
        n_arms = world.n_arms
        policies = {
            "thompson": ThompsonBeta(n_arms),
            "kl_ucb": make_policy("kl_ucb", n_arms),
            "ucb1": UCB1(n_arms),
            "exp3": Exp3.tuned(n_arms, 10_000),
        }

        found = simulate(world, policies, horizon=10_000, repetitions=200, seed=7)

        for name, value in zip(policies, expected, strict=True):
            regret = found[name].regret
            assert regret.final == pytest.approx(value, abs=5 * regret.final_error + 0.01 * value)

    def test_grows_with_the_logarithm_as_it_should(self):
        world = Environment.bernoulli([0.5] + [0.4] * 9)

        found = simulate(world, {"it": ThompsonBeta(10)}, horizon=40_000, repetitions=100,
                         checkpoints=[10_000, 40_000])  # fmt: skip

        assert 0.5 < found.log_slope("it", 10_000, 40_000) / world.lai_robbins < 1.3

    def test_halves_with_forgetting_where_arms_change(self):
        means = [[0.5, 0.4, 0.3], [0.3, 0.5, 0.4], [0.4, 0.3, 0.5], [0.5, 0.4, 0.3]]
        world = Environment.bernoulli(means, [2_500, 5_000, 7_500])
        policies = {
            "plain": ThompsonBeta(3),
            "discounted": ThompsonBeta(3, discount=0.997),
            "window": UCB1(3, exploration=0.6, window=1_000),
        }

        found = simulate(world, policies, horizon=10_000, repetitions=100, seed=3)

        for name, value in (("plain", 636), ("discounted", 322), ("window", 310)):
            assert found[name].regret.final == pytest.approx(value, rel=0.06)
