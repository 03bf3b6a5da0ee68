"""Whether a guardrail held: judged by an interval and a margin, never by "not significant".

References
----------
.. [1] Piaggio et al. (2012), "Reporting of noninferiority and equivalence randomized trials",
   JAMA 308(24).
.. [2] Schuirmann (1987), "A comparison of the two one-sided tests procedure and the power approach
   for assessing the equivalence of average bioavailability", Journal of Pharmacokinetics and
   Biopharmaceutics 15(6).
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from experiments.statistics.checks import require_finite
from experiments.statistics.errors import SettingsError

Direction = Literal["increase", "decrease"]


class Interval(Protocol):
    """Anything that has limits: an estimate, a confidence sequence, a posterior's interval."""

    @property
    def lower(self) -> float:
        """Lower limit."""
        ...

    @property
    def upper(self) -> float:
        """Upper limit."""
        ...


class GuardrailStatus(StrEnum):
    """What is known of a guardrail."""

    HELD = "held"
    BREACHED = "breached"
    OPEN = "open"


class EquivalenceStatus(StrEnum):
    """What is known of a difference and a region of practical equivalence."""

    EQUIVALENT = "equivalent"
    DIFFERENT = "different"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class GuardrailVerdict:
    """A guardrail's verdict.

    Attributes
    ----------
    status : GuardrailStatus
    least_harm, most_harm : float
        Limits of the harm [unit of the metric]; positive is worse than the control.
    margin : float
    because : str
        One sentence for people.
    """

    status: GuardrailStatus
    least_harm: float
    most_harm: float
    margin: float
    because: str


def judge_guardrail(interval: Interval, *, direction: Direction, margin: float) -> GuardrailVerdict:
    """Judge whether a treatment is worse than its control by more than a margin [1]_.

    Parameters
    ----------
    interval : Interval
        Of the difference, treatment less control. A one-sided level a takes the two-sided interval
        of ``1 - 2 a``; while an experiment runs it must be a confidence sequence.
    direction : "increase" or "decrease"
        Which way the metric is good: "decrease" for a drawdown.
    margin : float
        Harm that is tolerated [unit of the metric], >= 0.

    Returns
    -------
    GuardrailVerdict
        Held: the whole interval lies below the margin of harm. Breached: the whole interval lies
        above it. Otherwise open: absence of evidence is not a guardrail that held.

    Raises
    ------
    SettingsError
        A margin that is negative, limits that are not in order, or no such direction.
    """
    require_finite(margin=margin)
    if margin < 0.0:
        raise SettingsError(f"margin must not be negative, as {margin!r} is.")
    if direction not in {"increase", "decrease"}:
        raise SettingsError(f'direction must be "increase" or "decrease", not {direction!r}.')
    lower, upper = _limits(interval)
    least, most = (lower, upper) if direction == "decrease" else (-upper, -lower)
    if most < margin:
        status, text = GuardrailStatus.HELD, "The harm is below its margin"
    elif least > margin:
        status, text = GuardrailStatus.BREACHED, "The harm exceeds its margin"
    else:
        status, text = GuardrailStatus.OPEN, "The interval does not say on which side of its margin"
        text += " the harm is"
    because = f"{text}: between {least:.4g} and {most:.4g}, margin {margin:.4g}."
    return GuardrailVerdict(status, least, most, margin, because)


def judge_equivalence(interval: Interval, *, region: float) -> EquivalenceStatus:
    """Judge whether a difference is practically nothing [2]_.

    Parameters
    ----------
    interval : Interval
        Of the difference; of ``1 - 2 a`` for two one-sided tests at level a.
    region : float
        Differences of at most this size are nothing, > 0.

    Returns
    -------
    EquivalenceStatus
        Equivalent: the whole interval is inside the region. Different: all of it is outside.
    """
    require_finite(region=region)
    if region <= 0.0:
        raise SettingsError(f"region must be above zero, not {region!r}.")
    lower, upper = _limits(interval)
    if -region < lower and upper < region:
        return EquivalenceStatus.EQUIVALENT
    if lower > region or upper < -region:
        return EquivalenceStatus.DIFFERENT
    return EquivalenceStatus.OPEN


def _limits(interval: Interval) -> tuple[float, float]:
    lower, upper = float(interval.lower), float(interval.upper)
    if math.isnan(lower) or math.isnan(upper) or lower > upper:
        raise SettingsError(f"The limits {lower!r} and {upper!r} are no interval.")
    return lower, upper
