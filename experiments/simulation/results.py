"""What simulations return: curves with their spread over repetitions, side by side."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.simulation.errors import SettingsError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PERCENTILES = (5.0, 25.0, 50.0, 75.0, 95.0)
MOST_KEPT = 2_000


@dataclass(frozen=True)
class Curve:
    """A quantity at the checkpoints, over repetitions.

    Attributes
    ----------
    mean, standard_error : float64 arrays, shape (n_checkpoints,)
        Of all repetitions; the error is that of the mean (Monte Carlo).
    percentiles : float64 array, shape (5, n_checkpoints)
        5, 25, 50, 75 and 95 % of the first 2,000 repetitions, which are as random as the others.
    """

    mean: FloatArray
    standard_error: FloatArray
    percentiles: FloatArray

    @property
    def final(self) -> float:
        """Mean at the last checkpoint."""
        return float(self.mean[-1])

    @property
    def final_error(self) -> float:
        """Monte-Carlo error of `final`."""
        return float(self.standard_error[-1])

    def to_dict(self) -> dict[str, Any]:
        """Return the curve as JSON has it."""
        return {
            "mean": self.mean.tolist(),
            "standard_error": self.standard_error.tolist(),
            "percentiles": {
                f"{level:g}": row.tolist()
                for level, row in zip(PERCENTILES, self.percentiles, strict=True)
            },
        }


class RunningCurve:
    """Mean and variance over repetitions as they come, in memory that does not grow with them."""

    def __init__(self, n_checkpoints: int) -> None:
        self._n = 0
        self._mean = np.zeros(n_checkpoints)
        self._squares = np.zeros(n_checkpoints)
        self._kept: list[FloatArray] = []
        self._n_kept = 0

    def add(self, rows: FloatArray) -> None:
        """Take in repetitions, float64 array of shape (n_repetitions, n_checkpoints)."""
        count = rows.shape[0]
        off = rows.mean(axis=0) - self._mean
        self._squares += ((rows - rows.mean(axis=0)) ** 2).sum(axis=0)
        self._squares += off**2 * self._n * count / (self._n + count)
        self._n += count
        self._mean = self._mean + off * count / self._n
        if self._n_kept < MOST_KEPT:
            self._kept.append(rows[: MOST_KEPT - self._n_kept].copy())
            self._n_kept += self._kept[-1].shape[0]

    def finished(self) -> Curve:
        """Return the curve; a single repetition has no error (NaN)."""
        variance = (
            self._squares / (self._n - 1) if self._n > 1 else np.full(self._mean.size, np.nan)
        )
        levels = np.percentile(np.concatenate(self._kept), PERCENTILES, axis=0)
        return Curve(self._mean, np.sqrt(variance / self._n), np.asarray(levels))


@dataclass(frozen=True)
class PolicyResult:
    """One policy in a simulated world.

    Attributes
    ----------
    name : str
    regret : Curve
        Cumulative pseudo-regret: what the best arm of each moment would have earned on average,
        less what the played arms earn on average.
    shares : float64 array, shape (n_arms,)
        Share of the decisions that fell on each arm.
    has_all_rewards : bool
        Whether it saw the rewards of all arms.
    """

    name: str
    regret: Curve
    shares: FloatArray
    has_all_rewards: bool


@dataclass(frozen=True)
class Comparison:
    """Policies side by side, in the same worlds and with the same luck.

    Attributes
    ----------
    results : tuple of PolicyResult
    checkpoints : int64 array, shape (n_checkpoints,)
        Decisions made.
    repetitions, seed : int
    world : str
        In words.
    """

    results: tuple[PolicyResult, ...]
    checkpoints: IntArray
    repetitions: int
    seed: int
    world: str

    def __getitem__(self, name: str) -> PolicyResult:
        for result in self.results:
            if result.name == name:
                return result
        raise KeyError(name)

    def log_slope(self, name: str, first: int, last: int) -> float:
        """Return how much regret grows per unit of ln t between two checkpoints."""
        at = [int(np.searchsorted(self.checkpoints, t)) for t in (first, last)]
        found = [int(self.checkpoints[min(i, self.checkpoints.size - 1)]) for i in at]
        if found != [first, last] or first >= last:
            raise SettingsError(f"{first} and {last} are not two checkpoints in order.")
        mean = self[name].regret.mean
        return float((mean[at[1]] - mean[at[0]]) / np.log(last / first))

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON has it."""
        return {
            "world": self.world,
            "checkpoints": self.checkpoints.tolist(),
            "repetitions": self.repetitions,
            "seed": self.seed,
            "policies": {
                result.name: {
                    "regret": result.regret.to_dict(),
                    "shares": result.shares.tolist(),
                    "has_all_rewards": result.has_all_rewards,
                }
                for result in self.results
            },
        }


