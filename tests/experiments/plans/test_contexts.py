"""Shares by context: compared within each, weighed by traffic, explored beside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.plans import ExperimentPlan, Verdict
from experiments.plans.allocating import next_weights
from experiments.plans.analysis import analyze
from experiments.plans.decisions import decide
from experiments.plans.differences import differences_of
from experiments.plans.observed import Observed
from experiments.statistics.adaptive import aipw_difference_by_period
from experiments.statistics.clusters import UnitTable, clustered_differences
from experiments.statistics.summaries import PeriodTable

DAY = 86_400_000_000_000
CONTEXTS = {1: "calm", 2: "turbulent"}


def planned(n_arms=2, **changes) -> ExperimentPlan:
    arms = [{"name": "champion", "control": True}] + [
        {"name": f"challenger-{number}"} for number in range(1, n_arms)
    ]
    regime = {"attribute": "regime", "values": ["calm", "turbulent"]}
    document = {
        "name": "x",
        "hypothesis": "h",
        "design": "assigned",
        "arms": arms,
        "metrics": [{"name": "return", "role": "primary"}],
        "analysis": {"horizon_periods": 200},
        "allocation": {"policy": "thompson_normal", "context": regime},
        **changes,
    }
    return ExperimentPlan.model_validate(document)


def drawn(calm=0.0, turbulent=0.0, shares=(0.5, 0.5), *, n_periods=200, seed=1, level=0.0):
    """Return sums of 30 units in calm and 10 in turbulent times a period, and what they were.

    `calm` and `turbulent` are the challenger's lifts, `shares` its shares; outcomes of turbulent
    times are higher by `level`.
    """
    rng = np.random.default_rng(seed)
    period = np.repeat(np.arange(n_periods), 40)
    number = np.tile(np.repeat([1, 2], [30, 10]), n_periods)
    arm = (rng.random(period.size) < np.where(number == 1, *shares)).astype(int)
    lift = np.where(number == 1, calm, turbulent)
    values = rng.standard_normal(period.size) + lift * arm + level * (number == 2)
    return PeriodTable.of_outcomes(period * DAY, arm, values, allocation=number)


def seen(table, shares=(0.5, 0.5), **more):
    weights = {number: [1 - share, share] for number, share in enumerate(shares, start=1)}
    return Observed({"return": table}, weights=weights, contexts=CONTEXTS, **more)


class TestOverallDifference:
    def test_weighs_contexts_by_their_traffic_whatever_their_shares(self):
        table = drawn(calm=1.0, turbulent=-1.0, shares=(0.8, 0.5), n_periods=2_000)
        plan = planned()

        _, by_traffic = differences_of(plan, plan.primary, table, 1, CONTEXTS)
        _, by_precision = differences_of(plan, plan.primary, table, 1)

        assert by_traffic.mean() == pytest.approx(0.75 - 0.25, abs=0.03)
        # By what they tell, 30 of 0.8 times 0.2 against 10 of 0.5 times 0.5, it were a third.
        assert by_precision.mean() < 0.36

    def test_a_worked_case(self):
        # Calm: 4 units, means 3 and 1. Turbulent: 2 units, means 0 and 6, and one of a third arm.
        arm, number = [0, 0, 0, 1, 0, 1, 2], [1, 1, 1, 1, 2, 2, 2]
        values = [1.0, 0.0, 2.0, 3.0, 6.0, 0.0, 100.0]
        table = PeriodTable.of_outcomes(np.zeros(7, int), arm, values, allocation=number)
        plan = planned(n_arms=3)

        _, found = differences_of(plan, plan.primary, table, 1, CONTEXTS)

        assert found == pytest.approx([(4 * 2.0 + 3 * -6.0) / 7])

    def test_allocations_of_one_context_count_by_what_they_tell(self):
        numbers = {1: "calm", 3: "calm", 2: "turbulent"}
        arm = [0, 1, 0, 0, 1, 0, 1]
        number = [1, 1, 3, 3, 3, 2, 2]
        values = [0.0, 1.0, 1.0, 3.0, 6.0, 5.0, 1.0]
        table = PeriodTable.of_outcomes(np.zeros(7, int), arm, values, allocation=number)
        plan = planned()

        _, found = differences_of(plan, plan.primary, table, 1, numbers)

        calm = (1 / 2 * 1.0 + 2 / 3 * 4.0) / (1 / 2 + 2 / 3)
        assert found == pytest.approx([(5 * calm + 2 * -4.0) / 7])

    @given(st.permutations([1, 2]), st.integers(0, 50))
    def test_does_not_depend_on_what_contexts_are_called(self, order, seed):
        table, plan = drawn(0.3, -0.2, (0.7, 0.2), n_periods=5, seed=seed), planned()
        renamed = dict(zip(order, ("b", "a"), strict=True))

        _, one = differences_of(plan, plan.primary, table, 1, CONTEXTS)
        _, other = differences_of(plan, plan.primary, table, 1, renamed)

        np.testing.assert_allclose(one, other)

    @given(st.integers(0, 200), st.floats(0.1, 0.9), st.floats(0.1, 0.9))
    def test_lies_between_those_of_the_contexts(self, seed, calm, turbulent):
        table, plan = drawn(0.5, -0.5, (calm, turbulent), n_periods=3, seed=seed), planned()
        by_period = {}
        for number in CONTEXTS:
            own = table.of_allocation(number)
            for period, one in zip(*differences_of(plan, plan.primary, own, 1), strict=True):
                by_period.setdefault(int(period), []).append(one)

        periods, found = differences_of(plan, plan.primary, table, 1, CONTEXTS)

        assert sorted(by_period) == periods.tolist()
        for period, one in zip(periods.tolist(), found, strict=True):
            assert min(by_period[period]) - 1e-9 <= one <= max(by_period[period]) + 1e-9

    def test_is_not_led_astray_by_shares_that_follow_a_level(self):
        """Simpson: turbulent times pay more, and the challenger has most units there."""
        table = drawn(shares=(0.2, 0.8), level=5.0)

        found = analyze(planned(), seen(table, (0.2, 0.8)))

        arms = found.primary.arms
        assert arms[1].mean - arms[0].mean > 1.0
        one = found.primary.comparisons[0]
        assert one.lower < 0.0 < one.upper
        assert abs(one.estimate) < 0.1
        assert any("means of two arms do not compare" in note for note in found.notes)

    def test_with_one_context_is_what_it_was_without(self):
        table = drawn(0.2, 0.2).of_allocation(1)
        bare = planned(allocation={"policy": "thompson_normal"})

        whole = analyze(planned(), seen(table)).primary.comparisons[0]

        plain = analyze(bare, Observed({"return": table})).primary.comparisons[0]
        assert (whole.estimate, whole.lower) == pytest.approx((plain.estimate, plain.lower))


class TestUnitsThatReportAgain:
    def test_weigh_contexts_by_their_traffic_too(self):
        rng = np.random.default_rng(3)
        unit = np.repeat(np.arange(4_000), 3)
        number = np.where(np.arange(4_000) % 4 < 3, 1, 2)
        arm = (rng.random(4_000) < np.where(number == 1, 0.9, 0.5)).astype(int)
        lift = np.where(number == 1, 1.0, -1.0) * arm
        values = (rng.standard_normal(4_000) + lift)[unit] + rng.standard_normal(unit.size)
        period = np.tile(np.arange(3), 4_000) + 3 * (unit % 20)
        given = {"allocation": number[unit]}
        table = PeriodTable.of_outcomes(period, arm[unit], values, **given)
        units = UnitTable.of_outcomes(period, arm[unit], unit, values, **given)

        by_traffic = clustered_differences(table, units, 1, [60], groups=CONTEXTS)
        by_precision = clustered_differences(table, units, 1, [60])

        assert by_traffic.difference[0] == pytest.approx(0.5, abs=4 * by_traffic.error[0])
        assert by_traffic.error[0] < 0.07
        assert abs(by_precision.difference[0]) < 0.2

    def test_are_as_they_were_where_all_is_one_group(self):
        rng = np.random.default_rng(4)
        unit, arm = np.repeat(np.arange(200), 2), np.arange(200) % 2
        period = np.tile([0, 1], 200) + 2 * (unit // 4 % 10)
        number = 1 + (np.arange(200) // 2) % 2
        args = (period, arm[unit])
        values = rng.standard_normal(400)
        table = PeriodTable.of_outcomes(*args, values, allocation=number[unit])
        units = UnitTable.of_outcomes(*args, unit, values, allocation=number[unit])

        plain = clustered_differences(table, units, 1, [10, 20])
        grouped = clustered_differences(table, units, 1, [10, 20], groups={1: "a", 2: "a"})

        np.testing.assert_array_equal(plain.difference, grouped.difference)
        np.testing.assert_array_equal(plain.error, grouped.error)


class TestContextFindings:
    def test_are_those_of_the_units_that_came_in_each(self):
        table = drawn(calm=1.0, turbulent=-1.0, shares=(0.7, 0.4))
        exposed = {1: {0: 1_800, 1: 4_200}, 2: {0: 1_200, 1: 800}}

        found = analyze(planned(), seen(table, (0.7, 0.4), exposed=exposed))

        calm, turbulent = found.contexts
        assert (calm.context, turbulent.context) == ("calm", "turbulent")
        assert calm.comparisons[0].lower > 0.5
        assert turbulent.comparisons[0].upper < -0.5
        assert calm.shares == {"champion": pytest.approx(0.3), "challenger-1": 0.7}
        assert (calm.n_exposed, turbulent.n_exposed) == (6_000, 2_000)
        assert calm.arms[0].n + calm.arms[1].n == 6_000
        alone = analyze(
            planned(allocation={"policy": "thompson_normal"}),
            Observed({"return": table.of_allocation(2)}),
        )
        one, same = turbulent.comparisons[0], alone.primary.comparisons[0]
        assert (one.estimate, one.lower, one.upper) == (same.estimate, same.lower, same.upper)

    def test_decide_nothing(self):
        """One context is surely better and the other surely worse: there is no winner."""
        table = drawn(calm=1.0, turbulent=-3.0)

        found = analyze(planned(stopping={"on_answer": "notify"}), seen(table))

        assert found.contexts[0].comparisons[0].lower > 0.0
        assert decide(found, control="champion").verdict != Verdict.WINNER

    def test_say_what_is_missing_of_a_context_that_nobody_came_in(self):
        table = drawn().of_allocation(1)

        silent = analyze(planned(), seen(table)).contexts[1]

        assert (silent.n_periods, silent.n_exposed) == (0, 0)
        assert silent.comparisons[0].lower is None
        assert "No period has outcomes of both arms yet" in silent.comparisons[0].because

    def test_are_no_part_of_the_document_where_there_are_none(self):
        bare = planned(allocation={"policy": "thompson_normal"})

        document = analyze(bare, Observed({"return": drawn()})).to_dict()

        assert "contexts" not in document
        assert "contexts" in analyze(planned(), seen(drawn())).to_dict()


class TestSilentMetrics:
    @pytest.mark.parametrize("kind", ["mean", "ratio"])
    @pytest.mark.parametrize("silent", ["return", "cost"])
    def test_keep_no_other_from_being_analyzed(self, silent, kind):
        plan = planned(
            metrics=[
                {"name": "return", "role": "primary"},
                {"name": "cost", "role": "secondary", "kind": kind},
            ]
        )
        tables = {"return": drawn(0.5), "cost": drawn(0.5)}
        tables[silent] = drawn().ended(0, DAY)

        found = analyze(plan, Observed(tables, weights=seen(drawn()).weights, contexts=CONTEXTS))

        by_name = {metric.name: metric.comparisons[0] for metric in found.metrics}
        assert by_name[silent].estimate is None
        assert by_name[silent].because
        other = by_name["cost" if silent == "return" else "return"]
        assert other.estimate is not None or kind == "ratio"


class TestMismatch:
    def test_holds_each_context_against_its_own_shares(self):
        shares = (0.2, 0.8)
        right = {1: {0: 4_800, 1: 1_200}, 2: {0: 400, 1: 1_600}}
        swapped = {1: {0: 1_200, 1: 4_800}, 2: {0: 1_600, 1: 400}}
        table = drawn(shares=shares)

        fine = analyze(planned(), seen(table, shares, exposed=right)).mismatch
        wrong = analyze(planned(), seen(table, shares, exposed=swapped)).mismatch

        assert not fine.is_mismatch
        assert fine.expected == {"champion": 5_200.0, "challenger-1": 2_800.0}
        assert wrong.is_mismatch


class TestCost:
    def test_is_what_the_best_arm_of_each_context_would_have_made(self):
        """Each arm has the wrong half: an overall best would have cost nothing."""
        table = drawn(calm=1.0, turbulent=-3.0, n_periods=1_000)

        cost = analyze(planned(), seen(table)).cost

        # Half of 30 units go without 1, half of 10 without 3, in each period.
        assert cost.total[-1] == pytest.approx(1_000 * (15 * 1.0 + 5 * 3.0), rel=0.03)

    def test_is_not_said_while_an_arm_has_nothing_in_a_context(self):
        table = drawn()
        kept = (table.allocation == 1) | (table.arm == 0)
        partial = PeriodTable.of(*(
            getattr(table, name)[kept]
            for name in ("period", "arm", "allocation", "n", "total", "squares")
        ))  # fmt: skip

        assert analyze(planned(), seen(partial)).cost is None
        assert analyze(planned(), seen(table.of_allocation(1))).cost is not None


class TestNotes:
    def test_say_which_contexts_count_for_less_than_their_traffic(self):
        """Of ten turbulent units a period one in ten meets the challenger: a third have none."""
        table = drawn(shares=(0.5, 0.1), n_periods=1_000)

        notes = analyze(planned(), seen(table, (0.5, 0.1))).notes

        found = [note for note in notes if "count for less than their traffic" in note]
        assert len(found) == 1
        assert 0.31 < int(found[0].partition("%")[0]) / 100 < 0.39  # 0.9 ** 10 is 0.35
        assert "of turbulent came in periods" in found[0]
        assert "calm" not in found[0]
        assert not any("count for less" in note for note in analyze(planned(), seen(drawn())).notes)

    def test_first_shares_of_several_contexts_are_no_move(self):
        regime = {"attribute": "regime", "values": ["calm", "turbulent"]}
        plan = planned(counted_by="outcome", allocation={"policy": "fixed", "context": regime})

        still = analyze(plan, seen(drawn()))
        moved = Observed(
            {"return": drawn()}, contexts={**CONTEXTS, 3: "calm"},
            weights={1: [0.5, 0.5], 2: [0.5, 0.5], 3: [0.4, 0.6]},
        )  # fmt: skip

        assert not any("counted_by" in note for note in still.notes)
        assert any("counted_by" in note for note in analyze(plan, moved).notes)


class TestNextWeights:
    def test_each_context_goes_to_its_own_best_arm(self):
        table, plan = drawn(calm=0.5, turbulent=-0.5), planned()

        calm, turbulent = (
            next_weights(plan, table.of_allocation(number), [0.5, 0.5], number=3)
            for number in (1, 2)
        )

        assert calm == pytest.approx([0.4, 0.6])
        assert turbulent == pytest.approx([0.6, 0.4])


class TestAipw:
    def test_takes_several_allocations_of_one_period(self):
        """300 A/A experiments whose contexts differ in level and in shares: 5 % and its error."""
        shares = {1: [0.8, 0.2], 2: [0.25, 0.75]}

        found = [
            aipw_difference_by_period(
                drawn(shares=(0.2, 0.75), level=1.0, n_periods=40, seed=seed), shares, arm=1
            )
            for seed in range(300)
        ]

        wrong = sum(not one.lower <= 0.0 <= one.upper for one in found)
        assert wrong <= 15 + 2 * 3.8
        assert abs(np.mean([one.difference for one in found])) < 0.01
