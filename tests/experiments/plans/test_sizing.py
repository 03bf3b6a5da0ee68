"""What plans can show beforehand: the pure formulas, with the plan's level and shares."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import nct, norm, t

from experiments.plans.methods import intervals_of
from experiments.plans.sizing import size_of, why_unsized
from experiments.plans.wording import write_difference
from experiments.selectors.detecting import detectability, what_it_shows
from experiments.statistics.power import (
    detectable_information_ratio,
    expected_duration,
    minimum_detectable_effect,
    periods_needed,
    power_of_means,
    sample_size_of_means,
    sample_size_of_proportions,
)
from tests.experiments.plans.test_analysis import planned

FIVE = [{"name": "a", "control": True}, *({"name": name} for name in "bcde")]
UNITS = {"effect": 0.5, "deviation": 4.0, "units_per_period": 200}


def shadow(**assumptions):
    usual = {"effect": 0.0004, "deviation": 0.006}
    return planned(assumptions=usual | assumptions, analysis={"horizon_periods": 500})


class TestSizeOf:
    def test_is_nothing_without_assumptions(self):
        assert size_of(planned()) is None
        assert "assumptions" not in planned().document()

    def test_of_a_shadow_experiment_counts_periods(self):
        found = size_of(shadow(autocorrelation=0.2, power=0.9))

        assert found.n_units is None
        assert found.periods == periods_needed(0.0004, 0.006, autocorrelation=0.2, power=0.9)
        assert found.power_at_horizon < 0.9

    def test_agrees_with_itself(self):
        """In as many periods as it takes the chance is the one asked for, and the effect seen."""
        first = size_of(shadow())
        plan = shadow().model_copy(
            update={"analysis": planned(analysis={"horizon_periods": first.periods}).analysis}
        )

        found = size_of(plan)

        assert found.power_at_horizon == pytest.approx(0.8, abs=0.002)
        assert found.detectable_effect == pytest.approx(0.0004, rel=0.005)

    def test_of_few_periods_has_their_degrees_of_freedom(self):
        """24 differences leave 23; the chance of four challengers at 99 % was told a tenth high."""
        plan = planned(
            arms=FIVE, analysis={"horizon_periods": 24, "confidence": 0.99},
            assumptions={"effect": 0.8, "deviation": 1.0},
        )  # fmt: skip

        found = size_of(plan)

        away, reach = 0.8 * np.sqrt(24), t.isf(0.01 / 4 / 2, 23)
        chance = nct.sf(reach, 23, away) + nct.cdf(-reach, 23, away)
        assert found.power_at_horizon == pytest.approx(chance, rel=1e-6)
        seen = nct.sf(reach, 23, found.detectable_effect * np.sqrt(24))
        assert seen == pytest.approx(0.8, abs=1e-6)

    @pytest.mark.parametrize("direction", ["increase", "decrease"])
    def test_of_being_no_worse_has_to_see_the_margin(self, direction):
        """Of arms that are alike: how often the interval lies on the good side of the margin."""
        metric = {"name": "fill", "role": "primary", "kind": "proportion", "direction": direction,
                  "question": "non_inferior", "margin": 0.02}  # fmt: skip
        plan = planned(
            design="assigned", metrics=[metric], analysis={"horizon_periods": 50},
            assumptions={"effect": 0.05, "baseline": 0.1, "units_per_period": 100},
        )  # fmt: skip
        rng = np.random.default_rng(7)
        share = rng.binomial(2_500, 0.1, (2, 20_000)) / 2_500
        error = np.sqrt((share * (1.0 - share)).sum(axis=0) / 2_500)

        found = size_of(plan)

        is_shown = share[1] - share[0] - norm.ppf(0.975) * error > -0.02
        assert found.effect == 0.02
        assert found.power_at_horizon == pytest.approx(is_shown.mean(), abs=0.015)
        assert "as good takes" in found.sentence
        assert "no worse by 2 pp" in found.sentence
        assert "pp is enough with a chance of" in found.sentence.partition("first look")[2]

    @pytest.mark.parametrize("units_per_period", [0.001, 1e308])
    def test_says_why_there_is_nothing(self, units_per_period):
        """The command line said that the plan had no assumptions."""
        plan = planned(
            design="assigned", assumptions=UNITS | {"units_per_period": units_per_period}
        )

        assert size_of(plan) is None
        assert "Arms need two units" in why_unsized(plan)
        assert why_unsized(plan) in what_it_shows(plan)
        assert (why_unsized(planned()), why_unsized(shadow())) == ("", "")

    def test_of_units_goes_by_their_shares_and_traffic(self):
        plan = planned(
            design="assigned", assumptions=UNITS, assignment={"share": 0.5},
            allocation={"weights": {"champion": 0.8, "challenger": 0.2}},
        )  # fmt: skip

        found = size_of(plan)

        n_control = sample_size_of_means(0.5, 4.0, ratio=0.25)
        assert found.n_units == pytest.approx(n_control / 0.8, abs=1)
        assert found.periods == expected_duration(found.n_units, 100)
        sizes = {"n_control": 100 * 400 * 0.8, "n_treatment": 100 * 400 * 0.2}
        assert found.power_at_horizon == power_of_means(0.5, 4.0, **sizes)
        assert found.detectable_effect == minimum_detectable_effect(4.0, **sizes)

    @pytest.mark.parametrize(("direction", "treated"), [("increase", 0.12), ("decrease", 0.08)])
    def test_of_proportions(self, direction, treated):
        plan = planned(
            design="assigned",
            metrics=[{"name": "fill", "role": "primary", "kind": "proportion",
                      "direction": direction}],
            assumptions={"effect": 0.02, "baseline": 0.1, "units_per_period": 100},
        )  # fmt: skip

        expected = 2 * sample_size_of_proportions(0.1, treated)
        assert size_of(plan).n_units == pytest.approx(expected, rel=0.005)
        assert "2 pp takes" in size_of(plan).sentence

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
    def test_of_proportions_agrees_with_itself_whatever_the_shares(self, share):
        """A tenth in the challenger's arm took 193 periods for a chance of 80 %: it had 96.5 %."""
        plan = planned(
            design="assigned",
            metrics=[{"name": "fill", "role": "primary", "kind": "proportion"}],
            allocation={"weights": {"champion": 1.0 - share, "challenger": share}},
            assumptions={"effect": 0.02, "baseline": 0.1, "units_per_period": 100},
        )

        found = size_of(plan)

        n = np.array([1.0 - share, share]) * found.n_units
        error = np.sqrt(0.1 * 0.9 / n[0] + 0.12 * 0.88 / n[1])

        assert 0.02 / error == pytest.approx(norm.ppf(0.975) + norm.ppf(0.8), rel=0.001)

    def test_counts_the_thin_periods_of_a_ramp(self):
        """168 of 500 hours at a tenth: the error is that of periods that count alike."""
        begin = datetime(2026, 1, 5, tzinfo=UTC)
        ramp = [{"at": begin, "share": 0.1}, {"at": begin + timedelta(days=168), "share": 1.0}]
        asked = {
            "design": "assigned", "assumptions": UNITS, "analysis": {"horizon_periods": 500},
        }  # fmt: skip
        plain = size_of(planned(**asked))
        arms = 100.0 * np.repeat([0.1, 1.0], [168, 332])  # units of each, by period
        error = 4.0 * np.sqrt(np.sum(2.0 / arms)) / 500

        found = size_of(planned(**asked, assignment={"ramp": ramp}))

        quantiles = norm.ppf(0.975) + norm.ppf(0.8)
        assert found.detectable_effect == pytest.approx(quantiles * error, rel=1e-3)
        assert found.power_at_horizon == pytest.approx(
            norm.cdf(0.5 / error - norm.ppf(0.975)), abs=1e-3
        )
        assert found.n_units == plain.n_units
        assert found.periods > 5 * plain.periods
        assert "periods of this ramp" in found.sentence

    def test_agrees_with_itself_under_a_ramp(self):
        begin = datetime(2026, 1, 5, tzinfo=UTC)
        ramp = [{"at": begin, "share": 0.1}, {"at": begin + timedelta(days=20), "share": 1.0}]
        asked = {
            "design": "assigned", "assignment": {"ramp": ramp},
            "assumptions": UNITS | {"effect": 0.3},
        }  # fmt: skip
        first = size_of(planned(**asked))

        found = size_of(planned(**asked, analysis={"horizon_periods": first.periods}))

        assert found.power_at_horizon == pytest.approx(0.8, abs=0.01)

    def test_is_nothing_where_nobody_ever_takes_part(self):
        ramp = [{"at": datetime(2026, 1, 5, tzinfo=UTC), "share": 0.0}]
        plan = planned(design="assigned", assumptions=UNITS, assignment={"ramp": ramp})

        assert size_of(plan) is None

    def test_has_the_level_that_the_correction_leaves(self):
        plan = planned(
            design="assigned", arms=FIVE, assumptions=UNITS,
            analysis={"horizon_periods": 400, "confidence": 0.99},
        )  # fmt: skip

        assert size_of(plan).level == pytest.approx(0.0025)
        assert size_of(plan).n_units > 5 * sample_size_of_means(0.5, 4.0)

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"assumptions": {"effect": 1.0}}, "have a deviation, and no baseline"),
            ({"assumptions": {"effect": 1.0, "baseline": 0.5}}, "have a deviation, and no base"),
            ({"assumptions": UNITS}, "shadow have no units_per_period"),
            ({"design": "assigned", "assumptions": {"effect": 1.0, "deviation": 1.0}},
             "assigned need units_per_period"),
            ({"design": "assigned", "assumptions": UNITS | {"autocorrelation": 0.1}}, "shadow"),
            ({"design": "assigned", "assumptions": UNITS | {"deviation": 0}}, "greater than 0"),
            ({"design": "assigned", "units": "repeated", "assumptions": UNITS}, "report once"),
            ({"design": "assigned",
              "metrics": [{"name": "r", "role": "primary", "kind": "ratio"}],
              "assumptions": UNITS}, "not a ratio"),
            ({"design": "assigned",
              "metrics": [{"name": "f", "role": "primary", "kind": "proportion"}],
              "assumptions": {"effect": 0.6, "baseline": 0.5, "units_per_period": 9}},
             "leave no proportion"),
        ],
        ids=str,
    )  # fmt: skip
    def test_refuses_assumptions_that_size_nothing(self, changes, says):
        with pytest.raises(ValueError, match=says):
            planned(**changes)


