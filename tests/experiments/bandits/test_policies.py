"""What all policies keep, and what each does on its own."""

import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.bandits import (
    KLUCB,
    POLICIES,
    UCB1,
    UCBV,
    ArmError,
    ArmStatistics,
    BanditError,
    EpsilonGreedy,
    Exp3,
    Hedge,
    KLUCBGaussian,
    Leader,
    PropensityError,
    RewardError,
    SettingsError,
    Softmax,
    StateError,
    SuccessiveElimination,
    ThompsonBeta,
    ThompsonBootstrap,
    ThompsonGaussian,
    ThompsonNormal,
    TopTwoThompson,
    UCBTuned,
    load_policy,
    make_policy,
)

ALL = sorted(POLICIES)
FROM_SUMS = [n for n in ALL if n not in {"exp3", "thompson_bootstrap"}]
MERGEABLE = FROM_SUMS
DETERMINISTIC = ["ucb1", "ucb_tuned", "kl_ucb", "kl_ucb_gaussian", "ucb_v"]
pulls = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=40)


def taught(policy, rows):
    for arm, reward in rows:
        if policy.needs_all_rewards:
            row = np.zeros(policy.n_arms)
            row[arm] = reward
            policy.update_all(row)
        else:
            policy.update(arm, reward)
    return policy


def sums(n, total, squares=None):
    return ArmStatistics(n, total, total if squares is None else squares)


def kl(p, q):
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


@pytest.mark.parametrize("name", ALL)
class TestEveryPolicy:
    @settings(max_examples=15, deadline=None)
    @given(rows=pulls)
    def test_allocates_probabilities(self, name, rows):
        allocation = taught(make_policy(name, 3, seed=1), rows).allocation()

        assert allocation.shape == (3,)
        assert allocation.min() >= 0.0
        assert allocation.sum() == pytest.approx(1.0, abs=1e-12)

    def test_chooses_as_its_allocation_says(self, name):
        rows = [(0, 1), (0, 0), (1, 1), (1, 1), (2, 0), (2, 1), (1, 0), (0, 0)]
        policy = taught(make_policy(name, 3, seed=2), rows)
        expected = policy.allocation()

        chosen = np.bincount(policy.select(20_000), minlength=3) / 20_000

        if name == "successive_elimination":  # plays the least tried of those it shares among
            assert chosen[expected == 0.0].sum() == 0.0
        else:
            np.testing.assert_allclose(chosen, expected, atol=0.02)

    def test_shares_at_the_start_by_lot(self, name):
        np.testing.assert_allclose(make_policy(name, 4, seed=0).allocation(), 0.25, atol=0.05)

    def test_repeats_with_its_seed(self, name):
        first, second = (make_policy(name, 3, seed=5) for _ in "ab")

        for t in range(50):
            arms = first.choose(), second.choose()
            assert arms[0] == arms[1]
            for policy in (first, second):
                taught(policy, [(arms[0], t % 3 == 0)])

    def test_goes_on_from_its_stored_state(self, name):
        policy = taught(make_policy(name, 3, seed=3), [(0, 1), (1, 0), (2, 1), (0, 0)])
        again = load_policy(json.loads(json.dumps(policy.to_dict())))

        for t in range(50):
            arm = policy.choose()
            assert again.choose() == arm
            for each in (policy, again):
                taught(each, [(arm, t % 2)])
        np.testing.assert_array_equal(policy.state.total, again.state.total)

    def test_refuses_damaged_states(self, name):
        stored = make_policy(name, 3).to_dict()

        for broken in (
            stored | {"n": [1.0, 2.0]},
            stored | {"n": [1.0, None, 2.0]},
            stored | {"stream": [-1, 0, 0, 0]},
            stored | {"policy": "poker"},
            {key: value for key, value in stored.items() if key != "total"},
        ):
            with pytest.raises(StateError):
                load_policy(broken)

    @pytest.mark.parametrize("wrong", [math.nan, math.inf, "much", None])
    def test_refuses_rewards_that_are_none(self, name, wrong):
        policy = make_policy(name, 3)

        with pytest.raises(RewardError):
            policy.update(0, wrong)
        with pytest.raises(RewardError):
            policy.update_all([0.0, wrong, 0.0])
        assert policy.state.n.sum() == 0.0

    @pytest.mark.parametrize("wrong", [-1, 3, 1.0, True, "a"])
    def test_refuses_arms_that_are_not_there(self, name, wrong):
        with pytest.raises(ArmError):
            make_policy(name, 3).update(wrong, 1.0)

    @pytest.mark.parametrize("wrong", [{"n_arms": 1}, {"n_arms": 2.0}, {"seed": -1}, {"poker": 1}])
    def test_refuses_settings_that_are_none(self, name, wrong):
        with pytest.raises(SettingsError):
            make_policy(name, **{"n_arms": 3, **wrong})

    def test_shows_its_settings(self, name):
        assert type(make_policy(name, 3)).__name__ in repr(make_policy(name, 3))

    @pytest.mark.slow
    def test_decides_within_twenty_microseconds(self, name):
        policy = taught(make_policy(name, 3), [(0, 1), (1, 0), (2, 1)])
        seconds = []
        for _ in range(5):
            begun = time.process_time()
            for _ in range(2_000):
                policy.choose()
            seconds.append((time.process_time() - begun) / 2_000)

        assert min(seconds) < 20e-6


