"""Less variance for the same difference: what was known beforehand is taken off.

References
----------
.. [1] Deng, Xu, Kohavi and Walker (2013), "Improving the sensitivity of online controlled
   experiments by utilizing pre-experiment data", WSDM.
.. [2] Jensen (1968), "The performance of mutual funds in the period 1945-1964", Journal of Finance
   23(2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from experiments.statistics.checks import (
    is_still,
    pair_of,
    require,
    require_finite,
    vector_of,
)
from experiments.statistics.dependent import FEWEST, robust_estimate
from experiments.statistics.errors import ShapeError
from experiments.statistics.estimates import Estimate
from experiments.statistics.frequentist import welch_of_variances
from experiments.statistics.summaries import Moments

_UNBALANCED = 4.0  # standard errors by which a covariate from before the assignment cannot differ


@dataclass(frozen=True, slots=True)
class AdjustedEstimate:
    """A difference after something known has been taken off.

    Attributes
    ----------
    estimate : Estimate
    slope : float
        How much of the covariate was taken off: theta, or the difference's beta.
    variance_ratio : float
        Variance of the adjusted difference over that of the plain one; 0.5 is worth twice the
        units.
    """

    estimate: Estimate
    slope: float
    variance_ratio: float


def cuped(
    control: Moments,
    treatment: Moments,
    *,
    others: Sequence[Moments] = (),
    confidence: float = 0.95,
) -> AdjustedEstimate:
    """Return the difference of two means with a covariate from before the assignment taken off.

    Parameters
    ----------
    control, treatment : Moments
        With their covariate: ``Moments.of(y, x)``, or of a table of periods.
    others : sequence of Moments
        Further arms, which help to estimate the slope.
    confidence : float

    Raises
    ------
    NotComputedError
        Fewer than two units in an arm, or values or covariate that do not vary.

    Notes
    -----
    ``Y' = Y - theta (X - mean(X))`` with theta from the sums within the arms, pooled over them;
    the variance falls by ``1 - rho^2`` [1]_. One degree of freedom goes to theta. The covariate
    must have been measured before the assignment: a warning says when the arms differ in it by more
    than four standard errors.
    """
    arms = (control, treatment, *others)
    x_m2 = math.fsum(arm.x_m2 for arm in arms)
    require(x_m2 > 0.0, "the covariate does not vary")
    theta = math.fsum(arm.xy for arm in arms) / x_m2
    freedom = math.fsum(arm.n for arm in arms) - len(arms)
    require(freedom > 1.0, "there are too few units for a slope")
    factor = freedom / (freedom - 1.0)
    plain = [arm.variance / arm.n for arm in (control, treatment)]
    parts = [
        factor
        * max(0.0, arm.variance - 2.0 * theta * arm.covariance + theta**2 * arm.x_variance)
        / arm.n
        for arm in (control, treatment)
    ]
    require(sum(parts) > 1e-13 * sum(plain), "nothing varies but the covariate")
    x_off = treatment.x_mean - control.x_mean
    estimate = welch_of_variances(
        treatment.mean - control.mean - theta * x_off, (parts[0], parts[1]),
        (control.n, treatment.n), confidence=confidence, method="difference of means, CUPED",
    )  # fmt: skip
    x_error = math.sqrt(control.x_variance / control.n + treatment.x_variance / treatment.n)
    is_off = abs(x_off) > _UNBALANCED * x_error
    warning = "The arms differ in the covariate: was it measured before the assignment?"
    return AdjustedEstimate(
        estimate.warned(warning if is_off else ""), theta, sum(parts) / sum(plain)
    )


def market_adjusted_difference(
    control: ArrayLike,
    treatment: ArrayLike,
    market: ArrayLike,
    *,
    expected_market: float = 0.0,
    lag: int | None = None,
    confidence: float = 0.95,
) -> AdjustedEstimate:
    """Return the mean difference of two strategies at the market's expected return.

    Parameters
    ----------
    control, treatment, market : float array, shape (n,), n >= 10
        Returns in the same periods, in the order of time [fraction].
    expected_market : float
        Return of the market a period at which the arms are compared. 0 gives the difference of the
        two alphas [2]_: what is left when neither is paid for holding more of the market.
    lag : int, optional
        As `dependent.mean_of_series`.
    confidence : float

    Raises
    ------
    ShapeError, SampleError, SettingsError
    NotComputedError
        Fewer than ten periods, a constant market, or a difference that is the market's alone.

    Notes
    -----
    ``D_t = a + b (M_t - m) + e_t`` by least squares; the error of a from the long-run variance of
    its influence ``e_t (X'X / n)^-1 x_t``, fixed-b as in `dependent.mean_of_series`.
    """
    one, other = pair_of(control, treatment)
    m = vector_of(market, "market")
    require_finite(expected_market=expected_market)
    d, n = other - one, one.size
    if m.size != n:
        raise ShapeError(f"There are {n} returns and {m.size} of the market.")
    require(n >= FEWEST, f"there are {n} of the ten periods that it takes")
    require(not is_still(m), "the market does not vary")
    require(not is_still(d), "the differences do not vary")
    off = m - m.mean()
    slope = float(off @ d) / float(off @ off)
    residual = d - d.mean() - slope * off
    require(float(residual @ residual) > 1e-20 * float(d @ d), "only the market varies")
    away = float(m.mean()) - expected_market
    influence = residual * (1.0 - away * off / float(off @ off) * n)
    estimate = robust_estimate(
        float(d.mean()) - slope * away, influence, lag=lag, confidence=confidence, n_fitted=2,
        method=f"difference at a market return of {expected_market:g}",
    )  # fmt: skip
    plain = robust_estimate(
        float(d.mean()), d - d.mean(), lag=lag, confidence=confidence, method="plain"
    )
    ratio = (estimate.standard_error / plain.standard_error) ** 2
    return AdjustedEstimate(estimate, slope, ratio)
