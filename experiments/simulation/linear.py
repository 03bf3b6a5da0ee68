"""The compiled loop of a linear policy on given returns, each period with its context."""

import numpy as np
from numpy.typing import NDArray

from experiments.bandits.contextual import (
    LinearMemory,
    LinearRule,
    decide_linear,
    forget_linear,
    learn_linear,
)
from experiments.bandits.streams import Stream
from numerics.compilation import njit


@njit(cache=True, error_model="numpy")
def repeat_linear(
    rule: LinearRule,
    memory: LinearMemory,
    contexts: NDArray[np.float64],
    returns: NDArray[np.float64],
    rows: NDArray[np.int64],
    checkpoints: NDArray[np.int64],
    streams: Stream,
    rewards: NDArray[np.float64],
    pulls: NDArray[np.float64],
    chosen: NDArray[np.int8],
) -> None:
    """Play a linear policy from nothing on each resampled history.

    Parameters
    ----------
    rule, memory : LinearRule, LinearMemory
        The memory is emptied before each repetition.
    contexts : float64 array, shape (n_periods, n_features)
        Of each period as it happened: it goes wherever its period goes.
    returns : float64 array, shape (n_periods, n_arms)
    rows : int64 array, shape (n_repetitions, horizon)
        The period that each decision meets.
    checkpoints : int64 array, shape (n_checkpoints,)
        Ascending, 1 to horizon; the last is the horizon.
    streams : uint64 array, shape (n_repetitions, 4)
    rewards : float64 array, shape (n_repetitions, n_checkpoints)
        Filled: cumulative reward.
    pulls : float64 array, shape (n_arms,)
        Added to: how often each arm was played.
    chosen : int8 array, shape (n_repetitions, horizon or 0)
        Filled: the arm of each decision; with no columns it is not kept.
    """
    for i in range(rows.shape[0]):
        forget_linear(rule, memory)
        earned, checkpoint = 0.0, 0
        for t in range(rows.shape[1]):
            x = contexts[rows[i, t]]
            arm = decide_linear(rule, memory, x, streams[i])
            reward = returns[rows[i, t], arm]
            learn_linear(rule, memory, arm, x, reward)
            earned += reward
            pulls[arm] += 1.0
            if chosen.shape[1]:
                chosen[i, t] = arm
            if t + 1 == checkpoints[checkpoint]:
                rewards[i, checkpoint] = earned
                checkpoint += 1
