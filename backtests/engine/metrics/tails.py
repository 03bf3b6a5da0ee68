"""Figures of the distribution of the returns per bar."""

import math

from backtests.engine.metrics.conventions import Settings
from backtests.engine.metrics.growth import Tally
from backtests.engine.metrics.reasons import Reason
from backtests.engine.metrics.row import Column, Row, miss, miss_between, put, put_ratio
from backtests.engine.metrics.sample import Workspace
from numerics.compilation import njit
from numerics.selection import gather_for, quantile_of


@njit(cache=True, error_model="numpy")
def cornish_fisher(z: float, skewness: float, excess_kurtosis: float) -> tuple[float, float]:
    """Return a standardized quantile corrected for skewness and kurtosis, and its slope in z.

    Parameters
    ----------
    z : float
        The normal quantile.
    skewness, excess_kurtosis : float
        Population moments.

    Notes
    -----
    ``z + (z^2 - 1) S/6 + (z^3 - 3z) K/24 - (2z^3 - 5z) S^2/36``. Where the slope is not positive
    the expansion orders the tail wrongly.

    References
    ----------
    .. [1] Cornish and Fisher (1938), "Moments and cumulants in the specification of
       distributions", Revue de l'Institut International de Statistique 5(4).
    .. [2] Zangari (1996), "A VaR methodology for portfolios that include options", RiskMetrics
       Monitor 1996 Q1.
    """
    skew_square, cube = skewness * skewness, z * z * z
    quantile = (
        z
        + (z * z - 1.0) * skewness / 6.0
        + (cube - 3.0 * z) * excess_kurtosis / 24.0
        - (2.0 * cube - 5.0 * z) * skew_square / 36.0
    )
    slope = (
        1.0
        + z * skewness / 3.0
        + (z * z - 1.0) * excess_kurtosis / 8.0
        - (6.0 * z * z - 5.0) * skew_square / 36.0
    )
    return quantile, slope


@njit(cache=True, error_model="numpy")
def edgeworth_tail_mean(
    quantile: float, probability: float, skewness: float, excess_kurtosis: float
) -> float:
    """Return the mean below a standardized quantile under the second-order Edgeworth density.

    Parameters
    ----------
    quantile : float
        Standardized, as `cornish_fisher` returns it.
    probability : float
        Of the tail.
    skewness, excess_kurtosis : float
        Population moments.

    Notes
    -----
    With g the quantile and phi the normal density: ``-phi(g) / p [1 + S/6 g^3 + K/24 (g^4 - 2g^2 -
    1) + S^2/72 (g^6 - 9g^4 + 9g^2 + 3)]``, by integrating z times the density term by term.

    References
    ----------
    .. [1] Boudt, Peterson and Croux (2008), "Estimation and decomposition of downside risk for
       portfolios with non-normal returns", Journal of Risk 11(2).
    """
    square = quantile * quantile
    density = math.exp(-0.5 * square) / math.sqrt(2.0 * math.pi)
    correction = (
        1.0
        + skewness / 6.0 * quantile * square
        + excess_kurtosis / 24.0 * (square * square - 2.0 * square - 1.0)
        + skewness
        * skewness
        / 72.0
        * (square * square * square - 9.0 * square * square + 9.0 * square + 3.0)
    )
    return -density / probability * correction


@njit(cache=True, error_model="numpy")
def measure_tails(
    tally: Tally, settings: Settings, workspace: Workspace, row: Row
) -> tuple[float, float]:
    """Write historical value at risk, its conditional mean, and the tail ratio.

    Parameters
    ----------
    tally : Tally
    settings : Settings
        p is `tail_probability`.
    workspace : Workspace
        Holds the returns; both scratches are overwritten.
    row : Row

    Returns
    -------
    tuple of float
        The smallest and the largest return, which are found on the way.

    Notes
    -----
    - value_at_risk_95: p quantile, type 7; a loss is negative;
    - conditional_value_at_risk_95: mean of the returns at or below it (Rockafellar and Uryasev
      2000, historical);
    - tail_ratio: size of the 1 - p quantile over size of the p quantile; missing if that is 0.
    """
    n, probability = tally.n, settings.tail_probability
    below, above = workspace.scratch, workspace.upper
    n_below, n_above = gather_for(
        workspace.returns, probability, tally.mean, math.sqrt(tally.variance), below, above
    )
    low = quantile_of(below, n, n_below, probability)
    high = -quantile_of(above, n, n_above, probability)
    total, n_losses, smallest = 0.0, 0, below[0]
    for t in range(n_below):
        smallest = min(smallest, below[t])
        if below[t] <= low:
            total += below[t]
            n_losses += 1
    largest = above[0]
    for t in range(n_above):
        largest = min(largest, above[t])
    put(row, Column.VALUE_AT_RISK_95, low)
    put(row, Column.CONDITIONAL_VALUE_AT_RISK_95, total / n_losses)
    put_ratio(row, Column.TAIL_RATIO, abs(high), abs(low), Reason.QUANTILE_IS_ZERO)
    return smallest, -largest