@pytest.mark.parametrize("name", FROM_SUMS)
class TestAllocationOf:
    def test_is_that_of_a_policy_that_learned_the_same(self, name):
        policy = taught(make_policy(name, 3, seed=2), [(0, 1), (0, 0), (1, 1), (2, 0)])

        from_sums = make_policy(name, 3, seed=9).allocation_of(policy.state, randomness=4)

        np.testing.assert_allclose(from_sums, policy.allocation(), atol=1e-12)

    @settings(max_examples=15, deadline=None)  # kernels compile once
    @given(rows=pulls, shuffled=st.randoms(use_true_random=False))
    def test_follows_the_arms(self, name, rows, shuffled):
        order = [0, 1, 2]
        shuffled.shuffle(order)
        state = taught(make_policy(name, 3), rows).state
        moved = ArmStatistics(state.n[order], state.total[order], state.squares[order])

        allocation = make_policy(name, 3).allocation_of(state)

        np.testing.assert_allclose(
            make_policy(name, 3).allocation_of(moved), allocation[order], atol=1e-9
        )

    def test_repeats_with_its_seed(self, name):
        policy, given_sums = make_policy(name, 2), sums([5.0, 6.0], [2.0, 3.0])

        first, second = (policy.allocation_of(given_sums, np.random.default_rng(3)) for _ in "ab")

        np.testing.assert_array_equal(first, second)

    def test_refuses_sums_of_other_arms(self, name):
        with pytest.raises(ArmError):
            make_policy(name, 3).allocation_of(sums([1, 1], [1, 1]))


class TestMerge:
    @pytest.mark.parametrize("name", MERGEABLE)
    @settings(max_examples=15, deadline=None)  # kernels compile once
    @given(first=pulls, second=pulls)
    def test_is_as_if_all_was_learned_in_one_place(self, name, first, second):
        if POLICIES[name].needs_all_rewards:
            first, second = first[:5], second[:5]
        here, there = taught(make_policy(name, 3), first), taught(make_policy(name, 3), second)

        here.merge(there.state)

        joint = taught(make_policy(name, 3), first + second)
        for column in ("n", "total", "squares"):
            np.testing.assert_allclose(getattr(here.state, column), getattr(joint.state, column))
        np.testing.assert_allclose(here.allocation(), joint.allocation(), atol=1e-9)

    @pytest.mark.parametrize(
        "policy",
        [ThompsonBeta(2, discount=0.9), UCB1(2, window=5), Exp3(2), ThompsonBootstrap(2)],
    )
    def test_is_refused_where_the_order_matters(self, policy):
        with pytest.raises(StateError):
            policy.merge(sums([1, 1], [1, 0]))