class TestDetectability:
    def test_has_the_level_of_the_plan(self):
        """At a confidence of 0.99 for four challengers the usual 5 % promised 1.98 for 2.73."""
        analysis = {"horizon_periods": 504, "confidence": 0.99}

        found = detectability(planned(arms=FIVE, analysis=analysis))

        assert found.level == pytest.approx(0.0025)
        expected = detectable_information_ratio(2.0, level=0.01 / 4)
        assert found.information_ratio == pytest.approx(expected)
        assert expected == pytest.approx(2.73, abs=0.01)
        assert "2.73 or more" in found.sentence

    def test_stands_beside_what_the_assumptions_say(self):
        said = what_it_shows(shadow())

        assert said.startswith("By what the plan assumes")
        assert "information ratio" in said


class TestFirstLook:
    def test_comes_when_the_method_says_and_shows_less(self):
        found = size_of(shadow())

        assert found.first_look == 100
        assert found.first_look_effect > 1.5 * found.detectable_effect
        assert found.sentence.endswith(
            "The first look comes after 100 periods, and shows "
            f"{write_difference(planned().primary, found.first_look_effect)} with a chance of "
            "80.0 %."
        )

    def test_is_the_end_of_one_look(self):
        plan = planned(
            assumptions={"effect": 0.0004, "deviation": 0.006},
            analysis={"horizon_periods": 500, "method": "fixed_horizon"},
        )

        found = size_of(plan)

        assert (found.first_look, found.first_look_effect) == (500, found.detectable_effect)
        assert "first look" not in found.sentence

    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["planned_sequence", "group_sequential", "asymptotic"])
    def test_shows_its_effect_as_often_as_is_said(self, method):
        """Experiments with that effect, looked at once, when the first look comes."""
        plan = planned(
            assumptions={"effect": 0.5, "deviation": 1.0},
            analysis={"horizon_periods": 400, "method": method, "batch_periods": 4},
        )
        found, n = size_of(plan), 300
        rng, n_seen = np.random.default_rng(3), 0
        for _ in range(n):
            differences = rng.standard_normal(found.first_look) + found.first_look_effect
            seen = intervals_of(plan.analysis, differences, 0.95, bound=None)
            n_seen += bool(seen.lower[-1] > 0.0)

        assert n_seen / n == pytest.approx(0.8, abs=0.07)


class TestMissing:
    def test_lengthens_a_shadow_experiment_on_the_clock(self):
        whole, part = size_of(shadow()), size_of(shadow(missing=0.2))

        assert (part.periods, whole.elapsed_periods) == (whole.periods, whole.periods)
        assert part.elapsed_periods == -(-whole.periods * 5 // 4)
        assert f"with outcomes of both arms, {part.elapsed_periods:,} in all" in part.sentence

    def test_thins_the_traffic_of_an_assigned_one(self):
        half = planned(design="assigned", assumptions=UNITS | {"missing": 0.5})
        fewer = planned(design="assigned", assumptions=UNITS | {"units_per_period": 100})

        assert size_of(half).periods == size_of(fewer).periods

    def test_is_left_out_of_the_document_where_nothing_is(self):
        assert "missing" not in shadow().document()["assumptions"]
        assert shadow(missing=0.1).document()["assumptions"]["missing"] == 0.1
