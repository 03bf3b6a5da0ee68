"""Analyses: planted differences found, none invented, agreement with the inference below."""

import numpy as np
import pytest

from experiments.plans import ExperimentPlan, Verdict
from experiments.plans.allocating import next_weights
from experiments.plans.analysis import analyze
from experiments.plans.decisions import decide
from experiments.plans.families import confidence_of
from experiments.plans.observed import Observed
from experiments.statistics.clusters import UnitTable
from experiments.statistics.dependent import mean_of_series
from experiments.statistics.sequential import planned_sequence
from experiments.statistics.sketches import QuantileSketch
from experiments.statistics.summaries import PeriodTable

DAY = 86_400_000_000_000
ARMS = [{"name": "champion", "control": True}, {"name": "challenger"}]


def planned(**changes) -> ExperimentPlan:
    document = {
        "name": "x",
        "hypothesis": "h",
        "arms": ARMS,
        "metrics": [{"name": "return", "role": "primary"}],
        "analysis": {"horizon_periods": 400},
        **changes,
    }
    return ExperimentPlan.model_validate(document)


def shadow_table(returns) -> PeriodTable:
    """Return the sums of one outcome a period and arm, shape (n_periods, n_arms)."""
    n_periods, n_arms = returns.shape
    period = np.repeat(np.arange(n_periods) * DAY, n_arms)
    arm = np.tile(np.arange(n_arms), n_periods)
    return PeriodTable.of_outcomes(period, arm, returns.ravel())


def drawn(n_periods=400, n_arms=2, lift=0.0, seed=1):
    rng = np.random.default_rng(seed)
    market = rng.standard_t(4, (n_periods, 1)) * 0.01
    own = rng.standard_normal((n_periods, n_arms)) * 0.002
    own[:, 1:] += lift
    return market + own


def units_table(n_periods=200, lift=0.0, seed=3, share=0.5, per_period=40):
    rng = np.random.default_rng(seed)
    period = np.repeat(np.arange(n_periods), per_period)
    arm = (rng.random(period.size) < share).astype(int)
    shock = rng.standard_normal(n_periods)[period]
    values = shock + rng.standard_normal(period.size) + lift * arm
    return PeriodTable.of_outcomes(period * DAY, arm, values, allocation=np.ones(period.size, int))


