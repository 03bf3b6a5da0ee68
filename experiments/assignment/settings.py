"""All that a decision about a unit depends on, frozen, checked once and written as a document."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from experiments.assignment import hints
from experiments.assignment.arms import arm_thresholds
from experiments.assignment.buckets import salt_prefix, unit_bytes
from experiments.assignment.contexts import Context
from experiments.assignment.errors import AssignmentError, SettingsError
from experiments.assignment.layers import WHOLE, Range, edges, read_ranges, require_exclusive
from experiments.assignment.ramps import Ramp
from experiments.assignment.targeting import Condition, read_targeting

MOST_ARMS = 100
MOST_OVERRIDES = 10_000
_LONGEST_NAME = 256


@dataclass(frozen=True, slots=True)
class AssignmentSettings:
    """How units meet the arms of one experiment.

    Attributes
    ----------
    salt : str
        The experiment's own, 1 to 64 of ``A-Z a-z 0-9 . _ -``. Arms are drawn under ``salt/arm``,
        the ramp under ``salt/ramp``, and ranges, where there is no layer, under ``salt/layer``.
    arms : tuple of str
        Names in the order in which points are cut: never reorder a running experiment's.
    weights : tuple of float
        Of the arms, summing to 1; those of a context, where there is one, take their place.
    layer_salt : str or None
        The layer's, which its experiments have in common.
    ranges : tuple of Range
        Points of the layer that are this experiment's; at least one.
    holdout : tuple of Range
        Points of the layer that are no experiment's.
    ramp : Ramp
    targeting : Condition or None
        None: every unit.
    overrides : mapping of str to str
        Unit to arm, before anything else; no analysis may count them.
    context : Context or None
        None: the same weights for every unit.

    Raises
    ------
    SettingsError, LayerError, UnitError
        Something is outside its domain, or ranges overlap each other or the holdout.
    """

    salt: str
    arms: tuple[str, ...]
    weights: tuple[float, ...]
    layer_salt: str | None = None
    ranges: tuple[Range, ...] = WHOLE
    holdout: tuple[Range, ...] = ()
    ramp: Ramp = field(default_factory=Ramp)
    targeting: Condition | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    context: Context | None = None

    arm_prefix: bytes = field(init=False, repr=False, compare=False)
    ramp_prefix: bytes = field(init=False, repr=False, compare=False)
    layer_prefix: bytes = field(init=False, repr=False, compare=False)
    thresholds: tuple[int, ...] = field(init=False, repr=False, compare=False)
    inside: tuple[int, ...] = field(init=False, repr=False, compare=False)
    held: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        arms, weights = tuple(self.arms), tuple(self.weights)
        ranges, holdout = read_ranges(self.ranges), read_ranges(self.holdout)
        overrides = dict(self.overrides)
        _require_arms(arms, weights)
        _require_overrides(overrides, arms)
        for weights_of_one in () if self.context is None else self.context.shares.values():
            _require_arms(arms, tuple(weights_of_one))
        if not ranges:
            raise SettingsError("An experiment without ranges has no unit; all are [[0, 1]].")
        require_exclusive({"the experiment": ranges, "the holdout": holdout})
        for salt in (self.salt, self.salt if self.layer_salt is None else self.layer_salt):
            salt_prefix(salt)
            if "/" in salt:
                raise SettingsError(f"The salt {salt!r} has a slash; only derived ones have.")
        layer = f"{self.salt}/layer" if self.layer_salt is None else self.layer_salt
        derived = {
            "arms": arms,
            "weights": tuple(float(weight) for weight in weights),
            "ranges": ranges,
            "holdout": holdout,
            "overrides": overrides,
            "arm_prefix": salt_prefix(f"{self.salt}/arm"),
            "ramp_prefix": salt_prefix(f"{self.salt}/ramp"),
            "layer_prefix": salt_prefix(layer),
            "thresholds": arm_thresholds(weights),
            "inside": edges(ranges),
            "held": edges(holdout),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the settings that `document` wrote.

        Raises
        ------
        AssignmentError
            A key is unknown, one that is needed is missing, or a value is outside its domain.
        """
        if not isinstance(document, Mapping):
            raise SettingsError("The settings of an assignment are an object.")
        known = [one.name for one in fields(cls) if one.init]
        for key in document:
            if key not in known:
                raise SettingsError(f"{str(key)[:80]}: unknown key{hints.nearest(key, known)}")
        missing = [key for key in ("salt", "arms", "weights") if key not in document]
        if missing:
            raise SettingsError(f"{missing[0]} is missing.")
        given = dict(document)
        for key in ("arms", "weights"):
            if not isinstance(given[key], list | tuple):
                raise SettingsError(f"{key}: a list is needed.")
        if not isinstance(given.get("overrides", {}), Mapping):
            raise SettingsError("overrides: an object of units and arms is needed.")
        if "ramp" in given:
            given["ramp"] = Ramp.from_document(given["ramp"])
        if given.get("targeting") is not None:
            given["targeting"] = read_targeting(given["targeting"])
        if given.get("context") is not None:
            given["context"] = Context.from_document(given["context"])
        return cls(**given)

    def document(self) -> dict[str, Any]:
        """Return the settings as plain values, from which they are read again."""
        return {
            "salt": self.salt,
            "arms": list(self.arms),
            "weights": list(self.weights),
            "layer_salt": self.layer_salt,
            "ranges": [list(one) for one in self.ranges],
            "holdout": [list(one) for one in self.holdout],
            "ramp": self.ramp.document(),
            "targeting": None if self.targeting is None else self.targeting.document(),
            "overrides": dict(self.overrides),
            "context": None if self.context is None else self.context.document(),
        }


def _require_arms(arms: tuple[object, ...], weights: tuple[object, ...]) -> None:
    if not 2 <= len(arms) <= MOST_ARMS:
        raise SettingsError(f"An experiment has 2 to {MOST_ARMS} arms, not {len(arms):,}.")
    for place, arm in enumerate(arms):
        if not isinstance(arm, str) or not 0 < len(arm) <= _LONGEST_NAME:
            raise SettingsError(f"arms[{place}]: a name is needed.")
        if arm in arms[:place]:
            raise SettingsError(f"The arm {arm!r} is named twice.")
    if len(weights) != len(arms):
        raise SettingsError(f"{len(arms)} arms have {len(weights)} weights.")


def _require_overrides(overrides: dict[str, str], arms: tuple[str, ...]) -> None:
    if len(overrides) > MOST_OVERRIDES:
        raise SettingsError(
            f"There are {len(overrides):,} overrides, more than {MOST_OVERRIDES:,}: target those "
            "units by an attribute."
        )
    for unit, arm in overrides.items():
        try:
            unit_bytes(unit)
        except AssignmentError as error:
            raise SettingsError(f"overrides: {error}") from None
        if arm not in arms:
            raise SettingsError(f"The override of {unit[:50]!r} goes to no arm: {str(arm)[:80]!r}.")
