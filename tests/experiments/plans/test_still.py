"""Outcomes that do not vary: nothing is known of an error, and what rounding makes is none."""

import numpy as np
import pytest

from experiments.plans import Verdict
from experiments.plans.analysis import analyze
from experiments.plans.decisions import decide
from experiments.plans.observed import Observed
from experiments.statistics.clusters import UnitTable
from experiments.statistics.summaries import PeriodTable
from tests.experiments.plans.test_analysis import DAY, planned, shadow_table


def units(seed, values, n_periods=100, size=12):
    """Return outcomes that are one number an arm; a sum of tenths is no tenth any more."""
    rng = np.random.default_rng(seed)
    period = np.repeat(np.arange(n_periods), size)
    arm = (rng.random(period.size) < 0.5).astype(np.int64)
    return period * DAY, arm, np.asarray(values)[arm]


def assigned(method, **more):
    analysis = {"horizon_periods": 100, "method": method, "region_of_equivalence": 0.01}
    return planned(design="assigned", analysis=analysis, **more)


@pytest.mark.parametrize("values", [(0.1, 0.1), (0.1, 0.2), (1e6 + 0.1, 1e6 + 0.1)])
@pytest.mark.parametrize("method", ["planned_sequence", "group_sequential", "fixed_horizon"])
class TestOutcomesOfOneNumber:
    def test_give_an_estimate_and_no_more(self, method, values):
        """One in twenty A/A experiments had a winner by 1e-18."""
        for seed in range(20):
            table = PeriodTable.of_outcomes(*units(seed, values))

            found = analyze(assigned(method), Observed({"return": table}))

            one = found.primary.comparisons[0]
            assert one.estimate == pytest.approx(values[1] - values[0], abs=1e-8)
            assert (one.lower, one.upper, one.p_value) == (None, None, None)
            assert (one.probability_better, one.expected_loss) == (None, None)
            assert one.because == "The differences do not vary: there is no interval."
            assert decide(found, control="champion").verdict == Verdict.INCONCLUSIVE

    def test_give_no_more_of_units_that_report_again(self, method, values):
        """The intervals were 1e-9 wide, and nearly every experiment had its answer by that."""
        period, arm, y = units(3, values, size=40)
        unit = np.tile(np.arange(40), 100)
        arm = unit % 2
        y = np.asarray(values)[arm]
        by_unit = UnitTable.of_outcomes(period, arm, unit, y)
        seen = Observed(
            {"return": PeriodTable.of_outcomes(period, arm, y)}, units={"return": by_unit}
        )

        found = analyze(assigned(method, units="repeated"), seen)

        one = found.primary.comparisons[0]
        assert one.estimate == pytest.approx(values[1] - values[0], abs=1e-8)
        assert (one.lower, one.upper) == (None, None)
        assert "do not vary enough" in one.because
        assert {arm.standard_error for arm in found.primary.arms} == {None}
        assert decide(found, control="champion", region_of_equivalence=0.01).verdict == (
            Verdict.INCONCLUSIVE
        )