@njit(cache=True, error_model="numpy")
def measure_shape(tally: Tally, settings: Settings, row: Row) -> None:
    """Write the moments and the parametric values at risk.

    Parameters
    ----------
    tally : Tally
    settings : Settings
        p is `tail_probability`, z its normal quantile.
    row : Row

    Notes
    -----
    - gaussian_value_at_risk_95: mean + z sd; its conditional mean: mean - sd phi(z) / p;
    - cornish_fisher_...: the same with `cornish_fisher` and `edgeworth_tail_mean`; missing where
      the expansion is not increasing at z, or puts the tail's mean above its quantile;
    - skewness, excess_kurtosis: population m3 / m2^1.5, m4 / m2^2 - 3, or corrected for bias as
      G1 and G2 of Joanes and Gill (1998);
    - autocorrelation: sum of d[t] d[t-1] over sum of d[t]^2, d the deviations from the mean.

    Missing with fewer than two returns, and all but the Gaussian ones if these do not vary.
    """
    n, mean, deviation = float(tally.n), tally.mean, tally.deviation
    if tally.n < 2:
        first = Column.GAUSSIAN_VALUE_AT_RISK_95
        last = Column.CORNISH_FISHER_CONDITIONAL_VALUE_AT_RISK_95
        miss_between(row, first, last, Reason.TOO_FEW_RETURNS)
        first, last = Column.SKEWNESS, Column.AUTOCORRELATION
        miss_between(row, first, last, Reason.TOO_FEW_RETURNS)
        return
    probability, z = settings.tail_probability, settings.tail_z
    put(row, Column.GAUSSIAN_VALUE_AT_RISK_95, mean + z * deviation)
    tail_mean = mean - deviation * settings.tail_density / probability
    put(row, Column.GAUSSIAN_CONDITIONAL_VALUE_AT_RISK_95, tail_mean)
    if not tally.varies:
        miss(row, Column.CORNISH_FISHER_VALUE_AT_RISK_95, Reason.NO_VARIATION)
        miss(row, Column.CORNISH_FISHER_CONDITIONAL_VALUE_AT_RISK_95, Reason.NO_VARIATION)
        miss_between(row, Column.SKEWNESS, Column.AUTOCORRELATION, Reason.NO_VARIATION)
        return
    skew, kurtosis = tally.skewness, tally.excess_kurtosis
    quantile, slope = cornish_fisher(z, skew, kurtosis)
    below = edgeworth_tail_mean(quantile, probability, skew, kurtosis)
    put(row, Column.CORNISH_FISHER_VALUE_AT_RISK_95, mean + quantile * deviation)
    put(row, Column.CORNISH_FISHER_CONDITIONAL_VALUE_AT_RISK_95, mean + below * deviation)
    if slope <= 0.0:
        miss(row, Column.CORNISH_FISHER_VALUE_AT_RISK_95, Reason.EXPANSION_FAILS)
    if slope <= 0.0 or below > quantile:
        miss(row, Column.CORNISH_FISHER_CONDITIONAL_VALUE_AT_RISK_95, Reason.EXPANSION_FAILS)
    if settings.is_bias_corrected:
        skew *= math.sqrt(n * (n - 1.0)) / (n - 2.0)
        kurtosis = ((n + 1.0) * kurtosis + 6.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0))
    put(row, Column.SKEWNESS, skew)
    put(row, Column.EXCESS_KURTOSIS, kurtosis)
    put(row, Column.AUTOCORRELATION, tally.autocorrelation)
