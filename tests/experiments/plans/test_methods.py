"""From plans to intervals: each method is the pure function of its name and of its settings."""

import numpy as np
import pytest

from experiments.plans import ExperimentPlan, Verdict
from experiments.plans.analysis import analyze
from experiments.plans.analysis_spec import AnalysisSpec
from experiments.plans.decisions import decide
from experiments.plans.methods import design_of, futile_looks, intervals_of, p_value_of
from experiments.plans.observed import Observed
from experiments.statistics.dependent import mean_of_series
from experiments.statistics.sequential import (
    asymptotic_sequence,
    betting_sequence,
    group_sequential,
    planned_sequence,
    schedule,
    with_futility,
)
from experiments.statistics.summaries import PeriodTable
from tests.experiments.plans.test_analysis import DAY, drawn, planned, shadow_table

D = np.random.default_rng(4).standard_t(5, 400) * 0.01 + 0.0012


def asked(**analysis) -> AnalysisSpec:
    return AnalysisSpec(**{"horizon_periods": 400, **analysis})


def scheduled(confidence: float, shares=(0.2, 0.4, 0.6, 0.8, 1.0), batch: int = 10, **how):
    boundary = schedule(shares, confidence=confidence, **how).boundary(400)
    return group_sequential(D, boundary, batch=batch, lag=1)


CASES = {
    "planned": (
        {"batch_periods": 7, "minimum_periods": 90},
        lambda sure: planned_sequence(D, horizon=400, confidence=sure, batch=7, start=90),
    ),
    "asymptotic": (
        {"method": "asymptotic", "batch_periods": 5, "minimum_periods": 150},
        lambda sure: asymptotic_sequence(D, best_at=200, confidence=sure, batch=5, start=150),
    ),
    "group": ({"method": "group_sequential"}, scheduled),
    "group of four": (
        {"method": "group_sequential", "n_looks": 4, "batch_periods": 5},
        lambda sure: scheduled(sure, (0.25, 0.5, 0.75, 1.0), 5),
    ),
    "pocock": (
        {"method": "group_sequential", "spending": "pocock"},
        lambda sure: scheduled(sure, spending="pocock"),
    ),
    "power": (
        {"method": "group_sequential", "spending": "power", "spending_exponent": 3},
        lambda sure: scheduled(sure, spending="power", power=3.0),
    ),
    "looks": (
        {"method": "group_sequential", "look_shares": [0.3, 0.9, 1.0]},
        lambda sure: scheduled(sure, (0.3, 0.9, 1.0)),
    ),
    "betting": (
        {"method": "betting"},
        lambda sure: betting_sequence(D, low=-0.1, high=0.1, confidence=sure, is_clipped=True),
    ),
}  # fmt: skip


class TestIntervalsOf:
    @pytest.mark.parametrize("confidence", [0.95, 0.99])
    @pytest.mark.parametrize("case", CASES)
    def test_are_those_of_the_method_with_the_settings_of_the_plan(self, case, confidence):
        settings, pure = CASES[case]

        found = intervals_of(asked(**settings), D, confidence, bound=0.1)

        expected = pure(confidence)
        assert found.confidence == confidence
        for name in ("periods", "mean", "lower", "upper", "p_values"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))

    def test_differ_by_the_method(self):
        """A method that quietly ran another one would have its numbers."""
        ends = {
            case: float(intervals_of(asked(**settings), D, 0.95, bound=0.1).lower[-1])
            for case, (settings, _) in CASES.items()
        }

        assert len(set(ends.values())) == len(ends)

    def test_of_a_fixed_horizon_are_one(self):
        found = intervals_of(asked(method="fixed_horizon"), D, 0.9, bound=None)

        one = mean_of_series(D, confidence=0.9)
        assert (found.lower[-1], found.upper[-1]) == (one.lower, one.upper)
        assert not np.isfinite(found.lower[:-1]).any()

    @pytest.mark.parametrize("method", ["fixed_horizon", "group_sequential"])
    def test_of_guardrails_hold_at_every_look(self, method):
        found = intervals_of(asked(method=method), D, 0.95, bound=None, is_guardrail=True)

        expected = planned_sequence(D, horizon=400, batch=10, start=100)
        np.testing.assert_array_equal(found.lower, expected.lower)


class TestAnalysisOfPlans:
    @pytest.mark.parametrize("case", CASES)
    def test_has_the_interval_of_the_method_corrected_for_its_challengers(self, case):
        settings, pure = CASES[case]
        plan = planned(
            arms=[{"name": "a", "control": True}, {"name": "b"}, {"name": "c"}],
            analysis={"horizon_periods": 400, **settings},
            metrics=[{"name": "return", "role": "primary", "bound": 0.05}],
        )
        returns = np.column_stack([np.zeros(400), D, D + 0.001])

        one = analyze(plan, Observed({"return": shadow_table(returns)})).primary.comparisons[0]

        expected = pure(0.975).running()
        assert one.confidence == pytest.approx(0.975)
        assert (one.lower, one.upper) == pytest.approx((expected.lower[-1], expected.upper[-1]))


