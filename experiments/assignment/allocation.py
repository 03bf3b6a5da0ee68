"""The one door: a unit, its attributes and a moment in; its arm, the chance of it and why, out.

Overrides come first. Then a unit must be targeted, come in a known context if there are any, be in
the experiment's ranges of its layer, and be let in by the ramp; its arm is drawn under a salt of
its own, so that layer, ramp and arm are independent. Nothing is remembered: the same settings say
the same of a unit for ever, on every machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from experiments.assignment.arms import arm_position
from experiments.assignment.buckets import hashed, unit_bytes
from experiments.assignment.errors import SettingsError
from experiments.assignment.layers import is_inside
from experiments.assignment.settings import AssignmentSettings


class Reason(StrEnum):
    """Why a unit has its arm, or none."""

    ASSIGNED = "assigned"
    OVERRIDE = "override"
    NOT_TARGETED = "not_targeted"
    OUTSIDE_LAYER_RANGE = "outside_layer_range"
    HELD_OUT = "held_out"
    NOT_RAMPED = "not_ramped"


@dataclass(frozen=True, slots=True)
class Assignment:
    """What was decided about a unit.

    Attributes
    ----------
    arm : str or None
        None: the unit takes no part.
    probability : float or None
        Of this arm for a unit that takes part, in (0, 1]: the arm's weight, or 1 by an override.
        None where there is no arm.
    reason : Reason
    context : str or None
        Whose weights the arm was drawn by; None without an arm, by an override, and where the
        weights depend on nothing.
    """

    arm: str | None
    probability: float | None
    reason: Reason
    context: str | None = None

    @property
    def is_analyzed(self) -> bool:
        """Whether an analysis may count the unit: only where chance chose its arm."""
        return self.reason is Reason.ASSIGNED


_NOT_TARGETED = Assignment(None, None, Reason.NOT_TARGETED)
_OUTSIDE = Assignment(None, None, Reason.OUTSIDE_LAYER_RANGE)
_HELD_OUT = Assignment(None, None, Reason.HELD_OUT)
_NOT_RAMPED = Assignment(None, None, Reason.NOT_RAMPED)


def assign(
    unit: str, attributes: Mapping[str, Any], settings: AssignmentSettings, at: datetime
) -> Assignment:
    """Return the arm of a unit at a moment, the probability it had, and why.

    Parameters
    ----------
    unit : str
        1 to 256 bytes of UTF-8 without control characters.
    attributes : mapping
        What the targeting and the context ask about; a missing one does not match.
    settings : AssignmentSettings
    at : datetime
        With its zone; only the ramp depends on it.

    Raises
    ------
    UnitError, SettingsError
        The unit's name, the moment is none.
    ContextError
        A unit that is targeted came in no context that has weights. It is said whether or not the
        unit would take part, so that a missing attribute shows at the first request.
    """
    name = unit_bytes(unit)
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise SettingsError("A moment needs its zone.")
    if unit in settings.overrides:
        return Assignment(settings.overrides[unit], 1.0, Reason.OVERRIDE)
    if settings.targeting is not None and not settings.targeting.matches(attributes):
        return _NOT_TARGETED
    weights, thresholds, context = settings.weights, settings.thresholds, None
    if settings.context is not None:
        context = settings.context.value_of(attributes)
        weights, thresholds = settings.context.of(context)
    layer = hashed(settings.layer_prefix, name)
    if not is_inside(layer, settings.inside):
        return _HELD_OUT if is_inside(layer, settings.held) else _OUTSIDE
    if settings.ramp.steps and not _is_ramped(name, settings, at):
        return _NOT_RAMPED
    position = arm_position(hashed(settings.arm_prefix, name), thresholds)
    return Assignment(settings.arms[position], weights[position], Reason.ASSIGNED, context)


def _is_ramped(name: bytes, settings: AssignmentSettings, at: datetime) -> bool:
    return hashed(settings.ramp_prefix, name) < settings.ramp.threshold_at(at)
