"""What all policies share: choosing, learning, their state, and their allocation."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from experiments.bandits.allocation import allocation_of_memory
from experiments.bandits.checks import (
    FloatArray,
    IntArray,
    Randomness,
    generator_of,
    require_arm,
    require_arms,
    require_count,
    require_reward,
    require_rewards,
    require_settings,
)
from experiments.bandits.deciding import (
    decide,
    decide_many,
    learn,
    learn_all,
    learn_many,
    start,
)
from experiments.bandits.errors import ArmError, PropensityError, SettingsError, StateError
from experiments.bandits.memory import Memory, Rule, new_memory, new_rule
from experiments.bandits.preparing import prepare
from experiments.bandits.streams import new_streams
from experiments.bandits.sums import ArmStatistics

_ARRAYS = ("n", "total", "squares", "replicates", "ring_rewards")


class Policy(ABC):
    """A bandit: it chooses arms and learns from rewards.

    Parameters
    ----------
    n_arms : int
        >= 2.
    seed : int
        >= 0; the same seed, decisions and rewards give the same arms.
    discount : float
        In (0, 1]. What is remembered is multiplied by it before each reward (each period where
        rewards of all arms are learned together); 1 forgets nothing.
    window : int, optional
        Rewards that are remembered (periods where those of all arms are learned together are as
        many rewards as there are arms); all when not given. Not together with a discount.

    Notes
    -----
    Every decision and every reward passes through the kernels of `deciding`, which the simulators
    run too.
    """

    name: ClassVar[str] = ""
    needs_all_rewards: ClassVar[bool] = False
    forgets: ClassVar[bool] = True  # whether a discount or a window can be asked for
    lowest: float = -math.inf
    highest: float = math.inf

    def __init__(
        self, n_arms: int, *, seed: int = 0, discount: float = 1.0, window: int | None = None
    ) -> None:
        require_settings(discount=isinstance(discount, int | float) and 0.0 < discount <= 1.0)
        self.n_arms = require_count("n_arms", n_arms, 2)
        self.seed = require_count("seed", seed, 0)
        self.discount = float(discount)
        self.window = None if window is None else require_count("window", window, 1)
        if (self.discount < 1.0 or self.window) and not self.forgets:
            raise SettingsError(f"{type(self).__name__} takes neither a discount nor a window.")
        if self.discount < 1.0 and self.window:
            raise SettingsError("A policy forgets by a discount or by a window, not by both.")
        kind, *parameters = self._code()
        self.rule: Rule = new_rule(
            int(kind), *parameters, discount=self.discount, window=self.window or 0
        )
        self.memory: Memory = self.new_memory()
        start(self.rule, self.memory)

    @abstractmethod
    def _code(self) -> tuple[float, ...]:
        """Return the kind and the parameters of the kernels."""

    def settings(self) -> dict[str, Any]:
        """Return the arguments beside n_arms and seed that would make this policy again."""
        kept: dict[str, Any] = {}
        if self.discount < 1.0:
            kept["discount"] = self.discount
        if self.window:
            kept["window"] = self.window
        return kept

    def new_memory(self, seed: int | None = None) -> Memory:
        """Return an empty memory of the sizes that this policy needs, not yet started."""
        window = (self.window or 0) * (self.n_arms if self.needs_all_rewards else 1)
        return new_memory(
            self.n_arms, window, self.n_replicates, self.seed if seed is None else seed
        )

    @property
    def n_replicates(self) -> int:
        """Bootstrap replicates; 0 for all policies but one."""
        return 0

    def choose(self) -> int:
        """Return the arm to play now."""
        return int(decide(self.rule, self.memory))

    def select(self, n: int) -> IntArray:
        """Return n arms to play before any of their rewards is known, int64 of shape (n,)."""
        arms = np.empty(require_count("n", n, 1), dtype=np.int64)
        decide_many(self.rule, self.memory, arms)
        return arms

    def update(self, arm: int, reward: float, probability: float | None = None) -> None:
        """Learn one reward, now or as late as it comes.

        Parameters
        ----------
        arm : int
            0 to n_arms - 1.
        reward : float
            Finite, in the range of the policy.
        probability : float, optional
            With which the arm was chosen, in (0, 1]. Only Exp3 uses it; the present one when not
            given, which is right only if nothing was learned since.

        Raises
        ------
        ArmError, RewardError, PropensityError
            There is no such arm; a reward that cannot be; a probability that is none.
        """
        used = math.nan if probability is None else _chance(probability)
        value = require_reward(reward, self.lowest, self.highest)
        position = require_arm(arm, self.n_arms)
        if self.needs_all_rewards:
            raise ArmError(f"{type(self).__name__} learns from all arms at once: update_all().")
        learn(self.rule, self.memory, position, value, used)

    def check_reward(self, reward: float) -> float:
        """Return a reward that can be learned, or raise `RewardError`."""
        return require_reward(reward, self.lowest, self.highest)

    def update_many(
        self, arms: ArrayLike, rewards: ArrayLike, probabilities: ArrayLike | None = None
    ) -> None:
        """Learn rewards in their order; nothing is learned where one of them is refused."""
        positions = require_arms(arms, self.n_arms)
        values = require_rewards(rewards, self.lowest, self.highest)
        if self.needs_all_rewards:
            raise ArmError(f"{type(self).__name__} learns from all arms at once: update_all().")
        if values.shape != positions.shape:
            raise ArmError(f"{positions.shape} arms do not fit {values.shape} rewards.")
        used = np.full(values.shape, np.nan)
        if probabilities is not None:
            used = np.asarray(probabilities, dtype=np.float64)
            if used.shape != values.shape or not bool(np.all((used > 0.0) & (used <= 1.0))):
                raise PropensityError("Each probability must be in (0, 1], one for each reward.")
        learn_many(self.rule, self.memory, positions, values, used)

    def update_all(self, rewards: ArrayLike) -> None:
        """Learn the rewards of all arms in one period (full information, shadow trading)."""
        values = require_rewards(rewards, self.lowest, self.highest)
        if values.shape != (self.n_arms,):
            raise ArmError(f"There must be {self.n_arms} rewards, not {values.shape}.")
        learn_all(self.rule, self.memory, values)

    def allocation(self) -> FloatArray:
        """Return the probability of each arm at the next decision, float64 of shape (n_arms,).

        By formula or quadrature; counted over 20,000 draws of the seed where there is no formula.
        """
        return allocation_of_memory(self.rule, self.memory, new_streams(self.seed, 1, 1)[0])

    def allocation_of(self, statistics: ArmStatistics, randomness: Randomness = 0) -> FloatArray:
        """Return the allocation that this policy makes of sums kept elsewhere.

        Parameters
        ----------
        statistics : ArmStatistics
            Already folded (`ArmStatistics.of_periods`) if old periods are to count less; the
            discount and the window of the policy are for single rewards and are not applied again.
        randomness : int or numpy Generator
            The same seed and sums give the same allocation; most policies do not draw at all.

        Returns
        -------
        float64 array, shape (n_arms,)
        """
        seed = int(generator_of(randomness).integers(0, 2**63))
        memory = self.new_memory(seed)
        start(self.rule, memory)
        self._load(memory, statistics)
        prepare(self.rule, memory)
        return allocation_of_memory(self.rule, memory, memory.stream)

    def _load(self, memory: Memory, statistics: ArmStatistics) -> None:
        if statistics.n_arms != self.n_arms:
            raise ArmError(f"Sums of {statistics.n_arms} arms for a policy of {self.n_arms}.")
        mean = statistics.mean[statistics.n > 0.0]
        require_rewards(mean, self.lowest, self.highest)
        memory.n[:], memory.total[:] = statistics.n, statistics.total
        memory.squares[:] = statistics.squares

    @property
    def state(self) -> ArmStatistics:
        """The sums that this policy remembers now; sums of one policy's copies merge."""
        memory = self.memory
        return ArmStatistics(memory.n.copy(), memory.total.copy(), memory.squares.copy())

    def merge(self, statistics: ArmStatistics) -> None:
        """Add the sums of other rewards, as if they had been learned here.

        Raises
        ------
        StateError
            The policy remembers the order of rewards, which sums do not have.
        """
        if self.discount < 1.0 or self.window or not self._is_mergeable():
            raise StateError(f"{type(self).__name__} with these settings cannot merge sums.")
        if statistics.n_arms != self.n_arms:
            raise ArmError(f"Sums of {statistics.n_arms} arms for a policy of {self.n_arms}.")
        self._load(self.memory, self.state.merged(statistics))
        prepare(self.rule, self.memory)

    def _is_mergeable(self) -> bool:
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return the policy with its settings and everything it remembers, as JSON has it."""
        stored: dict[str, Any] = {
            "policy": self.name,
            "n_arms": self.n_arms,
            "seed": self.seed,
            "settings": self.settings(),
            "ring_arms": self.memory.ring_arms.tolist(),
            "cursor": self.memory.cursor.tolist(),
            "stream": [int(word) for word in self.memory.stream],
            "kept": self.memory.table[:, [1, 2, 4]].tolist(),
        }
        return stored | {name: getattr(self.memory, name).tolist() for name in _ARRAYS}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the policy that `to_dict` wrote; it goes on as if it had never stopped.

        Raises
        ------
        StateError
            The state is of another policy, or damaged.
        """
        if stored.get("policy") != cls.name:
            raise StateError(f"A state of {stored.get('policy')!r} is not one of {cls.name!r}.")
        try:
            policy = cls(stored["n_arms"], seed=stored["seed"], **stored["settings"])
            policy._restore(stored)
        except (KeyError, TypeError, ValueError, OverflowError) as refusal:
            raise StateError(f"The stored state is damaged: {refusal}") from refusal
        return policy

    def _restore(self, stored: Mapping[str, Any]) -> None:
        memory = self.memory
        for name in (*_ARRAYS, "ring_arms", "cursor"):
            column = getattr(memory, name)
            column[...] = np.array(stored[name], dtype=column.dtype).reshape(column.shape)
            if not bool(np.isfinite(column).all()):
                raise StateError(f"{name} has a number that is not finite.")
        memory.stream[:] = np.array(stored["stream"], dtype=np.uint64)
        memory.table[:, [1, 2, 4]] = np.array(stored["kept"], dtype=np.float64)
        prepare(self.rule, memory)

    def __repr__(self) -> str:
        settings = "".join(f", {name}={value!r}" for name, value in self.settings().items())
        return f"{type(self).__name__}({self.n_arms}, seed={self.seed}{settings})"


def _chance(probability: float) -> float:
    if not 0.0 < probability <= 1.0:
        raise PropensityError(f"A probability of choice is in (0, 1], not {probability!r}.")
    return float(probability)
