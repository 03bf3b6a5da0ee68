"""What another policy would have earned on logged decisions.

Each decision was logged with the probability of its arm; another policy's value is estimated from
the same rewards, weighted. Standard errors are of independent decisions: where rewards of one
period share shocks, give `clusters`.

References
----------
.. [1] Horvitz and Thompson (1952), "A generalization of sampling without replacement from a finite
   universe", Journal of the American Statistical Association 47.
.. [2] Swaminathan and Joachims (2015), "The self-normalized estimator for counterfactual
   learning", NIPS 28.
.. [3] Dudik, Langford and Li (2011), "Doubly robust policy evaluation and learning", ICML 28.
.. [4] Ionides (2008), "Truncated importance sampling", Journal of Computational and Graphical
   Statistics 17(2).
.. [5] Kong (1992), "A note on importance sampling using standardized weights", University of
   Chicago, technical report 348: effective sample size.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from experiments.bandits.checks import FloatArray, IntArray, require_arms, require_settings
from experiments.bandits.errors import ArmError, PropensityError, RewardError

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class LoggedDecisions:
    """Decisions as they were logged.

    Attributes
    ----------
    arms : int64 array, shape (n,)
    rewards : float64 array, shape (n,)
    probabilities : float64 array, shape (n,)
        Of the chosen arm when it was chosen, in (0, 1].
    n_arms : int
    clusters : int64 array, shape (n,), or None
        Decisions of one number share their shocks, such as the period.
    """

    arms: IntArray
    rewards: FloatArray
    probabilities: FloatArray
    n_arms: int
    clusters: IntArray | None = None

    def __post_init__(self) -> None:
        arms = require_arms(self.arms, self.n_arms)
        rewards = np.asarray(self.rewards, dtype=np.float64)
        chances = np.asarray(self.probabilities, dtype=np.float64)
        if arms.size < 2:
            raise ArmError("There must be at least two logged decisions.")
        if rewards.shape != arms.shape or not bool(np.isfinite(rewards).all()):
            raise RewardError("Each logged decision needs one finite reward.")
        if chances.shape != arms.shape:
            raise PropensityError("Each logged decision needs its probability.")
        if bool(np.isnan(chances).any()):
            raise PropensityError(
                f"{int(np.isnan(chances).sum())} of {arms.size} logged probabilities are missing."
            )
        if not bool(np.all((chances > 0.0) & (chances <= 1.0))):
            raise PropensityError("A logged probability is zero, negative or above one.")
        if self.clusters is not None and np.shape(self.clusters) != arms.shape:
            raise ArmError("Each logged decision needs its cluster.")
        object.__setattr__(self, "arms", arms)
        object.__setattr__(self, "rewards", rewards)
        object.__setattr__(self, "probabilities", chances)


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """An estimate of a policy's mean reward.

    Attributes
    ----------
    method : str
        "ips", "snips", "direct" or "doubly_robust".
    value : float
    standard_error : float
        Of the direct method: only that of sampling contexts, not the error of its predictions,
        which is its weakness.
    effective_n : float
        ``(sum w)^2 / sum w^2``: independent decisions that the weights are worth. Beside a small
        share of the decisions the estimate is one of few.
    largest_weight : float
    share_clipped : float
        Share of decisions whose weight was cut.
    """

    method: str
    value: float
    standard_error: float
    effective_n: float
    largest_weight: float
    share_clipped: float


def inverse_propensity(
    logged: LoggedDecisions, target: ArrayLike, *, clip: float = math.inf
) -> PolicyValue:
    """Return ``mean(w r)``, w the target's over the logged probability [1]_.

    Parameters
    ----------
    logged : LoggedDecisions
    target : float array, shape (n_arms,) or (n, n_arms)
        Probabilities of the policy to be judged, fixed or for each decision; rows sum to one.
    clip : float
        Largest weight, >= 1; cutting trades variance for a bias towards 0 [4]_.

    Raises
    ------
    PropensityError
        A probability of the target that is none; an arm the target plays but nobody logged.
    """
    weights = _Weights.of(logged, target, clip)
    terms = weights.used * logged.rewards
    return weights.estimate("ips", float(terms.mean()), terms - terms.mean())


def self_normalized(
    logged: LoggedDecisions, target: ArrayLike, *, clip: float = math.inf
) -> PolicyValue:
    """Return ``sum(w r) / sum(w)``: biased a little, unmoved by a shift of rewards [2]_."""
    weights = _Weights.of(logged, target, clip)
    mean = float(weights.used.mean())
    if mean <= 0.0:
        raise PropensityError("The target never plays what was logged.")
    value = float((weights.used * logged.rewards).mean()) / mean
    off = weights.used * (logged.rewards - value) / mean
    return weights.estimate("snips", value, off)


def direct_method(
    logged: LoggedDecisions, target: ArrayLike, predictions: ArrayLike | None = None
) -> PolicyValue:
    """Return the mean of ``sum_a pi(a) q(a)`` with predicted rewards q.

    Parameters
    ----------
    logged, target
        As `inverse_propensity`.
    predictions : float array, shape (n_arms,) or (n, n_arms), optional
        Of every arm's reward; each arm's mean logged reward when not given.
    """
    weights = _Weights.of(logged, target, math.inf)
    terms = (weights.target * _predictions(logged, predictions)).sum(axis=1)
    return weights.estimate("direct", float(terms.mean()), terms - terms.mean())


def doubly_robust(
    logged: LoggedDecisions,
    target: ArrayLike,
    predictions: ArrayLike | None = None,
    *,
    clip: float = math.inf,
) -> PolicyValue:
    """Return the direct method plus the weighted mean of what it misses [3]_.

    Without a clip it is right if the probabilities are, whatever the predictions; good predictions
    make it precise. Predictions should come from other decisions than those judged.
    """
    weights = _Weights.of(logged, target, clip)
    predicted = _predictions(logged, predictions)
    missed = logged.rewards - predicted[np.arange(logged.arms.size), logged.arms]
    terms = (weights.target * predicted).sum(axis=1) + weights.used * missed
    return weights.estimate("doubly_robust", float(terms.mean()), terms - terms.mean())


@dataclass(frozen=True, slots=True)
class _Weights:
    logged: LoggedDecisions
    target: FloatArray
    used: FloatArray
    share_clipped: float

    @classmethod
    def of(cls, logged: LoggedDecisions, target: ArrayLike, clip: float) -> "_Weights":
        require_settings(clip=clip >= 1.0)
        n = logged.arms.size
        rows = np.asarray(target, dtype=np.float64)
        if rows.shape not in {(logged.n_arms,), (n, logged.n_arms)}:
            raise PropensityError(f"The target's probabilities have the shape {rows.shape}.")
        rows = np.broadcast_to(rows, (n, logged.n_arms))
        if not bool(np.isfinite(rows).all()) or float(rows.min()) < 0.0:
            raise PropensityError("A probability of the target is missing or negative.")
        if float(np.abs(rows.sum(axis=1) - 1.0).max()) > _ROUNDING:
            raise PropensityError("The target's probabilities do not sum to one.")
        seen = np.bincount(logged.arms, minlength=logged.n_arms) > 0
        if bool(np.any(rows[:, ~seen] > 0.0)):
            raise PropensityError("The target plays an arm of which nothing was logged.")
        raw = rows[np.arange(n), logged.arms] / logged.probabilities
        return cls(logged, rows, np.minimum(raw, clip), float(np.mean(raw > clip)))

    def estimate(self, method: str, value: float, off: FloatArray) -> PolicyValue:
        """Return the estimate with the error of the mean of the given deviations."""
        n, squares = off.size, float((self.used**2).sum())
        if self.logged.clusters is not None:
            _, position = np.unique(self.logged.clusters, return_inverse=True)
            off = np.bincount(position, off).astype(np.float64)
            if off.size < 2:
                raise ArmError("There must be at least two clusters.")
        error = math.sqrt(float((off**2).sum()) * off.size / (off.size - 1)) / n
        effective = float(self.used.sum()) ** 2 / squares if squares > 0.0 else 0.0
        largest = float(self.used.max())
        return PolicyValue(method, value, error, effective, largest, self.share_clipped)


def _predictions(logged: LoggedDecisions, predictions: ArrayLike | None) -> FloatArray:
    shape = (logged.arms.size, logged.n_arms)
    if predictions is None:
        n = np.bincount(logged.arms, minlength=logged.n_arms)
        total = np.bincount(logged.arms, weights=logged.rewards, minlength=logged.n_arms)
        return np.broadcast_to(np.where(n > 0, total / np.maximum(n, 1), 0.0), shape)
    given = np.asarray(predictions, dtype=np.float64)
    if given.shape not in {shape, shape[1:]} or not bool(np.isfinite(given).all()):
        raise RewardError("Predictions need a finite reward of every arm.")
    return np.broadcast_to(given, shape)
