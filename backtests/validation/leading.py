"""What the bootstrap says of the leaders of a search, whose returns per bar are at hand.

The tests of superior predictive ability want every trial that was made, and a search keeps the
returns of none. Those of its leaders can be computed again. Over the leaders alone the statistic is
that of all trials, because it belongs to the best, while the largest of the resampled ones can only
grow with more trials: so the p-value of the leaders is a lower bound for that of the search. A
large one refuses the search, a small one proves nothing. In the same way StepM over the leaders
finds all of them that it would find among all trials, and perhaps more.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from numpy.typing import ArrayLike

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
    n_leaders, n_trials : int
        Whose returns are at hand, and all that were made.
    n_observations, bars_each : int
        Returns they are judged by, and the bars that each is the sum of.
    is_whole : bool
        Whether the leaders are all trials: then the p-value is that of the search.
    spa_p_value : Figure
        Of the leaders over cash; a lower bound unless `is_whole`.
    superior : SuperiorSet or None
        Leaders that are better than cash by StepM, family-wise; at most these unless `is_whole`.
    n_compared : int
        The first so many leaders, among which the confidence set is.
    confidence_set : ConfidenceSet or None
        Of the mean returns of those.
    reasons : dict of str to str
        By the name of a field that is None: ``not computed, because ...``.
    """

    n_leaders: int
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


def leader_report(
    returns: ArrayLike, *, n_trials: int, settings: SelectionSettings | None = None
) -> LeaderReport:
    """Return what the bootstrap says of the best trials of a search.

    Parameters
    ----------
    returns : float array, shape (n_bars, n_leaders)
        Returns per bar [fraction], finite, of the trials with the largest Sharpe ratios, from the
        best on.
    n_trials : int
        Trials ever made on these bars, at least as many as there are leaders.
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
    definition = _definition(n_leaders, n_trials)
    return LeaderReport(
        n_leaders=n_leaders,
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


def _definition(n_leaders: int, n_trials: int) -> str:
    about = "that no trial is better than cash, by superior predictive ability"
    if n_leaders == n_trials:
        return f"Probability {about}, over all {n_trials} trials."
    return (
        f"The probability {about} is at least this: it is that over the best {n_leaders} of "
        f"{n_trials}. A large value refuses the search, a small one proves nothing."
    )
