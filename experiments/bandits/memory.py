"""What a policy is and what it remembers, as compiled loops and Python share them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.bandits.streams import Stream, new_streams
from numerics.compilation import njit

# Codes of policies. Their order has no meaning, but stored simulations name them.
THOMPSON_BETA, THOMPSON_NORMAL, THOMPSON_GAUSSIAN, THOMPSON_BOOTSTRAP = 0, 1, 2, 3
UCB1, UCB_TUNED, KL_UCB, UCB_V = 4, 5, 6, 7
EPSILON_GREEDY, SOFTMAX, EXP3, EXP3_S, HEDGE, LEADER = 8, 9, 10, 11, 12, 13
TOP_TWO_BETA, TOP_TWO_NORMAL, TOP_TWO_GAUSSIAN, SUCCESSIVE_ELIMINATION = 14, 15, 16, 17
UNIFORM = 18

N_PARAMETERS = 6
N_COLUMNS = 5


class Rule(NamedTuple):
    """A policy without its memory.

    Attributes
    ----------
    kind : int
        One of the codes above.
    discount : float
        In (0, 1]; what is remembered is multiplied by it before each new reward.
    window : int
        Rewards remembered; 0 is all of them.
    parameters : float64 array, shape (6,)
        Their meaning depends on `kind`; see `preparing.prepare_arm`.
    """

    kind: int
    discount: float
    window: int
    parameters: NDArray[np.float64]


class Memory(NamedTuple):
    """Everything that rewards change, and the stream of random numbers.

    Attributes
    ----------
    n, total, squares : float64 arrays, shape (n_arms,)
        Number, sum and sum of squares of the remembered rewards of each arm. For Exp3 they are of
        rewards moved to [0, 1] and divided by the probability of their arm.
    table : float64 array, shape (n_arms, 5)
        Derived from the three above by `preparing.prepare_arm`.
    replicates : float64 array, shape (3, n_arms, n_replicates)
        Weight, weighted sum, and prior draw of each bootstrap replicate; empty otherwise.
    ring_arms, ring_rewards : arrays, shape (window,)
        The remembered rewards in a circle; empty without a window.
    cursor : int64 array, shape (2,)
        Next place in the circle, and rewards in it.
    stream : uint64 array, shape (4,)
    """

    n: NDArray[np.float64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    table: NDArray[np.float64]
    replicates: NDArray[np.float64]
    ring_arms: NDArray[np.int64]
    ring_rewards: NDArray[np.float64]
    cursor: NDArray[np.int64]
    stream: Stream


def new_rule(kind: int, *parameters: float, discount: float = 1.0, window: int = 0) -> Rule:
    """Return a rule of the types that the kernels are compiled for."""
    padded = np.zeros(N_PARAMETERS)
    padded[: len(parameters)] = parameters
    return Rule(int(kind), float(discount), int(window), padded)


def new_memory(n_arms: int, window: int, n_replicates: int, seed: int) -> Memory:
    """Return a memory of nothing; `learning.prepare` makes its table."""
    return Memory(
        n=np.zeros(n_arms),
        total=np.zeros(n_arms),
        squares=np.zeros(n_arms),
        table=np.zeros((n_arms, N_COLUMNS)),
        replicates=np.zeros((3, n_arms, n_replicates)),
        ring_arms=np.zeros(window, dtype=np.int64),
        ring_rewards=np.zeros(window),
        cursor=np.zeros(2, dtype=np.int64),
        stream=new_streams(seed, 1)[0],
    )


@njit(cache=True, error_model="numpy")
def erase(memory: Memory) -> None:
    """Forget every reward; the stream goes on."""
    memory.n[:] = 0.0
    memory.total[:] = 0.0
    memory.squares[:] = 0.0
    memory.table[:] = 0.0
    memory.replicates[:] = 0.0
    memory.cursor[:] = 0