class TestUpdateMany:
    @pytest.mark.parametrize("name", [n for n in ALL if not POLICIES[n].needs_all_rewards])
    def test_is_the_same_as_one_after_the_other(self, name):
        arms, rewards = [0, 1, 2, 1, 0], [1.0, 0.0, 1.0, 1.0, 0.0]
        many, single = make_policy(name, 3), make_policy(name, 3)

        many.update_many(arms, rewards)
        for arm, reward in zip(arms, rewards, strict=True):
            single.update(arm, reward)

        assert many.to_dict() == single.to_dict()

    def test_learns_nothing_where_one_is_refused(self):
        policy = ThompsonBeta(2)

        with pytest.raises(RewardError):
            policy.update_many([0, 1], [1.0, 1.5])
        with pytest.raises(ArmError):
            policy.update_many([0, 2], [1.0, 1.0])
        with pytest.raises(ArmError):
            policy.update_many([0], [1.0, 1.0])
        with pytest.raises(PropensityError):
            policy.update_many([0, 1], [1.0, 1.0], [0.5, 0.0])
        assert policy.state.n.sum() == 0.0


class TestForgetting:
    def test_discounts_before_each_reward(self):
        policy = taught(ThompsonBeta(2, discount=0.5), [(0, 1), (0, 1), (1, 0)])

        np.testing.assert_allclose(policy.state.n, [0.75, 1.0])
        np.testing.assert_allclose(policy.state.total, [0.75, 0.0])

    @settings(deadline=None)
    @given(pulls)
    def test_keeps_the_rewards_of_the_window_and_no_others(self, rows):
        policy = taught(UCB1(3, window=7), rows)

        expected = taught(UCB1(3), rows[-7:])
        np.testing.assert_allclose(policy.state.n, expected.state.n)
        np.testing.assert_allclose(policy.state.total, expected.state.total)
        np.testing.assert_allclose(policy.bounds(), expected.bounds())

    def test_counts_periods_of_full_information_once(self):
        policy = Leader(2, discount=0.5)

        policy.update_all([1.0, 0.0])
        policy.update_all([0.0, 1.0])

        np.testing.assert_allclose(policy.state.total, [0.5, 1.0])

    def test_is_one_of_two(self):
        with pytest.raises(SettingsError):
            ThompsonBeta(2, discount=0.9, window=5)
        with pytest.raises(SettingsError):
            Exp3(2, discount=0.9)
        with pytest.raises(SettingsError):
            ThompsonBootstrap(2, window=5)


