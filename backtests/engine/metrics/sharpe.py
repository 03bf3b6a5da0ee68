"""The Sharpe ratio, how sure it is, and what is left of it after a search."""

import math

import numpy as np

from backtests.engine.dtypes import FloatArray
from backtests.engine.metrics.conventions import Settings
from backtests.engine.metrics.growth import Tally, cagr_of
from backtests.engine.metrics.reasons import Reason
from backtests.engine.metrics.row import Column, Row, miss, miss_between, put
from backtests.engine.metrics.sample import Workspace
from numerics.compilation import njit
from numerics.hac import long_run_variance
from numerics.sharpe import shape_factor, sharpe_probability, track_record_length


@njit(cache=True, error_model="numpy")
def standard_error(sharpe: float, variance: float, workspace: Workspace, lag: int) -> float:
    """Return the standard error of a Sharpe ratio per bar under autocorrelation.

    Parameters
    ----------
    sharpe : float
        Mean excess return over the population standard deviation, per bar.
    variance : float
        Population variance, > 0.
    workspace : Workspace
        `deviation` holds the returns less their mean; `scratch` is overwritten.
    lag : int
        Highest autocovariance used.

    Notes
    -----
    Delta method: with z the standardized returns, the ratio's influence function is
    ``z - SR / 2 (z^2 - 1)``; its Newey-West long-run variance over n is the squared error. The
    same as Newey-West on (r, r^2) with the gradient of ``m / sqrt(c - m^2)``.

    References
    ----------
    .. [1] Lo (2002), "The statistics of Sharpe ratios", Financial Analysts Journal 58(4).
    """
    n = workspace.deviation.size
    influence = workspace.scratch[:n]
    scale = 1.0 / math.sqrt(variance)
    for t in range(n):
        z = workspace.deviation[t] * scale
        influence[t] = z - 0.5 * sharpe * (z * z - 1.0)
    return math.sqrt(long_run_variance(influence, lag) / n)


@njit(cache=True, error_model="numpy")
def compound_excess(returns: FloatArray, rate: float) -> float:
    """Return the product of ``1 + r - rate``; NaN where a factor is not positive."""
    growth = 1.0
    for t in range(returns.size):
        factor = 1.0 + returns[t] - rate
        growth *= factor if factor > 0.0 else np.nan
    return growth


@njit(cache=True, error_model="numpy")
def measure_sharpe(
    tally: Tally, settings: Settings, workspace: Workspace, lag: int, row: Row
) -> None:
    """Write the Sharpe ratio and its family.

    Parameters
    ----------
    tally : Tally
    settings : Settings
        q is `periods`, f the risk-free return per bar.
    workspace : Workspace
        Holds the returns and their deviations; scratch is overwritten.
    lag : int
        For the standard error.
    row : Row

    Notes
    -----
    With S = (mean(r) - f) / sd(r) per bar, g3 and g4 the population skewness and kurtosis:

    - sharpe: S sqrt(q); or compound excess growth per year over annual volatility;
    - sharpe_standard_error: `standard_error` times sqrt(q);
    - probabilistic_sharpe: Phi((S - S*) sqrt((n - 1) / (1 - g3 S + (g4 - 1) / 4 S^2)));
    - minimum_track_record [bars]: 1 + (1 - g3 S + (g4 - 1) / 4 S^2) (z / (S - S*))^2, missing
      unless S > S*;
    - deflated_sharpe: the probability at S* = what the largest of all trials is expected to show
      by luck, missing without `Trials` [1]_.

    All are missing with fewer than two returns or returns that do not vary.

    References
    ----------
    .. [1] Bailey and Lopez de Prado (2014), "The deflated Sharpe ratio", Journal of Portfolio
       Management 40(5).
    """
    if tally.n < 2 or not tally.varies:
        reason = Reason.TOO_FEW_RETURNS if tally.n < 2 else Reason.NO_VARIATION
        miss_between(row, Column.SHARPE, Column.DEFLATED_SHARPE, reason)
        return
    year, excess = math.sqrt(settings.periods), tally.mean - settings.risk_free_bar
    sharpe = excess / tally.deviation
    if settings.is_cagr_sharpe:
        growth = compound_excess(workspace.returns, settings.risk_free_bar)
        annual = cagr_of(growth, tally.n, settings.periods)
        put(row, Column.SHARPE, annual / (tally.deviation * year))
    else:
        put(row, Column.SHARPE, sharpe * year)
    plain = excess / math.sqrt(tally.variance)
    error = standard_error(plain, tally.variance, workspace, lag)
    if error == 0.0:
        miss(row, Column.SHARPE_STANDARD_ERROR, Reason.NO_VARIANCE)
    else:
        put(row, Column.SHARPE_STANDARD_ERROR, error * year)
    factor = shape_factor(sharpe, tally.skewness, tally.excess_kurtosis)
    if factor <= 0.0:
        reason = Reason.SHARPE_VARIANCE
        miss_between(row, Column.PROBABILISTIC_SHARPE, Column.DEFLATED_SHARPE, reason)
        return
    against = settings.sharpe_benchmark_bar
    probability = sharpe_probability(sharpe, against, tally.n, factor)
    put(row, Column.PROBABILISTIC_SHARPE, probability)
    if sharpe > against:
        length = track_record_length(sharpe, against, settings.confidence_z, factor)
        put(row, Column.MINIMUM_TRACK_RECORD, length)
    else:
        miss(row, Column.MINIMUM_TRACK_RECORD, Reason.BELOW_BENCHMARK_SHARPE)
    if math.isnan(settings.expected_maximum_bar):
        miss(row, Column.DEFLATED_SHARPE, Reason.NO_TRIALS)
    else:
        luck = settings.expected_maximum_bar
        put(row, Column.DEFLATED_SHARPE, sharpe_probability(sharpe, luck, tally.n, factor))
