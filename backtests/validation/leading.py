"""What the bootstrap says of the leaders of a search, whose returns per bar are at hand.

The tests of superior predictive ability want every trial that was made, and a search keeps the
returns of none. Those of its leaders can be computed again. Over the leaders alone the tests say
what they would if nothing else had been tried: that these were chosen, for these very returns, is
not paid for. So the p-value is as a rule too small, and one that is small proves nothing. It is no
bound for that of the search either: the statistic divides by an error that the bootstrap finds, and
who would be best by that is not known of trials whose returns are not at hand.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backtests.validation.checks import FloatArray, matrix_of, require, require_count
from backtests.validation.errors import NotComputedError, SettingsError
from backtests.validation.figure import Figure
from backtests.validation.judging import FEWEST_FOR_BOOTSTRAP
from backtests.validation.settings import SelectionSettings
from backtests.validation.superiority import (
    ConfidenceSet,
    SuperiorSet,
    model_confidence_set,
    resampling_of,
    superior_predictive_ability,
    superior_strategies,
)

MOST_OBSERVATIONS = 8_000  # more are summed over neighboring bars, which keeps means and time
MOST_COMPARED = 20  # in the model confidence set, whose work grows with their square
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class LeaderReport:
    """The leaders of a search by the bootstrap.

    Attributes
    ----------
    n_leaders, n_searched, n_trials : int
        Whose returns are at hand, the trials they are the best of, and all that were ever made.
    n_observations, bars_each : int
        Returns they are judged by, and the bars that each is the sum of.
    is_whole : bool
        Whether the leaders are all trials ever made: then the p-value is that of the search.
    spa_p_value : Figure
        Of the leaders over cash, as if they alone had been tried.
    superior : SuperiorSet or None
        Leaders that are better than cash by StepM, the family-wise error held among them alone.
    n_compared : int
        The first so many leaders, among which the confidence set is.
    confidence_set : ConfidenceSet or None
        Of the mean returns of those.
    reasons : dict of str to str
        By the name of a field that is None: ``not computed, because ...``.
    """

    n_leaders: int
    n_searched: int
    n_trials: int
    n_observations: int
    bars_each: int
    is_whole: bool
    spa_p_value: Figure
    superior: SuperiorSet | None
    n_compared: int
    confidence_set: ConfidenceSet | None
    reasons: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it: lists for arrays, null where not computed."""
        plain = asdict(self)
        if self.confidence_set is not None:
            plain["confidence_set"]["p_values"] = self.confidence_set.p_values.tolist()
        return plain


def choose_leaders(sharpe: ArrayLike, block_ratio: ArrayLike, n: int) -> NDArray[np.int64]:
    """Return the trials that are most likely the best by their mean over its standard error.

    Parameters
    ----------
    sharpe : float array, shape (n_trials,)
        Sharpe ratios times the root of the number of returns, which is the ratio where returns do
        not depend on each other. NaN where there is none.
    block_ratio : float array, shape (n_trials,)
        Mean of the sums over blocks of time over its standard error, which knows what lies within a
        block. NaN where there is none.
    n : int
        At most so many.

    Returns
    -------
    int64 array, shape (<= n,)
        Distinct, by descending `sharpe`; none without one.

    Notes
    -----
    The two orders take turns: the first is blind to autocorrelation, and a few blocks tell the
    second its error by a fifth only (16 of them).
    """
    plain, blocks = (np.asarray(one, dtype=np.float64) for one in (sharpe, block_ratio))
    places = [np.empty(plain.size, dtype=np.int64) for _ in range(2)]
    for place, ratio in zip(places, (plain, blocks), strict=True):
        place[np.argsort(-ratio, kind="stable")] = np.arange(plain.size)  # those without come last
    chosen = np.lexsort((places[0], np.minimum(*places)))[:n]
    chosen = chosen[np.isfinite(plain[chosen])]
    by_sharpe: NDArray[np.int64] = chosen[np.argsort(places[0][chosen])]
    return by_sharpe