class TestBounds:
    """Formulas worked by hand for 10 rewards: 4 of arm 0 (3 won), 6 of arm 1 (3 won)."""

    STATE = sums([4.0, 6.0], [3.0, 3.0])

    def bounds(self, policy):
        policy.merge(self.STATE)
        return policy.bounds()

    def test_of_ucb1(self):
        log = math.log(10)

        expected = [0.75 + math.sqrt(2 * log / 4), 0.5 + math.sqrt(2 * log / 6)]

        np.testing.assert_allclose(self.bounds(UCB1(2)), expected)

    def test_of_ucb_tuned(self):
        log = math.log(10)
        ceilings = [min(0.25, v + math.sqrt(2 * log / n)) for v, n in ((0.1875, 4), (0.25, 6))]

        expected = [0.75 + math.sqrt(log / 4 * ceilings[0]), 0.5 + math.sqrt(log / 6 * ceilings[1])]

        np.testing.assert_allclose(self.bounds(UCBTuned(2)), expected)

    def test_of_ucb_v(self):
        log = math.log(10)

        expected = [
            0.75 + math.sqrt(2 * 0.1875 * log / 4) + 3 * log / 4,
            0.5 + math.sqrt(2 * 0.25 * log / 6) + 3 * log / 6,
        ]

        np.testing.assert_allclose(self.bounds(UCBV(2)), expected)

    def test_of_kl_ucb_spend_the_budget(self):
        bounds = self.bounds(KLUCB(2))

        assert 4 * kl(0.75, bounds[0]) == pytest.approx(math.log(10))
        assert 6 * kl(0.5, bounds[1]) == pytest.approx(math.log(10))

    def test_of_kl_ucb_with_c_add_its_logarithm(self):
        bounds = self.bounds(KLUCB(2, c=3.0))

        budget = math.log(10) + 3 * math.log(math.log(10))
        assert 4 * kl(0.75, bounds[0]) == pytest.approx(budget)

    def test_of_kl_ucb_at_the_edges(self):
        policy = KLUCB(3)
        policy.merge(sums([5.0, 5.0, 0.0], [0.0, 5.0, 0.0]))

        np.testing.assert_allclose(policy.bounds(), [1 - 10 ** (-1 / 5), 1.0, np.inf])

    def test_of_gaussian_kl_ucb(self):
        expected = [0.75 + 0.3 * math.sqrt(2 * math.log(10) / 4)]

        np.testing.assert_allclose(self.bounds(KLUCBGaussian(2, scale=0.3))[:1], expected)

    @pytest.mark.parametrize("name", DETERMINISTIC)
    def test_lead_to_the_arm_of_the_largest(self, name):
        policy = make_policy(name, 3, seed=4)
        rng = np.random.default_rng(5)
        for _ in range(300):
            bounds = policy.bounds()
            arm = policy.choose()
            assert bounds[arm] == bounds.max() or bounds[arm] >= bounds.max() - 1e-12
            policy.update(arm, float(rng.random() < 0.3 + 0.2 * arm))

    def test_scale_with_the_rewards(self):
        small, large = UCB1(2), UCB1(2, scale=100.0)

        small.merge(self.STATE)
        large.merge(sums([4.0, 6.0], [300.0, 300.0], [3e4, 3e4]))

        np.testing.assert_allclose(100.0 * small.bounds(), large.bounds())


class TestThompson:
    @pytest.mark.parametrize("prior", [(0.01, 0.01), (0.5, 0.5), (0.5, 3.0), (2.0, 0.3)])
    def test_draws_shapes_below_one_as_the_quadrature_has_them(self, prior):
        policy = ThompsonBeta(3, prior=prior)
        policy.update_many([0, 0, 1], [1.0, 0.0, 1.0])

        chosen = np.bincount(policy.select(40_000), minlength=3) / 40_000

        np.testing.assert_allclose(chosen, policy.allocation(), atol=0.012)

    def test_finds_no_difference_in_units(self):
        percents, shares = (
            ThompsonNormal(2, prior=(0, 1, 1, 1)),
            ThompsonNormal(2, prior=(0, 1, 1, 1e-4)),
        )
        values = np.random.default_rng(1).normal(size=(2, 20))
        for arm in (0, 1):
            percents.update_many([arm] * 20, values[arm])
            shares.update_many([arm] * 20, values[arm] / 100)

        np.testing.assert_allclose(percents.allocation(), shares.allocation(), atol=1e-9)

    def test_of_means_follows_the_normal_formula(self):
        policy = ThompsonGaussian(2, scale=2.0, prior=(0.0, 10.0))
        policy.update_many([0] * 4 + [1] * 4, [1.0] * 4 + [2.0] * 4)

        posterior = policy.posterior()

        np.testing.assert_allclose(posterior.scale**2, 1 / (1 / 100 + 4 / 4))
        np.testing.assert_allclose(posterior.mean, np.array([4.0, 8.0]) / 4 / (1 / 100 + 1))

    def test_by_bootstrap_is_near_the_normal_posterior_of_many_rewards(self):
        rng = np.random.default_rng(2)
        policy = ThompsonBootstrap(2, n_replicates=2_000, seed=3)
        values = rng.normal([[0.0], [0.1]], 1.0, (2, 300))
        for arm in (0, 1):
            policy.update_many([arm] * 300, values[arm])
        flat = ThompsonGaussian(2, prior=(0.0, 100.0))
        flat.merge(ArmStatistics(*(policy.state.n, policy.state.total, policy.state.squares)))

        np.testing.assert_allclose(policy.allocation(), flat.allocation(), atol=0.05)
        np.testing.assert_allclose(policy.allocation_of(policy.state), flat.allocation(), atol=0.05)


