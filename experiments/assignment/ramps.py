"""Ramps: an experiment that begins with few units and takes more as time goes on.

A unit takes part where its bucket, under a salt of the ramp's own, is below the share of the
moment. Shares ascend, so that who is in stays in.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

from experiments.assignment import hints
from experiments.assignment.buckets import N_BUCKETS, threshold
from experiments.assignment.errors import RampError

MOST_STEPS = 50
_KEYS = ("at", "share")


class RampStep(NamedTuple):
    """From a moment on, a share of the units: in [0, 1]."""

    at: datetime
    share: float


@dataclass(frozen=True, slots=True)
class Ramp:
    """Steps that ascend in time and do not descend in share; without steps all units take part.

    Attributes
    ----------
    steps : tuple of RampStep
        Before the first nobody takes part; at most 50.

    Raises
    ------
    RampError
        A step is none, or they do not ascend.
    """

    steps: tuple[RampStep, ...] = ()
    _times: tuple[datetime, ...] = field(init=False, repr=False, compare=False)
    _thresholds: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        steps = tuple(_step(place, *step) for place, step in enumerate(self.steps))
        if len(steps) > MOST_STEPS:
            raise RampError(f"A ramp has at most {MOST_STEPS} steps, not {len(steps):,}.")
        for before, after in pairwise(steps):
            if after.at <= before.at:
                raise RampError(f"The ramp's times must ascend: {after.at} follows {before.at}.")
            if after.share < before.share:
                raise RampError(
                    f"The ramp's shares must not descend, so that who is in stays in: "
                    f"{after.share:g} follows {before.share:g}."
                )
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "_times", tuple(step.at for step in steps))
        object.__setattr__(self, "_thresholds", tuple(threshold(step.share) for step in steps))

    @classmethod
    def from_document(cls, document: Sequence[Mapping[str, Any]]) -> "Ramp":
        """Return the ramp of a document, ``[{at, share}, ...]``.

        Raises
        ------
        RampError
            It is none.
        """
        if not isinstance(document, list | tuple):
            raise RampError("A ramp is a list of steps {at, share}.")
        return cls(tuple(_read(place, step) for place, step in enumerate(document)))

    def document(self) -> list[dict[str, Any]]:
        """Return the steps as plain values, times in UTC."""
        return [
            {"at": step.at.astimezone(UTC).isoformat().replace("+00:00", "Z"), "share": step.share}
            for step in self.steps
        ]

    def share_at(self, at: datetime) -> float:
        """Return which share of the units takes part at a moment; a step's own moment has begun."""
        if not self.steps:
            return 1.0
        began = bisect_right(self._times, at)
        return self.steps[began - 1].share if began else 0.0

    def threshold_at(self, at: datetime) -> int:
        """Return the least bucket that does not take part at a moment."""
        if not self._times:
            return N_BUCKETS
        began = bisect_right(self._times, at)
        return self._thresholds[began - 1] if began else 0


def _step(place: int, at: datetime, share: float) -> RampStep:
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise RampError(f"ramp[{place}].at: a time with its zone, such as 2026-01-05T08:00:00Z.")
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
        raise RampError(f"ramp[{place}].share: a number from 0 to 1, not {str(share)[:40]}.")
    return RampStep(at, float(share))


def _read(place: int, step: object) -> RampStep:
    if not isinstance(step, Mapping):
        raise RampError(f"ramp[{place}]: a step is {{at, share}}.")
    for key in step:
        if key not in _KEYS:
            raise RampError(f"ramp[{place}].{key}: unknown key{hints.nearest(key, _KEYS)}"[:300])
    missing = [key for key in _KEYS if key not in step]
    if missing:
        raise RampError(f"ramp[{place}]: {missing[0]} is missing.")
    at = step["at"]
    if isinstance(at, str):
        try:
            at = datetime.fromisoformat(at)
        except ValueError:
            raise RampError(f"ramp[{place}].at: {at[:40]!r} is no time.") from None
    return _step(place, at, step["share"])
