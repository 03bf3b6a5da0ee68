"""Which of several arms is the best of all: their posteriors taken together."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.plans import Verdict
from experiments.plans.analysis import analyze
from experiments.plans.decisions import decide
from experiments.plans.observed import Observed
from experiments.selectors.cards import card_of
from experiments.statistics.bayesian import compare_posteriors
from experiments.statistics.posteriors import Normal
from tests.experiments.plans.test_analysis import planned, shadow_table

ARMS = [{"name": "a", "control": True}, {"name": "b"}, {"name": "c"}]


def analyzed(returns, **changes):
    plan = planned(arms=ARMS[: returns.shape[1]], **changes)
    return analyze(plan, Observed({"return": shadow_table(returns)}))


def series(b: float, c: float, *, own: float = 0.002, shared: float = 0.0, seed: int = 2):
    """Return a control that is known for sure, and two arms that may share a shock."""
    rng = np.random.default_rng(seed)
    noise = own * rng.standard_normal((400, 2)) + shared * rng.standard_normal((400, 1))
    noise -= noise.mean(axis=0)
    return np.column_stack([np.zeros(400), noise + np.array([b, c])])


def standing(found) -> dict[str, float]:
    return {one.arm: one.probability_best for one in found.primary.standing}


class TestStanding:
    def test_is_that_of_independent_posteriors_where_they_are(self):
        found = analyzed(series(0.0003, 0.0002))

        b, c = found.primary.comparisons
        laws = [Normal(one.posterior_mean, one.posterior_deviation) for one in (b, c)]
        pure = compare_posteriors([Normal(0.0, 1e-9), *laws])
        assert list(standing(found)) == ["a", "b", "c"]
        assert list(standing(found).values()) == pytest.approx(
            list(pure.probability_best), abs=0.03
        )
        losses = [one.expected_loss for one in found.primary.standing]
        assert losses == pytest.approx(list(pure.expected_loss), rel=0.15, abs=2e-6)

    def test_knows_that_arms_share_their_shocks(self):
        """Two arms that move together are told apart by what they do not share."""
        apart = standing(analyzed(series(0.003, 0.0025, own=0.004)))
        together = standing(analyzed(series(0.003, 0.0025, own=0.001, shared=0.004)))

        assert apart["b"] < 0.99 < together["b"]

    def test_turns_with_the_direction(self):
        metric = {"name": "return", "role": "primary", "direction": "decrease"}

        found = standing(analyzed(series(0.001, -0.001), metrics=[metric]))

        assert max(found, key=found.__getitem__) == "c"

    def test_is_none_of_two_arms_and_of_too_few_periods(self):
        returns = series(0.001, 0.0)

        assert not analyzed(returns[:, :2]).primary.standing
        assert not analyzed(returns[:5]).primary.standing

    def test_is_the_same_again(self):
        returns = series(0.0003, 0.0002)

        assert standing(analyzed(returns)) == standing(analyzed(returns))


class TestReason:
    def test_names_those_that_are_not_told_apart(self):
        found = analyzed(series(0.001, 0.00095))

        said = decide(found, control="a")

        assert (said.verdict, said.winner) == (Verdict.WINNER, "b")
        assert "b has more return than a" in said.reason
        assert "best of all, b or c, the data do not tell: b " in said.reason

    def test_names_none_where_they_are(self):
        found = analyzed(series(0.002, 0.0))
        without = replace(found, metrics=[replace(found.primary, standing=())])

        assert decide(found, control="a").reason == decide(without, control="a").reason

    def test_names_who_is_the_best_on_a_metric_that_the_winner_has_won_too(self):
        metrics = [
            {"name": "return", "role": "primary"},
            {"name": "turnover", "role": "primary", "direction": "decrease"},
        ]
        tables = {
            "return": shadow_table(series(0.00005, -0.00005)),
            "turnover": shadow_table(series(-0.001, -0.01, seed=3)),
        }

        said = decide(analyze(planned(arms=ARMS, metrics=metrics), Observed(tables)), control="a")

        assert (said.winner, said.won_on) == ("b", ("turnover",))
        assert "The best of all on turnover is c (100.0 %)." in said.reason
        assert "do not tell" not in said.reason


class TestShown:
    def test_on_the_card_of_the_metric_with_the_p_values_by_their_name(self):
        plan = planned(arms=ARMS)
        found = analyzed(series(0.001, 0.00095)).to_dict()["metrics"][0]

        card = card_of(plan, plan.primary, found, {})

        assert card.standing.startswith("Chance to be the best of all arms")
        assert "; a 0.0 %, expected loss" in card.standing
        assert card.p_name == "Anytime-valid p-value"
        assert card.rows[0].p_value == "< 0.0001"
