"""Two arms of independent units, judged once, at a time fixed beforehand.

Absolute differences are what to report. Every function takes raw values or the `Moments` that are
kept of them, and gives the same of both.

References
----------
.. [1] Welch (1947), "The generalization of Student's problem when several different population
   variances are involved", Biometrika 34.
.. [2] Deng, Knoblich and Lu (2018), "Applying the delta method in metric analytics", KDD.
.. [3] Mann and Whitney (1947), "On a test of whether one of two random variables is stochastically
   larger than the other", Annals of Mathematical Statistics 18(1).
.. [4] Newcombe (2006), "Confidence intervals for an effect size measure based on the Mann-Whitney
   statistic. Part 2", Statistics in Medicine 25(4); method 5.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.checks import pair_of, require, require_fraction, vector_of
from experiments.statistics.estimates import Estimate, never_zero, quantile, student_estimate
from experiments.statistics.summaries import Moments

Sample = ArrayLike | Moments

NEAR_ZERO = 5.0  # standard errors between a denominator and zero below which ratios mislead


def moments_of(sample: Sample) -> Moments:
    """Return the moments of a sample that may be given as such."""
    return sample if isinstance(sample, Moments) else Moments.of(sample)


def welch(control: Sample, treatment: Sample, *, confidence: float = 0.95) -> Estimate:
    """Return the difference of two means by Welch's t-test.

    Parameters
    ----------
    control, treatment : float array, shape (n,), or Moments
        Independent units, n >= 2.
    confidence : float
        0 < c < 1.

    Raises
    ------
    SampleError
        Missing or infinite values.
    NotComputedError
        Fewer than two units in an arm, or neither arm varies.

    Notes
    -----
    Variance ``vA / nA + vB / nB``; Satterthwaite's degrees of freedom [1]_.
    """
    a, b = moments_of(control), moments_of(treatment)
    return welch_of_variances(
        b.mean - a.mean, (a.variance / a.n, b.variance / b.n), (a.n, b.n),
        confidence=confidence, method="Welch's t-test",
    )  # fmt: skip


def paired_t(control: ArrayLike, treatment: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Return the mean difference of paired values by Student's t-test, pairs independent.

    Parameters
    ----------
    control, treatment : float array, shape (n,), n >= 2
        Values of the same units in the same order. Series in time belong to
        `dependent.mean_difference`.

    Raises
    ------
    ShapeError, SampleError
    NotComputedError
        One pair, or differences that do not vary.
    """
    a, b = pair_of(control, treatment)
    return t_of_differences(b - a, confidence=confidence)


def t_of_differences(differences: Sample, *, confidence: float = 0.95) -> Estimate:
    """Return the mean of differences by Student's t-test; as `paired_t` otherwise."""
    found = moments_of(differences)
    return student_estimate(
        found.mean, found.variance / found.n, freedom=found.n - 1.0,
        confidence=confidence, method="paired t-test",
    )  # fmt: skip


def ratio_difference(control: Moments, treatment: Moments, *, confidence: float = 0.95) -> Estimate:
    """Return the difference of two ratios of sums, as profit per trade of units with many trades.

    Parameters
    ----------
    control, treatment : Moments
        Of the numerator y, with the denominator as covariate x, one observation per unit:
        ``Moments.of(y, x)``.
    confidence : float

    Raises
    ------
    NotComputedError
        Fewer than two units, a denominator of zero, or no variance.

    Notes
    -----
    Delta method [2]_: with ``R = mean(y) / mean(x)`` the variance of one arm's ratio is
    ``(s_yy - 2 R s_xy + R^2 s_xx) / (n mean(x)^2)``. Warns where a mean denominator is within five
    standard errors of zero.
    """
    ratios, variances, warnings = [], [], []
    for arm in (control, treatment):
        require(arm.x_mean != 0.0, "the denominator of an arm is zero")
        ratio = arm.mean / arm.x_mean
        spread = arm.variance - 2.0 * ratio * arm.covariance + ratio**2 * arm.x_variance
        ratios.append(ratio)
        variances.append(max(0.0, spread) / (arm.n * arm.x_mean**2))
        warnings.append(_near_zero("The mean denominator", arm.x_mean, arm.x_variance / arm.n))
    return welch_of_variances(
        ratios[1] - ratios[0], (variances[0], variances[1]), (control.n, treatment.n),
        confidence=confidence, method="difference of ratios, delta method",
    ).warned(*dict.fromkeys(warnings))  # fmt: skip


