"""Figures of return, and of return for risk."""

import math
from statistics import NormalDist

import numpy as np

from backtests.engine.metrics.metric import ratio, require
from backtests.engine.metrics.sample import Sample
from numerics.hac import long_run_covariance
from numerics.moments import excess_kurtosis, skewness


def annual_return(sample: Sample) -> float:
    """Return the arithmetic mean return times the bars per year."""
    return float(sample.returns.mean()) * sample.periods


def volatility(sample: Sample) -> float:
    """Return the annual standard deviation, ddof 1."""
    require(sample.returns.size >= 2, "there are fewer than two returns")
    return float(sample.returns.std(ddof=1)) * math.sqrt(sample.periods)


def downside_deviation(sample: Sample) -> float:
    """Return the root of the mean squared negative return over all returns, per bar."""
    return math.sqrt(float(np.mean(np.minimum(sample.returns, 0.0) ** 2)))


def downside_volatility(sample: Sample) -> float:
    """Return the annual downside deviation."""
    return downside_deviation(sample) * math.sqrt(sample.periods)


def sharpe_per_bar(sample: Sample) -> float:
    """Return mean over standard deviation (ddof 1), not annualized."""
    returns = sample.varying_returns()
    return float(returns.mean() / returns.std(ddof=1))


def sharpe(sample: Sample) -> float:
    """Return the annual Sharpe ratio."""
    return sharpe_per_bar(sample) * math.sqrt(sample.periods)


def sharpe_standard_error(sample: Sample) -> float:
    """Return the annual standard error by the delta method on HAC moments.

    Notes
    -----
    With m the mean, c the second raw moment and v = c - m^2: the gradient of m / sqrt(v) is
    (c / v^1.5, -m / (2 v^1.5)); the covariance of (r, r^2) is Newey-West with the plug-in lag.

    References
    ----------
    .. [1] Lo (2002), "The statistics of Sharpe ratios", Financial Analysts Journal 58(4).
    """
    returns = sample.varying_returns()
    mean, raw = float(returns.mean()), float(np.mean(returns**2))
    variance = raw - mean**2
    gradient = np.array([raw, -mean / 2.0]) / variance**1.5
    long_run = long_run_covariance(np.column_stack([returns, returns**2]))
    per_bar = math.sqrt(max(0.0, float(gradient @ long_run @ gradient)) / returns.size)
    require(per_bar > 0.0, "the estimated variance is zero")
    return per_bar * math.sqrt(sample.periods)


def probabilistic_sharpe(sample: Sample) -> float:
    """Return the probability that the true Sharpe ratio is above zero.

    References
    ----------
    .. [1] Bailey and Lopez de Prado (2012), "The Sharpe ratio efficient frontier", Journal of
       Risk 15(2).
    """
    observed = sharpe_per_bar(sample)
    skew = skewness(sample.returns)
    raw_kurtosis = excess_kurtosis(sample.returns) + 3.0
    variance = 1.0 - skew * observed + (raw_kurtosis - 1.0) / 4.0 * observed**2
    require(variance > 0.0, "the estimated variance of the Sharpe ratio is not positive")
    z = observed * math.sqrt((sample.returns.size - 1) / variance)
    return NormalDist().cdf(z)


def sortino(sample: Sample) -> float:
    """Return the annual mean over the annual downside deviation, target 0."""
    return ratio(annual_return(sample), downside_volatility(sample), "no return was negative")


def omega(sample: Sample) -> float:
    """Return the sum of gains over the sum of losses, threshold 0."""
    returns = sample.returns
    losses = -float(returns[returns < 0.0].sum())
    return ratio(float(returns[returns > 0.0].sum()), losses, "no return was negative")


def gain_to_pain(sample: Sample) -> float:
    """Return the sum of all returns over the sum of losses."""
    losses = -float(sample.returns[sample.returns < 0.0].sum())
    return ratio(float(sample.returns.sum()), losses, "no return was negative")


def hit_rate(sample: Sample) -> float:
    """Return the share of gains among the bars with a gain or a loss."""
    returns = sample.returns
    moved = int(np.count_nonzero(returns))
    return ratio(float(np.count_nonzero(returns > 0.0)), moved, "equity never changed")


def payoff(sample: Sample) -> float:
    """Return the mean gain over the mean loss."""
    gains = sample.returns[sample.returns > 0.0]
    losses = sample.returns[sample.returns < 0.0]
    require(gains.size > 0, "no return was positive")
    require(losses.size > 0, "no return was negative")
    return float(gains.mean() / -losses.mean())
