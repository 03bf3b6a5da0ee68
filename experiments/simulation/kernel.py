"""The compiled loop of decisions, rewards that come now or late, and regret.

Policies are those of `experiments.bandits`, through the same three verbs as from Python.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.bandits.deciding import decide_inside, learn_all_inside, learn_inside, start
from experiments.bandits.memory import EXP3, EXP3_S, Memory, Rule, erase
from experiments.bandits.streams import (
    Stream,
    next_below,
    next_from_weights,
    next_gamma,
    next_normal,
    next_uniform,
)
from experiments.simulation.environments import BERNOULLI, GAUSSIAN, REPLAY
from numerics.compilation import bare_part, njit


class World(NamedTuple):
    """An environment or given returns, as the loop reads them.

    Attributes
    ----------
    kind : int
        BERNOULLI, GAUSSIAN, STUDENT or REPLAY.
    means : float64 array, shape (n_segments, n_arms)
    best : float64 array, shape (n_segments,)
        What regret is counted from; 0 for a replay, whose regret is minus the reward.
    starts : int64 array, shape (n_segments,)
    scale : float64 array, shape (n_arms,)
    degrees : float
    returns : float64 array, shape (n_periods, n_arms)
        Of a replay; otherwise empty.
    rows : int64 array, shape (n_repetitions, horizon)
        Of a replay: the period that each decision meets.
    """

    kind: int
    means: NDArray[np.float64]
    best: NDArray[np.float64]
    starts: NDArray[np.int64]
    scale: NDArray[np.float64]
    degrees: float
    returns: NDArray[np.float64]
    rows: NDArray[np.int64]


class Schedule(NamedTuple):
    """When rewards are learned and regret is looked at.

    Attributes
    ----------
    horizon : int
        Decisions.
    batch : int
        Rewards that came since are learned after each so many decisions.
    delay_lowest, delay_highest : int
        A reward comes so many decisions late, uniform between the two.
    has_all_rewards : bool
        Whether the rewards of all arms are seen.
    checkpoints : int64 array, shape (n_checkpoints,)
        Ascending, 1 to horizon; the last is the horizon.
    """

    horizon: int
    batch: int
    delay_lowest: int
    delay_highest: int
    has_all_rewards: bool
    checkpoints: NDArray[np.int64]


@njit(cache=True, error_model="numpy")
def repeat(
    rule: Rule,
    memory: Memory,
    world: World,
    schedule: Schedule,
    policy_streams: Stream,
    world_streams: Stream,
    regret: NDArray[np.float64],
    pulls: NDArray[np.float64],
    chosen: NDArray[np.int8],
) -> None:
    """Play a policy from nothing as often as there are rows of `regret`.

    Parameters
    ----------
    rule, memory : Rule, Memory
        The memory is erased before each repetition.
    world, schedule : World, Schedule
    policy_streams, world_streams : uint64 arrays, shape (n_repetitions, 4)
        Of one repetition each. The world takes the same numbers whatever is played, so policies
        of one seed meet the same luck.
    regret : float64 array, shape (n_repetitions, n_checkpoints)
        Filled: cumulative regret.
    pulls : float64 array, shape (n_arms,)
        Added to: how often each arm was played.
    chosen : int8 array, shape (n_repetitions, horizon or 0)
        Filled: the arm of each decision; with no columns it is not kept.
    """
    straight = schedule.batch == 1 and schedule.delay_highest == 0
    for i in range(regret.shape[0]):
        erase(memory)
        memory.stream[:] = policy_streams[i]
        start(rule, memory)
        if straight or schedule.has_all_rewards:
            _play(rule, memory, world, schedule, world_streams[i], i, regret[i], pulls, chosen[i])
        else:
            _play_late(
                rule, memory, world, schedule, world_streams[i], i, regret[i], pulls, chosen[i]
            )


@njit(cache=True, error_model="numpy")
def _play(
    rule: Rule,
    memory: Memory,
    world: World,
    schedule: Schedule,
    stream: Stream,
    repetition: int,
    regret: NDArray[np.float64],
    pulls: NDArray[np.float64],
    chosen: NDArray[np.int8],
) -> None:
    lost, segment, checkpoint = 0.0, 0, 0
    rewards = np.empty(memory.n.size)
    for t in range(schedule.horizon):
        if segment + 1 < world.starts.size and world.starts[segment + 1] == t:
            segment += 1
        arm = decide_inside(rule, memory)
        pulls[arm] += 1.0
        if chosen.size:
            chosen[t] = arm
        if schedule.has_all_rewards:
            for k in range(rewards.size):
                rewards[k] = _reward(world, stream, segment, repetition, t, k)
            learn_all_inside(rule, memory, rewards)
            reward = rewards[arm]
        else:
            reward = _reward(world, stream, segment, repetition, t, arm)
            learn_inside(rule, memory, arm, reward, math.nan)
        lost += world.best[segment]
        lost -= reward if world.kind == REPLAY else world.means[segment, arm]
        if t + 1 == schedule.checkpoints[checkpoint]:
            regret[checkpoint] = lost
            checkpoint += 1


@bare_part
def _reward(world: World, stream: Stream, segment: int, repetition: int, t: int, k: int) -> float:
    """Return a reward; the stream moves by the same steps for every arm."""
    if world.kind == BERNOULLI:
        return 1.0 if next_uniform(stream) < world.means[segment, k] else 0.0
    if world.kind == REPLAY:
        return world.returns[world.rows[repetition, t], k]
    noise = next_normal(stream)
    if world.kind != GAUSSIAN:  # a variance of one, so that the scale is the standard deviation
        d = 0.5 * world.degrees + 2.0 / 3.0  # one shape higher, then lowered: works from 2 degrees
        gamma = next_gamma(stream, d, 1.0 / (3.0 * math.sqrt(d)))
        gamma *= (1.0 - next_uniform(stream)) ** (2.0 / world.degrees)
        noise *= math.sqrt((0.5 * world.degrees - 1.0) / max(gamma, 1e-300))
    return world.means[segment, k] + world.scale[k] * noise


@njit(cache=True, error_model="numpy")
def _play_late(
    rule: Rule,
    memory: Memory,
    world: World,
    schedule: Schedule,
    stream: Stream,
    repetition: int,
    regret: NDArray[np.float64],
    pulls: NDArray[np.float64],
    chosen: NDArray[np.int8],
) -> None:
    """Play where rewards wait: one list for each decision after which some are learned.

    The place of a decision in the circle is free again before the circle comes round, because no
    reward waits longer than it is long.
    """
    size = schedule.delay_highest + schedule.batch + 1
    first, following = np.full(size, -1), np.empty(size, dtype=np.int64)
    arms, rewards, chances = np.empty(size, dtype=np.int64), np.empty(size), np.empty(size)
    lost, segment, checkpoint = 0.0, 0, 0
    weighs = rule.kind in (EXP3, EXP3_S)
    for t in range(schedule.horizon):
        if segment + 1 < world.starts.size and world.starts[segment + 1] == t:
            segment += 1
        arm = decide_inside(rule, memory)
        pulls[arm] += 1.0
        if chosen.size:
            chosen[t] = arm
        reward = _reward(world, stream, segment, repetition, t, arm)
        lost += world.best[segment]
        lost -= reward if world.kind == REPLAY else world.means[segment, arm]
        due = t + schedule.delay_lowest
        if schedule.delay_highest > schedule.delay_lowest:
            due += next_below(stream, schedule.delay_highest - schedule.delay_lowest + 1)
        due += schedule.batch - 1 - due % schedule.batch  # the last decision of its batch
        place, list_of = t % size, due % size
        arms[place], rewards[place] = arm, reward
        chances[place] = memory.table[arm, 2] if weighs else math.nan
        following[place], first[list_of] = first[list_of], place
        place = first[t % size]
        while place >= 0:
            learn_inside(rule, memory, arms[place], rewards[place], chances[place])
            place = following[place]
        first[t % size] = -1
        if t + 1 == schedule.checkpoints[checkpoint]:
            regret[checkpoint] = lost
            checkpoint += 1


@njit(cache=True, error_model="numpy")
def collect_repetition(
    rule: Rule,
    memory: Memory,
    world: World,
    streams: Stream,
    batch: int,
    floor: float,
    n_draws: int,
    allocations: NDArray[np.float64],
    arms: NDArray[np.int64],
    rewards: NDArray[np.float64],
) -> None:
    """Fill the arms, probabilities and rewards of one experiment that adapts by batches.

    Parameters
    ----------
    streams : uint64 array, shape (2, 4)
        Of the policy and of the world.
    batch : int
        Decisions under one allocation.
    floor : float
        ``p = floor + (1 - n_arms floor) w``.
    n_draws : int
        Decisions of the policy that are counted for w: given the past and these draws, p is the
        exact probability of each arm.
    allocations : float64 array, shape (n_batches, n_arms)
    arms, rewards : arrays, shape (horizon,)
    """
    erase(memory)
    memory.stream[:] = streams[0]
    start(rule, memory)
    n_arms, segment = memory.n.size, 0
    for t in range(arms.size):
        if segment + 1 < world.starts.size and world.starts[segment + 1] == t:
            segment += 1
        row = allocations[t // batch]
        if t % batch == 0:
            for i in range(max(t - batch, 0), t):
                learn_inside(rule, memory, arms[i], rewards[i], math.nan)
            row[:] = 0.0
            for _ in range(n_draws):
                row[decide_inside(rule, memory)] += 1.0 / n_draws
            row[:] = floor + (1.0 - n_arms * floor) * row
        arms[t] = next_from_weights(memory.stream, row)
        rewards[t] = _reward(world, streams[1], segment, 0, t, arms[t])
