"""Checks at the border of every public function."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.bandits.errors import ArmError, RewardError, SettingsError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Randomness = int | np.random.Generator


def require_settings(**is_inside: bool) -> None:
    """Raise `SettingsError` that names the first argument outside its domain."""
    for name, holds in is_inside.items():
        if not holds:
            raise SettingsError(f"{name} is outside its domain.")


def require_count(name: str, value: int, least: int) -> int:
    """Return a whole number of at least `least`, or raise `SettingsError`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise SettingsError(f"{name} must be a whole number of at least {least}, not {value!r}.")
    return int(value)


def require_arm(arm: int, n_arms: int) -> int:
    """Return the position of an arm, or raise `ArmError`."""
    if isinstance(arm, bool) or not isinstance(arm, int | np.integer) or not 0 <= arm < n_arms:
        raise ArmError(f"There is no arm {arm!r}; arms are numbered 0 to {n_arms - 1}.")
    return int(arm)


def require_arms(arms: ArrayLike, n_arms: int) -> IntArray:
    """Return positions of arms, int64 of shape (n,), or raise `ArmError`."""
    given = np.asarray(arms)
    if given.ndim != 1 or (given.size and not np.issubdtype(given.dtype, np.integer)):
        raise ArmError("Arms must be a flat list of whole numbers.")
    positions = given.astype(np.int64)
    if bool(np.any((positions < 0) | (positions >= n_arms))):
        raise ArmError(f"There is an arm outside 0 to {n_arms - 1}.")
    return positions


def require_rewards(rewards: ArrayLike, lowest: float, highest: float) -> FloatArray:
    """Return finite rewards inside [lowest, highest], or raise `RewardError`."""
    try:
        values = np.asarray(rewards, dtype=np.float64)
    except (TypeError, ValueError) as refusal:
        raise RewardError("Rewards must be numbers.") from refusal
    if not bool(np.isfinite(values).all()):
        raise RewardError("A reward is missing or infinite.")
    if bool(np.any((values < lowest) | (values > highest))):
        raise RewardError(f"A reward is outside [{lowest:g}, {highest:g}].")
    return values


def require_reward(reward: float, lowest: float, highest: float) -> float:
    """Return one finite reward inside [lowest, highest], or raise `RewardError`."""
    try:
        value = float(reward)
    except (TypeError, ValueError) as refusal:
        raise RewardError(f"A reward must be a number, not {reward!r}.") from refusal
    if not math.isfinite(value):
        raise RewardError(f"A reward must be finite, not {reward!r}.")
    if not lowest <= value <= highest:
        raise RewardError(f"The reward {value!r} is outside [{lowest:g}, {highest:g}].")
    return value


def require_probabilities(weights: ArrayLike, n_arms: int | None = None) -> FloatArray:
    """Return probabilities of arms that sum to one, or raise `ArmError`."""
    values = np.asarray(weights, dtype=np.float64)
    if values.ndim != 1 or values.size < 2 or (n_arms is not None and values.size != n_arms):
        raise ArmError(f"An allocation needs one probability per arm, not {values.shape}.")
    if not bool(np.isfinite(values).all()) or float(values.min()) < 0.0:
        raise ArmError("A probability is missing or negative.")
    if abs(float(values.sum()) - 1.0) > 1e-9:
        raise ArmError(f"The probabilities sum to {float(values.sum()):.6g}, not to 1.")
    return values


def generator_of(randomness: Randomness) -> np.random.Generator:
    """Return a numpy generator from a seed or as it is."""
    if isinstance(randomness, np.random.Generator):
        return randomness
    return np.random.default_rng(require_count("seed", randomness, 0))


def require_range(limits: Sequence[float]) -> tuple[float, float]:
    """Return the lowest and the highest reward, lowest < highest, or raise `SettingsError`."""
    if len(limits) != 2:
        raise SettingsError("reward_range needs the lowest and the highest reward.")
    lowest, highest = (float(value) for value in limits)
    if not (math.isfinite(lowest) and math.isfinite(highest) and lowest < highest):
        raise SettingsError(f"reward_range may not be ({lowest}, {highest}).")
    return lowest, highest
