"""Assumptions held against what came: what is off, what is not, and how long it takes now."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.plans.analysis import analyze
from experiments.plans.observed import Observed
from experiments.plans.sizing import size_of
from experiments.statistics.summaries import PeriodTable
from tests.experiments.plans.test_analysis import DAY, drawn, planned, shadow_table, units_table

EFFECT = {"effect": 0.0004}
TRUE = 0.002 * np.sqrt(2.0)  # of the differences that `drawn` draws


def shadow(**assumptions):
    return planned(assumptions=EFFECT | assumptions)


def rare(effect=0.01, baseline=0.02, direction="increase"):
    metric = {"name": "return", "role": "primary", "kind": "proportion", "direction": direction}
    return planned(
        design="assigned", metrics=[metric],
        assumptions={"effect": effect, "baseline": baseline, "units_per_period": 40},
    )  # fmt: skip


def found_of(plan, table):
    return analyze(plan, Observed({"return": table})).assumed


def checks_of(found):
    return {one.name: one for one in found.checks}


class TestAssumedFindings:
    def test_fit_where_the_plan_knew(self):
        found = found_of(shadow(deviation=TRUE), shadow_table(drawn()))

        assert not found.is_off
        assert found.periods == found.periods_assumed == size_of(shadow(deviation=TRUE)).periods
        assert found.sentence == (
            "Of challenger less champion in 400 periods what the plan assumes of return fits."
        )

    def test_name_a_deviation_that_is_off_and_what_it_takes_now(self):
        plan, returns = shadow(deviation=TRUE / 2), drawn()

        found = found_of(plan, shadow_table(returns))

        differences = returns[:, 1] - returns[:, 0]
        seen = checks_of(found)["deviation"]
        assert seen.seen == pytest.approx(differences.std(ddof=1))
        assert seen.lower < TRUE < seen.upper
        assert [one.name for one in found.checks if one.is_off] == ["deviation"]
        assert found.periods == size_of(shadow(deviation=seen.seen)).periods
        assert found.periods_assumed == size_of(plan).periods
        assert f"takes {found.periods:,} periods rather than {found.periods_assumed:,}" in (
            found.sentence
        )
        assert found.sentence in analyze(plan, Observed({"return": shadow_table(returns)})).notes

    def test_name_periods_that_are_missing(self):
        returns = drawn()
        table = shadow_table(returns)
        is_kept = ~((table.arm == 1) & (table.period // DAY % 5 == 0))
        thin = PeriodTable.of(
            *(getattr(table, name)[is_kept]
              for name in ("period", "arm", "allocation", "n", "total", "squares"))
        )  # fmt: skip

        found = found_of(shadow(deviation=TRUE), thin)

        missing = checks_of(found)["missing"]
        assert missing.seen == pytest.approx(0.2)
        assert missing.is_off
        assert found.periods == pytest.approx(found.periods_assumed / 0.8, abs=1)
        assert "20.0 % of periods without both arms rather than 0.0 %" in found.sentence

    def test_name_an_autocorrelation(self):
        noise = np.random.default_rng(5).standard_normal(401)
        returns = np.zeros((400, 2))
        returns[:, 1] = 0.002 * (noise[1:] + 0.8 * noise[:-1])
        deviation = 0.002 * np.sqrt(1.64)

        found = found_of(shadow(deviation=deviation), shadow_table(returns))

        assert checks_of(found)["autocorrelation"].seen == pytest.approx(0.8 / 1.64, abs=0.1)
        assert "an autocorrelation of 0." in found.sentence
        assert found.periods > 2 * found.periods_assumed

    def test_of_units_hold_traffic_and_the_spread_within_periods(self):
        plan = planned(
            design="assigned",
            assumptions={"effect": 0.2, "deviation": 2.0, "units_per_period": 40},
        )

        found = found_of(plan, units_table())

        checks = checks_of(found)
        assert checks["units_per_period"].seen == pytest.approx(40.0)
        assert not checks["units_per_period"].is_off
        assert checks["deviation"].seen == pytest.approx(1.0, abs=0.03)  # shocks are not in it
        assert found.periods < found.periods_assumed / 3

    def test_of_units_know_a_ramp(self):
        ramp = [{"at": "2026-01-01T00:00:00Z", "share": 0.5}]
        plan = planned(
            design="assigned", assignment={"ramp": ramp, "share": 0.5},
            assumptions={"effect": 0.2, "deviation": 1.0, "units_per_period": 160},
        )  # fmt: skip

        found = found_of(plan, units_table())

        assert checks_of(found)["units_per_period"].assumed == pytest.approx(40.0)
        assert not found.is_off

    def test_of_proportions_hold_the_baseline(self):
        table = units_table()
        plan = planned(
            design="assigned",
            metrics=[{"name": "return", "role": "primary", "kind": "proportion"}],
            assumptions={"effect": 0.02, "baseline": 0.1, "units_per_period": 40},
        )
        hits = np.random.default_rng(4).binomial(table.n.astype(int), 0.3).astype(float)

        found = found_of(plan, replace(table, total=hits, squares=hits))

        assert checks_of(found)["baseline"].seen == pytest.approx(0.3, abs=0.02)
        assert "a baseline of " in found.sentence

    @pytest.mark.parametrize(("seen", "is_off"), [(0.02, False), (0.04, True)])
    def test_of_rare_proportions_mind_what_is_rare(self, seen, is_off):
        """Twice the baseline takes nearly twice the units; it was within 0.05."""
        plan, table = rare(), units_table()
        many = replace(table, n=100.0 * table.n)
        hits = np.random.default_rng(4).binomial(many.n.astype(int), seen).astype(float)

        found = found_of(plan, replace(many, total=hits, squares=hits))

        assert checks_of(found)["baseline"].is_off is is_off

    def test_of_a_baseline_that_the_effect_passes_say_that_nothing_is_known(self):
        """The analysis failed by the root of a number below 0."""
        table = units_table()
        plan = rare(effect=0.2, baseline=0.5, direction="decrease")
        hits = np.random.default_rng(4).binomial(table.n.astype(int), 0.05).astype(float)

        found = found_of(plan, replace(table, total=hits, squares=hits))

        assert found.periods is None
        assert found.sentence.endswith("How long that takes is not known.")

    def test_of_being_no_worse_are_told_by_the_margin(self):
        metric = {"name": "return", "role": "primary", "question": "non_inferior", "margin": 0.0004}
        plan = planned(metrics=[metric], assumptions=EFFECT | {"deviation": TRUE / 2})

        found = found_of(plan, shadow_table(drawn()))

        assert "a challenger that is as good, to be shown to be no worse by" in found.sentence
        assert "a margin of " in found.sentence

    def test_are_nothing_without_assumptions_or_of_a_few_periods(self):
        assert found_of(planned(), shadow_table(drawn())) is None
        assert found_of(shadow(deviation=TRUE), shadow_table(drawn(n_periods=19))) is None
        document = analyze(planned(), Observed({"return": shadow_table(drawn())})).to_dict()
        assert "assumed" not in document

    @pytest.mark.slow
    def test_call_what_fits_off_in_hardly_any_experiment(self):
        plan = shadow(deviation=TRUE)

        n_off = sum(
            found_of(plan, shadow_table(drawn(n_periods=200, seed=seed))).is_off
            for seed in range(100)
        )

        assert n_off <= 15  # of two intervals of 95 % at most 10, and material at that
