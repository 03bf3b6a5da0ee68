"""Figures of drawdowns and of the tails of the returns."""

import math

import numpy as np

from backtests.engine.metrics.calendar import months_of
from backtests.engine.metrics.metric import ratio, require
from backtests.engine.metrics.sample import DAY_NS, Sample, period_ends, simple_returns
from numerics.moments import excess_kurtosis, skewness

_NEVER_FELL = "equity never fell from a peak"


def max_drawdown(sample: Sample) -> float:
    """Return the deepest fall from a peak, >= 0."""
    return float(sample.drawdown.max())


def average_drawdown(sample: Sample) -> float:
    """Return the mean of the deepest points of all drawdowns."""
    starts, ends = _episodes(sample)
    depths = [sample.drawdown[a:b].max() for a, b in zip(starts, ends, strict=True)]
    return float(np.mean(depths))


def longest_drawdown_days(sample: Sample) -> float:
    """Return the longest time from a peak to its recovery, or to the end [days]."""
    starts, ends = _episodes(sample)
    last = sample.ts.size - 1
    spans = sample.ts[np.minimum(ends, last)] - sample.ts[starts - 1]
    return float(spans.max()) / DAY_NS


def time_under_water(sample: Sample) -> float:
    """Return the share of bars below an earlier peak."""
    return float(np.count_nonzero(sample.drawdown > 0.0)) / sample.drawdown.size


def ulcer(sample: Sample) -> float:
    """Return the root mean square drawdown, denominator n."""
    return math.sqrt(float(np.mean(sample.drawdown**2)))


def ulcer_performance(sample: Sample) -> float:
    """Return CAGR over the Ulcer index."""
    return ratio(sample.cagr, ulcer(sample), _NEVER_FELL)


def calmar(sample: Sample) -> float:
    """Return CAGR over the deepest drawdown."""
    return ratio(sample.cagr, max_drawdown(sample), _NEVER_FELL)


def recovery(sample: Sample) -> float:
    """Return total return over the deepest drawdown."""
    return ratio(sample.total_return, max_drawdown(sample), _NEVER_FELL)


def value_at_risk(sample: Sample) -> float:
    """Return the 5 % quantile of the returns (type 7)."""
    return float(np.quantile(sample.returns, 0.05))


def conditional_value_at_risk(sample: Sample) -> float:
    """Return the mean of the returns at or below the 5 % quantile."""
    returns = sample.returns
    return float(returns[returns <= np.quantile(returns, 0.05)].mean())


def tail_ratio(sample: Sample) -> float:
    """Return the size of the 95 % quantile over that of the 5 % quantile."""
    low, high = np.quantile(sample.returns, [0.05, 0.95])
    return ratio(abs(float(high)), abs(float(low)), "the 5 % quantile is zero")


def skew(sample: Sample) -> float:
    """Return the population skewness."""
    return skewness(sample.varying_returns())


def kurtosis(sample: Sample) -> float:
    """Return the population excess kurtosis."""
    return excess_kurtosis(sample.varying_returns())


def autocorrelation(sample: Sample) -> float:
    """Return the first-order autocorrelation, sums over n as in the usual correlogram."""
    deviation = sample.varying_returns() - sample.returns.mean()
    return float(deviation[1:] @ deviation[:-1] / (deviation @ deviation))


def best_day(sample: Sample) -> float:
    """Return the largest return of a UTC day."""
    return float(sample.daily_returns.max())


def worst_day(sample: Sample) -> float:
    """Return the smallest return of a UTC day."""
    return float(sample.daily_returns.min())


def best_month(sample: Sample) -> float:
    """Return the largest return of a calendar month."""
    return float(_monthly(sample).max())


def worst_month(sample: Sample) -> float:
    """Return the smallest return of a calendar month."""
    return float(_monthly(sample).min())


def positive_months(sample: Sample) -> float:
    """Return the share of calendar months with a gain."""
    return float(np.mean(_monthly(sample) > 0.0))


def _monthly(sample: Sample) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    _ = sample.returns
    returns: np.ndarray[tuple[int], np.dtype[np.float64]] = simple_returns(
        sample.equity[period_ends(months_of(sample.ts))]
    )
    return returns


def _episodes(
    sample: Sample,
) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """Return the first row under water of every drawdown and the row after its last."""
    under = np.concatenate([[False], sample.drawdown > 0.0, [False]])
    require(bool(under.any()), _NEVER_FELL)
    edges = np.diff(under.astype(np.int8))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
