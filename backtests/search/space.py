"""A search space: dimensions by the path they set, conditions, and constraints between them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from backtests.search import hints
from backtests.search.dimensions import Choices, Range
from backtests.search.errors import SpaceError, UnsatisfiableError
from backtests.search.expressions import Expression
from backtests.search.parameters import Parameters, Value, digest, encode

# Draws thrown away, one after the other, before a space is called unsatisfiable.
MOST_REJECTED = 10_000


@dataclass(frozen=True)
class Space:
    """What is searched.

    Attributes
    ----------
    dimensions : dict of str to Choices or Range
        By path; a dimension comes after those it depends on.
    constraints : tuple of Expression
        Conditions that name dimensions only, by their full path.
    """

    dimensions: dict[str, Choices | Range]
    constraints: tuple[Expression, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that is searched."""
        return tuple(self.dimensions)

    @property
    def n_dimensions(self) -> int:
        """How many dimensions there are, active or not."""
        return len(self.dimensions)

    @cached_property
    def has_conditions(self) -> bool:
        """Whether a dimension is only searched where another takes some value."""
        return any(dimension.when for dimension in self.dimensions.values())

    @cached_property
    def _conditions(self) -> dict[str, list[tuple[str, frozenset[int]]]]:
        """By path: the parent and the indices of its values that make the path active."""
        return {
            path: [
                _condition(self.dimensions, name, wanted) for name, wanted in dimension.when.items()
            ]
            for path, dimension in self.dimensions.items()
        }

    def is_active(self, path: str, parameters: Mapping[str, Value]) -> bool:
        """Whether a dimension is searched, given those it depends on."""
        return all(
            parent in parameters and self.dimensions[parent].index_of(parameters[parent]) in wanted
            for parent, wanted in self._conditions[path]
        )

    def decode(self, point: Sequence[float] | NDArray[np.float64]) -> Parameters:
        """Return the parameters at a point of the unit cube, inactive ones left out."""
        parameters: Parameters = {}
        for u, (path, dimension) in zip(point, self.dimensions.items(), strict=True):
            if self.is_active(path, parameters):
                parameters[path] = dimension.from_unit(float(u))
        return parameters

    def encode(
        self, parameters: Mapping[str, Value], fill: float | NDArray[np.float64] = 0.5
    ) -> NDArray[np.float64]:
        """Return a point of the unit cube that decodes to the parameters.

        Parameters
        ----------
        parameters : mapping
            A parameter set of this space.
        fill : float or array of shape (n_dimensions,)
            Where inactive dimensions are put.
        """
        point = np.broadcast_to(np.asarray(fill, dtype=np.float64), (self.n_dimensions,)).copy()
        for place, (path, dimension) in enumerate(self.dimensions.items()):
            if path in parameters:
                point[place] = dimension.to_unit(parameters[path])
        return point

    def canonical(self, parameters: Mapping[str, Value]) -> Parameters:
        """Return a parameter set in the order and with the types of this space.

        Raises
        ------
        SpaceError
            A path is unknown, an active one is missing, an inactive one is given, or a value is
            not in its dimension.
        """
        for path in parameters:
            if path not in self.dimensions:
                raise SpaceError(f"{path!r} is not searched{hints.nearest(path, self.paths)}")
        ordered: Parameters = {}
        for path, dimension in self.dimensions.items():
            if self.is_active(path, ordered) is not (path in parameters):
                state = "is missing" if path not in parameters else "is not searched here"
                raise SpaceError(f"{path!r} {state}.")
            if path in parameters:
                try:
                    ordered[path] = dimension.canonical(parameters[path])
                except SpaceError as error:
                    raise SpaceError(f"{path}: {error}") from None
        return ordered

    def digest(self, parameters: Mapping[str, Value]) -> str:
        """Return the digest of a parameter set's canonical form: equal sets, equal digests."""
        return digest(self.canonical(parameters))

    def broken(self, parameters: Mapping[str, Value]) -> Expression | None:
        """Return the first constraint that a parameter set breaks.

        A constraint that names an inactive dimension does not apply; one that cannot be worked
        out, such as a division by zero, is broken.
        """
        for constraint in self.constraints:
            applies = constraint.names <= parameters.keys()
            if applies and constraint.violation(parameters).value != 0.0:
                return constraint
        return None

    def sample(self, rng: np.random.Generator) -> Parameters:
        """Draw a parameter set that meets the constraints, uniformly in the unit cube.

        Raises
        ------
        UnsatisfiableError
            10,000 draws in a row broke a constraint.
        """
        blamed: dict[str, int] = {}
        for _ in range(MOST_REJECTED):
            parameters = self.decode(rng.random(self.n_dimensions))
            constraint = self.broken(parameters)
            if constraint is None:
                return parameters
            blamed[constraint.text] = blamed.get(constraint.text, 0) + 1
        worst = max(blamed, key=lambda text: blamed[text])
        raise UnsatisfiableError(
            f"None of {MOST_REJECTED} parameter sets drawn met the constraints; "
            f"{worst!r} alone refused {blamed[worst]}. Widen the ranges or drop it."
        )

    def count(self) -> int | None:
        """Return how many parameter sets there are before conditions and constraints.

        None where a range has no step. Nothing is enumerated.
        """
        levels = [dimension.n_levels for dimension in self.dimensions.values()]
        return None if None in levels else math.prod(n for n in levels if n is not None)


