"""A gate of stress: its own bounds, and the limits of use of the card as it stands."""

from dataclasses import replace

import pytest

from registry.rules.policies import Gate
from tests.registry.rules.test_gates import SOUND, judged, piece

FIGURES = {"worst_loss": 0.2, "worst_drawdown": 0.4, "gap_loss": 0.1}


def under(limits, **gate):
    evidence = piece(kind="stress", figures=FIGURES)
    return judged(Gate(kind="stress", **gate), [evidence], version=replace(SOUND, limits=limits))


class TestStress:
    @pytest.mark.parametrize(
        ("limits", "gate", "outcome", "reason"),
        [
            ({}, {}, "met", "stress of 2026-01-04"),
            ({}, {"maximum": {"worst_loss": 0.1}}, "not met",
             "worst_loss is 0.2, at most 0.1 is asked"),
            ({"max_drawdown": 0.5, "max_loss": 0.25}, {}, "met", "worst_drawdown 0.4"),
            ({"max_drawdown": 0.3}, {}, "not met", "worst_drawdown is 0.4, at most 0.3 is asked"),
            ({"max_loss": 0.19}, {}, "not met", "worst_loss is 0.2, at most 0.19 is asked"),
            ({"max_loss": 0.5}, {"maximum": {"worst_loss": 0.1}}, "not met", "at most 0.1"),
            ({"max_loss": 0.1}, {"maximum": {"worst_loss": 0.5}}, "not met", "at most 0.1"),
            ({"max_loss": "20%"}, {}, "not computed", "limit max_loss is no number"),
            ({"max_loss": None}, {}, "not computed", "limit max_loss is no number"),
            ({"max_drawdown": -0.2}, {}, "not computed", "limit max_drawdown is no number"),
            ({"max_loss": True}, {}, "not computed", "limit max_loss is no number"),
            ({"gross": 0.01}, {}, "met", "stress of"),
            ({}, {"maximum": {"spread_x3_max_drawdown": 0.5}}, "not computed",
             "the evidence has no spread_x3_max_drawdown"),
        ],
    )  # fmt: skip
    def test_answers(self, limits, gate, outcome, reason):
        result = under(limits, **gate)

        assert result.outcome == outcome
        assert reason in result.reason
        assert result.evidence == ("e1",)

    def test_is_not_computed_without_evidence(self):
        assert judged(Gate(kind="stress"), []).outcome == "not computed"

    def test_takes_nothing_that_was_attested(self):
        result = judged(Gate(kind="stress"), [piece(kind="stress", is_measured=False)])

        assert result.outcome == "not met"