def leader_report(
    returns: ArrayLike,
    *,
    n_trials: int,
    n_searched: int | None = None,
    settings: SelectionSettings | None = None,
) -> LeaderReport:
    """Return what the bootstrap says of the best trials of a search.

    Parameters
    ----------
    returns : float array, shape (n_bars, n_leaders)
        Returns per bar [fraction], finite, of the trials that `choose_leaders` names, from the best
        on.
    n_trials : int
        Trials ever made on these bars, at least as many as there are leaders.
    n_searched : int, optional
        Those among which the leaders were looked for; all of them when not given.
    settings : SelectionSettings, optional

    Raises
    ------
    ShapeError, SampleError, SettingsError
        Arrays or settings that cannot be. What merely is not determined becomes a reason.

    Notes
    -----
    All three tests resample whole bars of all leaders together, in blocks of the same mean length.
    """
    asked = SelectionSettings() if settings is None else settings
    given = matrix_of(returns, "returns")
    n_leaders = given.shape[1]
    if require_count("n_trials", n_trials, 1) < n_leaders:
        raise SettingsError(f"There are {n_leaders} leaders, but only {n_trials} trials were made.")
    among = n_trials if n_searched is None else require_count("n_searched", n_searched, n_leaders)
    if among > n_trials:
        raise SettingsError(f"n_searched is {among}, but only {n_trials} trials were ever made.")
    matrix, each = _observations(given)
    first = matrix[:, :MOST_COMPARED]
    reasons: dict[str, str] = {}
    how = _resampling(matrix, asked)
    size = 1.0 - asked.confidence

    def found(name: str, compute: Callable[[], _Answer]) -> _Answer | None:
        try:
            require(
                matrix.shape[0] >= FEWEST_FOR_BOOTSTRAP,
                f"{matrix.shape[0]} returns are fewer than the {FEWEST_FOR_BOOTSTRAP} that the "
                "bootstrap needs",
            )
            return compute()
        except NotComputedError as refusal:
            reasons[name] = f"not computed, because {refusal}"
            return None

    ability = found("spa_p_value", lambda: superior_predictive_ability(matrix, **how))
    superior = found("superior", lambda: superior_strategies(matrix, size=size, **how))
    alike = found("confidence_set", lambda: model_confidence_set(first, size=size, **how))
    definition = _definition(n_leaders, among, n_trials)
    return LeaderReport(
        n_leaders=n_leaders,
        n_searched=among,
        n_trials=n_trials,
        n_observations=matrix.shape[0],
        bars_each=each,
        is_whole=n_leaders == n_trials,
        spa_p_value=Figure(
            None if ability is None else ability.p_value, "probability", definition,
            reasons.get("spa_p_value", ""),
        ),
        superior=superior,
        n_compared=first.shape[1],
        confidence_set=alike,
        reasons=reasons,
    )  # fmt: skip


def _observations(matrix: FloatArray) -> tuple[FloatArray, int]:
    """Return returns in a number that can be resampled, and how many bars each is the sum of."""
    n_bars, n_leaders = matrix.shape
    each = -(-n_bars // MOST_OBSERVATIONS)
    if each == 1:
        return matrix, 1
    kept = n_bars - n_bars % each
    return matrix[:kept].reshape(-1, each, n_leaders).sum(axis=1), each


def _resampling(matrix: FloatArray, asked: SelectionSettings) -> dict[str, Any]:
    """Return the resampling that all tests share, of one mean length of blocks."""
    block = asked.mean_block
    if block is None and matrix.shape[0] >= FEWEST_FOR_BOOTSTRAP:
        off = matrix - matrix.mean(axis=0)
        block = resampling_of(off, asked.n_resamples, None, asked.seed).mean_block
    return {"n_resamples": asked.n_resamples, "mean_block": block, "seed": asked.seed}


def _definition(n_leaders: int, n_searched: int, n_trials: int) -> str:
    about = "of so large a lead by luck, by superior predictive ability"
    if n_leaders == n_trials:
        return f"Probability {about}, if none of all {n_trials} trials were better than cash."
    return (
        f"Probability {about}, had these {n_leaders} alone been tried and none were better than "
        f"cash. They are the best of {n_searched}, which it does not know: a small value proves "
        "nothing."
    )
