"""Run policies on given returns: as they happened, or resampled in blocks.

Everything repeats with its seed. Periods are resampled whole: the returns of all arms and, where
policies see one, the context that was known when the period began.

References
----------
.. [1] Politis and Romano (1994), "The stationary bootstrap", Journal of the American Statistical
   Association 89.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.bandits.contextual import LinearPolicy
from experiments.bandits.policy import Policy
from experiments.simulation.environments import REPLAY
from experiments.simulation.errors import ReturnsError, SettingsError
from experiments.simulation.kernel import Schedule, World, repeat
from experiments.simulation.linear import repeat_linear
from experiments.simulation.results import (
    RegimeFigures,
    ReplayComparison,
    ReplayResult,
    RunningCurve,
)
from experiments.simulation.schedules import (
    AT_ONCE,
    checked,
    checkpoints_of,
    delays_of,
    require_counts,
    require_straight,
    stream_pairs,
)
from numerics.resampling import optimal_block_lengths, stationary_indices

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Streams = tuple[NDArray[np.uint64], NDArray[np.uint64]]

_NUMBERS_AT_ONCE = 4_000_000  # of resampled returns
_RESAMPLES = 2  # use of the seed; policy and world have those before


class _History(NamedTuple):
    """What is replayed, how often, and by which blocks."""

    table: FloatArray
    repetitions: int
    seed: int
    block: float | None
    regimes: IntArray | None


@dataclass(frozen=True)
class _Player:
    """A policy with all that it needs beside the returns."""

    name: str
    policy: Policy | LinearPolicy
    schedule: Schedule
    contexts: FloatArray  # empty where it sees none

    def play(self, table: FloatArray, rows: IntArray, streams: Streams) -> "_Played":
        """Return rewards at the checkpoints, how often each arm was played, and every choice."""
        count, n_arms = rows.shape[0], table.shape[1]
        reward, pulls = np.empty((count, self.schedule.checkpoints.size)), np.zeros(n_arms)
        chosen = np.empty(rows.shape, dtype=np.int8)
        if isinstance(self.policy, LinearPolicy):
            repeat_linear(
                self.policy.rule, self.policy.new_memory(), self.contexts, table, rows,
                self.schedule.checkpoints, streams[0], reward, pulls, chosen,
            )  # fmt: skip
            return _Played(reward, pulls, chosen)
        world, memory = _replay_world(table, rows), self.policy.new_memory()
        repeat(self.policy.rule, memory, world, self.schedule, *streams, reward, pulls, chosen)
        return _Played(-reward, pulls, chosen)


class _Played(NamedTuple):
    reward: FloatArray
    pulls: FloatArray
    chosen: NDArray[np.int8]


def replay(
    returns: ArrayLike,
    policies: Mapping[str, Policy | LinearPolicy],
    *,
    contexts: Mapping[str, ArrayLike] | None = None,
    regimes: ArrayLike | None = None,
    repetitions: int = 200,
    seed: int = 0,
    mean_block: float | None = None,
    as_happened: bool = False,
    center: bool = False,
    checkpoints: Sequence[int] | None = None,
    batch: int = 1,
    delay: int | tuple[int, int] = 0,
    all_rewards: Collection[str] = (),
) -> ReplayComparison:
    """Return what policies would have earned on given returns, before money is risked.

    Parameters
    ----------
    returns : float array, shape (n_periods, n_arms)
        Finite; one column per arm, paired by time.
    policies, seed, checkpoints, batch, delay, all_rewards
        As `simulate`; a decision is a period. Linear policies learn at once, from the arm that
        they chose.
    contexts : mapping of str to float array of shape (n_periods, n_features), optional
        By the name of each linear policy: what it knows when each period begins.
    regimes : int array of shape (n_periods,), optional
        Numbers from 0: the regime of each period, by which figures are told too. No policy sees it.
    repetitions : int
        Resamples of the periods by the stationary bootstrap [1]_, the same for all policies.
    mean_block : float, optional
        Mean length of a block [periods], >= 1; the largest optimum of the arms' differences from
        their mean when not given.
    as_happened : bool
        Keep the periods in their order; repetitions differ only by the policy's own draws.
    center : bool
        A/A: take each arm's mean off, so that none is better and all else stays.

    Returns
    -------
    ReplayComparison

    Raises
    ------
    ReturnsError
        Returns of a wrong shape, missing ones, or outside the range of a policy.
    SettingsError
        Settings that cannot be, or contexts that do not fit the policies or the returns.
    """
    table = _returns(returns, center)
    n_periods, n_arms = table.shape
    require_counts(repetitions=repetitions, batch=batch)
    marks = checkpoints_of(n_periods, checkpoints)
    lowest, highest = delays_of(delay, seed)
    block = None if as_happened else _block(table, mean_block)
    history = _History(table, repetitions, seed, block, _regimes(regimes, n_periods))
    results = []
    for name, policy, sees_all in checked(policies, n_arms, all_rewards):
        schedule = Schedule(n_periods, batch, lowest, highest, sees_all, marks)
        own = (contexts or {}).get(name)
        player = _Player(name, policy, schedule, _fitting(name, policy, schedule, own, table))
        results.append(_replayed(player, history))
    return ReplayComparison(tuple(results), marks, repetitions, seed, n_periods, block, center)


def _fitting(
    name: str, policy: Policy | LinearPolicy, schedule: Schedule, given: ArrayLike | None,
    table: FloatArray,
) -> FloatArray:  # fmt: skip
    """Return the contexts of a linear policy; refuse what a policy of any kind cannot be given."""
    late = schedule.batch, schedule.delay_highest
    if isinstance(policy, LinearPolicy):
        require_straight(name, *late, "learns at once")
        if schedule.has_all_rewards:
            raise SettingsError(f"{name} learns from the arm that it chose, not from all.")
        return _contexts(name, policy, given, table.shape[0])
    if given is not None:
        raise SettingsError(f"{name} has no use for contexts; LinUCB and LinearThompson have.")
    if table.min() < policy.lowest or table.max() > policy.highest:
        raise ReturnsError(f"Returns are outside the range of the policy {name}.")
    if schedule.has_all_rewards:
        require_straight(name, *late, "sees all rewards at once")
    return np.empty((0, 0))


def _contexts(
    name: str, policy: LinearPolicy, given: ArrayLike | None, n_periods: int
) -> FloatArray:
    if given is None:
        raise SettingsError(f"{name} decides by contexts; there are none.")
    contexts = np.array(given, dtype=np.float64, order="C")
    if contexts.shape != (n_periods, policy.n_features):
        raise SettingsError(
            f"Contexts of {name} need the shape ({n_periods}, {policy.n_features}), not "
            f"{contexts.shape}."
        )
    if not bool(np.isfinite(contexts).all()):
        raise SettingsError(f"A context of {name} is missing or infinite.")
    return contexts


def _regimes(given: ArrayLike | None, n_periods: int) -> IntArray | None:
    if given is None:
        return None
    regimes = np.array(given, dtype=np.int64)
    if regimes.shape != (n_periods,) or int(regimes.min()) < 0:
        raise SettingsError("Regimes are numbers from 0, one for each period.")
    return regimes


def _replayed(player: _Player, history: _History) -> ReplayResult:
    table = history.table
    n_periods, marks = table.shape[0], player.schedule.checkpoints
    curves = [RunningCurve(marks.size) for _ in range(4)]
    pulls = np.zeros(table.shape[1])
    within = None if history.regimes is None else _WithinRegimes(history.regimes, table)
    at_once = max(1, min(AT_ONCE, _NUMBERS_AT_ONCE // table.size))
    rng = np.random.default_rng([history.seed, _RESAMPLES])
    for streams in stream_pairs(history.seed, history.repetitions, at_once):
        count = streams[0].shape[0]
        rows = np.broadcast_to(np.arange(n_periods), (count, n_periods)).copy()
        if history.block is not None:
            rows = stationary_indices(n_periods, count, history.block, rng)
        played = player.play(table, rows, streams)
        pulls += played.pulls
        by_arm, best = _sums_until(table[rows], marks)
        curves[0].add(played.reward)
        curves[1].add(by_arm.max(axis=2) - played.reward)
        curves[2].add(best - played.reward)
        curves[3].add(played.reward - by_arm.mean(axis=2))
        if within is not None:
            within.add(rows, played.chosen)
    return ReplayResult(
        name=player.name,
        reward=curves[0].finished(),
        regret_to_best_arm=curves[1].finished(),
        regret_to_best_per_period=curves[2].finished(),
        gain_over_uniform=curves[3].finished(),
        shares=pulls / pulls.sum(),
        has_all_rewards=player.schedule.has_all_rewards,
        by_regime=None if within is None else within.finished(),
    )


class _WithinRegimes:
    """Sums by regime over repetitions as they come."""

    def __init__(self, regimes: IntArray, table: FloatArray) -> None:
        self._regimes, self._table = regimes, table
        self._n = int(regimes.max()) + 1
        self._gain, self._regret = RunningCurve(self._n), RunningCurve(self._n)
        self._pulls = np.zeros((self._n, table.shape[1]))

    def add(self, rows: IntArray, chosen: NDArray[np.int8]) -> None:
        """Take in what was chosen in as many histories as there are rows."""
        n_arms = self._table.shape[1]
        gain, regret = np.empty((2, rows.shape[0], self._n))
        for i, (row, arms) in enumerate(zip(rows, chosen, strict=True)):
            of, paid = self._regimes[row], self._table[row]
            reward = np.bincount(of, paid[np.arange(row.size), arms], self._n)
            by_arm = np.stack([np.bincount(of, own, self._n) for own in paid.T])
            gain[i], regret[i] = reward - by_arm.mean(axis=0), by_arm.max(axis=0) - reward
            self._pulls += np.bincount(of * n_arms + arms, minlength=self._pulls.size).reshape(
                self._pulls.shape
            )
        self._gain.add(gain)
        self._regret.add(regret)

    def finished(self) -> RegimeFigures:
        """Return means over repetitions, and shares of all decisions of a regime."""
        of_regime = self._pulls.sum(axis=1, keepdims=True)
        shares = np.divide(
            self._pulls, of_regime, out=np.full_like(self._pulls, np.nan), where=of_regime > 0
        )
        return RegimeFigures(self._gain.finished(), self._regret.finished(), shares)


def _sums_until(paths: FloatArray, marks: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return sums up to each mark of every arm, and of the best arm of each period."""
    cuts = np.concatenate([[0], marks[:-1]])
    by_arm = np.add.reduceat(paths, cuts, axis=1).cumsum(axis=1)
    best = np.add.reduceat(paths.max(axis=2), cuts, axis=1).cumsum(axis=1)
    return by_arm, best


