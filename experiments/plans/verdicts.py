"""Verdicts of the platform on experiments, and what they rest on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What the findings say."""

    CONTINUE = "continue"
    WINNER = "winner"
    NO_DIFFERENCE = "no_difference"
    INCONCLUSIVE = "inconclusive"
    GUARDRAIL_BREACHED = "guardrail_breached"
    RATIO_MISMATCH = "ratio_mismatch"


@dataclass(frozen=True, slots=True)
class GuardrailState:
    """One guardrail of one challenger.

    Attributes
    ----------
    status : str
        ``held``, ``breached`` or ``open``.
    because : str
        Of an open one: why nothing is known, or nothing may be concluded; empty otherwise.
    """

    metric: str
    arm: str
    status: str
    because: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its reason, in a sentence that a person can read.

    Attributes
    ----------
    winner : str
        Name of the arm; empty where there is none.
    won_on : sequence of str
        Of several primary metrics: those on which the winner is better; of the control, those on
        which every challenger is worse.
    """

    verdict: Verdict
    reason: str
    winner: str = ""
    guardrails: Sequence[GuardrailState] = field(default=())
    won_on: Sequence[str] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as a document of plain values.

        Of a single primary metric it is what it always was.
        """
        whole = asdict(self)
        if not self.won_on:
            del whole["won_on"]
        return whole

    @property
    def ends(self) -> bool:
        """Whether the experiment has its answer."""
        return self.verdict in {Verdict.WINNER, Verdict.NO_DIFFERENCE, Verdict.INCONCLUSIVE}

    @property
    def pauses(self) -> bool:
        """Whether a person must look before it goes on."""
        return self.verdict in {Verdict.GUARDRAIL_BREACHED, Verdict.RATIO_MISMATCH}


def nothing_yet(n_periods: int, first_look: int) -> str:
    """Return what is said until there is an interval: how far it is, whoever asks."""
    if n_periods >= first_look:
        return f"No interval yet, after {n_periods:,} compared periods."
    return (
        f"No interval yet: {n_periods:,} of the {first_look:,} periods that the first one takes "
        "have been compared."
    )
