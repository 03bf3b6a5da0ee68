import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.bandits import ArmError, LinearThompson, LinUCB, RewardError, StateError

KINDS = [LinUCB, LinearThompson]
numbers = st.floats(-3.0, 3.0)
rows = st.lists(
    st.tuples(st.tuples(numbers, numbers), st.integers(0, 1), numbers), min_size=1, max_size=25
)


def taught(policy, given_rows):
    for context, arm, reward in given_rows:
        policy.update(context, arm, reward)
    return policy


class TestLinUCB:
    def test_matches_the_paper_worked_by_hand(self):
        policy = taught(LinUCB(2, 2, width=1.5), [((1.0, 2.0), 0, 3.0), ((0.5, 0.0), 0, 1.0)])

        design = np.array([[1.0, 2.0], [0.5, 0.0]])
        inverse = np.linalg.inv(np.eye(2) + design.T @ design)
        coefficients = inverse @ design.T @ [3.0, 1.0]
        x = np.array([0.3, -0.7])
        mean, error = policy.predict(x)
        np.testing.assert_allclose(policy.coefficients[0], coefficients)
        np.testing.assert_allclose(mean, [coefficients @ x, 0.0])
        np.testing.assert_allclose(error, [math.sqrt(x @ inverse @ x), math.sqrt(x @ x)])
        assert policy.choose(x) == int(np.argmax(mean + 1.5 * error))

    def test_learns_which_arm_fits_which_regime(self):
        policy, rng = LinUCB(2, 2, width=2.0, seed=1), np.random.default_rng(2)
        for _ in range(500):
            calm = rng.random() < 0.5
            context = [1.0, float(calm)]
            arm = policy.choose(context)
            policy.update(context, arm, (0.5 if arm == calm else -0.5) + rng.normal())

        assert policy.choose([1.0, 0.0]) == 0
        assert policy.choose([1.0, 1.0]) == 1


class TestLinearThompson:
    def test_draws_along_the_context_with_the_right_spread(self):
        policy = taught(
            LinearThompson(2, 2, width=0.7, seed=3), [((1.0, 0.5), 0, 1.0), ((0.2, 1.0), 1, 0.8)]
        )
        x = np.array([1.0, 1.0])
        mean, error = policy.predict(x)
        z = (mean[0] - mean[1]) / (0.7 * math.hypot(*error))

        expected = 0.5 * (1 + math.erf(z / math.sqrt(2)))

        assert policy.allocation(x)[0] == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("kind", KINDS)
class TestBoth:
    @settings(max_examples=25, deadline=None)
    @given(first=rows, second=rows)
    def test_merged_are_as_if_all_was_learned_in_one_place(self, kind, first, second):
        here, there = taught(kind(2, 2), first), taught(kind(2, 2), second)

        here.merge(there)

        joint = taught(kind(2, 2), first + second)
        np.testing.assert_allclose(here.coefficients, joint.coefficients, atol=1e-9)
        np.testing.assert_allclose(here.predict([1, 2])[1], joint.predict([1, 2])[1], atol=1e-9)

    def test_go_on_from_a_stored_state(self, kind):
        policy = taught(kind(3, 2, seed=4), [((1.0, 0.5), 0, 1.0), ((0.2, 1.0), 1, 0.8)])
        again = kind.from_dict(json.loads(json.dumps(policy.to_dict())))

        assert [policy.choose([1, t]) for t in range(30)] == [
            again.choose([1, t]) for t in range(30)
        ]
        with pytest.raises(StateError):
            kind.from_dict(policy.to_dict() | {"moment": [1.0]})
        with pytest.raises(StateError):
            kind.from_dict(policy.to_dict() | {"policy": "ucb1"})

    def test_forget_by_their_discount(self, kind):
        policy = taught(kind(2, 1, discount=0.5), [((1.0,), 0, 4.0), ((1.0,), 0, 1.0)])

        assert policy.coefficients[0, 0] == pytest.approx((0.5 * 4 + 1) / (1 + 1.5))
        with pytest.raises(StateError):
            policy.merge(kind(2, 1))

    def test_refuse_what_cannot_be(self, kind):
        policy = kind(2, 2)
        with pytest.raises(ArmError):
            policy.choose([1.0])
        with pytest.raises(RewardError):
            policy.choose([1.0, math.nan])
        with pytest.raises(RewardError):
            policy.update([1.0, 1.0], 0, math.inf)
        with pytest.raises(ArmError):
            policy.update([1.0, 1.0], 2, 1.0)
        with pytest.raises(StateError):
            policy.merge(kind(2, 3))
        assert policy.n.sum() == 0.0
