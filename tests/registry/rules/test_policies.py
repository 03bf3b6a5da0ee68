"""Policies refuse what they do not know, and never fall below four eyes."""

import pytest
from pydantic import ValidationError

from registry.lifecycle import Stage
from registry.rules.policies import GateKind, Policy

LEAST = {"staging": {"approvals": {"number": 1}}, "production": {"approvals": {"number": 2}}}


class TestPolicy:
    def test_has_what_four_eyes_ask_for(self):
        policy = Policy.model_validate(LEAST)

        assert [policy.of(s).approvals.number for s in ("testing", "staging", "production")] == [
            0, 1, 2,
        ]  # fmt: skip
        assert policy.request_days == 30

    @pytest.mark.parametrize("stage", [Stage.DEVELOPMENT, Stage.ARCHIVED])
    def test_asks_nothing_of_other_stages(self, stage):
        assert Policy.model_validate(LEAST).of(stage).gates == ()

    @pytest.mark.parametrize(("stage", "number"), [("staging", 0), ("production", 1)])
    def test_never_falls_below_four_eyes(self, stage, number):
        with pytest.raises(ValidationError, match="at least"):
            Policy.model_validate(LEAST | {stage: {"approvals": {"number": number}}})

    @pytest.mark.parametrize(
        "more",
        [
            {"stagin": {}},
            {"request_days": 0},
            {"testing": {"gates": [{"kind": "horoscope"}]}},
            {"testing": {"gates": [{}]}},
            {"testing": {"gates": [{"kind": "backtest", "minimun": {}}]}},
            {"testing": {"gates": [{"kind": "backtest", "minimum": {"sharpe": "high"}}]}},
            {"testing": {"gates": [{"kind": "backtest", "minimum": {"sharpe": float("nan")}}]}},
            {"testing": {"gates": [{"kind": "backtest", "maximum": {"sharpe": float("inf")}}]}},
            {"testing": {"gates": [{"kind": "backtest", "topic": "x"}]}},
            {"testing": {"gates": [{"kind": "manual"}]}},
            {"testing": {"gates": [{"kind": "integrity", "minimum": {"x": 1}}]}},
            {"testing": {"gates": [{"kind": "manual", "topic": "x", "unseen_data": True}]}},
            {"testing": {"gates": [{"kind": "reproduction", "unseen_data": True}]}},
            {"testing": {"gates": [{"kind": "reproduction", "datasets": ["a" * 64]}]}},
            {"testing": {"gates": [{"kind": "pbo", "datasets": ["SPY daily"]}]}},
            {"testing": {"gates": [{"kind": "pbo"}, {"kind": "pbo"}]}},
            {"testing": {"approvals": {"roles": ["researcher"]}}},
            {"testing": {"approvals": {"number": -1}}},
        ],
    )
    def test_refuses_what_it_does_not_know(self, more):
        with pytest.raises(ValidationError):
            Policy.model_validate(LEAST | more)

    @pytest.mark.parametrize("kind", sorted(set(GateKind) - {GateKind.MANUAL}))
    def test_knows_every_gate(self, kind):
        document = LEAST | {"testing": {"gates": [{"kind": kind}]}}

        assert Policy.model_validate(document).testing.gates[0].name == kind

    def test_has_manual_gates_of_several_topics(self):
        gates = [{"kind": "manual", "topic": topic} for topic in ("drill", "committee")]

        names = [
            g.name
            for g in Policy.model_validate(LEAST | {"testing": {"gates": gates}}).testing.gates
        ]

        assert names == ["manual:drill", "manual:committee"]


class TestNeverMet:
    @pytest.mark.parametrize(
        ("below", "own", "named"),
        [
            ([], ["walk_forward", "causality"], ["causality of production"]),
            (["walk_forward"], ["causality"], ["causality of production"]),
            (["experiment", "data_quality"], ["reproduction"], ["reproduction of production"]),
            (
                ["causality"],
                ["reproduction"],
                ["reproduction of production", "causality of staging"],
            ),
            (["backtest"], ["causality", "reproduction"], []),
            ([], ["backtest", "causality", "reproduction"], []),
            ([], ["pbo", "reproduction"], []),
        ],
    )
    def test_names_what_no_other_gate_makes_possible(self, below, own, named):
        gates = {"staging": below, "production": own}
        policy = Policy.model_validate(
            {
                stage: LEAST[stage] | {"gates": [{"kind": kind} for kind in kinds]}
                for stage, kinds in gates.items()
            }
        )

        found = policy.refusals()

        assert [sentence.removeprefix("the gate ").split(" can ")[0] for sentence in found] == named


class TestRefusals:
    @pytest.mark.parametrize(
        ("stage", "more", "words"),
        [
            (
                "staging",
                {"gates": [{"kind": "pbo", "minimum": {"x": 2}, "maximum": {"x": 1}}]},
                "pbo of staging asks for x of at least 2 and at most 1",
            ),
            ("testing", {"approvals": {"roles": []}}, "nobody has a role that decides about test"),
            ("staging", {"approvals": {"number": 1, "roles": []}}, "nobody has a role"),
            (
                "staging",
                {"gates": [{"kind": "backtest"}, {"kind": "causality", "unseen_data": True}]},
                "causality of staging has no data of its own",
            ),
        ],
    )
    def test_name_what_is_asked_for_in_vain(self, stage, more, words):
        policy = Policy.model_validate(LEAST | {stage: LEAST.get(stage, {}) | more})

        (found,) = policy.refusals()

        assert found.startswith(words)

    def test_are_none_of_a_figure_that_is_one_value(self):
        gates = [{"kind": "pbo", "minimum": {"x": 1}, "maximum": {"x": 1, "y": 0}}]

        policy = Policy.model_validate(LEAST | {"testing": {"gates": gates}})

        assert policy.refusals() == []


class TestDeciding:
    @pytest.mark.parametrize(
        ("stage", "kinds"),
        [("production", ["backtest"]), ("staging", ["backtest"]), ("testing", ["pbo"]),
         ("archived", [])],
    )  # fmt: skip
    def test_is_of_the_stage_or_the_nearest_below(self, stage, kinds):
        gates = {"testing": ["pbo", "reproduction"], "staging": ["backtest", "experiment"]}
        asked = {name: {"gates": [{"kind": k} for k in of]} for name, of in gates.items()}
        policy = Policy.model_validate(
            {**LEAST, **asked, "staging": LEAST["staging"] | asked["staging"]}
        )

        assert [str(gate.kind) for gate in policy.deciding(stage)] == kinds


class TestMeasuredBelow:
    @pytest.mark.parametrize(
        ("stage", "kinds"),
        [("production", ["walk_forward", "pbo"]), ("staging", ["pbo"]), ("testing", [])],
    )
    def test_is_of_every_stage_below(self, stage, kinds):
        gates = {
            "testing": ["pbo", "reproduction", "causality"],
            "staging": ["walk_forward", "experiment", "data_quality"],
        }
        asked = {name: {"gates": [{"kind": k} for k in of]} for name, of in gates.items()}
        policy = Policy.model_validate(
            {**LEAST, **asked, "staging": LEAST["staging"] | asked["staging"]}
        )

        assert [str(gate.kind) for gate in policy.measured_below(stage)] == kinds
