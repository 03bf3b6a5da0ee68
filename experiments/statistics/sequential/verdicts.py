"""From a confidence sequence to a decision, by rules that were there before the numbers.

A decision at any look is as sure as the sequence, because all its intervals hold at once.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from experiments.statistics.checks import require_count
from experiments.statistics.errors import SettingsError
from experiments.statistics.sequential.sequences import Sequence


class Decision(StrEnum):
    """What a sequence says."""

    TREATMENT = "treatment"  # it is better
    CONTROL = "control"  # it is better
    NO_DIFFERENCE = "no_difference"
    INCONCLUSIVE = "inconclusive"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision, when it fell and on what.

    Attributes
    ----------
    decision : Decision
    periods : int
        Periods after which it fell; for `CONTINUE`, those seen.
    lower, upper : float
        The interval it rests on, for the difference treatment less control.
    because : str
        One sentence.
    """

    decision: Decision
    periods: int
    lower: float
    upper: float
    because: str

    @property
    def is_final(self) -> bool:
        """Whether the experiment is over."""
        return self.decision is not Decision.CONTINUE


def judge(
    sequence: Sequence,
    *,
    horizon: int | None = None,
    region: float = 0.0,
    is_increase: bool = True,
    is_running: bool = True,
) -> Verdict:
    """Return what a sequence decides at the first look at which it decides anything.

    Parameters
    ----------
    sequence : Sequence
        All looks so far.
    horizon : int, optional
        Periods after which an experiment that has decided nothing ends as inconclusive; without
        it, it goes on.
    region : float
        Differences up to this size, of either sign, do not matter; with 0 there is no such
        decision. An interval within the region says "no difference", also when it excludes 0.
    is_increase : bool
        Whether more of the metric is better.
    is_running : bool
        Whether each interval is cut to those before it, `Sequence.running`.

    Raises
    ------
    SettingsError
        A region that is negative or not finite, or a horizon below 1.
    """
    if not 0.0 <= region < math.inf:
        raise SettingsError(f"The region of equivalence must be finite and >= 0, not {region!r}.")
    if horizon is not None:
        require_count("horizon", horizon, 1)
    looks = sequence.running() if is_running else sequence
    is_empty = looks.lower > looks.upper
    within = (looks.lower >= -region) & (looks.upper <= region) & (region > 0.0)
    decided = np.flatnonzero(is_empty | within | (looks.lower > 0.0) | (looks.upper < 0.0))
    if decided.size and (horizon is None or looks.periods[decided[0]] <= horizon):
        return _decided(looks, int(decided[0]), bool(within[decided[0]]), region, is_increase)
    return _undecided(looks, horizon)


def _decided(
    looks: Sequence, at: int, is_within: bool, region: float, is_increase: bool
) -> Verdict:
    periods, lower, upper = (
        int(looks.periods[at]),
        float(looks.lower[at]),
        float(looks.upper[at]),
    )
    sure = f"with {looks.confidence:g} confidence, after {periods} periods"
    if lower > upper:
        decision = Decision.INCONCLUSIVE
        because = f"no one mean fits all intervals ({sure}): the difference drifts"
    elif is_within:
        decision = Decision.NO_DIFFERENCE
        because = f"the difference is at most {region:g} either way ({sure})"
    else:
        is_better = (lower > 0.0) == is_increase
        decision = Decision.TREATMENT if is_better else Decision.CONTROL
        bound = f"above {lower:g}" if lower > 0.0 else f"below {upper:g}"
        because = f"the difference is {bound} ({sure})"
    return Verdict(decision, periods, lower, upper, because)


def _undecided(looks: Sequence, horizon: int | None) -> Verdict:
    seen = int(looks.periods[-1]) if looks.periods.size else 0
    is_over = horizon is not None and seen >= horizon
    at = looks.periods.size - 1
    if horizon is not None and is_over:
        at = int(np.flatnonzero(looks.periods <= horizon)[-1]) if looks.periods[0] <= horizon else 0
    lower = float(looks.lower[at]) if looks.periods.size else -math.inf
    upper = float(looks.upper[at]) if looks.periods.size else math.inf
    span = f"between {lower:g} and {upper:g}" if math.isfinite(lower + upper) else "not yet known"
    if is_over:
        because = f"at the horizon of {horizon} periods the difference is {span}"
        return Verdict(Decision.INCONCLUSIVE, int(looks.periods[at]), lower, upper, because)
    because = f"after {seen} periods the difference is {span}"
    return Verdict(Decision.CONTINUE, seen, lower, upper, because)
