"""A gate of stress holds losses against its own bounds and against the card's limits of use."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from registry.rules.facts import EvidenceFacts, GateResult, Outcome, VersionFacts
from registry.rules.policies import Gate
from registry.rules.weighing import number_of, of_data, weigh_one

# Limits of the card, fractions of equity, and the figures that they bound.
LIMITS = {"max_loss": "worst_loss", "max_drawdown": "worst_drawdown"}


def weigh_stress(
    gate: Gate, version: VersionFacts, newest: EvidenceFacts, now: datetime
) -> GateResult:
    """Say whether losses under stress are within the bounds of the gate and of the card.

    The card is that of now: whoever makes a limit narrower asks more of what was measured before.
    A limit that is no number bounds nothing that anybody could compare, and is never met.
    """
    faulty = sorted(
        name for name in LIMITS if name in version.limits and _limit(version.limits, name) is None
    )
    if faulty:
        why = (
            f"the card's limit {faulty[0]} is no number of 0 or more: it is a fraction of equity, "
            "such as 0.2"
        )
        return GateResult(gate.name, Outcome.NOT_COMPUTED, why, (newest.name,))
    bounds = dict(gate.maximum)
    for name, figure in LIMITS.items():
        if (limit := _limit(version.limits, name)) is not None:
            bounds[figure] = min(limit, bounds.get(figure, limit))
    result = weigh_one(gate.model_copy(update={"maximum": bounds}), version, newest, now)
    told = of_data(version, newest)
    return replace(result, reason=f"{result.reason}; {told}") if told else result


def _limit(limits: Mapping[str, Any], name: str) -> float | None:
    limit = number_of(limits.get(name))
    return limit if limit is not None and limit >= 0.0 else None
