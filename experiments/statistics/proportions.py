"""Shares of units that did something, and tables of counts.

References
----------
.. [1] Mee (1984), "Confidence bounds for the difference between two probabilities", Biometrics
   40(4).
.. [2] Farrington and Manning (1990), "Test statistics and sample size formulae for comparative
   binomial trials with null hypothesis of non-zero risk difference or non-unity relative risk",
   Statistics in Medicine 9(12).
.. [3] Pearson (1900), "On the criterion that a given system of deviations ...", Philosophical
   Magazine 50.
.. [4] Fisher (1935), "The logic of inductive inference", Journal of the Royal Statistical Society
   98(1).
.. [5] Clopper and Pearson (1934), "The use of confidence or fiducial limits illustrated in the case
   of the binomial", Biometrika 26(4).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, chdtrc, gammaln

from experiments.statistics.checks import matrix_of, require, require_fraction, vector_of
from experiments.statistics.errors import SampleError
from experiments.statistics.estimates import Estimate, never_zero, quantile, two_sided
from experiments.statistics.frequentist import root_of
from experiments.statistics.summaries import Moments

FEW = 5.0  # expected counts below which chi-square and normal laws are rough
_MOST_TABLES = 10_000_000


@dataclass(frozen=True, slots=True)
class Proportion:
    """How many of an arm's units did it.

    Attributes
    ----------
    successes, trials : float
        Whole numbers, ``0 <= successes <= trials``.
    """

    successes: float
    trials: float

    def __post_init__(self) -> None:
        whole = all(float(number).is_integer() for number in (self.successes, self.trials))
        if not whole or not 0 <= self.successes <= self.trials:
            raise SampleError(
                f"{self.successes!r} of {self.trials!r} units is no proportion of whole units."
            )

    @classmethod
    def of(cls, sample: "ArrayLike | Moments | Proportion") -> "Proportion":
        """Return the count of a sample of zeros and ones, or of its moments.

        Raises
        ------
        SampleError
            A value that is neither 0 nor 1.
        """
        if isinstance(sample, Proportion):
            return sample
        if isinstance(sample, Moments):
            total = sample.n * sample.mean
            squares = sample.m2 + total * sample.mean
            slack = 1e-9 * max(1.0, sample.n)
            if abs(total - squares) > slack or abs(total - round(total)) > slack:
                raise SampleError("A yes-or-no metric has values other than 0 and 1.")
            return cls(round(total), round(sample.n))
        values = vector_of(sample, "values")
        if not bool(np.all((values == 0.0) | (values == 1.0))):
            raise SampleError("A yes-or-no metric has values other than 0 and 1.")
        return cls(float(values.sum()), float(values.size))

    @property
    def share(self) -> float:
        """Successes per trial."""
        require(self.trials > 0.0, "an arm has no units")
        return self.successes / self.trials

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the exact interval of the chance [5]_: never less sure than it says."""
        require_fraction(confidence=confidence)
        require(self.trials > 0.0, "an arm has no units")
        tail, missed = (1.0 - confidence) / 2.0, self.trials - self.successes
        lower, upper = 0.0, 1.0
        if self.successes:
            lower = float(betaincinv(self.successes, missed + 1.0, tail))
        if missed:
            upper = float(betaincinv(self.successes + 1.0, missed, 1.0 - tail))
        return lower, upper


@dataclass(frozen=True, slots=True)
class TableTest:
    """A test of independence in a table of counts.

    Attributes
    ----------
    statistic, freedom : float
        NaN-free; for Fisher's test the probability of the table, and 0.
    p_value : float
    method : str
    warnings : tuple of str
    """

    statistic: float
    freedom: float
    p_value: float
    method: str
    warnings: tuple[str, ...] = ()


def two_proportions(
    control: ArrayLike | Moments | Proportion,
    treatment: ArrayLike | Moments | Proportion,
    *,
    confidence: float = 0.95,
) -> Estimate:
    """Return the difference of two proportions by the score test.

    Parameters
    ----------
    control, treatment : Proportion, Moments, or array of zeros and ones, shape (n,)
    confidence : float

    Raises
    ------
    SampleError
        Values other than 0 and 1.
    NotComputedError
        An arm without units, or nothing (or everything) happened in both.

    Notes
    -----
    ``z = (pB - pA) / sqrt(p (1 - p) (1 / nA + 1 / nB))`` with p of both arms together; its square
    is the chi-square of the table without a correction. The interval holds the differences that
    the same test with shares fitted under them does not reject [1]_ [2]_, so it excludes zero
    exactly when the p-value says so. Warns where fewer than five are expected in a cell.
    """
    require_fraction(confidence=confidence)
    a, b = Proportion.of(control), Proportion.of(treatment)
    difference = b.share - a.share
    pooled = (a.successes + b.successes) / (a.trials + b.trials)
    require(0.0 < pooled < 1.0, "every unit of both arms has the same value")
    error = math.sqrt(pooled * (1.0 - pooled) * (1.0 / a.trials + 1.0 / b.trials))
    z = quantile(0.5 + confidence / 2.0, math.inf)

    def distance(delta: float) -> float:
        return abs(_score(a, b, delta)) - z

    fewest = min(pooled, 1.0 - pooled) * min(a.trials, b.trials)
    return Estimate(
        difference=difference,
        standard_error=error,
        lower=-1.0 if difference <= -1.0 else root_of(distance, difference, -1.0),
        upper=1.0 if difference >= 1.0 else root_of(distance, difference, 1.0),
        p_value=two_sided(difference / error, math.inf),
        confidence=confidence,
        freedom=math.inf,
        method="difference of proportions, score test",
        warnings=(_FEW_TEXT,) if fewest < FEW else (),
    )