def relative_lift(control: Sample, treatment: Sample, *, confidence: float = 0.95) -> Estimate:
    """Return ``mean(treatment) / mean(control) - 1``; for returns report `welch` instead.

    Raises
    ------
    NotComputedError
        Fewer than two units, a baseline of zero, or no variance.

    Notes
    -----
    Variance ``vB / (mA^2 nB) + vA mB^2 / (mA^4 nA)`` [2]_. A mean return is always near zero, and
    a ratio to it has neither mean nor variance: a warning says when the baseline is within five
    standard errors of zero.
    """
    a, b = moments_of(control), moments_of(treatment)
    require(a.mean != 0.0, "the baseline is zero")
    error = a.variance / a.n
    parts = (error * b.mean**2 / a.mean**4, b.variance / (b.n * a.mean**2))
    return welch_of_variances(
        b.mean / a.mean - 1.0, parts, (a.n, b.n), confidence=confidence,
        method="relative lift, delta method",
    ).warned(_near_zero("The baseline", a.mean, error))  # fmt: skip


def mann_whitney(control: ArrayLike, treatment: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Return by how much the chance that a treated value is the larger exceeds one half.

    Parameters
    ----------
    control, treatment : float array, shape (n,), n >= 2
        Independent units.

    Returns
    -------
    Estimate
        ``P(B > A) + P(B = A) / 2 - 1/2``. It says nothing about means: a strategy that wins most
        days may lose money.

    Raises
    ------
    SampleError
    NotComputedError
        One unit in an arm, or all values equal.

    Notes
    -----
    The p-value is exact for up to eight values in an arm without ties, else normal with a
    correction for ties and continuity [3]_; the interval inverts the variance under the law of
    [4]_ and is inside (-1/2, 1/2) even when the arms do not overlap.
    """
    from scipy.stats import mannwhitneyu, rankdata

    require_fraction(confidence=confidence)
    a, b = vector_of(control, "control"), vector_of(treatment, "treatment")
    require(min(a.size, b.size) >= 2, "an arm has a single value")
    both = np.concatenate([a, b])
    require(float(np.ptp(both)) > 0.0, "all values are equal")
    test = mannwhitneyu(b, a)
    pairs, n = float(a.size) * b.size, float(both.size)
    chance = float(test.statistic) / pairs
    ties = np.unique(rankdata(both), return_counts=True)[1].astype(np.float64)
    variance = (n + 1.0 - float(np.sum(ties**3 - ties)) / (n * (n - 1.0))) / (12.0 * pairs)
    z = quantile(0.5 + confidence / 2.0, math.inf)

    def distance(theta: float) -> float:
        return abs(theta - chance) - z * math.sqrt(_chance_variance(theta, a.size, b.size))

    return Estimate(
        difference=chance - 0.5,
        standard_error=math.sqrt(variance),
        lower=(0.0 if chance <= 0.0 else root_of(distance, chance, 0.0)) - 0.5,
        upper=(1.0 if chance >= 1.0 else root_of(distance, chance, 1.0)) - 0.5,
        p_value=never_zero(float(test.pvalue)),
        confidence=confidence,
        freedom=math.inf,
        method="Mann-Whitney test, chance to be larger less one half",
    )


def welch_of_variances(
    difference: float,
    variances: tuple[float, float],
    sizes: tuple[float, float],
    *,
    confidence: float,
    method: str,
) -> Estimate:
    """Return the estimate of a difference from the variances of its two independent parts."""
    total = variances[0] + variances[1]
    require(total > 0.0, "the values of neither arm vary")
    shares = sum(
        (variance / total) ** 2 / (n - 1.0) for variance, n in zip(variances, sizes, strict=True)
    )
    return student_estimate(
        difference, total, freedom=1.0 / shares, confidence=confidence, method=method
    )


def root_of(distance: Callable[[float], float], inside: float, outside: float) -> float:
    """Return where a function that is negative inside and positive outside changes its sign."""
    for _ in range(100):
        middle = 0.5 * (inside + outside)
        if distance(middle) <= 0.0:
            inside = middle
        else:
            outside = middle
    return 0.5 * (inside + outside)


def _chance_variance(theta: float, n_control: int, n_treatment: int) -> float:
    both = 0.5 * (n_control + n_treatment) - 1.0
    inner = 1.0 + both * ((1.0 - theta) / (2.0 - theta) + theta / (1.0 + theta))
    return theta * (1.0 - theta) * inner / (float(n_control) * n_treatment)


def _near_zero(name: str, mean: float, variance: float) -> str:
    """Return a warning, or nothing."""
    if abs(mean) >= NEAR_ZERO * math.sqrt(variance):
        return ""
    return f"{name} is within five standard errors of zero: a ratio to it misleads."