class TestEpsilonGreedy:
    def test_exploits_on_means_not_on_sums(self):
        policy = EpsilonGreedy(2, epsilon=0.1)
        policy.merge(sums([100.0, 2.0], [50.0, 2.0]))

        np.testing.assert_allclose(policy.allocation(), [0.05, 0.95])

    def test_decays_as_published(self):
        policy = EpsilonGreedy.decaying(2, gap=0.5, c=5.0)  # 5 * 2 / 0.25 = 40
        policy.merge(sums([50.0, 49.0], [30.0, 10.0]))

        np.testing.assert_allclose(policy.allocation()[1], 40 / 100 / 2)


class TestSoftmax:
    def test_is_in_proportion_to_the_exponential(self):
        policy = Softmax(2, temperature=0.5)
        policy.merge(sums([2.0, 2.0], [2.0, 1.0]))

        assert policy.allocation()[0] == pytest.approx(1 / (1 + math.exp(-1)))

    def test_does_not_overflow(self):
        policy = Softmax(2, temperature=1e-6)
        policy.merge(sums([2.0, 2.0], [2.0, 1.0]))

        np.testing.assert_array_equal(policy.allocation(), [1.0, 0.0])


class TestExp3:
    def test_divides_by_the_probability(self):
        policy = Exp3(2, gamma=0.2)

        policy.update(0, 1.0)  # p = 1/2, so the estimate is 2 and the weight exp(0.2)

        weight = math.exp(0.2 * 2 / 2)
        expected = 0.8 * weight / (weight + 1) + 0.1
        assert policy.allocation()[0] == pytest.approx(expected)

    def test_uses_the_probability_of_a_late_reward(self):
        policy = Exp3(2, gamma=0.2)

        policy.update(0, 1.0, probability=0.25)

        weight = math.exp(0.2 * 4 / 2)
        assert policy.allocation()[0] == pytest.approx(0.8 * weight / (weight + 1) + 0.1)

    def test_from_weighted_sums_is_the_same(self):
        policy, arms, chances = (
            Exp3(2, gamma=0.3, reward_range=(-1.0, 3.0)),
            [0, 1, 1],
            [0.5, 0.4, 0.6],
        )
        rewards = [0.5, -0.5, 2.0]
        policy.update_many(arms, rewards, chances)

        weighted = ArmStatistics.of_rewards(arms, rewards, 2, probabilities=chances)

        np.testing.assert_allclose(policy.allocation_of(weighted), policy.allocation())

    def test_refuses_sums_without_probabilities(self):
        with pytest.raises(PropensityError):
            Exp3(2).allocation_of(sums([1, 1], [1, 0]))
        with pytest.raises(PropensityError):
            Exp3(2, alpha=0.01).allocation_of(sums([1, 1], [1, 0]))

    def test_with_sharing_follows_the_recursion(self):
        policy, weights = Exp3(2, gamma=0.2, alpha=0.01), np.ones(2)
        for arm, reward in [(0, 1.0), (1, 1.0), (0, 0.5)]:
            p = 0.8 * weights / weights.sum() + 0.1
            passed = math.e * 0.01 / 2 * weights.sum()
            weights[arm] *= math.exp(0.2 * reward / p[arm] / 2)
            weights += passed
            policy.update(arm, reward)

        np.testing.assert_allclose(policy.allocation(), 0.8 * weights / weights.sum() + 0.1)

    def test_is_tuned_as_published(self):
        expected = math.sqrt(10 * math.log(10) / ((math.e - 1) * 10_000))

        assert Exp3.tuned(10, 10_000).gamma == pytest.approx(expected)


