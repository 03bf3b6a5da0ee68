"""A result that is there, or says why it is not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from experiments.statistics.errors import NotComputedError

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Figure(Generic[Result]):
    """One result of an analysis.

    Attributes
    ----------
    value : object or None
        None when it could not be computed.
    because : str
        Empty, or ``not computed, because ...``.
    """

    value: Result | None
    because: str = ""

    @property
    def is_computed(self) -> bool:
        """Whether there is a value."""
        return self.value is not None


def figure_of(compute: Callable[[], Result]) -> Figure[Result]:
    """Return what a function computes, or the reason why it does not."""
    try:
        return Figure(compute())
    except NotComputedError as refusal:
        return Figure(None, f"not computed, because {refusal}")
