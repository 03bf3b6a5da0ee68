"""Run policies in simulated worlds.

Everything repeats with its seed: each repetition has a stream for the policy and one for the
world, and the world's is the same for every policy.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from experiments.bandits.policy import Policy
from experiments.simulation.environments import Environment
from experiments.simulation.errors import SettingsError
from experiments.simulation.kernel import Schedule, World, collect_repetition, repeat
from experiments.simulation.results import Collected, Comparison, PolicyResult, RunningCurve
from experiments.simulation.schedules import (
    AT_ONCE,
    checked,
    checkpoints_of,
    delays_of,
    require_counts,
    require_straight,
    stream_pairs,
)


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
    marks = checkpoints_of(horizon, checkpoints)
    require_counts(horizon=horizon, repetitions=repetitions, batch=batch)
    lowest, highest = delays_of(delay, seed)
    world = _world_of(environment)
    results = []
    for name, policy, sees_all in checked(policies, environment.n_arms, all_rewards):
        if sees_all:
            require_straight(name, batch, highest, "sees all rewards at once")
        schedule = Schedule(horizon, batch, lowest, highest, sees_all, marks)
        curve, pulls = RunningCurve(marks.size), np.zeros(environment.n_arms)
        memory = policy.new_memory()
        for streams in stream_pairs(seed, repetitions, AT_ONCE):
            count = streams[0].shape[0]
            regret, no_choices = np.empty((count, marks.size)), np.empty((count, 0), dtype=np.int8)
            repeat(policy.rule, memory, world, schedule, *streams, regret, pulls, no_choices)
            curve.add(regret)
        results.append(PolicyResult(name, curve.finished(), pulls / pulls.sum(), sees_all))
    return Comparison(tuple(results), marks, repetitions, seed, str(environment))


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
    require_counts(horizon=horizon, repetitions=repetitions, batch=batch, n_draws=n_draws)
    n_arms = environment.n_arms
    if not 0.0 <= floor * n_arms <= 1.0:
        raise SettingsError(f"{n_arms} floors of {floor:g} exceed one.")
    ((_, _, _),) = checked({"policy": policy}, n_arms, ())
    memory, world = policy.new_memory(), _world_of(environment)
    arms = np.empty((repetitions, horizon), dtype=np.int64)
    rewards = np.empty((repetitions, horizon))
    allocations = np.empty((repetitions, -(-horizon // batch), n_arms))
    policy_streams, world_streams = next(stream_pairs(seed, repetitions, repetitions))
    for i in range(repetitions):
        streams = np.stack([policy_streams[i], world_streams[i]])
        rows = (allocations[i], arms[i], rewards[i])
        collect_repetition(policy.rule, memory, world, streams, batch, floor, n_draws, *rows)
    return Collected(arms, rewards, allocations, batch)


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
