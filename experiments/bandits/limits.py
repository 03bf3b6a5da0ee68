"""Limits of an allocation: a floor, a cap for challengers, and a largest step.

Each limit is a convex set or a move within one, so an allocation that has passed sums to one, and
no two limits undo each other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from experiments.bandits.checks import FloatArray, require_probabilities
from experiments.bandits.errors import LimitsError, SettingsError

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class AllocationLimits:
    """What keeps an allocation from going too far or too fast.

    Attributes
    ----------
    floor : float
        Least probability of every arm, in [0, 1 / n_arms].
    cap : float
        Largest probability of a challenger, in (0, 1]. Arm 0, the control, has none; where
        `control` is None every arm has it.
    max_step : float
        Largest change of a probability from one allocation to the next, in (0, 1].
    control : int or None
        Position of the arm without a cap.
    """

    floor: float = 0.0
    cap: float = 1.0
    max_step: float = 1.0
    control: int | None = 0

    def __post_init__(self) -> None:
        if not (0.0 <= self.floor < 1.0 and 0.0 < self.cap <= 1.0 and 0.0 < self.max_step <= 1.0):
            raise SettingsError("A floor is in [0, 1), a cap and a largest step are in (0, 1].")
        if self.floor > self.cap:
            raise LimitsError(f"The floor {self.floor:g} is above the cap {self.cap:g}.")

    def applied(self, weights: ArrayLike, previous: ArrayLike | None = None) -> FloatArray:
        """Return the allocation that keeps the limits and is led by the weights.

        Parameters
        ----------
        weights : float array, shape (n_arms,)
            What the policy asks for; sums to one.
        previous : float array, shape (n_arms,), optional
            The allocation in force. One that breaks the floor or the cap is first brought within
            them at once; the step is counted from there.

        Returns
        -------
        float64 array, shape (n_arms,)

        Raises
        ------
        LimitsError
            The floors exceed one, or the caps do not reach it.
        ArmError
            An allocation that is none.

        Notes
        -----
        The floor is ``p = f + (1 - K f) w``, which keeps the order of arms; clipping and
        normalizing would break the floor. What is above a cap goes to the arms below theirs in
        proportion, ``min(cap_k, scale p_k)``, which keeps the order among equal caps. The step
        shortens the way from the previous allocation, all arms alike.
        """
        wanted = self._inside(require_probabilities(weights))
        if previous is None:
            return wanted
        before = require_probabilities(previous, wanted.size)
        before = before if self._holds(before) else self._inside(before)
        away = float(np.abs(wanted - before).max())
        if away <= self.max_step:
            return wanted
        return _normalized(before + self.max_step / away * (wanted - before))

    def caps(self, n_arms: int) -> FloatArray:
        """Return the largest probability of each arm."""
        caps = np.full(n_arms, self.cap)
        if self.control is not None:
            if not 0 <= self.control < n_arms:
                raise LimitsError(f"There is no arm {self.control} to be the control.")
            caps[self.control] = 1.0
        return caps

    def _holds(self, allocation: FloatArray) -> bool:
        low = float(allocation.min()) >= self.floor - _ROUNDING
        return low and bool(np.all(allocation <= self.caps(allocation.size) + _ROUNDING))

    def _inside(self, weights: FloatArray) -> FloatArray:
        n_arms, caps = weights.size, self.caps(weights.size)
        if n_arms * self.floor > 1.0 + _ROUNDING:
            raise LimitsError(f"{n_arms} floors of {self.floor:g} exceed one.")
        if float(caps.sum()) < 1.0 - _ROUNDING:
            raise LimitsError(f"Caps of {self.cap:g} for {n_arms} arms do not reach one.")
        raised = self.floor + max(1.0 - n_arms * self.floor, 0.0) * weights
        return _normalized(_filled(raised, caps))


def _filled(allocation: FloatArray, caps: FloatArray) -> FloatArray:
    """Return ``min(caps, scale * allocation)`` with the scale at which it sums to one."""
    filled = np.minimum(allocation, caps)
    capped = allocation > caps
    while capped.any():  # every turn caps one arm more, or ends
        left = 1.0 - float(caps[capped].sum())
        free = ~capped
        weight = float(allocation[free].sum())
        if weight <= _ROUNDING:  # nothing to scale: what is left is shared by room
            room = np.where(free, caps, 0.0)
            return np.where(capped, caps, left * room / max(float(room.sum()), _ROUNDING))
        filled = np.where(capped, caps, allocation * left / weight)
        beyond = filled > caps + _ROUNDING
        if not beyond.any():
            return np.minimum(filled, caps)
        capped = capped | beyond
    return filled


def _normalized(allocation: FloatArray) -> FloatArray:
    """Take the last rounding away, so that the sum is one to the last bits."""
    result: FloatArray = allocation / allocation.sum()
    return result