def _replay_world(table: FloatArray, rows: IntArray) -> World:
    n_arms = table.shape[1]
    nothing, start = np.zeros((1, n_arms)), np.zeros(1, dtype=np.int64)
    return World(REPLAY, nothing, np.zeros(1), start, np.ones(n_arms), np.inf, table, rows)


def _returns(returns: ArrayLike, center: bool) -> FloatArray:
    table = np.array(returns, dtype=np.float64, order="C")
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2:
        raise ReturnsError(f"Returns need the shape (periods, arms >= 2), not {table.shape}.")
    if not bool(np.isfinite(table).all()):
        raise ReturnsError("A return is missing or infinite.")
    return np.asarray(table - table.mean(axis=0)) if center else table


def _block(table: FloatArray, mean_block: float | None) -> float:
    if mean_block is not None:
        if not 1.0 <= mean_block < np.inf:
            raise SettingsError(f"mean_block must be at least 1, not {mean_block!r}.")
        return float(mean_block)
    off = table - table.mean(axis=1, keepdims=True)
    moving = off[:, np.ptp(off, axis=0) > 1e-12 * max(float(np.abs(table).max()), 1e-300)]
    if table.shape[0] < 8 or moving.shape[1] == 0:
        return 1.0
    return max(1.0, float(optimal_block_lengths(moving).stationary.max()))
