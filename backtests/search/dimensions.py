"""One dimension of a search space: an explicit list of values, or a range of numbers.

Each maps the unit interval onto its values, so that every method of search can work in a cube
and none needs to know what is searched.
"""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    StrictBool,
    StrictFloat,
    StrictInt,
    Tag,
    model_validator,
)

from backtests.search.errors import SpaceError
from backtests.search.parameters import Value, encode

MOST_VALUES = 100_000
# Beyond it floats do not tell whole numbers apart.
_LARGEST = 2**53
Number = (
    Annotated[StrictInt, Field(ge=-_LARGEST, le=_LARGEST)]
    | Annotated[StrictFloat, Field(ge=-1e100, le=1e100, allow_inf_nan=False)]
)
Condition = Annotated[
    dict[str, JsonValue],
    Field(
        description="Only searched where other dimensions take these values: "
        "{path: value or list of values}; a path may go on inside the sections a dimension "
        "chooses from. Elsewhere the document keeps its own."
    ),
]


class Part(BaseModel):
    """A part of a search document: frozen, and strict about its keys and types."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Choices(Part):
    """An explicit list of values: numbers, texts, truths, null, or whole sections."""

    values: list[JsonValue] = Field(
        min_length=1, max_length=MOST_VALUES, description="What it may be. No value twice."
    )
    when: Condition = {}

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_of_one_type(cls, document: Any) -> Any:
        values = document.get("values") if isinstance(document, Mapping) else None
        if isinstance(values, list) and all(_is_number(value) for value in values):  # noqa: SIM102
            if any(isinstance(value, float) for value in values):
                return {**document, "values": [float(value) for value in values]}
        return document

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seen: set[str] = set()
        for value in self.values:
            key = encode(value)
            if key in seen:
                raise ValueError(f"{key[:100]} is given twice")
            seen.add(key)
        return self

    @property
    def n_levels(self) -> int:
        """How many values there are."""
        return len(self.values)

    @cached_property
    def is_ordered(self) -> bool:
        """Whether the values are numbers that increase."""
        return (
            all(_is_number(value) for value in self.values)
            and all(
                left < right  # type: ignore[operator]
                for left, right in zip(self.values, self.values[1:], strict=False)
            )
        )

    @cached_property
    def is_numeric(self) -> bool:
        """Whether an expression may name it: numbers, or truths as 1 and 0."""
        return all(isinstance(value, int | float) for value in self.values)

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {encode(value): index for index, value in enumerate(self.values)}

    def level(self, index: int) -> Value:
        """Return the value at an index."""
        return self.values[index]

    def index_of(self, value: Value) -> int:
        """Return the index of a value.

        Raises
        ------
        SpaceError
            It is not among the values.
        """
        for spelled in _spellings(value):
            if spelled in self._indices:
                return self._indices[spelled]
        raise SpaceError(f"{str(value)[:100]!r} is not among the values.")

    def canonical(self, value: Value) -> Value:
        """Return the value as the list has it; 63.0 is 63 where the list has 63."""
        return self.values[self.index_of(value)]

    def from_unit(self, u: float) -> Value:
        """Return the value at a place in [0, 1]; each has an equal share of it."""
        return self.values[_cell(u, self.n_levels)]

    def to_unit(self, value: Value) -> float:
        """Return the middle of the share of a value."""
        return (self.index_of(value) + 0.5) / self.n_levels


class Range(Part):
    """Numbers from low to high: whole ones by a step, or any."""

    low: Number = Field(description="Least value, included.")
    high: Number = Field(description="Greatest value, included where the steps reach it.")
    step: Number | None = Field(
        default=None,
        description="Distance of neighboring values: whole numbers where low, high and step are "
        "whole. Without it every number between is possible.",
    )
    log: StrictBool = Field(
        default=False,
        description="Equal ratios are equally likely. With whole numbers the step is 1.",
    )
    when: Condition = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range begins above 0, not at {self.low:g}")
        if self.step is None:
            return self
        if self.step <= 0:
            raise ValueError(f"step {self.step:g} is not above 0")
        if (self.high - self.low) / self.step > _LARGEST:
            raise ValueError(f"step {self.step:g} is too short for the range")
        if self.step > self.high - self.low:
            raise ValueError(f"step {self.step:g} is longer than the range")
        if self.log and not (self.is_whole and self.step == 1):
            raise ValueError("a logarithmic range has no step, or steps of 1 between whole numbers")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        return isinstance(self.step, int) and isinstance(self.low, int)

    @property
    def is_ordered(self) -> bool:
        """Numbers are."""
        return True

    @property
    def is_numeric(self) -> bool:
        """An expression may name it."""
        return True

    @property
    def n_levels(self) -> int | None:
        """How many values there are; None if there is no counting them."""
        if self.step is None:
            return None
        if self.is_whole:
            return int((self.high - self.low) // self.step) + 1
        return math.floor((self.high - self.low) / self.step + 1e-9) + 1

    def level(self, index: int) -> Value:
        """Return the value at an index."""
        if self.step is None:
            raise SpaceError("A range without a step has no numbered values.")
        if self.is_whole:
            return int(self.low) + index * int(self.step)
        return self.rounded(self.low + index * self.step)

    def index_of(self, value: Value) -> int:
        """Return the index of a value.

        Raises
        ------
        SpaceError
            It is not one of the steps.
        """
        if _is_number(value) and self.step is not None and self.low <= value <= self.high:
            index: int = round((value - self.low) / self.step)
            if index < (self.n_levels or 0) and self.level(index) == value:
                return index
        raise SpaceError(f"{str(value)[:100]!r} is not one of its values.")

    def canonical(self, value: Value) -> Value:
        """Return the value as an int or a float, whichever the range has.

        Raises
        ------
        SpaceError
            It is not in the range.
        """
        if self.step is not None:
            return self.level(self.index_of(value))
        if not _is_number(value) or not self.low <= value <= self.high:
            raise SpaceError(
                f"{str(value)[:100]!r} is not a number from {self.low:g} to {self.high:g}."
            )
        return float(value)

    def from_unit(self, u: float) -> Value:
        """Return the value at a place in [0, 1].

        Numbers without a step are rounded to 12 digits: they read better, and a last bit that
        another processor computes differently does not make another parameter set.
        """
        u = min(max(u, 0.0), 1.0)
        if self.step is None:
            if self.log:
                low, high = math.log(self.low), math.log(self.high)
                return self.rounded(math.exp(low + u * (high - low)))
            return self.rounded(self.low + u * (self.high - self.low))
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            value = round(math.exp(low + u * (high - low)))
            return min(max(value, int(self.low)), int(self.high))
        return self.level(_cell(u, self.n_levels or 1))

    def to_unit(self, value: Value) -> float:
        """Return a place in [0, 1] that stands for a value."""
        value = self.canonical(value)
        if self.log:
            margin = 0.0 if self.step is None else 0.5
            low, high = math.log(self.low - margin), math.log(self.high + margin)
            return (math.log(value) - low) / (high - low)
        if self.step is None:
            return float((value - self.low) / (self.high - self.low))
        return (self.index_of(value) + 0.5) / (self.n_levels or 1)

    def rounded(self, value: float) -> float:
        """Return a number to 12 digits, inside the range."""
        return min(max(float(f"{value:.12g}"), float(self.low)), float(self.high))


def _is_number(value: Any) -> bool:
    """Whether it is a number that an int and a float can both say."""
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= _LARGEST
    return isinstance(value, float)


def _spellings(value: Value) -> list[str]:
    """Return a number as an int and as a float, where both mean the same."""
    if not _is_number(value) or not math.isfinite(value):
        return [encode(value)]
    whole = [encode(int(value))] if float(value).is_integer() else []
    return [encode(value), encode(float(value)), *whole]


def _cell(u: float, n: int) -> int:
    return min(max(int(u * n), 0), n - 1)


def _spelled_out(document: Any) -> Any:
    return {"values": document} if isinstance(document, list) else document


def _tag(document: Any) -> str:
    if isinstance(document, Mapping):
        return "Choices" if "values" in document else "Range"
    return "Choices" if isinstance(document, Choices) else "Range"


Dimension = Annotated[
    Annotated[Choices, Tag("Choices")] | Annotated[Range, Tag("Range")],
    Discriminator(_tag),
    BeforeValidator(_spelled_out, json_schema_input_type=list[JsonValue] | Choices | Range),
]
