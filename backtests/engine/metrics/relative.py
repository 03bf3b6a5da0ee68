"""Figures against a benchmark."""

import math

import numpy as np

from backtests.engine.dtypes import FloatArray
from backtests.engine.metrics.metric import require
from backtests.engine.metrics.sample import Sample
from numerics.moments import is_constant


def beta(sample: Sample) -> float:
    """Return the slope of the returns on the benchmark's."""
    returns, market = _pair(sample)
    deviation = market - market.mean()
    return float(deviation @ (returns - returns.mean()) / (deviation @ deviation))


def alpha(sample: Sample) -> float:
    """Return the intercept of the returns on the benchmark's, times the bars per year."""
    returns, market = _pair(sample)
    return float(returns.mean() - beta(sample) * market.mean()) * sample.periods


def correlation(sample: Sample) -> float:
    """Return Pearson's correlation."""
    returns, market = _pair(sample)
    require(not is_constant(returns), "the returns do not vary")
    return float(np.corrcoef(returns, market)[0, 1])


def r_squared(sample: Sample) -> float:
    """Return the squared correlation."""
    return correlation(sample) ** 2


def tracking_error(sample: Sample) -> float:
    """Return the annual standard deviation of the active returns, ddof 1."""
    active = _active(sample)
    return float(active.std(ddof=1)) * math.sqrt(sample.periods)


def information_ratio(sample: Sample) -> float:
    """Return the annual mean active return over the tracking error."""
    active = _active(sample)
    require(not is_constant(active), "the active returns do not vary")
    return float(active.mean()) * sample.periods / tracking_error(sample)


def up_capture(sample: Sample) -> float:
    """Return compounded return over compounded benchmark return, on its rising bars."""
    return _capture(sample, 1.0)


def down_capture(sample: Sample) -> float:
    """Return compounded return over compounded benchmark return, on its falling bars."""
    return _capture(sample, -1.0)


def _capture(sample: Sample, sign: float) -> float:
    returns, market = _pair(sample)
    chosen = sign * market > 0.0
    require(bool(chosen.any()), "the benchmark never moved that way")
    market_growth = math.expm1(float(np.log1p(market[chosen]).sum()))
    return math.expm1(float(np.log1p(returns[chosen]).sum())) / market_growth


def _pair(sample: Sample) -> tuple[FloatArray, FloatArray]:
    returns, market = sample.returns, sample.benchmark_returns
    require(returns.size >= 2, "there are fewer than two returns")
    require(not is_constant(market), "the benchmark's returns do not vary")
    return returns, market


def _active(sample: Sample) -> FloatArray:
    require(sample.returns.size >= 2, "there are fewer than two returns")
    difference: FloatArray = sample.returns - sample.benchmark_returns
    return difference