class TestBetting:
    def plan(self, **metric) -> ExperimentPlan:
        return planned(
            analysis={"horizon_periods": 400, "method": "betting"},
            metrics=[{"name": "return", "role": "primary", **metric}],
        )

    def table(self, per_period: int, *, is_share: bool = False) -> PeriodTable:
        rng = np.random.default_rng(2)
        period = np.repeat(np.arange(400), 2 * per_period) * DAY
        arm = np.tile(np.repeat([0, 1], per_period), 400)
        values = rng.uniform(-0.01, 0.01, period.size) + 0.004 * arm
        values = (values > 0.0).astype(float) if is_share else values
        return PeriodTable.of_outcomes(period, arm, values)

    def test_has_the_truth_in_it_where_each_arm_has_one_outcome_a_period(self):
        found = analyze(self.plan(bound=0.02), Observed({"return": self.table(1)}))

        one = found.primary.comparisons[0]
        assert one.lower < 0.004 < one.upper

    def test_refuses_totals_of_several_outcomes_whose_bound_is_that_of_one(self):
        """Cut at twice the bound of one, totals of ten were taken for a fifth of what they are."""
        found = analyze(self.plan(bound=0.02), Observed({"return": self.table(10)}))

        one = found.primary.comparisons[0]
        assert (one.lower, one.estimate) == (None, None)
        assert "up to 10 outcomes of return in a period" in one.because
        assert any("up to 10 outcomes" in note for note in found.notes)

    def test_takes_proportions_of_any_number(self):
        table = self.table(10, is_share=True)

        found = analyze(self.plan(kind="proportion"), Observed({"return": table}))

        one = found.primary.comparisons[0]
        assert one.lower < 0.2 < one.upper


class TestPValue:
    @pytest.mark.parametrize("case", ["planned", "asymptotic"])
    @pytest.mark.parametrize("alpha", [0.2, 0.05, 0.01, 0.001])
    def test_is_the_level_at_which_an_interval_leaves_nothing_out(self, case, alpha):
        spec = asked(**CASES[case][0])
        for shift in (-0.0012, 0.0, 0.0004, 0.001):
            found = intervals_of(spec, D + shift, 1.0 - alpha, bound=None)
            p = p_value_of(found)

            is_apart = bool(found.excludes(0.0))
            assert is_apart == (p <= alpha) or p == pytest.approx(alpha, rel=0.02)

    def test_is_in_the_findings_and_none_before_a_look_is_allowed(self):
        plan, returns = planned(), drawn(lift=0.0008)
        whole = analyze(plan, Observed({"return": shadow_table(returns)}))
        early = analyze(plan, Observed({"return": shadow_table(returns[:60])}))

        seen = planned_sequence(returns[:, 1] - returns[:, 0], horizon=400, batch=10, start=100)
        assert whole.primary.comparisons[0].p_value == pytest.approx(seen.p_values[-1])
        assert early.primary.comparisons[0].p_value is None

    @pytest.mark.parametrize("method", ["group_sequential", "betting"])
    def test_is_none_of_methods_that_have_none(self, method):
        found = intervals_of(asked(method=method), D, 0.95, bound=0.1)

        assert p_value_of(found) is None

    def test_of_one_look_comes_with_it(self):
        spec = asked(method="fixed_horizon")

        assert p_value_of(intervals_of(spec, D[:399], 0.95, bound=None)) is None
        assert p_value_of(intervals_of(spec, D, 0.95, bound=None)) == mean_of_series(D).p_value

    def test_is_none_of_guardrails(self):
        plan = planned(
            metrics=[
                {"name": "return", "role": "primary"},
                {"name": "risk", "role": "guardrail", "margin": 0.1},
            ]
        )
        table = shadow_table(drawn(lift=0.001))

        found = analyze(plan, Observed({"return": table, "risk": table}))

        assert found.metrics[0].comparisons[0].p_value < 0.01
        assert found.metrics[1].comparisons[0].p_value is None


class TestNonInferior:
    def test_has_a_verdict_where_the_arms_are_as_good_as_each_other(self):
        metric = {"name": "return", "role": "primary", "margin": 0.0005}
        observed = Observed({"return": shadow_table(drawn(lift=0.0))})
        asked = planned(metrics=[metric | {"question": "non_inferior"}])

        found = analyze(asked, observed)

        one = found.primary.comparisons[0]
        assert one.lower < 0.0 < one.upper
        assert one.p_value is None
        assert decide(found, control="champion").winner == "challenger"
        assert "question" not in planned().document()["metrics"][0]
        assert asked.document()["metrics"][0]["question"] == "non_inferior"