_FEW_TEXT = "Fewer than five are expected in a cell: the normal law is rough, see Fisher's test."


def chi_square(counts: ArrayLike, *, is_corrected: bool = False) -> TableTest:
    """Test whether rows of a table of counts have the same shares [3]_.

    Parameters
    ----------
    counts : float array, shape (n_arms, n_outcomes), both >= 2
        Whole numbers >= 0.
    is_corrected : bool
        Yates' correction, for tables of 2 by 2 only; too cautious, and off by default.

    Raises
    ------
    SampleError
        Counts that are negative or not whole.
    NotComputedError
        A row or a column without counts, or a single one.
    """
    table = _counts(counts)
    require(min(table.shape) >= 2, "a table needs two rows and two columns")
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    require(bool(rows.all() and columns.all()), "a row or a column of the table is empty")
    expected = np.outer(rows, columns) / table.sum()
    off = np.abs(table - expected)
    if is_corrected and table.shape == (2, 2):
        off = off - np.minimum(0.5, off)
    statistic = float(np.sum(off * off / expected))
    freedom = float((table.shape[0] - 1) * (table.shape[1] - 1))
    few = "Fewer than five are expected in a cell: the chi-square law is rough."
    return TableTest(
        statistic, freedom, never_zero(float(chdtrc(freedom, statistic))), "chi-square test",
        (few,) if float(expected.min()) < FEW else (),
    )  # fmt: skip


def fisher_exact(
    control: ArrayLike | Moments | Proportion, treatment: ArrayLike | Moments | Proportion
) -> TableTest:
    """Test whether two proportions are equal by Fisher's exact test [4]_.

    Returns
    -------
    TableTest
        Two-sided: the probability of all tables with these margins that are not more likely than
        this one.

    Raises
    ------
    SampleError
    NotComputedError
        An arm without units, or more than ten million tables with these margins.
    """
    a, b = Proportion.of(control), Proportion.of(treatment)
    require(min(a.trials, b.trials) > 0.0, "an arm has no units")
    total, n = a.successes + b.successes, a.trials + b.trials
    low, high = max(0.0, total - a.trials), min(total, b.trials)
    require(high - low < _MOST_TABLES, "there are too many units for an exact test")
    k = np.arange(low, high + 1.0)
    logs = _log_choose(b.trials, k) + _log_choose(a.trials, total - k)
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    own = weights[int(b.successes - low)]
    p = float(weights[weights <= own * (1.0 + 1e-7)].sum())
    return TableTest(float(own), 0.0, never_zero(p), f"Fisher's exact test of {n:.0f} units")


def _score(a: Proportion, b: Proportion, delta: float) -> float:
    """Return the score statistic of "the difference is delta"; inf where it is impossible."""
    one, other = b.share, a.share
    theta = a.trials / b.trials
    first = 1.0 + theta
    second = -(1.0 + theta + one + theta * other + delta * (theta + 2.0))
    third = delta * delta + delta * (2.0 * one + theta + 1.0) + one + theta * other
    fourth = -one * delta * (1.0 + delta)
    v = second**3 / (27.0 * first**3) - second * third / (6.0 * first**2) + fourth / (2.0 * first)
    u = math.copysign(math.sqrt(max(0.0, second**2 / (9.0 * first**2) - third / (3.0 * first))), v)
    angle = 0.0 if u == 0.0 else math.acos(min(1.0, max(-1.0, v / u**3)))
    fitted = 2.0 * u * math.cos((math.pi + angle) / 3.0) - second / (3.0 * first)
    fitted = min(1.0, max(0.0, fitted, delta), 1.0 + delta)
    base = min(1.0, max(0.0, fitted - delta))
    variance = fitted * (1.0 - fitted) / b.trials + base * (1.0 - base) / a.trials
    off = one - other - delta
    if variance <= 0.0:
        return 0.0 if off == 0.0 else math.copysign(math.inf, off)
    return off / math.sqrt(variance)


def _log_choose(
    n: float, k: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    logs: np.ndarray[tuple[int], np.dtype[np.float64]]
    logs = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return logs


def _counts(counts: ArrayLike) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    table = matrix_of(counts, "counts")
    if bool(np.any(table < 0.0)) or bool(np.any(table != np.floor(table))):
        raise SampleError("Counts must be whole and not negative.")
    return table
