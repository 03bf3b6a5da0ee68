"""Shares by context: compared within each, weighed by traffic, explored beside."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

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

        whole = analyze(planned(), seen(table))

        one, plain = whole.primary.comparisons[0], analyze(bare, Observed({"return": table}))
        within, plain = whole.contexts[0].comparisons[0], plain.primary.comparisons[0]
        assert one.estimate == pytest.approx(plain.estimate)
        assert (within.lower, within.upper) == (plain.lower, plain.upper)
        assert one.is_withheld
        assert one.because.startswith(
            "challenger-1 and champion were compared in 0 in turbulent so far, of 10 periods"
        )


class TestAnswer:
    """Of what was seen, in which every context of the plan must have been."""

    def test_counts_what_an_arm_lacked_as_the_other_periods_of_its_context(self):
        """Ten turbulent units a period: where none met the challenger the rest stand for them."""
        table = drawn(calm=0.2, turbulent=-0.9, shares=(0.5, 0.15), n_periods=400)

        one = analyze(
            planned(analysis={"horizon_periods": 400}), seen(table, (0.5, 0.15))
        ).primary.comparisons[0]  # fmt: skip

        assert one.estimate == pytest.approx(0.75 * 0.2 - 0.25 * 0.9, abs=0.04)
        plan = planned()
        _, by_period = differences_of(plan, plan.primary, table, 1, CONTEXTS)
        assert by_period.mean() > one.estimate + 0.02

    def test_waits_while_much_of_a_context_is_not_compared(self):
        """Of three turbulent units of a hundred three in four met no challenger."""
        rng = np.random.default_rng(1)
        period = np.repeat(np.arange(220), 100)
        number = np.tile(np.repeat([1, 2], [97, 3]), 220)
        arm = (rng.random(period.size) < np.where(number == 1, 0.5, 0.1)).astype(int)
        lift = np.where(number == 1, 0.1, -5.0)
        values = rng.standard_normal(period.size) + lift * arm
        table = PeriodTable.of_outcomes(period * DAY, arm, values, allocation=number)

        found = analyze(planned(analysis={"horizon_periods": 220}), seen(table, (0.5, 0.1)))

        one = found.primary.comparisons[0]
        assert one.is_withheld
        assert "of turbulent came in periods that had only one of challenger-1 and" in one.because
        assert any(one.because in note for note in found.notes)
        said = decide(found, control="champion")
        assert said.verdict == Verdict.INCONCLUSIVE
        assert one.because in said.reason

    @pytest.mark.parametrize("stay", [2, 20, 200])
    def test_comes_however_long_contexts_last(self, stay):
        found = analyze(planned(analysis={"horizon_periods": 400}), seen(lasting(stay)))

        one = found.primary.comparisons[0]
        assert one.is_known
        assert one.upper - one.lower < 0.12  # of noise alone: contexts differ by a whole

    def test_names_the_context_that_hardly_came(self):
        """A hundred calm periods, then one that is not, are no answer of both."""
        table = lasting(stay=1_000_000, n_periods=101, switches=(100,), lifts=(0.5, 0.5))

        found = analyze(planned(), seen(table))

        assert found.primary.comparisons[0].lower > 0.0
        said = decide(found, control="champion")
        assert said.verdict == Verdict.CONTINUE
        assert "were compared in 1 in turbulent so far, of 10 periods that every regime" in (
            said.reason
        )
        twice = lasting(stay=1_000_000, n_periods=115, switches=(100,), lifts=(0.5, 0.5))
        later = analyze(planned(), seen(twice))
        assert decide(later, control="champion").verdict == Verdict.WINNER
        assert "over the periods that were seen" in decide(later, control="champion").reason

    def test_is_not_divided_by_what_came_after_the_plan(self):
        """Of 220 periods 20 are turbulent, and alike; after them the challenger loses there."""
        first = lasting(stay=1_000_000, n_periods=220, switches=(200,), lifts=(0.5, 0.5))
        after = lasting(stay=1_000_000, n_periods=60, switches=(0,), lifts=(0.5, -5.0))
        moved = replace(after, period=after.period + 220 * DAY)
        plan = planned(analysis={"horizon_periods": 220})

        found = analyze(plan, seen(first.merged(moved)))

        assert decide(found, control="champion").verdict == Verdict.WINNER
        assert found.contexts[1].n_periods == 20

    def test_is_of_the_planned_periods_alone(self):
        """220 calm ones, then others: the answer has none of these in it."""
        table = lasting(stay=1_000_000, n_periods=240, switches=(220,), lifts=(0.5, 0.5))

        found = analyze(planned(analysis={"horizon_periods": 220}), seen(table))

        said = decide(found, control="champion")
        assert said.verdict == Verdict.INCONCLUSIVE
        assert said.reason.startswith("The 220 planned periods are over without an answer.")
        assert "0 in turbulent" in said.reason

    def test_is_none_of_both_where_it_depends_on_the_context(self):
        table = drawn(calm=1.0, turbulent=-0.5)

        found = analyze(planned(), seen(table))

        one = found.primary.comparisons[0]
        assert one.lower > 0.0
        assert one.because.startswith("It depends on the regime: challenger-1 has more return")
        said = decide(found, control="champion", region_of_equivalence=10.0)
        assert said.verdict == Verdict.INCONCLUSIVE
        assert "No arm is the winner of both." in said.reason

    @pytest.mark.parametrize("direction", ["increase", "decrease"])
    @pytest.mark.parametrize(
        ("calm", "turbulent", "margin", "is_divided"),
        [(1.0, -0.5, 2.0, False), (0.5, -0.5, 0.2, True), (0.0, -1.5, 0.5, True),
         (0.0, -0.1, 0.5, False)],
    )  # fmt: skip
    def test_is_none_of_both_where_only_one_is_worse_than_the_margin(
        self, direction, calm, turbulent, margin, is_divided
    ):
        sign = 1.0 if direction == "increase" else -1.0
        metric = {"name": "return", "role": "primary", "margin": margin, "direction": direction}
        plan = planned(metrics=[metric | {"question": "non_inferior"}])

        found = analyze(plan, seen(drawn(calm=sign * calm, turbulent=sign * turbulent)))

        one = found.primary.comparisons[0]
        assert ("It depends on the regime" in one.because) is is_divided
        if is_divided:
            assert f"no worse than champion on return by {margin:g} in calm (" in one.because
            assert " and worse by more in turbulent (" in one.because

    def test_is_not_cut_to_what_fits_all_looks(self):
        """What is asked moves: at first all is calm, in the end both count alike."""
        table = lasting(stay=1_000_000, n_periods=400, switches=(200,), lifts=(0.5, 0.0))

        one = analyze(
            planned(analysis={"horizon_periods": 400}), seen(table)
        ).primary.comparisons[0]  # fmt: skip

        assert one.lower < 0.25 < one.upper
        assert "No one difference fits" not in one.because

    @pytest.mark.parametrize("method", ["asymptotic", "group_sequential", "fixed_horizon"])
    def test_comes_by_other_methods(self, method):
        plan = planned(analysis={"horizon_periods": 400, "method": method})

        one = analyze(plan, seen(drawn(0.3, 0.1, n_periods=400))).primary.comparisons[0]

        assert 0.0 < one.lower < 0.25 < one.upper
        assert not one.is_withheld

    def test_is_none_by_betting(self):
        metrics = [{"name": "return", "role": "primary", "bound": 9.0}]
        plan = planned(metrics=metrics, analysis={"horizon_periods": 400, "method": "betting"})

        one = analyze(plan, seen(drawn(0.3, 0.1, n_periods=400))).primary.comparisons[0]

        assert one.is_withheld
        assert one.because.startswith("betting is on one mean")

    @pytest.mark.parametrize(
        ("lift", "status", "verdict"),
        [(0.0, "open", Verdict.CONTINUE), (-3.0, "breached", Verdict.GUARDRAIL_BREACHED)],
    )
    def test_may_breach_a_guardrail_before_it_may_hold_one(self, lift, status, verdict):
        table = drawn(calm=lift).of_allocation(1)
        guarded = {"name": "loss", "role": "guardrail", "margin": 1.0}
        plan = planned(
            metrics=[{"name": "return", "role": "primary"}, guarded],
            analysis={"horizon_periods": 400},
        )
        both = Observed(
            {"return": table, "loss": table}, weights=seen(table).weights, contexts=CONTEXTS
        )

        said = decide(analyze(plan, both), control="champion")

        assert said.verdict == verdict
        assert said.guardrails[0].status == status
        assert ("0 in turbulent" in said.guardrails[0].because) is (status == "open")


def lasting(stay, n_periods=400, seed=5, switches=None, lifts=(0.5, -0.5)):
    """Return sums of 40 units a period, all in one context, which stays for so many on average.

    It changes after `switches` instead where they are given.
    """
    rng = np.random.default_rng(seed)
    leaves = rng.random(n_periods) < 1.0 / stay
    if switches is not None:
        leaves = np.isin(np.arange(n_periods), switches)
    number = 1 + np.cumsum(leaves) % 2
    period = np.repeat(np.arange(n_periods), 40)
    arm = rng.integers(0, 2, period.size)
    lift = np.where(number[period] == 1, *lifts)
    values = rng.standard_normal(period.size) + lift * arm
    return PeriodTable.of_outcomes(period * DAY, arm, values, allocation=number[period])


class TestUnitsThatReportAgain:
    def test_weigh_contexts_by_their_traffic_too(self):
        rng = np.random.default_rng(3)
        unit = np.repeat(np.arange(4_000), 3)
        number = np.where(np.arange(4_000) % 4 < 3, 1, 2)
        arm = (rng.random(4_000) < np.where(number == 1, 0.9, 0.5)).astype(int)
        lift = np.where(number == 1, 1.0, -1.0) * arm
        values = (rng.standard_normal(4_000) + lift)[unit] + rng.standard_normal(unit.size)
        period = np.tile(np.arange(3), 4_000) + 3 * (unit // 4 % 20)
        given = {"allocation": number[unit]}
        table = PeriodTable.of_outcomes(period, arm[unit], values, **given)
        units = UnitTable.of_outcomes(period, arm[unit], unit, values, **given)

        found = clustered_differences(table, units, 1, [60], groups=CONTEXTS)

        # By what they tell, 3,000 times 0.9 times 0.1 against 1,000 in halves, it were about 0.
        assert found.difference[0] == pytest.approx(0.5, abs=4 * found.error[0])
        assert found.error[0] < 0.07

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

    def test_count_by_the_units_that_came_not_by_how_often_an_arm_reports(self):
        """Of three units one is turbulent; with the challenger it reports five times as often."""
        estimates = []
        for share in (0.1, 0.5, 0.9):
            rng = np.random.default_rng(0)
            number = np.repeat([1, 2], [2_000, 1_000])
            arm = (rng.random(3_000) < np.where(number == 1, 0.5, share)).astype(int)
            unit = np.repeat(np.arange(3_000), np.where((number == 2) & (arm == 1), 5, 1))
            period = rng.integers(0, 5, unit.size)
            values = 0.1 * rng.standard_normal(unit.size) + ((number == 2) & (arm == 1))[unit]
            given = again(period, arm, unit, values, number)
            estimates.append(clustered_differences(*given, 1, [5], groups=CONTEXTS).difference[0])

        assert estimates == pytest.approx([1 / 3] * 3, abs=0.01)

    def test_count_units_of_other_arms_and_allocations(self):
        """300 turbulent units met a third arm, under shares that gave the others nothing."""
        rng = np.random.default_rng(1)
        arm = np.concatenate([rng.integers(0, 2, 300), np.full(300, 2)])
        number = np.repeat([1, 2, 3], [200, 100, 300])
        unit, period = np.repeat(np.arange(600), 2), np.tile([0, 1], 600)
        values = 0.01 * rng.standard_normal(1_200) + ((number == 2) & (arm == 1))[unit]
        given = again(period, arm, unit, values, number)
        groups, plan = CONTEXTS | {3: "turbulent"}, planned(n_arms=3)

        by_unit = clustered_differences(*given, 1, [2], groups=groups)
        _, by_period = differences_of(plan, plan.primary, given[0], 1, groups)

        assert by_unit.difference[0] == pytest.approx(4 / 6, abs=0.01)
        assert by_period == pytest.approx([4 / 6] * 2, abs=0.01)

    def test_have_no_interval_where_a_context_has_few_of_an_arm(self):
        """Two of 100 turbulent units met the challenger: their mean has hardly a residual."""
        number = np.repeat([1, 2], [200, 100])
        arm = np.where(number == 1, np.arange(300) % 2, np.arange(300) % 50 == 0).astype(int)
        unit, period = np.repeat(np.arange(300), 40), np.tile(np.arange(40), 300)
        rng = np.random.default_rng(2)
        values = rng.standard_normal(300)[unit] + rng.standard_normal(unit.size)
        table, units = again(period * DAY, arm, unit, values, number)
        regime = {"attribute": "regime", "values": ["calm", "turbulent"]}
        plan = planned(
            counted_by="outcome", allocation={"policy": "fixed", "context": regime},
            analysis={"horizon_periods": 40},
        )  # fmt: skip

        found = analyze(plan, seen(table, units={"return": units}))

        one = found.primary.comparisons[0]
        assert (one.lower, one.upper) == (None, None)
        assert one.because.startswith("Of turbulent there are too few units of challenger-1")
        assert found.contexts[0].comparisons[0].is_known

    def test_may_have_a_context_that_hardly_counts(self):
        """Five of 405 units: whether their difference is known makes no difference."""
        number = np.repeat([1, 2], [400, 5])
        unit, period = np.repeat(np.arange(405), 6), np.tile(np.arange(6), 405)
        values = np.random.default_rng(2).standard_normal(405)[unit]
        given = again(period, np.arange(405) % 2, unit, values, number)

        found = clustered_differences(*given, 1, [6], groups=CONTEXTS)

        assert found.error[0] == pytest.approx(2.0 / np.sqrt(400), rel=0.1)

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [0.0, 2.0])
    def test_cover_the_mean_of_the_units_that_came(self, size):
        """Challengers make as much more in calm times as less in others: 400 experiments."""
        rng, wrong = np.random.default_rng(1), 0
        for _ in range(400):
            number = rng.integers(1, 3, 250)
            arm = rng.integers(0, 2, 250)
            level = rng.standard_normal(250) + np.where(number == 1, size, -size) * arm
            unit, period = np.repeat(np.arange(250), 6), np.tile(np.arange(6), 250)
            values = level[unit] + rng.standard_normal(unit.size)
            given = again(period, arm, unit, values, number)
            found = clustered_differences(*given, 1, [6], groups=CONTEXTS)
            reach = stats.t.ppf(0.975, found.freedom[0]) * found.error[0]
            target = size * (np.mean(number == 1) - np.mean(number == 2))
            wrong += abs(found.difference[0] - target) > reach

        assert wrong / 400 <= 0.05 + 2.0 * np.sqrt(0.05 * 0.95 / 400)

    @pytest.mark.slow
    def test_cover_it_where_a_day_has_one_context(self):
        """Ten units come a day, all in one context; effects are 1 and -1: 200 experiments."""
        rng, wrong = np.random.default_rng(1), 0
        for _ in range(200):
            number = np.repeat(rng.integers(1, 3, 30), 10)
            given = coming(rng, number, np.repeat(np.arange(30), 10))
            found = clustered_differences(*given, 1, [30], groups=CONTEXTS)
            reach = stats.t.ppf(0.975, found.freedom[0]) * found.error[0]
            target = np.mean(number == 1) - np.mean(number == 2)
            wrong += abs(found.difference[0] - target) > reach

        assert wrong / 200 <= 0.05 + 2.0 * np.sqrt(0.05 * 0.95 / 200)

    @pytest.mark.parametrize("stay", [2, 20])
    def test_are_answered_however_long_contexts_last(self, stay):
        rng = np.random.default_rng(3)
        by_day = 1 + np.cumsum(rng.random(200) < 1.0 / stay) % 2
        day = np.repeat(np.arange(200), 10)
        table, units = coming(rng, np.repeat(by_day, 10), day)
        plan = fixed_plan()

        one = analyze(plan, seen(table, units={"return": units})).primary.comparisons[0]

        assert one.is_known
        assert one.because.startswith("It depends on the regime")

    def test_wait_for_every_context_of_the_plan(self):
        """200 accounts, all calm: nothing is known of turbulent times."""
        unit, period = (index.ravel() for index in np.indices((200, 120)))
        rng, arm = np.random.default_rng(4), np.arange(200) % 2
        level = rng.standard_normal(200) + 3.0 * arm
        values = level[unit] + rng.standard_normal(unit.size)
        table, units = again(period * DAY, arm, unit, values, np.ones(200, dtype=int))
        plan = fixed_plan()

        found = analyze(plan, seen(table, units={"return": units}))

        assert found.primary.comparisons[0].lower > 0.0
        said = decide(found, control="champion")
        assert said.verdict == Verdict.CONTINUE
        assert "0 in turbulent" in said.reason

    def test_count_by_units_whatever_shares_came_after(self):
        """Shares changed by what was seen: the units from before count for what they are."""
        rng = np.random.default_rng(0)
        number = np.repeat([1, 3], [1_000, 1_000])
        arm = (rng.random(2_000) < np.where(number == 1, 0.5, 0.05)).astype(int)
        unit, period = np.repeat(np.arange(2_000), 2), np.tile([0, 1], 2_000)
        values = 0.1 * rng.standard_normal(unit.size) + ((number == 1) & (arm == 1))[unit]
        given = again(period, arm, unit, values, number)

        found = clustered_differences(*given, 1, [2])

        assert found.difference[0] == pytest.approx(0.5, abs=0.02)

    def test_leave_out_new_shares_until_both_arms_have_units(self):
        """The third unit of new shares is the first that met the challenger there."""
        rng = np.random.default_rng(0)
        number, arm = np.repeat([1, 3], [200, 3]), np.r_[np.arange(200) % 2, 0, 0, 1]
        unit, period = np.repeat(np.arange(203), 2), np.tile([0, 1], 203)
        values = rng.standard_normal(unit.size) + 500.0 * (unit == 202)
        given = again(period, arm, unit, values, number)

        found = clustered_differences(*given, 1, [2])

        assert abs(found.difference[0]) < 1.0

    def test_are_compared_though_their_arms_report_in_turn(self):
        """Turbulent units of one arm report on even days and of the other on odd ones."""
        rng = np.random.default_rng(0)
        number, arm = np.repeat([1, 2], [80, 40]), rng.integers(0, 2, 120)
        unit, period = (index.ravel() for index in np.indices((120, 40)))
        kept = (number[unit] == 1) | (period % 2 == arm[unit])
        unit, period = unit[kept], period[kept]
        values = rng.standard_normal(unit.size) + 3.0 * (number[unit] == 2) * arm[unit]
        table, units = again(period * DAY, arm, unit, values, number)
        regime = {"attribute": "regime", "values": ["calm", "turbulent"]}
        plan = planned(
            counted_by="outcome", allocation={"policy": "fixed", "context": regime},
            analysis={"horizon_periods": 40},
        )  # fmt: skip

        found = analyze(plan, seen(table, units={"return": units}))

        assert found.primary.comparisons[0].estimate == pytest.approx(1.0, abs=0.2)
        assert not any("in no difference" in note for note in found.notes)
        turbulent = found.contexts[1]
        assert turbulent.n_periods == 39  # of the first day nobody knows both
        assert turbulent.comparisons[0].estimate == pytest.approx(3.0, abs=0.3)


def fixed_plan():
    """Return a plan of units that report again, with fixed shares in two contexts."""
    regime = {"attribute": "regime", "values": ["calm", "turbulent"]}
    return planned(counted_by="outcome", allocation={"policy": "fixed", "context": regime})


def coming(rng, number, day):
    """Return the sums of units that report six days from theirs on, whose effects are 1 and -1."""
    arm = rng.integers(0, 2, number.size)
    level = rng.standard_normal(number.size) + np.where(number == 1, 1.0, -1.0) * arm
    unit = np.repeat(np.arange(number.size), 6)
    period = day[unit] + np.tile(np.arange(6), number.size)
    values = level[unit] + rng.standard_normal(unit.size)
    return again(period * DAY, arm, unit, values, number)


def again(period, arm, unit, values, number):
    """Return the sums of units that report again: `arm` and `number` are of each unit."""
    whose = {"allocation": number[unit]}
    return (
        PeriodTable.of_outcomes(period, arm[unit], values, **whose),
        UnitTable.of_outcomes(period, arm[unit], unit, values, **whose),
    )


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

    def test_make_no_winner(self):
        """One context is surely better and the other surely worse."""
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
    def test_say_which_contexts_lack_an_arm(self):
        """Of ten turbulent units a period one in ten meets the challenger: a third have none."""
        table = drawn(shares=(0.5, 0.1), n_periods=1_000)

        notes = analyze(planned(), seen(table, (0.5, 0.1))).notes

        found = [note for note in notes if "as the other periods of its context do" in note]
        assert len(found) == 1
        assert 0.31 < int(found[0].partition("%")[0]) / 100 < 0.39  # 0.9 ** 10 is 0.35
        assert "of turbulent came in periods" in found[0]
        assert "calm" not in found[0]
        assert not any("as the other" in note for note in analyze(planned(), seen(drawn())).notes)

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