class TestAnalyze:
    def test_agrees_with_the_sequence_of_paired_differences(self):
        returns = drawn(lift=0.0005)

        found = analyze(planned(), Observed({"return": shadow_table(returns)}))

        one = found.primary.comparisons[0]
        seen = planned_sequence(
            returns[:, 1] - returns[:, 0], horizon=400, batch=10, start=100, confidence=0.95
        ).running()
        assert found.n_periods == 400
        assert one.estimate == pytest.approx(np.mean(returns[:, 1] - returns[:, 0]), rel=1e-9)
        assert (one.lower, one.upper) == pytest.approx((seen.lower[-1], seen.upper[-1]), rel=1e-9)

    def test_finds_a_difference_that_the_market_would_hide(self):
        plan, table = planned(), shadow_table(drawn(lift=0.0008))

        found = analyze(plan, Observed({"return": table}))

        assert decide(found, control="champion").verdict == Verdict.WINNER
        assert found.primary.comparisons[0].probability_better > 0.99

    def test_invents_none(self):
        verdicts = [
            decide(
                analyze(planned(), Observed({"return": shadow_table(drawn(seed=seed))})),
                control="champion",
            ).verdict
            for seed in range(60)
        ]

        assert verdicts.count(Verdict.WINNER) <= 6  # 3 expected of 60 at the end of the horizon

    def test_leaves_out_what_the_watermark_does_not_cover(self):
        table = shadow_table(drawn(n_periods=100))

        found = analyze(planned(), Observed({"return": table}, watermark=90 * DAY))

        assert found.n_periods == 90

    @pytest.mark.parametrize("exposed", [{}, {1: {}}])
    def test_says_that_nobody_has_come(self, exposed):
        seen = Observed(
            {"return": shadow_table(drawn(n_periods=12))}, exposed=exposed, weights={1: (0.5, 0.5)}
        )

        mismatch = analyze(planned(design="assigned"), seen).mismatch

        assert (mismatch.p_value, mismatch.is_mismatch) == (None, False)
        assert mismatch.because == "No unit has met an arm yet."

    def test_says_when_the_first_interval_comes(self):
        found = analyze(planned(), Observed({"return": shadow_table(drawn(n_periods=12))}))

        one = found.primary.comparisons[0]
        assert one.lower is None
        said = "No interval yet: 12 of the 100 periods that the first one takes have been compared."
        assert one.because == said
        decision = decide(found, control="champion")
        assert decision.verdict == Verdict.CONTINUE
        assert decision.reason == said

    @pytest.mark.parametrize(
        ("method", "first"),
        [("planned_sequence", 100), ("group_sequential", 80), ("fixed_horizon", 400)],
    )
    def test_says_so_until_the_first_look_and_no_longer(self, method, first):
        plan = planned(analysis={"horizon_periods": 400, "method": method})
        before, at = (
            analyze(plan, Observed({"return": shadow_table(drawn(n_periods=n))}))
            for n in (first - 1, first)
        )

        assert (before.is_early, at.is_early) == (True, False)
        assert at.primary.comparisons[0].is_known

    def test_says_that_nothing_is_there(self):
        empty = PeriodTable.of([], [], [], [], [], [])

        found = analyze(planned(), Observed({"return": empty}))

        assert found.n_periods == 0
        assert "No period has outcomes of both arms yet" in found.primary.comparisons[0].because

    def test_says_that_nothing_varies(self):
        found = analyze(planned(), Observed({"return": shadow_table(np.ones((400, 2)))}))

        one = found.primary.comparisons[0]
        assert one.lower is None
        assert one.probability_better is None
        assert decide(found, control="champion").verdict == Verdict.INCONCLUSIVE

    def test_raises_the_confidence_for_several_challengers(self):
        plan = planned(arms=[*ARMS, {"name": "third"}])

        found = analyze(plan, Observed({"return": shadow_table(drawn(n_arms=3))}))

        assert confidence_of(plan) == pytest.approx(0.975)
        assert [one.confidence for one in found.primary.comparisons] == pytest.approx([0.975] * 2)

    def test_compares_units_within_a_period(self):
        plan, table = planned(design="assigned", analysis={"horizon_periods": 200}), units_table()

        found = analyze(plan, Observed({"return": table}))

        _, mean = table.paired(2, of="mean")
        one = mean_of_series(mean[:, 1] - mean[:, 0])
        assert found.primary.comparisons[0].estimate == pytest.approx(one.difference, abs=0.03)
        assert found.primary.arms[0].n + found.primary.arms[1].n == 200 * 40

    def test_is_not_led_astray_by_shares_that_follow_a_trend(self):
        """Outcomes rise while shares move to the challenger: pooled means would see a lift."""
        rng = np.random.default_rng(5)
        rows = []
        for period in range(200):
            number, share = (1, 0.2) if period < 100 else (2, 0.8)
            arm = (rng.random(40) < share).astype(int)
            values = rng.standard_normal(40) + (5.0 if number == 2 else 0.0)
            rows.append(
                PeriodTable.of_outcomes(
                    np.full(40, period * DAY), arm, values, allocation=np.full(40, number)
                )
            )
        table = rows[0].merged(*rows[1:])
        plan = planned(
            design="assigned", analysis={"horizon_periods": 200},
            allocation={"policy": "thompson_normal"},
        )  # fmt: skip

        one = analyze(plan, Observed({"return": table})).primary.comparisons[0]

        pooled = table.moments(2)
        assert pooled[1].mean - pooled[0].mean > 2.0
        assert abs(one.estimate) < 0.2
        assert one.lower < 0.0 < one.upper
        seen = Observed({"return": table})
        assert next_weights(plan, table, [0.5, 0.5], number=3)[1] == pytest.approx(0.5, abs=0.1)
        assert analyze(plan, seen).cost.total[-1] < 0.05 * table.n.sum()

    def test_is_not_led_astray_by_losses_that_come_later(self):
        """Gains come at once, losses five periods later, and shares move in every period."""
        rng = np.random.default_rng(8)
        met = np.repeat(np.arange(300), 60)
        arm = (rng.random(met.size) < np.linspace(0.2, 0.8, 300)[met]).astype(int)
        values = np.where(rng.random(met.size) < np.where(arm == 1, 0.6, 0.5), 1.0, -1.0)
        came = np.where(values > 0.0, met, met + 5)
        is_seen, lateness = came < 300, 5

        def compared(counted_by, period, watermark):
            table = PeriodTable.of_outcomes(
                period[is_seen] * DAY, arm[is_seen], values[is_seen], allocation=1 + met[is_seen]
            )
            plan = planned(
                design="assigned", analysis={"horizon_periods": 300}, counted_by=counted_by,
                allocation={"policy": "thompson_normal"},
            )  # fmt: skip
            return analyze(plan, Observed({"return": table}, watermark=watermark * DAY))

        by_exposure = compared("exposure", met, 299 - lateness)
        one = by_exposure.primary.comparisons[0]
        assert one.lower < 0.2 < one.upper
        assert one.lower > 0.0
        by_outcome = compared("outcome", came, 300)
        assert by_outcome.primary.comparisons[0].estimate == 0.0
        assert any("counted_by" in note for note in by_outcome.notes)
        assert not any("counted_by" in note for note in by_exposure.notes)

    def test_tells_when_units_did_not_come_as_allocated(self):
        plan = planned(design="assigned", analysis={"horizon_periods": 200})
        seen = {"exposed": {1: {0: 6000, 1: 4000}}, "weights": {1: [0.5, 0.5]}}

        wrong = analyze(plan, Observed({"return": units_table()}, **seen))
        seen["exposed"] = {1: {0: 5010, 1: 4990}}
        right = analyze(plan, Observed({"return": units_table()}, **seen))

        assert wrong.mismatch.is_mismatch
        assert not right.mismatch.is_mismatch
        assert right.mismatch.expected == {"champion": 5000.0, "challenger": 5000.0}

    def test_takes_off_what_a_covariate_explains(self):
        rng = np.random.default_rng(2)
        x = rng.standard_normal((300, 2))
        y = 2.0 * x + 0.1 * rng.standard_normal((300, 2))
        period, arm = np.repeat(np.arange(300) * DAY, 2), np.tile([0, 1], 300)
        table = PeriodTable.of_outcomes(period, arm, y.ravel(), covariate=x.ravel())
        bare = planned(design="assigned")
        adjusted = planned(
            design="assigned", metrics=[{"name": "return", "role": "primary", "covariate": True}]
        )

        wide = analyze(bare, Observed({"return": table})).primary.comparisons[0]
        narrow = analyze(adjusted, Observed({"return": table})).primary.comparisons[0]

        assert (narrow.upper - narrow.lower) < 0.1 * (wide.upper - wide.lower)

    @pytest.mark.parametrize("method", ["planned_sequence", "fixed_horizon"])
    def test_takes_nothing_of_a_covariate_from_periods_after_the_plan(self, method):
        """After the horizon outcomes go the other way with it: the answer was given before."""
        rng = np.random.default_rng(8)
        period = np.repeat(np.arange(300), 30)
        arm, x = rng.integers(0, 2, period.size), rng.standard_normal(period.size)
        y = np.where(period < 100, 1.0, -5.0) * x + 0.3 * rng.standard_normal(period.size)
        plan = planned(
            design="assigned", metrics=[{"name": "return", "role": "primary", "covariate": True}],
            analysis={"horizon_periods": 100, "method": method},
        )  # fmt: skip

        at_the_end, later = (
            analyze(
                plan,
                Observed(
                    {
                        "return": PeriodTable.of_outcomes(
                            period[seen] * DAY, arm[seen], y[seen], covariate=x[seen]
                        )
                    }
                ),
            ).primary.comparisons[0]
            for seen in (period < 100, period >= 0)
        )

        assert at_the_end.is_known
        assert (later.estimate, later.lower) == (at_the_end.estimate, at_the_end.lower)

    def test_a_covariate_does_not_pool_what_shares_separate(self):
        """Within each period outcomes rise while shares move: pooled, that would be a lift."""
        rng = np.random.default_rng(6)
        rows = []
        for period in range(200):
            for number, share, level in ((1, 0.1, 0.0), (2, 0.9, 1.0)):
                arm = (rng.random(40) < share).astype(int)
                x = rng.standard_normal(40)
                rows.append(
                    PeriodTable.of_outcomes(
                        np.full(40, period * DAY), arm, level + 0.1 * x, covariate=x,
                        allocation=np.full(40, number),
                    )
                )  # fmt: skip
        plan = planned(
            design="assigned", analysis={"horizon_periods": 220},
            metrics=[{"name": "return", "role": "primary", "covariate": True}],
        )  # fmt: skip

        one = analyze(plan, Observed({"return": rows[0].merged(*rows[1:])})).primary.comparisons[0]

        assert abs(one.estimate) < 0.05

    def test_says_how_many_periods_had_some_arms_only(self):
        table = shadow_table(drawn(n_periods=50))
        alone = PeriodTable.of_outcomes([60 * DAY], [0], [0.1])

        found = analyze(planned(), Observed({"return": table.merged(alone)}))

        assert "1 periods had outcomes of some arms only" in " ".join(found.notes)
        assert (found.n_periods, found.n_seen) == (50, 51)

    def test_an_answer_does_not_depend_on_when_one_looked(self):
        """An interval that once left 0 out keeps its answer when a later one would not."""
        returns = drawn(n_periods=400)
        returns[:150, 1] += 0.003
        returns[150:, 1] -= 0.0008

        found = analyze(planned(), Observed({"return": shadow_table(returns)}))
        early = analyze(planned(), Observed({"return": shadow_table(returns[:150])}))

        assert early.primary.comparisons[0].lower > 0.0
        one = found.primary.comparisons[0]
        assert one.lower is None or one.lower >= early.primary.comparisons[0].lower

    def test_shows_the_last_interval_that_fits_where_the_difference_changed(self):
        returns = drawn(n_periods=400)
        returns[:200, 1] += 0.01
        returns[200:, 1] -= 0.02

        found = analyze(planned(), Observed({"return": shadow_table(returns)}))
        one = found.primary.comparisons[0]

        assert one.because.startswith("No one difference fits all looks")
        assert 0.0 < one.lower <= one.upper
        assert decide(found, control="champion").winner == "challenger"  # as it was said in time

    def test_says_that_nothing_after_the_planned_periods_changes_the_answer(self):
        returns = drawn(n_periods=430, lift=0.0001)
        tables = [Observed({"return": shadow_table(returns[:n])}) for n in (400, 430)]

        at_the_end, after = (analyze(planned(), one) for one in tables)

        assert at_the_end.notes == []
        (note,) = after.notes
        assert note == (
            "The answer is that of the 400 planned periods. The 30 after them are in the figures "
            "of arms alone."
        )
        assert after.primary.comparisons == at_the_end.primary.comparisons
        assert [arm.n for arm in after.primary.arms] == [430, 430]

    def test_says_nothing_of_an_end_where_the_method_has_none(self):
        plan = planned(analysis={"horizon_periods": 400, "method": "asymptotic"})
        tables = [
            Observed({"return": shadow_table(drawn(n_periods=450)[:n])}) for n in (400, 450)
        ]  # fmt: skip

        at_first, after = (analyze(plan, one) for one in tables)

        assert not any("planned periods" in note for note in after.notes)
        assert [one.primary.comparisons[0].path.n[-1] for one in (at_first, after)] == [400, 450]

    def test_asks_a_guardrail_how_things_stand_now(self):
        """One that was held for long and then drifts is breached, whatever was seen before."""
        guard = {"name": "drawdown", "role": "guardrail", "direction": "decrease", "margin": 0.001}
        plan = planned(
            analysis={"horizon_periods": 2000},
            metrics=[{"name": "return", "role": "primary"}, guard],
        )
        drifted = drawn(n_periods=1600)
        drifted[:600, 1] -= 0.01
        drifted[600:, 1] += 0.03
        tables = {"return": shadow_table(drawn(n_periods=1600)), "drawdown": shadow_table(drifted)}

        found = analyze(plan, Observed(tables))

        assert decide(found, control="champion").verdict == Verdict.GUARDRAIL_BREACHED

    @pytest.mark.parametrize("is_repeated", [False, True])
    def test_looks_at_guardrails_after_the_planned_periods(self, is_repeated):
        """The challenger loses from period 220 on, of 220 that were planned."""
        guard = {"name": "cost", "role": "guardrail", "direction": "decrease", "margin": 0.8}
        plan = planned(
            analysis={"horizon_periods": 220}, design="assigned",
            metrics=[{"name": "return", "role": "primary"}, guard],
        )  # fmt: skip
        rng = np.random.default_rng(3)
        period, unit = (index.ravel() for index in np.indices((450, 40)))
        arm = unit % 2
        values = rng.standard_normal(unit.size)
        worse = values + 50.0 * ((period >= 220) & (arm == 1))
        whose = unit if is_repeated else np.arange(unit.size)
        tables, units = {}, {}
        for name, each in (("return", values), ("cost", worse)):
            tables[name] = PeriodTable.of_outcomes(period * DAY, arm, each)
            units[name] = UnitTable.of_outcomes(period * DAY, arm, whose, each)
        n = np.unique(whose).size
        seen = Observed(tables, units=units, exposed={1: {0: n // 2, 1: n // 2}})

        found = analyze(plan, seen)

        assert decide(found, control="champion").verdict == Verdict.GUARDRAIL_BREACHED
        assert found.guardrails[0].comparisons[0].path.n[-1] == 450
        assert found.primary.comparisons[0].path.n[-1] == 220

    @pytest.mark.parametrize("n_periods", [15, 399])
    def test_says_no_chance_before_the_first_look(self, n_periods):
        plan = planned(analysis={"horizon_periods": 400, "method": "fixed_horizon"})

        found = analyze(plan, Observed({"return": shadow_table(drawn(n_periods=n_periods))}))

        one = found.primary.comparisons[0]
        assert (one.probability_better, one.expected_loss) == (None, None)

    def test_looks_at_guardrails_all_the_time(self):
        guard = {"name": "drawdown", "role": "guardrail", "direction": "decrease", "margin": 0.001}
        plan = planned(
            analysis={"horizon_periods": 400, "method": "fixed_horizon"},
            metrics=[{"name": "return", "role": "primary"}, guard],
        )
        worse = shadow_table(drawn(n_periods=200, lift=0.01))

        found = analyze(
            plan, Observed({"return": shadow_table(drawn(n_periods=200)), "drawdown": worse})
        )

        assert decide(found, control="champion").verdict == Verdict.GUARDRAIL_BREACHED

    def test_reads_quantiles_off_sketches(self):
        rng = np.random.default_rng(8)
        plan = planned(
            metrics=[
                {"name": "return", "role": "primary"},
                {"name": "latency", "kind": "quantile", "quantile": 0.9},
            ]
        )
        samples = [rng.exponential(1.0, 5_000), rng.exponential(2.0, 5_000)]
        seen = Observed(
            {"return": shadow_table(drawn())},
            sketches={"latency": [QuantileSketch.of(sample) for sample in samples]},
        )

        found = analyze(plan, seen).metrics[1]

        difference = np.quantile(samples[1], 0.9) - np.quantile(samples[0], 0.9)
        assert found.comparisons[0].estimate == pytest.approx(difference, rel=0.02)
        assert "one look" in found.comparisons[0].because

    @pytest.mark.parametrize(
        "method", ["asymptotic", "group_sequential", "betting", "fixed_horizon"]
    )
    def test_has_the_other_methods(self, method):
        plan = planned(
            analysis={"horizon_periods": 400, "method": method},
            metrics=[{"name": "return", "role": "primary", "bound": 0.5}],
        )

        found = analyze(plan, Observed({"return": shadow_table(drawn(lift=0.001))}))

        one = found.primary.comparisons[0]
        assert one.lower < one.estimate < one.upper
        assert found.method == method

    def test_fixed_horizon_says_nothing_before_the_end(self):
        plan = planned(analysis={"horizon_periods": 400, "method": "fixed_horizon"})

        early = analyze(plan, Observed({"return": shadow_table(drawn(n_periods=399))}))

        assert early.primary.comparisons[0].lower is None

    def test_writes_itself_as_plain_values(self):
        import json

        document = analyze(planned(), Observed({"return": shadow_table(drawn())})).to_dict()

        assert json.loads(json.dumps(document, allow_nan=False)) == document


class TestNextWeights:
    def plan(self, **allocation):
        return planned(design="assigned", allocation={"policy": "thompson_normal", **allocation})

    def test_moves_to_the_better_arm_a_step_at_a_time(self):
        table = units_table(lift=0.5)

        first = next_weights(self.plan(max_step=0.1), table, [0.5, 0.5], number=2)
        later = [0.5, 0.5]
        for number in range(2, 12):
            later = next_weights(self.plan(max_step=0.1), table, later, number=number)

        assert first == pytest.approx([0.4, 0.6])
        assert later == pytest.approx([0.1, 0.9])

    def test_turns_with_the_direction(self):
        plan = planned(
            design="assigned", allocation={"policy": "thompson_normal"},
            metrics=[{"name": "return", "role": "primary", "direction": "decrease"}],
        )  # fmt: skip

        assert next_weights(plan, units_table(lift=0.5), [0.5, 0.5], number=2)[0] > 0.5

    def test_follows_its_window_alone(self):
        """The challenger was better for long, and is worse of late."""
        early, late = units_table(n_periods=200, lift=1.0), units_table(n_periods=20, lift=-1.0)
        moved = PeriodTable.of(late.period + 200 * DAY, *(
            getattr(late, name) for name in ("arm", "allocation", "n", "total", "squares")
        ))  # fmt: skip
        table = early.merged(moved)

        whole = next_weights(self.plan(), table, [0.5, 0.5], number=2)
        recent = next_weights(self.plan(window=20), table, [0.5, 0.5], number=2)

        assert whole[1] > 0.5 > recent[1]

    @pytest.mark.parametrize("window", [1, 2, 5])
    def test_judges_an_arm_whose_share_is_small_by_more_periods_than_its_window(self, window):
        """The challenger has nine units of ten a day, and loses since day 30."""
        day, arm = np.repeat(np.arange(60), 10), np.tile([0] + [1] * 9, 60)
        noise = 0.1 * np.random.default_rng(0).standard_normal(600)
        values = noise + np.where(arm == 0, 0.0, np.where(day < 30, 1.0, -9.0))
        table = PeriodTable.of_outcomes(day * DAY, arm, values)

        found = next_weights(self.plan(window=window, max_step=0.5), table, [0.1, 0.9], number=2)

        assert found[0] > 0.5

    def test_does_not_depend_on_the_unit(self):
        table = units_table(lift=0.05)
        small = PeriodTable.of(
            table.period, table.arm, table.allocation, table.n, table.total * 1e-4,
            table.squares * 1e-8,
        )  # fmt: skip

        one, other = (
            next_weights(self.plan(), rows, [0.5, 0.5], number=2) for rows in (table, small)
        )
        assert one == pytest.approx(other)

    def test_keeps_the_shares_until_every_arm_has_outcomes(self):
        table = units_table(n_periods=1, share=0.0)

        assert next_weights(self.plan(), table, [0.5, 0.5], number=2) == [0.5, 0.5]

    @pytest.mark.parametrize(
        "policy",
        ["top_two_thompson", "ucb1", "kl_ucb_gaussian", "epsilon_greedy", "softmax", "leader"],
    )
    def test_knows_every_policy(self, policy):
        shares = next_weights(self.plan(policy=policy), units_table(lift=1.0), [0.5, 0.5], number=2)

        assert sum(shares) == pytest.approx(1.0)
        assert shares[1] >= shares[0] >= 0.1 - 1e-12

    def test_follows_proportions(self):
        rng = np.random.default_rng(4)
        arm = rng.integers(0, 2, 4000)
        won = (rng.random(4000) < np.where(arm == 1, 0.7, 0.3)).astype(float)
        table = PeriodTable.of_outcomes(np.zeros(4000, int), arm, won)
        plan = planned(
            design="assigned", allocation={"policy": "thompson_beta", "max_step": 1.0},
            metrics=[{"name": "return", "role": "primary", "kind": "proportion"}],
        )  # fmt: skip

        assert next_weights(plan, table, [0.5, 0.5], number=2) == pytest.approx([0.1, 0.9])
