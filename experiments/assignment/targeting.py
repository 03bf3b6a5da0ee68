"""Targeting: which units an experiment is about, as a small document on their attributes.

A condition is one of ``{"all": [...]}``, ``{"any": [...]}``, ``{"not": {...}}`` or a test of one
attribute, ``{"attribute": "desk", "equals": "equities"}``, with ``equals``, ``in``, ``at_least``,
``at_most`` (both together are a closed interval) or ``present: true``. It is read once, with its
depth and size bounded, and then matches any attributes without raising: what is missing, null or
of another type does not match. Texts are compared exactly, booleans are no numbers, 1 is 1.0.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from experiments.assignment import hints
from experiments.assignment.errors import TargetingError

MOST_DEPTH = 10
MOST_CONDITIONS = 500
MOST_VALUES = 5_000
LONGEST_TEXT = 256  # characters
LARGEST_WHOLE = 2**53  # beyond it languages disagree about numbers

_GROUPS = ("all", "any", "not")
_TESTS = ("equals", "in", "at_least", "at_most", "present")
_KEYS = (*_GROUPS, "attribute", *_TESTS)

Value = str | int | float | bool


class Condition(Protocol):
    """What a targeting document means."""

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        """Return whether a unit with these attributes is meant; never raises."""

    def document(self) -> dict[str, Any]:
        """Return the condition as plain values, from which it is read again."""


@dataclass(frozen=True, slots=True)
class All:
    """Every part matches."""

    parts: tuple[Condition, ...]

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        """Return whether every part matches."""
        return all(part.matches(attributes) for part in self.parts)

    def document(self) -> dict[str, Any]:
        """Return ``{"all": [...]}``."""
        return {"all": [part.document() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Either:
    """At least one part matches."""

    parts: tuple[Condition, ...]

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        """Return whether one part matches."""
        return any(part.matches(attributes) for part in self.parts)

    def document(self) -> dict[str, Any]:
        """Return ``{"any": [...]}``."""
        return {"any": [part.document() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not match; so it holds where its attribute is missing."""

    part: Condition

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        """Return whether the part does not match."""
        return not self.part.matches(attributes)

    def document(self) -> dict[str, Any]:
        """Return ``{"not": {...}}``."""
        return {"not": self.part.document()}


@dataclass(frozen=True, slots=True)
class Present:
    """The attribute is there, and not null."""

    attribute: str

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        """Return whether the attribute is there, and not null."""
        return attributes.get(self.attribute) is not None

    def document(self) -> dict[str, Any]:
        """Return ``{"attribute": ..., "present": true}``."""
        return {"attribute": self.attribute, "present": True}


@dataclass(frozen=True, slots=True)
class OneOf:
    """The attribute is one of some values; of one, if written with ``equals``."""

    attribute: str
    values: tuple[Value, ...]
    is_single: bool
    keys: frozenset[tuple[str, Value]]

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        """Return whether the attribute is one of the values, of the same kind."""
        value = attributes.get(self.attribute)
        kind = _kind(value)
        return kind is not None and (kind, value) in self.keys

    def document(self) -> dict[str, Any]:
        """Return ``{"attribute": ..., "equals": ...}`` or ``{..., "in": [...]}``."""
        if self.is_single:
            return {"attribute": self.attribute, "equals": self.values[0]}
        return {"attribute": self.attribute, "in": list(self.values)}


@dataclass(frozen=True, slots=True)
class Between:
    """The attribute is a number in a closed interval, open to a side that is None."""

    attribute: str
    at_least: float | None
    at_most: float | None

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        """Return whether the attribute is a number in the interval; NaN is in none."""
        value: Any = attributes.get(self.attribute)
        if _kind(value) != "number" or value != value:  # noqa: PLR0124 - NaN
            return False
        above = self.at_least is None or value >= self.at_least
        return bool(above and (self.at_most is None or value <= self.at_most))

    def document(self) -> dict[str, Any]:
        """Return ``{"attribute": ..., "at_least": ..., "at_most": ...}``, ends that there are."""
        ends = {"at_least": self.at_least, "at_most": self.at_most}
        return {"attribute": self.attribute, **{k: v for k, v in ends.items() if v is not None}}


def read_targeting(document: object) -> Condition:
    """Return the condition that a document writes.

    Raises
    ------
    TargetingError
        It is none of the language, deeper than 10, or larger than 500 conditions and 5,000 values.
        The text begins with the path; an unknown key names the nearest known one.
    """
    return _Reader().condition(document, "targeting", 1)


