"""Every combination of a space, by index, none of them kept.

Without conditions and constraints a grid of any size costs nothing: the index is read in mixed
radix, the last dimension moving fastest. With them its points have to be found once.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from backtests.search.errors import SpaceError, UnsatisfiableError
from backtests.search.methods import numbered
from backtests.search.parameters import Parameters
from backtests.search.space import Space
from backtests.search.trials import Result, Trial

# Points looked at where conditions or constraints leave only some of them in.
MOST_ENUMERATED = 1_000_000
_ABSENT = -1


class Grid:
    """The grid of a space.

    Raises
    ------
    SpaceError
        A range has no step.
    """

    generation = None

    def __init__(self, space: Space, *, most_enumerated: int = MOST_ENUMERATED) -> None:
        self.most_enumerated = most_enumerated
        for path, dimension in space.dimensions.items():
            if dimension.n_levels is None:
                raise SpaceError(f"{path}: a grid needs a list of values or a range with a step.")
        self.space = space
        self._levels = [dimension.n_levels or 0 for dimension in space.dimensions.values()]
        self._is_whole = not (space.has_conditions or space.constraints)

    @property
    def n_trials(self) -> int:
        """How many points there are."""
        return math.prod(self._levels) if self._is_whole else len(self._kept)

    def at(self, number: int) -> Parameters:
        """Return a point by its index, from 0."""
        if not 0 <= number < self.n_trials:
            raise SpaceError(f"The grid has {self.n_trials} points; there is no point {number}.")
        digits = self._digits(number) if self._is_whole else self._kept[number].tolist()
        return {
            path: dimension.level(digit)
            for digit, (path, dimension) in zip(digits, self.space.dimensions.items(), strict=True)
            if digit != _ABSENT
        }

    def propose(self, told: Sequence[Result], n: int) -> list[Trial]:
        """Return the next n points."""
        return numbered(told, (self.at(len(told) + i) for i in range(n)))

    def _digits(self, number: int) -> list[int]:
        digits = []
        for n_levels in reversed(self._levels):
            number, digit = divmod(number, n_levels)
            digits.append(digit)
        return digits[::-1]

    @cached_property
    def _kept(self) -> NDArray[np.int32]:
        """Digits of the points that conditions and constraints leave, shape (n, n_dimensions)."""
        dimensions = list(self.space.dimensions.items())
        kept = [
            digits for digits, parameters in self._walk(dimensions)
            if self.space.broken(parameters) is None
        ]  # fmt: skip
        if not kept:
            raise UnsatisfiableError("No point of the grid meets the constraints.")
        return np.array(kept, dtype=np.int32)

    def _walk(self, dimensions: Sequence[tuple[str, object]]) -> Iterator[
        tuple[list[int], Parameters]
    ]:  # fmt: skip
        digits: list[int] = []
        parameters: Parameters = {}
        seen = 0

        def descend(depth: int) -> Iterator[tuple[list[int], Parameters]]:
            nonlocal seen
            if depth == len(dimensions):
                seen += 1
                if seen > self.most_enumerated:
                    raise SpaceError(
                        "A grid with conditions or constraints has at most "
                        f"{self.most_enumerated} points to look at; list fewer values or draw "
                        "at random."
                    )
                yield list(digits), parameters
                return
            path = dimensions[depth][0]
            if not self.space.is_active(path, parameters):
                digits.append(_ABSENT)
                yield from descend(depth + 1)
                digits.pop()
                return
            dimension = self.space.dimensions[path]
            for digit in range(self._levels[depth]):
                digits.append(digit)
                parameters[path] = dimension.level(digit)
                yield from descend(depth + 1)
                digits.pop()
                del parameters[path]

        return descend(0)
