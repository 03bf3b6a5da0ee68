"""What simulations and replays share: looks, delays, streams, and who sees what."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from experiments.bandits.contextual import LinearPolicy
from experiments.bandits.policy import Policy
from experiments.bandits.streams import new_streams
from experiments.simulation.errors import SettingsError

IntArray = NDArray[np.int64]
Played = TypeVar("Played", bound=Policy | LinearPolicy)

AT_ONCE = 256  # repetitions
_POLICY, _WORLD = 0, 1  # uses of the seed


def stream_pairs(
    seed: int, repetitions: int, at_once: int
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Yield streams of policy and world for as many repetitions at once."""
    for part, first in enumerate(range(0, repetitions, at_once)):
        count = min(at_once, repetitions - first)
        yield new_streams(seed, count, part, _POLICY), new_streams(seed, count, part, _WORLD)


def checked(
    policies: Mapping[str, Played], n_arms: int, all_rewards: Collection[str]
) -> list[tuple[str, Played, bool]]:
    """Return name, policy, and whether it sees all rewards."""
    if not policies:
        raise SettingsError("There is no policy to simulate.")
    if unknown := set(all_rewards) - set(policies):
        raise SettingsError(f"There is no policy {', '.join(sorted(unknown))} to see all rewards.")
    for name, policy in policies.items():
        if policy.n_arms != n_arms:
            raise SettingsError(f"{name} has {policy.n_arms} arms, the world {n_arms}.")
    return [
        (n, p, n in all_rewards or (isinstance(p, Policy) and p.needs_all_rewards))
        for n, p in policies.items()
    ]


def checkpoints_of(horizon: int, given: Sequence[int] | None) -> IntArray:
    """Return the numbers of decisions at which curves are kept, the horizon the last."""
    require_counts(horizon=horizon)
    if given is None:
        return np.unique(np.geomspace(1, horizon, 50).round().astype(np.int64))
    marks = np.unique(np.asarray(given, dtype=np.int64))
    if marks.size == 0 or marks[0] < 1 or marks[-1] > horizon:
        raise SettingsError(f"Checkpoints are decisions from 1 to {horizon}.")
    return marks if marks[-1] == horizon else np.append(marks, horizon)


def delays_of(delay: int | tuple[int, int], seed: int) -> tuple[int, int]:
    """Return the lowest and highest delay of a reward; refuse these, or a seed, below 0."""
    lowest, highest = (delay, delay) if isinstance(delay, int) else delay
    if not 0 <= lowest <= highest or seed < 0:
        raise SettingsError(f"A delay may not be {delay!r}, nor a seed {seed!r}.")
    return lowest, highest


def require_straight(name: str, batch: int, highest: int, why: str) -> None:
    """Refuse batches and delays for a policy that learns at once."""
    if batch > 1 or highest > 0:
        raise SettingsError(f"{name} {why}: no batches, no delay.")


def require_counts(**counts: int) -> None:
    """Refuse numbers that count something and are not whole and at least 1."""
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise SettingsError(f"{name} must be a whole number of at least 1, not {value!r}.")
