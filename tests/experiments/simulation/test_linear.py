"""Linear policies in replays: beside ridge regressions worked out directly, and their class."""

import numpy as np
import pytest

from experiments.bandits import LinearThompson, LinUCB, Uniform
from experiments.bandits.streams import new_streams
from experiments.simulation import SettingsError, contexts_of, replay

N = 160


@pytest.fixture(scope="module")
def market():
    """Two arms, each the best in its regime, and an idle third; the regime is seen."""
    rng = np.random.default_rng(5)
    calm = (np.arange(N) // 20) % 2
    means = np.where(calm[:, None] == 1, [0.8, -0.8, 0.0], [-0.8, 0.8, 0.0])
    return means + rng.normal(size=(N, 3)), calm


def chosen_arms(policy, returns, contexts, **asked) -> np.ndarray:
    """Return the arm of each period of the history as it happened."""
    found = replay(
        returns, {"one": policy}, contexts={"one": contexts}, regimes=np.arange(len(returns)),
        repetitions=1, as_happened=True, seed=11, **asked,
    )  # fmt: skip
    shares = found["one"].by_regime.shares
    assert (np.sort(shares, axis=1)[:, -1] == 1.0).all()
    return shares.argmax(axis=1)


def ridge(contexts, rewards, penalty=1.0):
    """Return coefficients and the inverse of A: the normal equations, solved directly."""
    inverse = np.linalg.inv(penalty * np.eye(contexts.shape[1]) + contexts.T @ contexts)
    return inverse @ contexts.T @ rewards, inverse


class TestLinUCB:
    @pytest.mark.parametrize(("width", "penalty"), [(1.0, 1.0), (0.3, 4.0)])
    def test_chooses_the_largest_bound_of_ridge_regressions(self, market, width, penalty):
        returns, calm = market
        contexts = contexts_of([calm, np.sin(np.arange(N))], N)

        arms = chosen_arms(LinUCB(3, 3, width=width, ridge=penalty), returns, contexts)

        for t in range(N):
            bounds = []
            for k in range(3):
                own = arms[:t] == k
                c, inverse = ridge(contexts[:t][own], returns[:t, k][own], penalty)
                x = contexts[t]
                bounds.append(x @ c + width * np.sqrt(x @ inverse @ x))
            assert bounds[arms[t]] == pytest.approx(max(bounds), abs=1e-9), t

    def test_forgets_as_weighted_least_squares_do(self, market):
        returns, calm = market
        contexts = contexts_of([calm], N)

        arms = chosen_arms(LinUCB(3, 2, discount=0.9), returns, contexts)

        t, x = N - 1, contexts[N - 1]
        bounds = []
        for k in range(3):
            own = np.flatnonzero(arms[:t] == k)
            root = np.sqrt(0.9 ** np.arange(own.size)[::-1])[:, None]
            c, inverse = ridge(root * contexts[own], root[:, 0] * returns[own, k])
            bounds.append(x @ c + np.sqrt(x @ inverse @ x))
        assert bounds[arms[t]] == pytest.approx(max(bounds), abs=1e-9)


class TestLinearThompson:
    def test_plays_as_often_and_earns_as_much_as_posteriors_drawn_directly(self, market):
        returns, calm = (part[:40] for part in market)
        contexts, repetitions, width = contexts_of([calm], 40), 3_000, 0.7
        rng = np.random.default_rng(1)
        earned, first = np.zeros(repetitions), np.zeros(repetitions)
        for i in range(repetitions):
            inverse, b = np.stack([np.eye(2)] * 3), np.zeros((3, 2))
            for t, x in enumerate(contexts):
                means, spread = b @ (inverse @ x).T, np.sqrt(np.einsum("kij,i,j->k", inverse, x, x))
                k = int(np.argmax(np.diag(means) + width * spread * rng.normal(size=3)))
                u = inverse[k] @ x
                inverse[k] -= np.outer(u, u) / (1.0 + x @ u)  # Sherman and Morrison
                b[k] += returns[t, k] * x
                earned[i] += returns[t, k]
                first[i] += k == 0

        found = replay(
            returns, {"one": LinearThompson(3, 2, width=width)}, contexts={"one": contexts},
            repetitions=repetitions, as_happened=True, seed=4,
        )["one"]  # fmt: skip

        error = earned.std() / np.sqrt(repetitions)
        assert found.reward.final == pytest.approx(
            earned.mean(), abs=4 * np.hypot(error, found.reward.final_error)
        )
        assert found.shares[0] == pytest.approx(
            first.mean() / 40, abs=4 * np.sqrt(2) * first.std() / np.sqrt(repetitions) / 40
        )


class TestTheSamePolicyTwice:
    @pytest.mark.parametrize("kind", [LinUCB, LinearThompson])
    @pytest.mark.parametrize("discount", [1.0, 0.95])
    def test_chooses_as_its_python_methods_do(self, market, kind, discount):
        returns, calm = market
        contexts = contexts_of([calm], N)

        arms = chosen_arms(kind(3, 2, discount=discount), returns, contexts)

        policy = kind(3, 2, discount=discount)
        policy._stream[:] = new_streams(11, 1, 0, 0)[0]
        for t, x in enumerate(contexts):
            assert policy.choose(x) == arms[t]
            policy.update(x, arms[t], returns[t, arms[t]])


class TestReplayWithContexts:
    def test_earns_what_sight_of_the_regime_is_worth(self, market):
        returns, calm = market
        policies = {"linear": LinearThompson(3, 2), "uniform": Uniform(3)}

        found = replay(
            returns, policies, contexts={"linear": contexts_of([calm], N)}, regimes=calm,
            repetitions=100, mean_block=20.0, seed=2,
        )  # fmt: skip

        linear = found["linear"]
        assert linear.gain_over_uniform.final > 40 * 1.5, "0.8 a period, less what learning takes"
        np.testing.assert_array_equal(linear.by_regime.shares.argmax(axis=1), [1, 0])
        assert linear.regret_to_best_arm.final < 0.0, "no single arm is as good"

    def test_adds_up_over_regimes(self, market):
        returns, calm = market
        policies = {"linear": LinUCB(3, 2), "uniform": Uniform(3)}

        found = replay(
            returns, policies, contexts={"linear": contexts_of([calm], N)}, regimes=calm,
            repetitions=7, seed=2,
        )  # fmt: skip

        for result in found.results:
            gain = result.by_regime.gain
            assert gain.mean.sum() == pytest.approx(result.gain_over_uniform.final)
            assert (result.by_regime.regret.mean >= -1e-12).sum() >= (result.name == "uniform")

    def test_resamples_contexts_with_their_periods(self, market):
        returns, _ = market
        telling = contexts_of(list(returns.T), N)  # the answer itself, to be recognized

        compared = replay(
            returns, {"one": LinUCB(3, 4, width=1.0, ridge=0.1)}, contexts={"one": telling},
            repetitions=20, mean_block=3.0, seed=2,
        )  # fmt: skip
        found, found_at = compared["one"], compared.checkpoints

        lost = found.regret_to_best_per_period.mean  # all the time, and in the last third
        at = int(np.searchsorted(found_at, 2 * N // 3))
        of_uniform = np.mean(returns.max(axis=1) - returns.mean(axis=1))
        assert (lost[-1] - lost[at]) / (N - found_at[at]) < 0.1 * of_uniform

    def test_leaves_other_policies_as_they_were(self, market):
        returns, calm = market
        alone = replay(returns, {"uniform": Uniform(3)}, repetitions=9, seed=3)

        beside = replay(
            returns, {"linear": LinUCB(3, 2), "uniform": Uniform(3)}, repetitions=9, seed=3,
            contexts={"linear": contexts_of([calm], N)}, regimes=calm,
        )  # fmt: skip

        one, other = alone["uniform"].reward, beside["uniform"].reward
        np.testing.assert_array_equal(one.mean, other.mean)

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({}, "decides by contexts"),
            ({"contexts": {"one": np.ones((N, 3))}}, "need the shape"),
            ({"contexts": {"one": np.full((N, 2), np.nan)}}, "missing or infinite"),
            ({"contexts": {"one": np.ones((N, 2))}, "batch": 2}, "learns at once"),
            ({"contexts": {"one": np.ones((N, 2))}, "delay": 1}, "learns at once"),
            ({"contexts": {"one": np.ones((N, 2))}, "all_rewards": ["one"]}, "from the arm"),
            ({"contexts": {"one": np.ones((N, 2))}, "regimes": [0, 1]}, "one for each period"),
        ],
    )
    def test_refuses_what_does_not_fit(self, market, more, said):
        with pytest.raises(SettingsError, match=said):
            replay(market[0], {"one": LinUCB(3, 2)}, repetitions=2, **more)

    def test_refuses_contexts_for_a_policy_without_use_for_them(self, market):
        with pytest.raises(SettingsError, match="no use for contexts"):
            replay(market[0], {"one": Uniform(3)}, contexts={"one": np.ones((N, 2))})
