"""Agreement with MABWiser on the same rewards; the golden file names how it was made."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.bandits import UCB1, EpsilonGreedy, LinUCB, ThompsonBeta

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def theirs():
    return json.loads((GOLDEN / "bandits_mabwiser.json").read_text())


def taught(policy, theirs):
    policy.update_many(theirs["arms"], np.array(theirs["rewards"], dtype=float))
    return policy


class TestAgreement:
    @pytest.mark.parametrize("alpha", ["1", "1.25"])
    def test_of_ucb1(self, theirs, alpha):
        policy = taught(UCB1(3, scale=float(alpha)), theirs)

        np.testing.assert_allclose(policy.bounds(), theirs[f"ucb1_alpha_{alpha}"], rtol=1e-12)

    def test_of_thompson_sampling(self, theirs):
        allocation = taught(ThompsonBeta(3), theirs).allocation()

        np.testing.assert_allclose(allocation, theirs["thompson_share"], atol=0.011)

    def test_of_epsilon_greedy(self, theirs):
        allocation = taught(EpsilonGreedy(3, epsilon=0.3), theirs).allocation()

        np.testing.assert_allclose(allocation, theirs["eps_share"], atol=0.011)

    def test_of_lin_ucb(self, theirs):
        policy = LinUCB(3, 3, width=1.25, ridge=1.0)
        for context, arm, reward in zip(
            theirs["contexts"], theirs["arms"], theirs["rewards"], strict=True
        ):
            policy.update(context, arm, reward)

        mean, error = policy.predict(theirs["x"])

        np.testing.assert_allclose(mean + 1.25 * error, theirs["lin_ucb"], rtol=1e-10)