class TestFutility:
    def plan(self, futility: str | None) -> ExperimentPlan:
        return planned(
            analysis={
                "horizon_periods": 400, "method": "group_sequential", "spending": "pocock",
                "n_looks": 4, "futility": futility,
            }
        )  # fmt: skip

    def test_is_that_of_the_design(self):
        spec = self.plan("advise").analysis
        expected = with_futility(schedule([0.25, 0.5, 0.75, 1.0], spending="pocock"))

        design = design_of(spec, 0.95)
        found = intervals_of(spec, D - D.mean(), 0.95, bound=None)
        reach = (found.upper - found.lower) / 2.0

        assert (design.bounds, design.futility) == (expected.bounds, expected.futility)
        for k, is_futile in enumerate(futile_looks(spec, found)[:-1]):
            z = abs(found.mean[k]) / reach[k] * expected.bounds[k]
            assert is_futile == (z < expected.futility[k])

    def findings(self, futility: str | None, lift: float, n: int = 300):
        returns = drawn(n_periods=n, seed=3)
        returns[:, 1] -= (returns[:, 1] - returns[:, 0]).mean() - lift
        return analyze(self.plan(futility), Observed({"return": shadow_table(returns)}))

    def test_stops_where_the_plan_says_so(self):
        found = self.findings("stop", 0.0)

        decision = decide(found, control="champion")
        assert decision.verdict == Verdict.INCONCLUSIVE
        assert "futility" in decision.reason
        assert found.to_dict()["gives_up"]

    def test_is_advice_otherwise(self):
        found = self.findings("advise", 0.0)

        assert decide(found, control="champion").verdict == Verdict.CONTINUE
        assert any("futility bound" in note for note in found.notes)
        assert "gives_up" not in found.to_dict()

    def test_is_not_said_of_what_may_still_be_found(self):
        for lift, n in ((0.0004, 300), (0.0, 400)):
            found = self.findings("stop", lift, n)
            assert not found.gives_up
            assert not any("futility" in note for note in found.notes)

    def test_is_not_said_of_what_allows_no_conclusion(self):
        """Calm times alone, alike, ended an experiment that asks about turbulent ones as well."""
        context = {"attribute": "regime", "values": ["calm", "turbulent"]}
        spec = self.plan("stop").analysis
        plan = planned(
            design="assigned", analysis=spec.model_dump(), allocation={"context": context}
        )
        rng = np.random.default_rng(1)
        day = np.repeat(np.arange(310), 40)
        arm, is_turbulent = rng.integers(0, 2, day.size), day >= 305
        values = rng.standard_normal(day.size)
        values[arm == 1] -= values[arm == 1].mean() - values[arm == 0].mean()
        table = PeriodTable.of_outcomes(day * DAY, arm, values, allocation=1 + is_turbulent)
        names = {1: "calm", 2: "turbulent"}

        found = analyze(plan, Observed({"return": table}, contexts=names))

        one = found.primary.comparisons[0]
        assert one.is_withheld
        assert one.is_known
        assert not found.gives_up
        assert decide(found, control="champion").verdict == Verdict.CONTINUE

    def test_leaves_the_intervals_as_they_are(self):
        one, other = (self.findings(how, 0.0002).primary.comparisons[0] for how in (None, "stop"))

        assert (one.lower, one.upper) == (other.lower, other.upper)


class TestSchedule:
    @pytest.mark.parametrize(
        ("analysis", "says"),
        [
            ({"spending": "pocock"}, "spending: of the method group_sequential alone"),
            ({"futility": "stop"}, "futility: of the method group_sequential alone"),
            ({"look_shares": [0.5, 1.0]}, "look_shares: of the method"),
            ({"method": "group_sequential", "look_shares": [0.5, 0.9]}, "ascend to 1"),
            ({"method": "group_sequential", "look_shares": [0.9, 0.5, 1.0]}, "ascend to 1"),
            ({"method": "group_sequential", "look_shares": [0.5, 0.51, 1.0]}, "4 periods apart"),
            ({"method": "group_sequential", "look_shares": [0.05, 1.0]}, "it takes 4 times"),
            ({"method": "group_sequential", "look_shares": [0.5, 1.0], "n_looks": 3}, "leave one"),
            ({"method": "group_sequential", "spending_exponent": 2}, "of the spending power"),
        ],
    )  # fmt: skip
    def test_refuses_what_cannot_be(self, analysis, says):
        with pytest.raises(ValueError, match=says):
            asked(**analysis)

    def test_is_in_the_document_where_it_is_asked_for(self):
        usual = planned().document()["analysis"]
        spec = {"horizon_periods": 400, "method": "group_sequential", "look_shares": [0.5, 1.0]}
        document = planned(analysis=spec).document()

        assert not {"look_shares", "spending", "futility", "spending_exponent"} & set(usual)
        assert document["analysis"]["look_shares"] == [0.5, 1.0]
        assert ExperimentPlan.model_validate(document).document() == document
