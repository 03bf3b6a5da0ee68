"""Contextual bandits with linear rewards: the market regime, or any features, as context.

Each arm has its own ridge regression of rewards on contexts, kept as mergeable sums
``A = ridge I + sum x x'`` and ``b = sum r x``; decisions use the Cholesky factor of A, which each
reward brings up to date in d^2 steps.

References
----------
.. [1] Li, Chu, Langford and Schapire (2010), "A contextual-bandit approach to personalized news
   article recommendation", WWW 19: disjoint LinUCB.
.. [2] Agrawal and Goyal (2013), "Thompson sampling for contextual bandits with linear payoffs",
   ICML 30.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.bandits.checks import (
    FloatArray,
    require_arm,
    require_count,
    require_reward,
    require_settings,
)
from experiments.bandits.errors import ArmError, RewardError, StateError
from experiments.bandits.streams import Stream, new_streams, next_below, next_normal
from numerics.compilation import njit


class LinearRule(NamedTuple):
    """A linear policy without its memory, as compiled loops read it."""

    draws: bool
    width: float
    ridge: float
    discount: float


class LinearMemory(NamedTuple):
    """Everything that rewards change.

    Attributes
    ----------
    outer, factor : float64 arrays, shape (n_arms, n_features, n_features)
        Sums of x x', and the lower Cholesky factor of these plus the ridge.
    moment, coefficients : float64 arrays, shape (n_arms, n_features)
        Sums of r x, and the solution for them.
    n : float64 array, shape (n_arms,)
        Rewards, discounted.
    """

    outer: NDArray[np.float64]
    factor: NDArray[np.float64]
    moment: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    n: NDArray[np.float64]


class LinearPolicy:
    """What LinUCB and linear Thompson sampling share.

    Parameters
    ----------
    n_arms : int
        >= 2.
    n_features : int
        Numbers in a context, >= 1; put a 1 among them for an intercept.
    seed : int
        >= 0.
    width : float
        Factor of the standard error of a predicted reward, >= 0: how optimistic, or how widely
        drawn. About the standard deviation of a reward for Thompson sampling.
    ridge : float
        Weight of the prior that coefficients are 0, > 0.
    discount : float
        In (0, 1]; sums of an arm are multiplied by it before each of its rewards.
    """

    name: ClassVar[str] = ""
    draws: ClassVar[bool] = False

    def __init__(
        self,
        n_arms: int,
        n_features: int,
        *,
        seed: int = 0,
        width: float = 1.0,
        ridge: float = 1.0,
        discount: float = 1.0,
    ) -> None:
        require_settings(
            width=0.0 <= width < math.inf, ridge=0.0 < ridge < math.inf, discount=0 < discount <= 1
        )
        self.n_arms = require_count("n_arms", n_arms, 2)
        self.n_features = require_count("n_features", n_features, 1)
        self.seed = require_count("seed", seed, 0)
        self.width, self.ridge, self.discount = float(width), float(ridge), float(discount)
        self.memory = self.new_memory()
        self._stream = new_streams(seed, 1)[0]

    @property
    def rule(self) -> LinearRule:
        """What it is, without what it has learned."""
        return LinearRule(self.draws, self.width, self.ridge, self.discount)

    @property
    def outer(self) -> FloatArray:
        """Sums of x x' of each arm, (n_arms, n_features, n_features)."""
        return self.memory.outer

    @property
    def moment(self) -> FloatArray:
        """Sums of r x of each arm, (n_arms, n_features)."""
        return self.memory.moment

    @property
    def n(self) -> FloatArray:
        """Rewards of each arm, discounted."""
        return self.memory.n

    def new_memory(self) -> LinearMemory:
        """Return a memory of nothing."""
        arms, d = self.n_arms, self.n_features
        memory = LinearMemory(
            np.zeros((arms, d, d)), np.zeros((arms, d, d)), np.zeros((arms, d)),
            np.zeros((arms, d)), np.zeros(arms),
        )  # fmt: skip
        forget_linear(self.rule, memory)
        return memory

    def choose(self, context: ArrayLike) -> int:
        """Return the arm to play in a context, float array of shape (n_features,)."""
        x = self._context(context)
        return int(self._decide(x, self._stream))

    def update(self, context: ArrayLike, arm: int, reward: float) -> None:
        """Learn the reward of an arm that was played in a context.

        Raises
        ------
        ArmError, RewardError
            There is no such arm; a context of the wrong size; a number that is not finite.
        """
        x = self._context(context)
        value = require_reward(reward, -math.inf, math.inf)
        k = require_arm(arm, self.n_arms)
        learn_linear(self.rule, self.memory, k, x, value)

    def predict(self, context: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return predicted reward and its standard error over the noise's, (n_arms,) each."""
        x = self._context(context)
        errors = np.array([_leverage(factor, x) for factor in self.memory.factor])
        return self.memory.coefficients @ x, np.sqrt(errors)

    def allocation(self, context: ArrayLike, n_draws: int = 20_000) -> FloatArray:
        """Return the probability of each arm in a context; counted over draws of the seed."""
        x, stream = self._context(context), new_streams(self.seed, 1, 1)[0]
        counts = np.zeros(self.n_arms)
        for _ in range(n_draws):
            counts[self._decide(x, stream)] += 1.0
        return counts / n_draws

    @property
    def coefficients(self) -> FloatArray:
        """Ridge coefficients of each arm, float64 of shape (n_arms, n_features)."""
        return self.memory.coefficients.copy()

    def merge(self, other: Self) -> None:
        """Add the sums of another policy of the same shape, as if learned here."""
        if other.outer.shape != self.outer.shape or self.discount < 1.0 or other.discount < 1.0:
            raise StateError("Only sums of equal shape and without a discount merge.")
        for name in ("outer", "moment", "n"):
            getattr(self, name)[...] += getattr(other, name)
        self._refresh()

    def to_dict(self) -> dict[str, Any]:
        """Return settings and sums as JSON has them."""
        settings = {"width": self.width, "ridge": self.ridge, "discount": self.discount}
        return {
            "policy": self.name,
            "n_arms": self.n_arms,
            "n_features": self.n_features,
            "seed": self.seed,
            "settings": settings,
            "outer": self.outer.tolist(),
            "moment": self.moment.tolist(),
            "n": self.n.tolist(),
            "stream": [int(word) for word in self._stream],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the policy that `to_dict` wrote."""
        if stored.get("policy") != cls.name:
            raise StateError(f"A state of {stored.get('policy')!r} is not one of {cls.name!r}.")
        try:
            sizes = (stored["n_arms"], stored["n_features"])
            policy = cls(*sizes, seed=stored["seed"], **stored["settings"])
            for name in ("outer", "moment", "n"):
                column = getattr(policy.memory, name)
                column[...] = np.array(stored[name], dtype=np.float64).reshape(column.shape)
            policy._stream[:] = np.array(stored["stream"], dtype=np.uint64)
            policy._refresh()
        except (KeyError, TypeError, ValueError, OverflowError) as refusal:
            raise StateError(f"The stored state is damaged: {refusal}") from refusal
        return policy

    def _decide(self, x: FloatArray, stream: Stream) -> int:
        return int(decide_linear(self.rule, self.memory, x, stream))

    def _context(self, context: ArrayLike) -> FloatArray:
        try:
            x = np.ascontiguousarray(context, dtype=np.float64)
        except (TypeError, ValueError) as refusal:
            raise RewardError("A context must be numbers.") from refusal
        if x.shape != (self.n_features,):
            raise ArmError(f"A context has {self.n_features} numbers, not the shape {x.shape}.")
        if not math.isfinite(float(x.sum())):
            raise RewardError("A context has a number that is missing or infinite.")
        return x

    def _refresh(self) -> None:
        for k in range(self.n_arms):
            solve_anew(self.rule, self.memory, k)


class LinUCB(LinearPolicy):
    """Disjoint LinUCB: ``x'c + width sqrt(x' A^-1 x)``, the largest is played [1]_."""

    name = "lin_ucb"


class LinearThompson(LinearPolicy):
    """Linear Thompson sampling: coefficients drawn from ``N(c, width^2 A^-1)`` [2]_."""

    name = "linear_thompson"
    draws = True


@njit(cache=True, error_model="numpy")
def forget_linear(rule: LinearRule, memory: LinearMemory) -> None:
    """Make a memory one of nothing."""
    memory.outer[:] = 0.0
    memory.moment[:] = 0.0
    memory.coefficients[:] = 0.0
    memory.n[:] = 0.0
    memory.factor[:] = 0.0
    for k in range(memory.n.size):
        for i in range(memory.moment.shape[1]):
            memory.factor[k, i, i] = math.sqrt(rule.ridge)


@njit(cache=True, error_model="numpy")
def decide_linear(rule: LinearRule, memory: LinearMemory, x: FloatArray, stream: Stream) -> int:
    """Return the arm of the largest bound or draw; only the draw along x matters."""
    best, highest, equals = 0, -math.inf, 0
    for k in range(memory.n.size):
        value = 0.0
        for i in range(x.size):
            value += memory.coefficients[k, i] * x[i]
        error = rule.width * math.sqrt(_leverage(memory.factor[k], x))
        value += error * next_normal(stream) if rule.draws else error
        if value > highest:
            best, highest, equals = k, value, 1
        elif value == highest:
            equals += 1
            if next_below(stream, equals) == 0:
                best = k
    return best


@njit(cache=True, error_model="numpy")
def learn_linear(
    rule: LinearRule, memory: LinearMemory, k: int, x: FloatArray, reward: float
) -> None:
    """Learn a reward of arm k in a context; with a discount the arm is solved anew."""
    if rule.discount < 1.0:
        memory.outer[k] *= rule.discount
        memory.moment[k] *= rule.discount
        memory.n[k] *= rule.discount
    _add_reward(memory.outer[k], memory.moment[k], memory.factor[k], x, reward)
    memory.n[k] += 1.0
    if rule.discount < 1.0:
        solve_anew(rule, memory, k)
    else:
        _solve(memory.factor[k], memory.moment[k], memory.coefficients[k])


@njit(cache=True, error_model="numpy")
def solve_anew(rule: LinearRule, memory: LinearMemory, k: int) -> None:
    """Write factor and coefficients of arm k from its sums."""
    d, outer, factor = memory.moment.shape[1], memory.outer[k], memory.factor[k]
    for j in range(d):
        for i in range(j, d):
            value = outer[i, j] + (rule.ridge if i == j else 0.0)
            for m in range(j):
                value -= factor[i, m] * factor[j, m]
            factor[i, j] = math.sqrt(value) if i == j else value / factor[j, j]
    _solve(factor, memory.moment[k], memory.coefficients[k])


@njit(cache=True, error_model="numpy")
def _leverage(factor: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    """Return ``x' (L L')^-1 x``, the squared length of the solution of ``L z = x``."""
    z, total = np.empty(x.size), 0.0
    for i in range(x.size):
        value = x[i]
        for j in range(i):
            value -= factor[i, j] * z[j]
        z[i] = value / factor[i, i]
        total += z[i] * z[i]
    return total


@njit(cache=True, error_model="numpy")
def _add_reward(
    outer: FloatArray, moment: FloatArray, factor: FloatArray, x: FloatArray, reward: float
) -> None:
    """Add a reward to the sums of an arm and update its Cholesky factor by rotations."""
    d = x.size
    left = x.copy()
    for i in range(d):
        moment[i] += reward * x[i]
        for j in range(d):
            outer[i, j] += x[i] * x[j]
    for i in range(d):
        length = math.hypot(factor[i, i], left[i])
        cosine, sine = factor[i, i] / length, left[i] / length
        factor[i, i] = length
        for j in range(i + 1, d):
            kept = factor[j, i]
            factor[j, i] = cosine * kept + sine * left[j]
            left[j] = cosine * left[j] - sine * kept


@njit(cache=True, error_model="numpy")
def _solve(factor: FloatArray, moment: FloatArray, coefficients: FloatArray) -> None:
    """Write the solution of ``L L' c = b``."""
    d = moment.size
    for i in range(d):
        value = moment[i]
        for j in range(i):
            value -= factor[i, j] * coefficients[j]
        coefficients[i] = value / factor[i, i]
    for i in range(d - 1, -1, -1):
        value = coefficients[i]
        for j in range(i + 1, d):
            value -= factor[j, i] * coefficients[j]
        coefficients[i] = value / factor[i, i]
