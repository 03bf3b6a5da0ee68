"""Contexts: shares that depend on one attribute of a unit, such as the regime of the market.

A context moves the cuts between the arms, and nothing else: the point of a unit is the same in all
of them, so that contexts of equal shares give it the same arm.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from experiments.assignment import hints
from experiments.assignment.arms import arm_thresholds
from experiments.assignment.errors import ContextError, SettingsError

MOST_VALUES = 100
_TOLD = 60  # characters of a value in a refusal
_KEYS = ("attribute", "shares", "otherwise")


@dataclass(frozen=True, slots=True)
class Context:
    """Which attribute is the context, and the weights of the arms in each.

    Attributes
    ----------
    attribute : str
    shares : mapping of str to tuple of float
        Weights of the arms by the attribute's value, each summing to 1.
    otherwise : str or None
        The value of units whose attribute is missing, or none of these; None refuses them.

    Raises
    ------
    SettingsError
        No value, weights that are none, or an `otherwise` that is no value.
    """

    attribute: str
    shares: Mapping[str, tuple[float, ...]]
    otherwise: str | None = None

    thresholds: Mapping[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.attribute, str) or not self.attribute:
            raise SettingsError("context.attribute: the name of an attribute is needed.")
        if not isinstance(self.shares, Mapping) or not 0 < len(self.shares) <= MOST_VALUES:
            raise SettingsError(
                f"context.shares: an object of 1 to {MOST_VALUES} values and weights is needed."
            )
        shares = {value: tuple(weights) for value, weights in self.shares.items()}
        if self.otherwise is not None and self.otherwise not in shares:
            raise SettingsError(f"context.otherwise is none of {', '.join(map(str, shares))}.")
        thresholds = {value: arm_thresholds(weights) for value, weights in shares.items()}
        plain = {v: tuple(float(weight) for weight in weights) for v, weights in shares.items()}
        object.__setattr__(self, "shares", plain)
        object.__setattr__(self, "thresholds", thresholds)

    @classmethod
    def from_document(cls, document: object) -> Self:
        """Return the context that `document` wrote.

        Raises
        ------
        SettingsError
            A key is unknown, one that is needed is missing, or a value is outside its domain.
        """
        if not isinstance(document, Mapping):
            raise SettingsError("context: an object is needed.")
        for key in document:
            if key not in _KEYS:
                where = f"context.{str(key)[:80]}"
                raise SettingsError(f"{where}: unknown key{hints.nearest(key, _KEYS)}")
        missing = [key for key in _KEYS[:2] if key not in document]
        if missing:
            raise SettingsError(f"context.{missing[0]} is missing.")
        return cls(**document)

    def document(self) -> dict[str, Any]:
        """Return the context as plain values, from which it is read again."""
        shares = {value: list(weights) for value, weights in self.shares.items()}
        return {"attribute": self.attribute, "shares": shares, "otherwise": self.otherwise}

    def of(self, value: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """Return the weights and the thresholds of the arms in a context."""
        return self.shares[value], self.thresholds[value]

    def value_of(self, attributes: Mapping[str, Any]) -> str:
        """Return the context that a unit with these attributes comes in.

        Raises
        ------
        ContextError
            The attribute is missing or none of the values, and there is no `otherwise`.
        """
        value = attributes.get(self.attribute)
        if isinstance(value, str) and value in self.shares:
            return value
        if self.otherwise is not None:
            return self.otherwise
        known = ", ".join(self.shares)
        if value is None:
            raise ContextError(
                f"attributes.{self.attribute} is missing: shares depend on it. It is one of "
                f"{known}."
            )
        told = repr(value)[:_TOLD] if isinstance(value, str | int | float) else "no text"
        raise ContextError(f"attributes.{self.attribute} is {told}; it is one of {known}.")