class _Reader:
    """Reads one document and counts what it has read."""

    def __init__(self) -> None:
        self.n_conditions = 0
        self.n_values = 0

    def condition(self, document: object, path: str, depth: int) -> Condition:
        if not isinstance(document, Mapping):
            raise TargetingError(f"{path}: a condition is an object, not {_told(document)}.")
        self.n_conditions += 1
        if depth > MOST_DEPTH:
            raise TargetingError(f"{path}: conditions are nested more than {MOST_DEPTH} deep.")
        if self.n_conditions > MOST_CONDITIONS:
            raise TargetingError(f"{path}: there are more than {MOST_CONDITIONS} conditions.")
        for key in document:
            if key not in _KEYS:
                where = f"{path}.{key}"[:200]
                raise TargetingError(f"{where}: unknown key{hints.nearest(key, _KEYS)}")
        groups = [key for key in _GROUPS if key in document]
        if not groups:
            return self._test(document, path)
        if len(document) > 1:
            others = ", ".join(str(key) for key in document if key != groups[0])
            raise TargetingError(f"{path}: {groups[0]} stands alone, not beside {others}.")
        return self._group(groups[0], document[groups[0]], f"{path}.{groups[0]}", depth)

    def _group(self, key: str, inner: object, path: str, depth: int) -> Condition:
        if key == "not":
            return Not(self.condition(inner, path, depth + 1))
        if not isinstance(inner, list | tuple) or not inner:
            raise TargetingError(f"{path}: a list of at least one condition is needed.")
        parts = tuple(
            self.condition(part, f"{path}[{place}]", depth + 1) for place, part in enumerate(inner)
        )
        return All(parts) if key == "all" else Either(parts)

    def _test(self, document: Mapping[str, Any], path: str) -> Condition:
        name = document.get("attribute")
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_TEXT:
            raise TargetingError(f"{path}.attribute: the name of an attribute is needed.")
        tests = [key for key in _TESTS if key in document]
        if set(tests) == {"at_least", "at_most"} or tests in (["at_least"], ["at_most"]):
            return self._between(name, document, path)
        if len(tests) != 1:
            given = ", ".join(tests) or "none"
            raise TargetingError(f"{path}: one of {', '.join(_TESTS)} is needed, not {given}.")
        where, given = f"{path}.{tests[0]}", document[tests[0]]
        if tests[0] == "present":
            if given is not True:
                raise TargetingError(f'{where}: only true; absence is {{"not": ...}}.')
            return Present(name)
        if tests[0] == "equals":
            return _one_of(name, (self._value(given, where),), is_single=True)
        if not isinstance(given, list | tuple) or not given:
            raise TargetingError(f"{where}: a list of at least one value is needed.")
        values = (self._value(one, f"{where}[{place}]") for place, one in enumerate(given))
        return _one_of(name, tuple(values), is_single=False)

    def _between(self, name: str, document: Mapping[str, Any], path: str) -> Condition:
        ends: dict[str, float] = {}
        for key in ("at_least", "at_most"):
            if key in document:
                ends[key] = self._number(document[key], f"{path}.{key}")
        least, most = ends.get("at_least"), ends.get("at_most")
        if least is not None and most is not None and least > most:
            raise TargetingError(f"{path}: at_least is more than at_most, so nothing matches.")
        return Between(name, least, most)

    def _number(self, given: object, path: str) -> float:
        value = self._value(given, path)
        if isinstance(value, str | bool):
            raise TargetingError(f"{path}: a number is needed, not {_told(value)}.")
        return value

    def _value(self, value: object, path: str) -> Value:
        self.n_values += 1
        if self.n_values > MOST_VALUES:
            raise TargetingError(f"{path}: there are more than {MOST_VALUES:,} values.")
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            if len(value) > LONGEST_TEXT:
                raise TargetingError(f"{path}: a text has at most {LONGEST_TEXT} characters.")
            return value
        if isinstance(value, int) and abs(value) <= LARGEST_WHOLE:
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        raise TargetingError(
            f"{path}: a text, a boolean or a finite number up to 2**53 is needed, "
            f"not {_told(value)}."
        )


def _one_of(name: str, values: tuple[Value, ...], *, is_single: bool) -> OneOf:
    keys = frozenset((_kind(value) or "", value) for value in values)
    return OneOf(name, values, is_single, keys)


def _kind(value: object) -> str | None:
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else None


def _told(value: object) -> str:
    """Return a value for a refusal's text, however large it is."""
    if value is None:
        return "null"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_WHOLE:
        return "a larger one"
    return repr(value)[:60] if isinstance(value, str | int | float) else type(value).__name__
