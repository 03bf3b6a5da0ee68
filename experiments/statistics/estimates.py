"""What a comparison of two arms hands out: a difference with its interval."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scipy.special import ndtr, ndtri, stdtr, stdtrit

from experiments.statistics.checks import require, require_fraction


@dataclass(frozen=True, slots=True)
class Estimate:
    """A difference between two arms, treatment less control.

    Attributes
    ----------
    difference : float
        In the unit of the metric, unless `method` says that it is relative.
    standard_error : float
        > 0.
    lower, upper : float
        Two-sided interval.
    p_value : float
        Two-sided, of "there is no difference"; for one look at a time fixed beforehand.
    confidence : float
        Of the interval.
    freedom : float
        Degrees of freedom; inf for a normal law.
    method : str
        How all this was found, for people.
    warnings : tuple of str
        What the reader must know before he believes it.
    """

    difference: float
    standard_error: float
    lower: float
    upper: float
    p_value: float
    confidence: float
    freedom: float
    method: str
    warnings: tuple[str, ...] = ()

    @property
    def statistic(self) -> float:
        """The difference in standard errors."""
        return self.difference / self.standard_error

    def warned(self, *warnings: str) -> "Estimate":
        """Return the estimate with warnings that are not empty added to its own."""
        return replace(self, warnings=self.warnings + tuple(text for text in warnings if text))


def student_estimate(
    difference: float,
    variance: float,
    *,
    confidence: float,
    method: str,
    freedom: float = math.inf,
    warnings: Sequence[str] = (),
) -> Estimate:
    """Return the estimate whose error over its own standard error has a Student law.

    Parameters
    ----------
    difference : float
    variance : float
        Of the difference.
    confidence : float
        0 < c < 1.
    freedom : float
        Degrees of freedom, > 0; inf for a normal law.

    Raises
    ------
    SettingsError
        A confidence outside its domain.
    NotComputedError
        No variance, no degree of freedom, or a result that is not finite.
    """
    require_fraction(confidence=confidence)
    require(math.isfinite(difference) and math.isfinite(variance), "the sums overflow")
    require(variance > 0.0, "the values do not vary")
    require(freedom > 0.0, "there are too few observations for a standard error")
    error = math.sqrt(variance)
    reach = quantile(0.5 + confidence / 2.0, freedom) * error
    require(error > 0.0 and math.isfinite(reach), "there are too few observations for an interval")
    return Estimate(
        difference=difference,
        standard_error=error,
        lower=difference - reach,
        upper=difference + reach,
        p_value=two_sided(difference / error, freedom),
        confidence=confidence,
        freedom=freedom,
        method=method,
        warnings=tuple(warnings),
    )


def quantile(probability: float, freedom: float) -> float:
    """Return a quantile of the Student law; of the normal one with freedom inf."""
    if math.isinf(freedom):
        return float(ndtri(probability))
    return float(stdtrit(freedom, probability))


def two_sided(statistic: float, freedom: float) -> float:
    """Return the two-sided p-value of a statistic, at least the smallest normal number.

    Notes
    -----
    From the lower tail, which keeps its digits: one less the upper one would be 0 from |z| = 8.3.
    """
    at = -abs(statistic)
    tail = ndtr(at) if math.isinf(freedom) else stdtr(freedom, at)
    return never_zero(2.0 * float(tail))


def never_zero(p_value: float) -> float:
    """Return a p-value that may have underflowed as at least the smallest normal number."""
    return max(sys.float_info.min, min(1.0, p_value))
