"""Run policies in simulated worlds and on given returns.

Everything repeats with its seed: each repetition has a stream for the policy and one for the
world, and the world's is the same for every policy.

References
----------
.. [1] Politis and Romano (1994), "The stationary bootstrap", Journal of the American Statistical
   Association 89.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.bandits.policy import Policy
from experiments.bandits.streams import new_streams
from experiments.simulation.environments import REPLAY, Environment
from experiments.simulation.errors import ReturnsError, SettingsError
from experiments.simulation.kernel import Schedule, World, collect_repetition, repeat
from experiments.simulation.results import (
    Collected,
    Comparison,
    PolicyResult,
    ReplayComparison,
    ReplayResult,
    RunningCurve,
)
from numerics.resampling import optimal_block_lengths, stationary_indices

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_AT_ONCE = 256  # repetitions
_NUMBERS_AT_ONCE = 4_000_000  # of resampled returns
_POLICY, _WORLD, _RESAMPLES = 0, 1, 2  # uses of the seed


def simulate(
    environment: Environment,
    policies: Mapping[str, Policy],
    *,
    horizon: int,
    repetitions: int,
    seed: int = 0,
    checkpoints: Sequence[int] | None = None,
    batch: int = 1,
    delay: int | tuple[int, int] = 0,
    all_rewards: Collection[str] = (),
) -> Comparison:
    """Return the regret of policies in one world, side by side.

    Parameters
    ----------
    environment : Environment
    policies : mapping of str to Policy
        Each is played from nothing; what it has learned so far is neither used nor changed.
    horizon, repetitions : int
        Decisions of a repetition; both >= 1.
    seed : int
        >= 0.
    checkpoints : sequence of int, optional
        Numbers of decisions at which curves are kept; 50 on a logarithmic scale when not given.
    batch : int
        Rewards are learned after each so many decisions.
    delay : int or tuple of int
        Decisions until a reward comes: fixed, or the lowest and highest of a uniform law.
    all_rewards : collection of str
        Names of policies that see the rewards of all arms (shadow trading), at once.

    Returns
    -------
    Comparison

    Raises
    ------
    SettingsError
        Settings that cannot be, or a policy that does not fit the world.

    Notes
    -----
    Memory does not grow with the horizon, nor, beyond 2,000, with the repetitions.
    """
    marks = _checkpoints(horizon, checkpoints)
    lowest, highest = (delay, delay) if isinstance(delay, int) else delay
    _require_counts(horizon=horizon, repetitions=repetitions, batch=batch)
    if not 0 <= lowest <= highest or seed < 0:
        raise SettingsError(f"A delay may not be {delay!r}, nor a seed {seed!r}.")
    world = _world_of(environment)
    results = []
    for name, policy, sees_all in _checked(policies, environment.n_arms, all_rewards):
        if sees_all and (batch > 1 or highest > 0):
            raise SettingsError(f"{name} sees all rewards at once: no batches, no delay.")
        schedule = Schedule(horizon, batch, lowest, highest, sees_all, marks)
        curve, pulls = RunningCurve(marks.size), np.zeros(environment.n_arms)
        memory = policy.new_memory()
        for streams in _stream_pairs(seed, repetitions, _AT_ONCE):
            regret = np.empty((streams[0].shape[0], marks.size))
            repeat(policy.rule, memory, world, schedule, *streams, regret, pulls)
            curve.add(regret)
        results.append(PolicyResult(name, curve.finished(), pulls / pulls.sum(), sees_all))
    return Comparison(tuple(results), marks, repetitions, seed, str(environment))


def replay(
    returns: ArrayLike,
    policies: Mapping[str, Policy],
    *,
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
        As `simulate`; a decision is a period.
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
    """
    table = _returns(returns, center)
    n_periods, n_arms = table.shape
    _require_counts(repetitions=repetitions, batch=batch)
    marks = _checkpoints(n_periods, checkpoints)
    lowest, highest = (delay, delay) if isinstance(delay, int) else delay
    if not 0 <= lowest <= highest or seed < 0:
        raise SettingsError(f"A delay may not be {delay!r}, nor a seed {seed!r}.")
    block = None if as_happened else _block(table, mean_block)
    results = []
    for name, policy, sees_all in _checked(policies, n_arms, all_rewards):
        if table.min() < policy.lowest or table.max() > policy.highest:
            raise ReturnsError(f"Returns are outside the range of the policy {name}.")
        if sees_all and (batch > 1 or highest > 0):
            raise SettingsError(f"{name} sees all rewards at once: no batches, no delay.")
        schedule = Schedule(n_periods, batch, lowest, highest, sees_all, marks)
        results.append(_replayed(name, policy, table, schedule, repetitions, seed, block))
    return ReplayComparison(tuple(results), marks, repetitions, seed, n_periods, block, center)