class TestGuardrailsOfOneNumber:
    @pytest.mark.parametrize(
        ("loss", "says"),
        [
            (0.0, "Both arms were alike in all compared periods, so that no harm was seen; how"),
            (0.1, "The difference was the same in all compared periods; how large it could be"),
        ],
    )
    def test_are_open_with_what_was_seen(self, loss, says):
        """What never happened in either arm may be rare: no harm was seen, and none is ruled out.

        It was said that nothing is known of it.
        """
        made = np.random.default_rng(3).standard_normal((100, 2)) + np.array([[0.0, 2.0]])
        guard = {"name": "loss", "role": "guardrail", "direction": "decrease", "margin": 0.2}
        plan = planned(
            metrics=[{"name": "return", "role": "primary"}, guard],
            analysis={"horizon_periods": 100},
        )
        losses = np.tile([0.1, 0.1 + loss], (100, 1))

        found = analyze(
            plan, Observed({"return": shadow_table(made), "loss": shadow_table(losses)})
        )
        said = decide(found, control="champion")

        (one,) = found.guardrails[0].comparisons
        assert (one.lower, one.upper) == (None, None)
        assert one.estimate == pytest.approx(loss, abs=1e-12)
        assert (said.verdict, said.guardrails[0].status) == (Verdict.WINNER, "open")
        assert said.guardrails[0].because.startswith(says)
        assert (
            f"Its guardrail loss is open: difference {loss:g}, without an interval, and worse by "
            "0.2 is tolerated." in said.reason
        )
        assert says in said.reason
        assert "Nothing is known" not in said.reason

    @pytest.mark.parametrize(
        ("lifts", "says"),
        [
            ((0.0, 0.0), "Both arms were alike in all compared periods"),
            ((0.5, 0.5), "The difference was the same in all compared periods"),
            ((0.5, -0.5), "In each context the difference was the same"),
            ((0.5, 0.0), "In each context the difference was the same"),
        ],
    )
    def test_tell_contexts_apart(self, lifts, says):
        """A harm in calm times that turbulent ones made good was told as arms that are alike."""
        context = {"attribute": "regime", "values": ["calm", "turbulent"]}
        guard = {"name": "loss", "role": "guardrail", "direction": "decrease", "margin": 0.2}
        plan = planned(
            design="assigned", analysis={"horizon_periods": 100},
            metrics=[{"name": "return", "role": "primary"}, guard],
            allocation={"policy": "thompson_normal", "context": context},
        )  # fmt: skip
        period = np.repeat(np.arange(100), 8) * DAY
        arm, number = np.tile([0, 1], 400), np.tile([1, 1, 1, 1, 2, 2, 2, 2], 100)
        made = np.random.default_rng(3).standard_normal(800)
        losses = np.where(arm == 1, np.where(number == 1, *lifts), 0.0)
        tables = {
            name: PeriodTable.of_outcomes(period, arm, values, allocation=number)
            for name, values in (("return", made), ("loss", losses))
        }
        weights = {1: [0.5, 0.5], 2: [0.5, 0.5]}

        found = analyze(
            plan, Observed(tables, weights=weights, contexts={1: "calm", 2: "turbulent"})
        )

        (one,) = found.guardrails[0].comparisons
        assert one.estimate == pytest.approx(np.mean(lifts))
        assert one.because.startswith(says)


class TestBettingOnOneNumber:
    def test_is_as_good_as_any_other(self):
        """It takes bounds and no error; after one period it said that there was no interval."""
        returns = np.tile([0.0, 0.1], (60, 1))
        metric = {"name": "return", "role": "primary", "bound": 0.1}
        plan = planned(metrics=[metric], analysis={"horizon_periods": 60, "method": "betting"})

        found = analyze(plan, Observed({"return": shadow_table(returns)}))

        (one,) = found.primary.comparisons
        assert 0.0 < one.lower <= 0.1 <= one.upper
        assert (one.probability_better, one.posterior_deviation) == (None, None)


class TestSeveralOfWhichOneIsStill:
    def test_share_the_error_as_bonferroni_has_it(self):
        """What rounding makes of a constant goes together with nothing."""
        returns = np.random.default_rng(5).standard_normal((60, 3))
        returns[:, 1] = returns[:, 0] + 0.1
        arms = [{"name": name, "control": name == "a"} for name in "abc"]
        plan = planned(
            arms=arms,
            analysis={"horizon_periods": 60, "method": "fixed_horizon", "correction": "dunnett"},
        )

        found = analyze(plan, Observed({"return": shadow_table(returns)}))

        still, other = found.primary.comparisons
        assert still.lower is None
        assert other.confidence == pytest.approx(0.975)
        assert found.primary.standing == []


class TestAssumptionsOfOneNumber:
    def test_are_held_against_nothing(self):
        """A deviation of 1e-18 was said to be off, and to take two periods."""
        returns = np.random.default_rng(6).standard_normal((100, 1)) + np.array([[0.0, 0.1]])
        plan = planned(
            analysis={"horizon_periods": 100}, assumptions={"effect": 0.1, "deviation": 1.0}
        )

        found = analyze(plan, Observed({"return": shadow_table(returns)}))

        assert found.assumed is None


class TestContextsOfOneNumber:
    def test_give_an_estimate_and_no_more(self):
        """Each context has its own difference, always the same."""
        rng = np.random.default_rng(2)
        period = np.repeat(np.arange(100), 24)
        context, arm = rng.integers(0, 2, (2, period.size))
        table = PeriodTable.of_outcomes(
            period * DAY, arm, 0.1 + 0.1 * arm * context, allocation=1 + context
        )
        plan = assigned(
            "planned_sequence",
            allocation={"context": {"attribute": "regime", "values": ["calm", "wild"]}},
        )

        found = analyze(plan, Observed({"return": table}, contexts={1: "calm", 2: "wild"}))

        one = found.primary.comparisons[0]
        assert one.estimate == pytest.approx(0.05, abs=0.005)
        assert (one.lower, one.upper, one.posterior_deviation) == (None, None, None)
        assert one.because.endswith("The differences do not vary: there is no interval.")
