"""Alarms: which there are, which pause, and which a person has taken back."""

import math

import pytest

from experiments.plans import ExperimentPlan
from experiments.plans.alarms import Alarm, acknowledge, alarms_of, pausing, written
from experiments.plans.analysis import analyze
from experiments.plans.observed import Observed
from experiments.statistics.summaries import PeriodTable
from tests.factories.experiments import plan as document

MIX = {"is_mismatch": True, "p_value": 1e-5}


def plan(**stopping) -> ExperimentPlan:
    guard = {"name": "drawdown", "role": "guardrail", "direction": "decrease", "margin": 0.1}
    metrics = [{"name": "return", "role": "primary"}, guard]
    return ExperimentPlan.model_validate(document(metrics=metrics, stopping=stopping))


def analysis(lower, upper, *, direction="decrease", status="breached", mismatch=None):
    one = {"arm": "challenger", "lower": lower, "upper": upper, "estimate": (lower + upper) / 2}
    metric = {"name": "drawdown", "direction": direction, "comparisons": [one]}
    state = {"metric": "drawdown", "arm": "challenger", "status": status}
    return {"metrics": [metric], "mismatch": mismatch}, {"guardrails": [state]}


def mix(counts, weights=(0.5, 0.5)):
    """Return what an analysis says of units that came so, and of some that came as allocated."""
    asked = ExperimentPlan.model_validate(document(design="assigned"))
    nothing = PeriodTable.of([], [], [], [], [], [])
    seen = Observed(
        {metric.name: nothing for metric in asked.metrics},
        exposed={1: dict(enumerate(counts)), 2: {0: 100, 1: 100}},
        weights={1: list(weights), 2: [0.5, 0.5]},
    )
    return analyze(asked, seen).to_dict()["mismatch"]


class TestAlarmsOf:
    @pytest.mark.parametrize(
        ("lower", "upper", "direction"), [(0.3, 0.9, "decrease"), (-0.9, -0.3, "increase")]
    )
    def test_says_how_much_worse_an_arm_is_shown_to_be(self, lower, upper, direction):
        found = alarms_of(plan(), *analysis(lower, upper, direction=direction))

        assert found == [Alarm("drawdown", "challenger", 0.3, pytest.approx(0.6))]

    @pytest.mark.parametrize("status", ["held", "open"])
    def test_leaves_out_guardrails_that_are_not_breached(self, status):
        assert alarms_of(plan(), *analysis(-0.3, 0.9, status=status)) == []

    def test_names_units_that_did_not_come_as_allocated_beside_a_breach(self):
        found = alarms_of(plan(mismatch_alpha=0.01), *analysis(0.3, 0.9, mismatch=MIX))

        assert [one.is_of_units for one in found] == [True, False]
        assert math.exp(-found[0].tolerated) == pytest.approx(1e-7)

    def test_takes_units_in_an_arm_without_a_share(self):
        none = {"is_mismatch": True, "p_value": 0.0}

        found = alarms_of(plan(), *analysis(0.3, 0.9, status="held", mismatch=none))

        assert math.isfinite(found[0].tolerated)

    def test_of_units_goes_on_where_the_p_value_is_as_small_as_it_gets(self):
        """At 708 every later alarm was the one that a person had taken back."""
        seen = [
            alarms_of(plan(), *analysis(0.3, 0.9, status="held", mismatch=mix(counts)))
            for counts in ([9_000, 1_000], [10_000, 2_000], [90_000, 10_000])
        ]

        (before,), (same,), (more,) = seen

        assert before.shown > 1_000.0
        assert same.is_known([before])
        assert not more.is_known([before])
        assert written(plan(), before).endswith("below p = 1e-1578.")

    def test_counts_units_in_an_arm_without_a_share_apart_from_the_mix(self):
        few, more = (
            alarms_of(plan(), *analysis(0.3, 0.9, status="held", mismatch=mix(counts, [1.0, 0.0])))
            for counts in ([500, 3], [500, 4])
        )
        skewed = alarms_of(plan(), *analysis(0.3, 0.9, status="held", mismatch=mix([900, 100])))

        assert few == [Alarm("", "challenger", 3, 3)]
        assert not few[0].is_known(skewed)
        assert few[0].is_known(few)
        assert not more[0].is_known(few)
        assert pausing(plan(), few) == few
        assert written(plan(), few[0]).endswith(
            "came to challenger while it had no share: that pauses it again once there are more "
            "than 3."
        )


class TestPausing:
    @pytest.mark.parametrize(
        ("stopping", "metrics"),
        [
            ({}, ["", "drawdown"]),
            ({"on_mismatch": "notify"}, ["drawdown"]),
            ({"on_guardrail": "notify"}, [""]),
            ({"on_mismatch": "notify", "on_guardrail": "notify"}, []),
        ],
    )
    def test_asks_the_plan_of_each_by_itself(self, stopping, metrics):
        asked = plan(**stopping)

        found = pausing(asked, alarms_of(asked, *analysis(0.3, 0.9, mismatch=MIX)))

        assert [one.metric for one in found] == metrics


class TestAlarm:
    @pytest.mark.parametrize(
        ("lower", "upper", "is_known"),
        [(0.31, 0.8, True), (0.5, 0.7, True), (0.61, 0.9, False)],
    )
    def test_is_known_until_it_is_shown_to_be_worse_than_it_was_thought(
        self, lower, upper, is_known
    ):
        known = alarms_of(plan(), *analysis(0.3, 0.9))

        (now,) = alarms_of(plan(), *analysis(lower, upper))

        assert now.is_known(known) is is_known

    def test_of_another_arm_or_metric_is_not(self):
        known = [Alarm("drawdown", "challenger", 0.3, 0.6)]

        assert not Alarm("drawdown", "other", 0.2, 0.6).is_known(known)
        assert not Alarm("slippage", "challenger", 0.2, 0.6).is_known(known)
        assert not Alarm("", "", 0.2, 0.6).is_known(known)


class TestAcknowledge:
    def test_keeps_what_was_known_and_takes_the_newest_of_each(self):
        first, second = Alarm("drawdown", "a", 0.3, 0.6), Alarm("drawdown", "b", 0.3, 0.6)
        newer = Alarm("drawdown", "a", 0.7, 0.9)

        assert acknowledge([first, second], [newer]) == [newer, second]


class TestWritten:
    def test_says_what_would_pause_it_again(self):
        mix, breach = alarms_of(plan(mismatch_alpha=0.01), *analysis(0.3, 0.9, mismatch=MIX))

        assert written(plan(), mix).endswith("pauses it again below p = 1e-07.")
        assert written(plan(), breach) == (
            "Resumed despite drawdown of challenger: that pauses it again once it is shown to be "
            "worse by more than 0.6."
        )