def build_space(
    dimensions: Mapping[str, Choices | Range], constraints: Iterable[Expression] = ()
) -> Space:
    """Return a space whose parts fit together.

    Raises
    ------
    SpaceError
        A condition names an unknown dimension, a value it does not have or a range that cannot
        be counted; conditions go round in a circle; a constraint names something else than
        numbers.
    """
    if not dimensions:
        raise SpaceError("Nothing is searched: there are no dimensions.")
    for path, dimension in dimensions.items():
        for name, wanted in dimension.when.items():
            try:
                _condition(dimensions, name, wanted)
            except SpaceError as error:
                raise SpaceError(f"{path}: its condition on {name}: {error}") from None
    space = Space(_parents_first(dimensions), tuple(constraints))
    for constraint in space.constraints:
        for name in constraint.names:
            if not dimensions[name].is_numeric:
                raise SpaceError(f"{constraint.text!r} compares {name}, which is no number.")
    return space


def _condition(
    dimensions: Mapping[str, Choices | Range], name: str, wanted: Value
) -> tuple[str, frozenset[int]]:
    """Return the dimension that a condition is about, and the indices of the values it allows.

    The name may go on inside the sections that a dimension chooses from: with
    ``signals.0: [{kind: a, …}, {kind: b, …}]``, ``signals.0.kind`` is about ``signals.0``.
    """
    parent, inner = _owner(dimensions, name)
    dimension = dimensions[parent]
    if dimension.n_levels is None:
        raise SpaceError(f"{parent} has no step, so no condition can name its values.")
    values = wanted if isinstance(wanted, list) else [wanted]
    if not inner:
        allowed = {dimension.index_of(value) for value in values}
    elif isinstance(dimension, Range):
        raise SpaceError(f"{parent} is a number; there is nothing in it.")
    else:
        names = {encode(value) for value in values}
        allowed = {
            index
            for index, section in enumerate(dimension.values)
            if encode(_inside(section, inner)) in names
        }
    if not allowed:
        raise SpaceError("it allows no value.")
    return parent, frozenset(allowed)


def _owner(dimensions: Mapping[str, Choices | Range], name: str) -> tuple[str, list[str]]:
    """Return the dimension with the longest path that a name is or begins with, and the rest."""
    steps = name.split(".")
    for length in range(len(steps), 0, -1):
        if (path := ".".join(steps[:length])) in dimensions:
            return path, steps[length:]
    raise SpaceError(f"{name!r} is not searched{hints.nearest(name, dimensions)}")


def _inside(section: Value, steps: Sequence[str]) -> Value:
    for step in steps:
        section = section.get(step) if isinstance(section, Mapping) else None
    return section


def _parents_first(dimensions: Mapping[str, Choices | Range]) -> dict[str, Choices | Range]:
    ordered: dict[str, Choices | Range] = {}
    waiting = list(dimensions)
    while waiting:
        ready = [
            path
            for path in waiting
            if {_owner(dimensions, name)[0] for name in dimensions[path].when} <= ordered.keys()
        ]
        if not ready:
            raise SpaceError(f"The conditions of {', '.join(waiting)} go round in a circle.")
        ordered |= {path: dimensions[path] for path in ready}
        waiting = [path for path in waiting if path not in ordered]
    return ordered
