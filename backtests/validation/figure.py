"""A figure that says what it is, and why when it is not there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backtests.validation.errors import NotComputedError


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a result page.

    Attributes
    ----------
    value : float or None
        Finite; None when it could not be computed.
    unit : str
        "probability", "ratio per year", "bars", "years", "trials", "fraction".
    definition : str
        One sentence that fixes the convention.
    reason : str
        Empty, or ``not computed, because ...``.
    """

    value: float | None
    unit: str
    definition: str
    reason: str = ""

    @property
    def is_computed(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the figure as JSON has it."""
        return {
            "value": self.value,
            "unit": self.unit,
            "definition": self.definition,
            "reason": self.reason,
        }


def figure_of(compute: Callable[[], float], unit: str, definition: str) -> Figure:
    """Return what a function computes, or the reason why it does not."""
    try:
        return Figure(float(compute()), unit, definition)
    except NotComputedError as refusal:
        return Figure(None, unit, definition, f"not computed, because {refusal}")
