import math

import pytest

from experiments.bandits import Delayed, Exp3, RewardError, StateError, ThompsonBeta


class TestDelayed:
    def test_learns_rewards_whenever_they_come(self):
        delayed = Delayed(ThompsonBeta(2, seed=1))
        first, second = delayed.choose(), delayed.choose()

        delayed.resolve(second.ticket, 1.0)

        assert delayed.n_open == 1
        assert delayed.policy.state.n[second.arm] == 1.0
        delayed.resolve(first.ticket, 0.0)
        assert delayed.policy.state.n.sum() == 2.0

    def test_waits_for_its_batch(self):
        delayed = Delayed(ThompsonBeta(2), batch=3)
        decisions = [delayed.choose() for _ in range(4)]

        for decision in decisions[:2]:
            delayed.resolve(decision.ticket, 1.0)
        assert delayed.policy.state.n.sum() == 0.0

        delayed.resolve(decisions[2].ticket, 1.0)
        assert delayed.policy.state.n.sum() == 3.0
        delayed.resolve(decisions[3].ticket, 1.0)
        delayed.flush()
        assert delayed.policy.state.n.sum() == 4.0

    def test_hands_exp3_the_probability_of_its_time(self):
        delayed = Delayed(Exp3(2, gamma=0.2, seed=3), logs_probability=True)
        decisions = [delayed.choose() for _ in range(5)]
        assert {decision.probability for decision in decisions} == {0.5}

        for decision in decisions:
            delayed.resolve(decision.ticket, 1.0)

        plays = sum(decision.arm == 0 for decision in decisions)
        exponent = 0.2 * 2 / 2 * (plays - (5 - plays))
        expected = 0.8 / (1 + math.exp(-exponent)) + 0.1
        assert delayed.policy.allocation()[0] == pytest.approx(expected)

    def test_gives_up_what_never_comes(self):
        delayed = Delayed(ThompsonBeta(2))
        tickets = [delayed.choose().ticket for _ in range(3)]

        assert delayed.expire(before=tickets[2]) == 2
        with pytest.raises(StateError):
            delayed.resolve(tickets[0], 1.0)

    def test_refuses_a_reward_twice_and_keeps_a_decision_open_for_a_good_one(self):
        delayed = Delayed(ThompsonBeta(2))
        decision = delayed.choose()
        with pytest.raises(RewardError):
            delayed.resolve(decision.ticket, 2.0)

        delayed.resolve(decision.ticket, 1.0)

        with pytest.raises(StateError):
            delayed.resolve(decision.ticket, 1.0)