def collect(
    environment: Environment,
    policy: Policy,
    *,
    horizon: int,
    repetitions: int,
    batch: int = 1,
    floor: float = 0.0,
    n_draws: int = 1_000,
    seed: int = 0,
) -> Collected:
    """Return the arms, probabilities and rewards of experiments that adapt.

    Parameters
    ----------
    environment, policy, horizon, repetitions, seed
        As `simulate`; equal means make it an A/A study.
    batch : int
        Decisions under one allocation.
    floor : float
        Least probability of an arm, in [0, 1 / n_arms]: ``p = floor + (1 - n_arms floor) w``.
    n_draws : int
        Decisions of the policy counted for w, >= 1. With 1 every decision of a batch falls on that
        arm alone where there is no floor: batches of one are then the policy itself.

    Returns
    -------
    Collected
        ``repetitions * horizon`` arms and rewards: this one does grow with both.
    """
    _require_counts(horizon=horizon, repetitions=repetitions, batch=batch, n_draws=n_draws)
    n_arms = environment.n_arms
    if not 0.0 <= floor * n_arms <= 1.0:
        raise SettingsError(f"{n_arms} floors of {floor:g} exceed one.")
    ((_, _, _),) = _checked({"policy": policy}, n_arms, ())
    memory, world = policy.new_memory(), _world_of(environment)
    arms = np.empty((repetitions, horizon), dtype=np.int64)
    rewards = np.empty((repetitions, horizon))
    allocations = np.empty((repetitions, -(-horizon // batch), n_arms))
    policy_streams, world_streams = next(_stream_pairs(seed, repetitions, repetitions))
    for i in range(repetitions):
        streams = np.stack([policy_streams[i], world_streams[i]])
        rows = (allocations[i], arms[i], rewards[i])
        collect_repetition(policy.rule, memory, world, streams, batch, floor, n_draws, *rows)
    return Collected(arms, rewards, allocations, batch)


def _replayed(
    name: str,
    policy: Policy,
    table: FloatArray,
    schedule: Schedule,
    repetitions: int,
    seed: int,
    block: float | None,
) -> ReplayResult:
    n_periods, n_arms = table.shape
    marks = schedule.checkpoints
    curves = [RunningCurve(marks.size) for _ in range(4)]
    pulls, memory = np.zeros(n_arms), policy.new_memory()
    at_once = max(1, min(_AT_ONCE, _NUMBERS_AT_ONCE // table.size))
    rng = np.random.default_rng([seed, _RESAMPLES])
    for streams in _stream_pairs(seed, repetitions, at_once):
        count = streams[0].shape[0]
        rows = np.broadcast_to(np.arange(n_periods), (count, n_periods)).copy()
        if block is not None:
            rows = stationary_indices(n_periods, count, block, rng)
        minus_reward = np.empty((count, marks.size))
        repeat(policy.rule, memory, _replay_world(table, rows), schedule, *streams,
               minus_reward, pulls)  # fmt: skip
        reward = -minus_reward
        by_arm, best = _sums_until(table[rows], marks)
        curves[0].add(reward)
        curves[1].add(by_arm.max(axis=2) - reward)
        curves[2].add(best - reward)
        curves[3].add(reward - by_arm.mean(axis=2))
    return ReplayResult(
        name=name,
        reward=curves[0].finished(),
        regret_to_best_arm=curves[1].finished(),
        regret_to_best_per_period=curves[2].finished(),
        gain_over_uniform=curves[3].finished(),
        shares=pulls / pulls.sum(),
        has_all_rewards=schedule.has_all_rewards,
    )


def _sums_until(paths: FloatArray, marks: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return sums up to each mark of every arm, and of the best arm of each period."""
    cuts = np.concatenate([[0], marks[:-1]])
    by_arm = np.add.reduceat(paths, cuts, axis=1).cumsum(axis=1)
    best = np.add.reduceat(paths.max(axis=2), cuts, axis=1).cumsum(axis=1)
    return by_arm, best


def _stream_pairs(
    seed: int, repetitions: int, at_once: int
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Yield streams of policy and world for as many repetitions at once."""
    for part, first in enumerate(range(0, repetitions, at_once)):
        count = min(at_once, repetitions - first)
        yield new_streams(seed, count, part, _POLICY), new_streams(seed, count, part, _WORLD)


def _checked(
    policies: Mapping[str, Policy], n_arms: int, all_rewards: Collection[str]
) -> list[tuple[str, Policy, bool]]:
    """Return name, policy, and whether it sees all rewards."""
    if not policies:
        raise SettingsError("There is no policy to simulate.")
    if unknown := set(all_rewards) - set(policies):
        raise SettingsError(f"There is no policy {', '.join(sorted(unknown))} to see all rewards.")
    for name, policy in policies.items():
        if policy.n_arms != n_arms:
            raise SettingsError(f"{name} has {policy.n_arms} arms, the world {n_arms}.")
    return [(n, p, n in all_rewards or p.needs_all_rewards) for n, p in policies.items()]


def _world_of(environment: Environment) -> World:
    return World(
        environment.kind,
        environment.means.copy(),
        environment.means.max(axis=1),
        environment.starts.copy(),
        environment.scale.copy(),
        float(environment.degrees),
        np.empty((0, environment.n_arms)),
        np.empty((0, 0), dtype=np.int64),
    )


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


def _checkpoints(horizon: int, given: Sequence[int] | None) -> IntArray:
    _require_counts(horizon=horizon)
    if given is None:
        return np.unique(np.geomspace(1, horizon, 50).round().astype(np.int64))
    marks = np.unique(np.asarray(given, dtype=np.int64))
    if marks.size == 0 or marks[0] < 1 or marks[-1] > horizon:
        raise SettingsError(f"Checkpoints are decisions from 1 to {horizon}.")
    return marks if marks[-1] == horizon else np.append(marks, horizon)


def _require_counts(**counts: int) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise SettingsError(f"{name} must be a whole number of at least 1, not {value!r}.")
