"""Priors from history: what was found before, without what was thought before."""

import numpy as np
import pytest

from experiments.plans import PlanError
from experiments.plans.analysis import analyze
from experiments.plans.decisions import decide
from experiments.plans.observed import Observed
from experiments.plans.prior_notes import prior_notes
from experiments.plans.prior_spec import PastEffect
from experiments.plans.priors import past_effects, pinned_prior, prior_of, why_unlike
from experiments.statistics.dependent import mean_of_series
from tests.experiments.plans.test_analysis import drawn, planned, shadow_table

TOLD = {"experiment": "1", "name": "a", "analysis": 3, "digest": "d"}


def effect(at, difference=None, error=1.0):
    return PastEffect(
        experiment=str(at), name=f"e-{at}", arm="b", analysis=1, digest="d",
        difference=float(at % 3) if difference is None else difference, standard_error=error,
    )  # fmt: skip


def asking(pinned=None, **analysis):
    prior = {"from": "concluded", "pinned": pinned and [one.model_dump() for one in pinned]}
    return planned(analysis={"horizon_periods": 400, "prior": prior, **analysis})


class TestPastEffects:
    @pytest.mark.parametrize("deviation", [None, 0.0002])
    def test_are_the_estimates_whatever_prior_there_was(self, deviation):
        plan = planned(analysis={"horizon_periods": 400, "prior_deviation": deviation})
        returns = drawn(lift=0.0005)
        findings = analyze(plan, Observed({"return": shadow_table(returns)})).to_dict()

        (found,) = past_effects(plan, "return", findings, **TOLD)

        expected = mean_of_series(returns[:, 1] - returns[:, 0])
        assert found.difference == pytest.approx(expected.difference, rel=1e-9)
        assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-9)

    def test_are_none_before_an_interval(self):
        plan = planned()
        findings = analyze(plan, Observed({"return": shadow_table(drawn(n_periods=20))})).to_dict()

        assert past_effects(plan, "return", findings, **TOLD) == []


class TestWhyUnlike:
    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({}, None),
            ({"metrics": [{"name": "fill", "role": "primary"}]}, "it has no metric return"),
            ({"metrics": [{"name": "return", "role": "primary", "unit": "bps"}]},
             "its unit is bps, and here none"),
            ({"period": "1h"}, "its period is 1h, and here 1d"),
            ({"design": "assigned"}, "its design is assigned, and here shadow"),
        ],
    )  # fmt: skip
    def test_says_what_differs(self, changes, why):
        assert why_unlike(planned(), planned().primary, planned(**changes)) == why


class TestPinnedPrior:
    def test_takes_experiments_and_not_differences(self):
        effects = [effect(1, at) for at in range(6)] + [effect(2), effect(3), effect(4)]

        with pytest.raises(PlanError, match=r"takes 5 concluded experiments.* there are 4: widen"):
            pinned_prior("return", effects, "x")

    def test_refuses_differences_that_chance_explains(self):
        with pytest.raises(PlanError, match=r"make no prior of return: .*State analysis.prior_dev"):
            pinned_prior("return", [effect(at, 0.001 * at) for at in range(8)], "x")

    def test_knows_on_how_many_it_rests(self):
        found = pinned_prior("return", [effect(at, 4.0 * at) for at in range(6)], "x")

        assert (found.n_experiments, len(found.effects), found.digest) == (6, 6, "x")
        assert found.mean == pytest.approx(10.0)


class TestPriorOf:
    def test_moves_the_bayesian_figures_and_nothing_else(self):
        pinned = pinned_prior(
            "return", [effect(at, 0.001 * (-1) ** at, 1e-5) for at in range(6)], "x"
        )
        observed = Observed({"return": shadow_table(drawn(lift=0.0003, n_periods=400))})

        flat, informed = (analyze(plan, observed) for plan in (planned(), asking([pinned])))

        one, other = flat.primary.comparisons[0], informed.primary.comparisons[0]
        assert (one.lower, one.upper, one.estimate) == (other.lower, other.upper, other.estimate)
        assert decide(flat, control="champion") == decide(informed, control="champion")
        law = prior_of(asking([pinned]).analysis, "return")
        expected = law.updated(one.posterior_mean, one.posterior_deviation)
        assert other.posterior_mean == pytest.approx(expected.mean)
        assert other.posterior_deviation == pytest.approx(expected.deviation)
        assert other.probability_better != one.probability_better

    def test_is_said_with_what_it_rests_on(self):
        pinned = pinned_prior("return", [effect(at, 4.0 * at) for at in range(6)], "x")

        (said,) = prior_notes(asking([pinned]))

        assert said.startswith(
            "The Bayesian figures of return have a prior from 6 concluded experiments "
            "(6 differences): 10 with a deviation of "
        )
        assert prior_notes(planned()) == []


class TestDocument:
    def test_writes_where_a_prior_is_from(self):
        assert asking().document()["analysis"]["prior"]["from"] == "concluded"
        assert "prior" not in planned().document()["analysis"]
        assert "tags" not in planned().document()
        assert planned(tags=["momentum"]).document()["tags"] == ["momentum"]

    def test_takes_one_prior(self):
        with pytest.raises(ValueError, match="prior and prior_deviation are two priors"):
            asking(prior_deviation=0.1)


def test_draws_of_experiments_like_these_are_covered():
    """Empirical Bayes intervals of 90 % certain priors from five experiments miss about 5 %."""
    rng, missed, n = np.random.default_rng(8), 0, 0
    for _ in range(400):
        effects = rng.normal(0.3, 1.0, 6)
        past = [effect(at, effects[at] + rng.standard_normal()) for at in range(5)]
        try:
            pinned = pinned_prior("return", past, "x")
        except PlanError:
            continue
        law = prior_of(asking([pinned]).analysis, "return")
        posterior = law.updated(effects[5] + rng.standard_normal(), 1.0)
        missed += abs(effects[5] - posterior.mean) > 1.96 * posterior.deviation
        n += 1

    assert n > 360
    assert missed / n <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / n)