@dataclass(frozen=True)
class RegimeFigures:
    """What a policy did in each regime, over whole histories.

    Attributes
    ----------
    gain, regret : Curve
        A regime in the place of a checkpoint: reward less the mean of all arms, and the return of
        the arm that was the best in that regime, in hindsight, less the reward.
    shares : float64 array, shape (n_regimes, n_arms)
        Of the decisions in a regime; NaN where it never came.
    """

    gain: Curve
    regret: Curve
    shares: FloatArray


@dataclass(frozen=True)
class ReplayResult:
    """One policy on given returns.

    Attributes
    ----------
    name : str
    reward : Curve
        Cumulative return of the chosen arms.
    regret_to_best_arm : Curve
        Return of the arm that was the best up to each checkpoint, in hindsight, less the reward.
    regret_to_best_per_period : Curve
        Return of the best arm of every period, less the reward: no policy can reach 0.
    gain_over_uniform : Curve
        Reward less the mean return of all arms.
    shares : float64 array, shape (n_arms,)
    has_all_rewards : bool
    by_regime : RegimeFigures or None
        Where regimes were given.
    """

    name: str
    reward: Curve
    regret_to_best_arm: Curve
    regret_to_best_per_period: Curve
    gain_over_uniform: Curve
    shares: FloatArray
    has_all_rewards: bool
    by_regime: RegimeFigures | None = None

    @property
    def share_of_uniform_regret(self) -> float | None:
        """Regret to the best arm as a share of what uniform play has; None where that has none."""
        uniform = self.regret_to_best_arm.final + self.gain_over_uniform.final
        return self.regret_to_best_arm.final / uniform if uniform > 0.0 else None


@dataclass(frozen=True)
class ReplayComparison:
    """Policies side by side on the same resamples of given returns.

    Attributes
    ----------
    results : tuple of ReplayResult
    checkpoints : int64 array, shape (n_checkpoints,)
    repetitions, seed, n_periods : int
    mean_block : float or None
        Mean length of the resampled blocks [periods]; None where the returns came as they happened.
    is_centered : bool
        Whether every arm's mean was taken off, so that no arm is better: A/A.
    """

    results: tuple[ReplayResult, ...]
    checkpoints: IntArray
    repetitions: int
    seed: int
    n_periods: int
    mean_block: float | None
    is_centered: bool

    def __getitem__(self, name: str) -> ReplayResult:
        for result in self.results:
            if result.name == name:
                return result
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON has it."""
        curves = ("reward", "regret_to_best_arm", "regret_to_best_per_period", "gain_over_uniform")
        return {
            "checkpoints": self.checkpoints.tolist(),
            "repetitions": self.repetitions,
            "seed": self.seed,
            "n_periods": self.n_periods,
            "mean_block": self.mean_block,
            "is_centered": self.is_centered,
            "policies": {
                result.name: {
                    **{name: getattr(result, name).to_dict() for name in curves},
                    "shares": result.shares.tolist(),
                    "share_of_uniform_regret": result.share_of_uniform_regret,
                    "has_all_rewards": result.has_all_rewards,
                }
                for result in self.results
            },
        }


@dataclass(frozen=True)
class Collected:
    """Arms, probabilities and rewards of experiments that adapted, to test inference on.

    Attributes
    ----------
    arms : int64 array, shape (n_repetitions, horizon)
    rewards : float64 array, shape (n_repetitions, horizon)
    allocations : float64 array, shape (n_repetitions, n_batches, n_arms)
        Exact probabilities of the arms in each batch.
    batch : int
    """

    arms: IntArray
    rewards: FloatArray
    allocations: FloatArray
    batch: int

    @property
    def probabilities(self) -> FloatArray:
        """Probability of every arm at every decision, (n_repetitions, horizon, n_arms)."""
        horizon = self.arms.shape[1]
        return np.repeat(self.allocations, self.batch, axis=1)[:, :horizon]
