"""Units that report again and again: an answer that counts each once, or why there is none."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.plans import ExperimentPlan, Verdict
from experiments.plans.analysis import analyze
from experiments.plans.decisions import decide
from experiments.plans.observed import Observed
from experiments.plans.units import clustered_sequence
from experiments.statistics.clusters import UnitTable
from experiments.statistics.summaries import PeriodTable

DAY = 86_400_000_000_000


def planned(**changes) -> ExperimentPlan:
    document = {
        "name": "x",
        "hypothesis": "h",
        "arms": [{"name": "champion", "control": True}, {"name": "challenger"}],
        "metrics": [{"name": "return", "role": "primary"}],
        "analysis": {"horizon_periods": 400},
        **changes,
    }
    return ExperimentPlan.model_validate(document)


class TestUnitsThatReportAgain:
    """What units differ by is constant in time, and in no interval from differences of periods."""

    N_UNITS, N_PERIODS = 200, 400

    def observed(self, seed=2, lift=0.0, with_units=True, **more):
        rng = np.random.default_rng(seed)
        level, arm = rng.standard_normal(self.N_UNITS), rng.integers(0, 2, self.N_UNITS)
        values = level + 0.5 * rng.standard_normal((self.N_PERIODS, self.N_UNITS)) + lift * arm
        period, unit = (index.ravel() for index in np.indices(values.shape))
        rows, one = (period * DAY, arm[unit]), np.ones(values.size, dtype=int)
        units = UnitTable.of_outcomes(*rows, unit, values.ravel(), allocation=one)
        return Observed(
            {"return": PeriodTable.of_outcomes(*rows, values.ravel(), allocation=one)},
            {"return": units} if with_units else {},
            exposed={1: {at: int(n) for at, n in enumerate(np.bincount(arm))}},
            weights={1: [0.5, 0.5]}, **more,
        )  # fmt: skip

    def asked(self, **more):
        return planned(design="assigned", analysis={"horizon_periods": 800, **more})

    @pytest.mark.parametrize(
        "method", ["planned_sequence", "asymptotic", "group_sequential", "fixed_horizon"]
    )
    def test_get_an_answer_that_counts_each_once(self, method):
        plan = self.asked(method=method)
        if method == "fixed_horizon":
            plan = planned(
                design="assigned", analysis={"horizon_periods": 400, "method": "fixed_horizon"}
            )

        same = analyze(plan, self.observed()).primary.comparisons[0]
        better = analyze(plan, self.observed(lift=1.0)).primary.comparisons[0]

        assert same.lower < 0.0 < same.upper
        assert better.lower > 0.0
        assert better.estimate - same.estimate == pytest.approx(1.0, rel=1e-9)
        assert better.probability_better == pytest.approx(1.0)
        assert same.path.n[-1] == (320 if method == "group_sequential" else 400)

    def test_are_told_of(self):
        found = analyze(self.asked(), self.observed(lift=1.0))

        assert any("depends on how many units" in note for note in found.notes)
        assert decide(found, control="champion").verdict == Verdict.WINNER
        level = found.primary.arms[0].standard_error
        assert level == pytest.approx(1.0 / np.sqrt(self.N_UNITS / 2), rel=0.2)

    def test_get_no_interval_where_nearly_all_outcomes_are_of_one(self):
        rng = np.random.default_rng(7)
        unit = np.concatenate([np.tile(np.arange(200), 5), np.zeros(20_000, dtype=int)])
        period = rng.integers(0, 400, unit.size) * DAY
        given = (period, unit % 2, unit, rng.standard_normal(unit.size))
        one = np.ones(unit.size, dtype=int)
        seen = Observed(
            {"return": PeriodTable.of_outcomes(*given[:2], given[3], allocation=one)},
            {"return": UnitTable.of_outcomes(*given, allocation=one)},
            exposed={1: {0: 100, 1: 100}}, weights={1: [0.5, 0.5]},
        )  # fmt: skip

        found = analyze(self.asked(minimum_periods=100), seen).primary.comparisons[0]

        assert found.lower is None
        assert "One unit has nearly all outcomes of an arm" in found.because

    def test_are_cut_at_the_watermark(self):
        early = analyze(self.asked(), self.observed(watermark=200 * DAY))

        assert early.primary.comparisons[0].path.n[-1] == 200

    def test_are_seen_whoever_else_is_silent(self):
        seen = self.observed()
        silent = replace(seen, exposed={1: {0: 50_000, 1: 50_000}})

        one, other = (analyze(self.asked(), table).primary for table in (seen, silent))

        assert (other.arms, other.comparisons) == (one.arms, one.comparisons)

    def test_may_lack_outcomes_that_are_not_looked_at_yet(self):
        """Those of the last period are in the sums by period alone."""
        seen = self.observed()
        some = {"return": seen.units["return"].ended(399 * DAY, DAY)}

        early, now = (
            analyze(self.asked(), replace(seen, units=some, watermark=n * DAY))
            .primary.comparisons[0]
            for n in (399, 400)
        )  # fmt: skip

        assert early.is_known
        assert now.is_withheld
        assert not early.is_withheld

    @pytest.mark.parametrize(
        ("n_periods", "role", "last"),
        [
            (450, "primary", 450),
            (440, "primary", 439),
            (440, "guardrail", 440),
            (460, "guardrail", 460),
        ],
    )
    def test_are_looked_at_once_the_horizon_has_come_and_guardrails_now(
        self, n_periods, role, last
    ):
        metrics = [{"name": "return", "role": "primary"}]
        guarded = {"name": "cost", "role": "guardrail", "margin": 1.0}
        plan = planned(
            design="assigned", metrics=[*metrics, guarded],
            analysis={"horizon_periods": 450, "minimum_periods": 111, "batch_periods": 1},
        )  # fmt: skip
        period, unit = (index.ravel() for index in np.indices((n_periods, 30)))
        rows = (period * DAY, unit % 2)
        values = np.random.default_rng(3).standard_normal(unit.size)
        metric = next(one for one in plan.metrics if one.role == role)

        found = clustered_sequence(
            plan, metric, PeriodTable.of_outcomes(*rows, values),
            UnitTable.of_outcomes(*rows, unit, values), 1, 0.95,
        )  # fmt: skip

        assert found.sequence.periods[-1] == last
        assert np.diff(found.sequence.periods).max() == 2

    @pytest.mark.parametrize(
        ("n_units", "spread", "why"),
        [
            (
                17, 1.0,
                "9 units of champion and 8 of challenger have reported; an interval takes 10",
            ),
            (
                40, 0.0,
                "Outcomes of 40 units in 50 periods do not vary enough: there is no interval.",
            ),
        ],
    )  # fmt: skip
    def test_say_what_they_have_too_little_of(self, n_units, spread, why):
        period, unit = (index.ravel() for index in np.indices((50, n_units)))
        rows = (period * DAY, unit % 2)
        values = spread * np.random.default_rng(4).standard_normal(unit.size)
        seen = Observed(
            {"return": PeriodTable.of_outcomes(*rows, values)},
            {"return": UnitTable.of_outcomes(*rows, unit, values)},
        )
        plan = planned(design="assigned", analysis={"horizon_periods": 100})

        one = analyze(plan, seen).primary.comparisons[0]

        assert (one.lower, one.upper) == (None, None)
        assert one.because.startswith(why)

    def test_have_no_answer_before_the_first_look(self):
        one = analyze(self.asked(minimum_periods=500), self.observed()).primary.comparisons[0]

        assert (one.lower, one.upper) == (None, None)
        assert one.estimate is not None
        assert one.because == (
            "No interval yet: 400 of the 500 periods that the first one takes have been compared."
        )

    @pytest.mark.parametrize("method", ["planned_sequence", "fixed_horizon"])
    def test_breach_nothing_by_an_interval_that_does_not_hold(self, method):
        """Of units that a plan takes for reporting once, which an arm got by chance is in none."""
        guarded = {"name": "return", "role": "guardrail", "margin": 0.05}
        other = {"name": "cost", "role": "primary"}
        plan = planned(
            design="assigned", metrics=[other, guarded], units="once",
            analysis={"horizon_periods": 400, "method": method},
        )  # fmt: skip
        seen = self.observed(lift=-0.5)
        seen = replace(
            seen, tables=dict.fromkeys(("return", "cost"), seen.tables["return"]),
            units=dict.fromkeys(("return", "cost"), seen.units["return"]),
        )  # fmt: skip

        found = analyze(plan, seen)

        for metric in found.metrics:
            (one,) = metric.comparisons
            assert one.is_withheld
            assert one.estimate is not None
            assert (one.lower, one.upper, one.path, one.p_value) == (None, None, None, None)
            assert one.because.startswith("The plan says that each unit reports once")
        assert decide(found, control="champion").verdict == Verdict.CONTINUE

    def test_keep_the_answer_of_the_look_before(self):
        plan, whole = self.asked(), self.observed(lift=0.2)

        paths = [
            analyze(plan, replace(whole, watermark=n * DAY)).primary.comparisons[0].path
            for n in (300, 400)
        ]

        assert paths[1].lower[: len(paths[0].lower)] == pytest.approx(paths[0].lower)

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"with_units": False}, "before they were added up by unit"),
            ({"allocation": {"policy": "leader"}, "counted_by": "outcome"}, "a policy moves"),
            ({"method": "betting"}, "takes outcomes one by one"),
        ],
    )
    def test_get_none_where_it_would_not_hold(self, changes, why):
        more = dict(changes)
        seen = self.observed(with_units=more.pop("with_units", True))
        plan = self.asked()
        if "allocation" in more:
            plan = planned(design="assigned", analysis={"horizon_periods": 800}, **more)
        elif more:
            bounded = [{"name": "return", "role": "primary", "bound": 9.0}]
            plan = planned(
                design="assigned", metrics=bounded, analysis={"horizon_periods": 800, **more}
            )

        found = analyze(plan, seen)

        one = found.primary.comparisons[0]
        assert (one.lower, one.upper) == (None, None)
        assert one.estimate is not None
        assert any("in period after period" in note and why in note for note in found.notes)
        assert decide(found, control="champion").verdict == Verdict.CONTINUE


class TestUnitsAsPlanned:
    """What a frozen plan compares does not change with how often units report."""

    seen = TestUnitsThatReportAgain()

    def once(self) -> Observed:
        """Return units of which each reports once, with their sums by unit."""
        rng = np.random.default_rng(5)
        n = 8_000
        period, arm = np.sort(rng.integers(0, 400, n)) * DAY, rng.integers(0, 2, n)
        rows, one = (period, arm), np.ones(n, dtype=int)
        values = rng.standard_normal(n) + 0.3 * arm
        return Observed(
            {"return": PeriodTable.of_outcomes(*rows, values, allocation=one)},
            {"return": UnitTable.of_outcomes(*rows, np.arange(n), values, allocation=one)},
            exposed={1: {0: int((arm == 0).sum()), 1: int((arm == 1).sum())}},
            weights={1: [0.5, 0.5]},
        )  # fmt: skip

    def test_follow_the_outcomes_where_it_says_nothing(self):
        plan = self.seen.asked()
        for observed, said in ((self.seen.observed(), "repeated"), (self.once(), "once")):
            named = self.seen.asked().model_copy(update={"units": said})
            assert analyze(plan, observed).metrics == analyze(named, observed).metrics
        assert "units" not in plan.document()

    def test_of_repeated_ones_are_compared_by_unit_however_often_they_report(self):
        plan = planned(design="assigned", units="repeated")

        found = analyze(plan, self.once())

        expected = clustered_sequence(
            plan, plan.primary, self.once().tables["return"], self.once().units["return"], 1, 0.95
        ).sequence.running()
        one = found.primary.comparisons[0]
        assert (one.lower, one.upper) == (expected.lower[-1], expected.upper[-1])
        assert plan.document()["units"] == "repeated"

    def test_of_those_that_report_once_get_no_answer_once_they_report_again(self):
        plan = planned(design="assigned", units="once")

        found = analyze(plan, self.seen.observed(lift=5.0))

        one = found.primary.comparisons[0]
        assert one.is_withheld
        assert "each unit reports once" in one.because
        assert decide(found, control="champion").winner == ""

    def test_say_nothing_before_there_are_outcomes(self):
        plan = planned(design="assigned", units="repeated")
        nothing = PeriodTable.of([], [], [], [], [], [])

        found = analyze(plan, Observed({"return": nothing}, exposed={}, weights={}))

        assert not found.primary.comparisons[0].is_withheld

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"units": "once"}, "counts by outcome"),
            ({"units": "once", "design": "assigned", "counted_by": "exposure"}, "in one period"),
            ({"units": "repeated", "design": "assigned", "counted_by": "outcome",
              "allocation": {"policy": "ucb1"}}, "while a policy moves shares"),
            ({"units": "repeated", "design": "assigned",
              "metrics": [{"name": "r", "role": "primary", "bound": 1.0}],
              "analysis": {"horizon_periods": 100, "method": "betting"}}, "one by one"),
        ],
        ids=str,
    )  # fmt: skip
    def test_are_refused_where_that_makes_no_difference_or_no_answer(self, changes, says):
        with pytest.raises(ValueError, match=says):
            planned(**changes)