class TestHedge:
    def test_weighs_sums_exponentially(self):
        policy = Hedge(2, rate=0.5, reward_range=(-1.0, 1.0))

        policy.update_all([1.0, 0.0])

        assert policy.allocation()[0] == pytest.approx(1 / (1 + math.exp(-0.25)))

    def test_keeps_its_regret_below_the_bound(self):
        rng, horizon = np.random.default_rng(3), 2_000
        policy, earned = Hedge(4, horizon=horizon), 0.0
        rewards = rng.random((horizon, 4)) ** [1.0, 1.2, 0.9, 1.1]
        for row in rewards:
            earned += policy.allocation() @ row
            policy.update_all(row)

        assert rewards.sum(axis=0).max() - earned <= math.sqrt(horizon * math.log(4) / 2)

    def test_learns_from_all_arms_only(self):
        with pytest.raises(ArmError):
            Hedge(2).update(0, 1.0)
        with pytest.raises(ArmError):
            Leader(2).update_many([0], [1.0])
        with pytest.raises(ArmError):
            Hedge(2).update_all([1.0])


class TestTopTwoThompson:
    def test_allocates_by_the_formula(self):
        policy = TopTwoThompson(3, posterior="gaussian", leader_share=0.5, scale=1.0)
        policy.update_many([0, 1, 2, 0], [0.1, 0.4, -0.3, 0.2])
        best = policy.probability_best()

        expected = [
            best[k] * (0.5 + 0.5 * sum(best[j] / (1 - best[j]) for j in range(3) if j != k))
            for k in range(3)
        ]

        np.testing.assert_allclose(policy.allocation(), expected)

    def test_gives_half_to_the_rivals_of_a_certain_leader(self):
        policy = TopTwoThompson(3)
        policy.merge(sums([1e4, 1e4, 1e4], [9e3, 1e3, 5e3]))

        np.testing.assert_allclose(policy.allocation(), [0.5, 0.0, 0.5], atol=1e-6)

    def test_refuses_a_posterior_that_is_not_there(self):
        with pytest.raises(SettingsError):
            TopTwoThompson(3, posterior="cauchy")


class TestSuccessiveElimination:
    def test_plays_round_and_drops_what_cannot_be_the_best(self):
        policy, rng = SuccessiveElimination(3, error=0.05, seed=1), np.random.default_rng(7)
        for _ in range(3_000):
            arm = policy.choose()
            policy.update(arm, float(rng.random() < [0.9, 0.2, 0.5][arm]))

        assert policy.surviving() == [0]
        assert policy.state.n[1] < policy.state.n[2] < policy.state.n[0]

    @pytest.mark.slow
    def test_drops_the_best_no_more_often_than_it_says(self):
        lost = 0
        for seed in range(300):
            policy, rng = (
                SuccessiveElimination(2, error=0.1, seed=seed),
                np.random.default_rng(seed),
            )
            wins = (rng.random((500, 2)) < [0.55, 0.5]) * 1.0
            for row in wins:
                arm = policy.choose()
                policy.update(arm, row[arm])
            lost += 0 not in policy.surviving()

        assert lost / 300 <= 0.1


class TestRanges:
    @pytest.mark.parametrize("policy", [ThompsonBeta(2), KLUCB(2), Exp3(2)])
    @pytest.mark.parametrize("wrong", [-0.01, 1.01])
    def test_of_rewards_are_kept(self, policy, wrong):
        with pytest.raises(RewardError):
            policy.update(0, wrong)

    def test_of_sums_are_kept(self):
        with pytest.raises(RewardError):
            ThompsonBeta(2).allocation_of(sums([1.0, 1.0], [2.0, 0.0]))

    def test_errors_are_value_errors(self):
        assert issubclass(BanditError, ValueError)
        with pytest.raises(BanditError):
            make_policy("poker", 2)
