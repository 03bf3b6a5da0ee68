"""Plans: what is refused, and in which words."""

import copy

import pytest

from crowetrade_site.core import canonical, documents
from crowetrade_site.core.errors import InvalidInput
from experiments.plans import ExperimentPlan, duration

PLAN = {
    "name": "challenger",
    "hypothesis": "It earns more.",
    "arms": [{"name": "champion", "control": True}, {"name": "challenger"}],
    "metrics": [{"name": "return", "role": "primary"}],
    "analysis": {"horizon_periods": 500},
}

TWO = [{"name": "r", "role": "primary"}, {"name": "s", "role": "primary"}]


def planned(**changes) -> ExperimentPlan:
    return documents.parse(ExperimentPlan, {**copy.deepcopy(PLAN), **changes})


def refusal(**changes) -> str:
    with pytest.raises(InvalidInput) as caught:
        planned(**changes)
    return caught.value.detail


class TestExperimentPlan:
    def test_fills_in_its_defaults(self):
        plan = planned()

        assert plan.design == "shadow"
        assert plan.analysis.method == "planned_sequence"
        assert plan.weights == [0.5, 0.5]
        stored = ExperimentPlan.model_validate(plan.document())
        assert stored == plan.model_copy(update={"counted_by": "outcome"})
        assert stored.document() == plan.document()

    def test_counts_by_exposure_where_a_policy_moves_the_shares(self):
        moving = {"design": "assigned", "allocation": {"policy": "thompson_normal"}}

        assert planned(**moving).document()["counted_by"] == "exposure"
        assert planned(**moving, counted_by="outcome").document()["counted_by"] == "outcome"
        assert planned(design="assigned").document()["counted_by"] == "outcome"
        with pytest.raises(InvalidInput, match="shadow has none"):
            planned(counted_by="exposure")

    @pytest.mark.parametrize(
        ("changes", "digest"),
        [
            ({}, "e3738826e31f995bbf2c4f0af664726756731e918b73a1ff1fdd783880dfb563"),
            (
                {"design": "assigned", "allocation": {"policy": "leader", "discount": 0.9}},
                "1c2564ecb55c40216d760898b2527e1350cdc7f3f9f83ecb5f4258fa4eea7708",
            ),
        ],
    )
    def test_has_the_digest_that_it_had_before_plans_learned_more(self, changes, digest):
        assert canonical.digest(planned(**changes).document()) == digest

    def test_keeps_what_plans_have_learned(self):
        plan = planned(
            design="assigned", allocation={"policy": "leader", "window": 5},
            analysis={"horizon_periods": 500, "correction_over": "plan"},
        )  # fmt: skip

        stored = plan.document()

        assert stored["allocation"]["window"] == 5
        assert stored["analysis"]["correction_over"] == "plan"
        assert ExperimentPlan.model_validate(stored).document() == stored

    def test_keeps_a_context_and_has_one_without_a_name_by_default(self):
        context = {"attribute": "regime", "values": ["calm", "turbulent"]}
        plan = planned(design="assigned", allocation={"policy": "ucb1", "context": context})

        stored = plan.document()

        assert stored["allocation"]["context"] == context | {"otherwise": None}
        assert ExperimentPlan.model_validate(stored).document() == stored
        assert plan.contexts == ["calm", "turbulent"]
        assert planned().contexts == [""]
        assert "context" not in planned().document()["allocation"]

    @pytest.mark.parametrize(
        ("context", "says"),
        [
            ({"attribute": "regime", "values": ["calm"]}, "at least 2 items"),
            ({"attribute": "regime", "values": [f"v{n}" for n in range(9)]}, "at most 8 items"),
            ({"attribute": "regime", "values": ["calm", "calm"]}, "names 'calm' twice"),
            (
                {"attribute": "regime", "values": ["calm", "Calm"]},
                "names 'calm' and 'Calm', which look alike",
            ),
            ({"attribute": "regime", "values": ["calm", "calm\u200b"]}, "cannot be seen"),
            ({"attribute": "regime", "values": ["\u202elive", "b"]}, "cannot be seen"),
            ({"attribute": "regime", "values": ["a\u2028b", "b"]}, "cannot be seen"),
            ({"attribute": "regime", "values": ["e\u0301", "b"]}, "form NFC"),
            ({"attribute": " \n", "values": ["a", "b"]}, "cannot be seen"),
            ({"attribute": "a\u0007b", "values": ["a", "b"]}, "cannot be seen"),
            ({"attribute": "regime", "values": ["calm", ""]}, "at least 1 character"),
            ({"attribute": "regime", "values": ["calm", " wild"]}, "cannot be seen"),
            ({"attribute": "regime", "values": ["calm", "a\tb"]}, "cannot be seen"),
            ({"attribute": "regime", "values": ["calm", "x" * 65]}, "at most 64 characters"),
            ({"attribute": "regime", "values": ["calm", 1]}, "string"),
            ({"attribute": "", "values": ["calm", "wild"]}, "at least 1 character"),
            ({"attribute": "regime", "values": ["calm", "wild"], "otherwise": "mild"},
             "otherwise is none of the values: calm, wild"),
            ({"attribute": "regime", "value": ["calm", "wild"]}, "did you mean 'values'"),
        ],
    )  # fmt: skip
    def test_refuses_a_context_that_is_none(self, context, says):
        assert says in refusal(design="assigned", allocation={"context": context})

    def test_refuses_a_context_of_a_shadow_experiment(self):
        context = {"attribute": "regime", "values": ["calm", "wild"]}

        assert "shadow arms see every period, whatever it is" in refusal(
            allocation={"context": context}
        )

    @pytest.mark.parametrize(
        "allocation",
        [
            {"policy": "ucb1", "context": {"attribute": "regime", "values": ["calm", "wild"]}},
            {"context": {"atribute": "regime", "values": ["calm"]}, "flor": 0.2},
        ],
    )
    def test_says_first_that_a_shadow_experiment_has_no_context(self, allocation):
        said = refusal(allocation=allocation)

        assert "allocation.context gives units shares" in said
        assert "a policy gives" not in said
        assert "atribute" not in said

    def test_says_once_that_a_key_is_misspelt(self):
        context = {"atribute": "regime", "values": ["calm", "wild"]}

        with pytest.raises(InvalidInput) as told:
            planned(design="assigned", allocation={"context": context})

        assert told.value.extensions["errors"] == [
            {"path": "allocation.context.atribute",
             "message": "unknown key; did you mean 'attribute'?"}
        ]  # fmt: skip

    def test_says_of_a_key_that_is_far_from_all_what_is_missing_too(self):
        said = refusal(design="assigned", allocation={"context": {"color": 1}})

        assert "allocation.context.color: unknown key; there are: attribute" in said
        assert "allocation.context.attribute: Field required" in said

    def test_puts_the_control_first(self):
        plan = planned(
            arms=[{"name": "b"}, {"name": "a", "control": True}],
            design="assigned", allocation={"weights": {"b": 0.9, "a": 0.1}},
        )  # fmt: skip

        assert [arm.name for arm in plan.ordered_arms] == ["a", "b"]
        assert plan.weights == [0.1, 0.9]

    @pytest.mark.parametrize(
        ("weights", "says"),
        [
            ({"champion": 0.0, "challenger": 0.0}, "sum to 0"),
            ({"champion": 0.6, "challenger": 0.5}, "sum to 1.1; they must sum to 1"),
            ({"champion": 1.0, "challenger": 0.0}, "fewer than two arms"),
            ({"champion": 1.0}, "says nothing of 'challenger'"),
            ({"champion": 0.5, "challenger": 0.3, "other": 0.2}, "names no arm: 'other'"),
            ({"champion": 1.5, "challenger": -0.5}, "less than or equal to 1"),
        ],
    )
    def test_refuses_shares_that_are_none(self, weights, says):
        assert says in refusal(allocation={"weights": weights})

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"arms": [{"name": "only", "control": True}]}, "at least 2 items"),
            ({"arms": [{"name": "a"}, {"name": "b"}]}, "exactly one arm is the control, not 0"),
            (
                {"arms": [{"name": "a", "control": True}, {"name": "a"}]},
                "names 'a' twice",
            ),
            ({"metrics": [{"name": "return"}]}, "a metric is primary, at least one"),
            (
                {"metrics": [{"name": "r", "role": "primary"}, {"name": "g", "role": "guardrail"}]},
                "guardrail needs margin",
            ),
            (
                {"metrics": [{"name": "r", "role": "primary", "margin": 0.1}]},
                "primary and asks superior has no margin",
            ),
            (
                {"metrics": [{"name": "r", "role": "primary", "kind": "quantile",
                              "quantile": 0.5}]},
                "cannot be primary",
            ),
            (
                {"metrics": [{"name": "r", "role": "primary", "question": "non_inferior"}]},
                "asks non_inferior needs margin",
            ),
            (
                {"metrics": [{"name": "r", "role": "primary"},
                             {"name": "g", "role": "guardrail", "margin": 0.1,
                              "question": "non_inferior"}]},
                "of the primary metric, not guardrail",
            ),
            (
                {"metrics": [{"name": "r", "role": "primary", "question": "non_inferior",
                              "margin": 0.1}],
                 "analysis": {"horizon_periods": 500, "region_of_equivalence": 0.1}},
                "non_inferior has its margin",
            ),
            ({"analysis": {"horizon_periods": 500, "confidence": 1.0}}, "less than 1"),
            (
                {"analysis": {"horizon_periods": 500, "method": "betting"}},
                "needs the bound",
            ),
            ({"analysis": {"horizon_periods": 100, "minimum_periods": 200}}, "no room"),
            ({"assignment": {"share": 0.5}}, "for the design assigned"),
            (
                {"design": "assigned", "assignment": {"overrides": {"u": "nobody"}}},
                "sends 'u' to no arm",
            ),
            (
                {"design": "assigned", "allocation": {"policy": "thompson_beta"}},
                "zeros and ones",
            ),
            ({"allocation": {"policy": "thompson_normal"}}, "shadow arms see every period"),
            ({"analysis": {"horizon_periods": 10}}, "leaves no room"),
            ({"analysis": {"horizon_periods": 504, "batch_periods": 60}}, "leaves no room"),
            ({"analysis": {"horizon_periods": 20, "method": "asymptotic"}}, "leaves no room"),
            (
                {"analysis": {"horizon_periods": 40, "method": "group_sequential"}},
                "horizon_periods of 50",
            ),
            (
                {"design": "assigned",
                 "allocation": {"weights": {"champion": 0.0, "challenger": 1.0}}},
                "fewer than two arms",
            ),
            (
                {"metrics": [{"name": "r", "role": "primary", "covariate": True}]},
                "assigned by chance",
            ),
            (
                {"metrics": [{"name": "r", "role": "primary"},
                             {"name": "q", "role": "guardrail", "kind": "quantile",
                              "quantile": 0.9, "margin": 1.0}]},
                "cannot be guardrail",
            ),
            (
                {"metrics": [{"name": "r", "role": "primary", "question": "non_inferior",
                              "margin": 0.1}],
                 "analysis": {"horizon_periods": 500, "method": "group_sequential",
                              "futility": "stop"}},
                "futility gives up where the arms are alike",
            ),
            (
                {"analysis": {"horizon_periods": 500, "method": "group_sequential",
                              "futility": "advise", "region_of_equivalence": 0.1}},
                "leave futility out",
            ),
            ({"metrics": TWO, "analysis": {"horizon_periods": 500, "correction": "none"}},
             "would find a winner by chance on any of 2 primary metrics"),
            ({"metrics": TWO,
              "analysis": {"horizon_periods": 500, "region_of_equivalence": 0.1}},
             "region_of_equivalence is in the unit of one primary metric, not of 2"),
            ({"metrics": TWO, "design": "assigned", "allocation": {"policy": "ucb1"}},
             "allocation.policy follows the outcomes of one primary metric"),
            ({"metrics": TWO, "analysis": {"horizon_periods": 500, "method": "fixed_horizon",
                                             "correction": "dunnett", "winner_needs": "all"}},
             "with winner_needs: all take holm or bonferroni"),
            ({"metrics": [TWO[0], TWO[1] | {"question": "non_inferior", "margin": 0.1}]},
             "an arm that is like the control would win by being no worse on one metric"),
            ({"analysis": {"horizon_periods": 500, "winner_needs": "all"}},
             "winner_needs: all is of several primary metrics, and there is one"),
            ({"analysis": {"horizon_periods": 500, "correction": "dunnett"}},
             "dunnett is for one look, the method fixed_horizon"),
            ({"analysis": {"horizon_periods": 500, "correction": "benjamini_hochberg"}},
             "and planned_sequence has neither"),
            ({"design": "assigned", "analysis": {"horizon_periods": 500, "method": "asymptotic",
                                                 "correction": "benjamini_hochberg"}},
             "units that report again have none: say units: once"),
            ({"design": "assigned",
              "allocation": {"context": {"attribute": "regime", "values": ["a", "b"]}},
              "analysis": {"horizon_periods": 500, "method": "fixed_horizon",
                           "correction": "dunnett"}},
             "with allocation.context there are several: take holm"),
            ({"horizon": 3}, "unknown key"),
            ({"period": "1w"}, "pattern"),
            ({"arms": [{"name": "a", "control": True, "model": "m", "strategy": "s"},
                       {"name": "b"}]}, "not both"),
        ],
    )  # fmt: skip
    def test_refuses_what_cannot_be_answered(self, changes, says):
        assert says in refusal(**changes)

    def test_names_the_nearest_key(self):
        assert "horizon_periods" in refusal(analysis={"horizon_period": 500})

    @pytest.mark.parametrize(
        "ramp",
        [
            [{"at": "2026-02-01T00:00:00Z", "share": 0.5},
             {"at": "2026-01-01T00:00:00Z", "share": 1.0}],
            [{"at": "2026-01-01T00:00:00Z", "share": 0.5},
             {"at": "2026-02-01T00:00:00Z", "share": 0.1}],
        ],
    )  # fmt: skip
    def test_refuses_a_ramp_that_lets_units_out(self, ramp):
        assert "who is in stays in" in refusal(design="assigned", assignment={"ramp": ramp})


class TestDuration:
    @pytest.mark.parametrize(
        ("text", "seconds"), [("30s", 30), ("5min", 300), ("2h", 7200), ("1d", 86_400), ("0s", 0)]
    )
    def test_reads_what_plans_write(self, text, seconds):
        assert duration(text).total_seconds() == seconds

    @pytest.mark.parametrize("text", ["1w", "-1d", "d", "1.5h", ""])
    def test_refuses_the_rest(self, text):
        with pytest.raises(ValueError, match="no duration"):
            duration(text)
