"""Figures of what the account held, traded and paid."""

import numpy as np

from backtests.engine.metrics.metric import ratio, require
from backtests.engine.metrics.sample import Sample

_NO_TRADE = "nothing was traded"


def turnover(sample: Sample) -> float:
    """Return bought plus sold over mean equity, per year."""
    return float(sample.trading.traded_notional.sum()) / _mean_equity(sample) / sample.years


def exposure_time(sample: Sample) -> float:
    """Return the share of bars with a position at the close."""
    return float(np.mean(sample.trading.gross_exposure > 0.0))


def average_gross_exposure(sample: Sample) -> float:
    """Return the mean of gross exposure over equity."""
    return float(np.mean(sample.trading.gross_exposure / _positive_equity(sample)))


def average_net_exposure(sample: Sample) -> float:
    """Return the mean of net exposure over equity."""
    return float(np.mean(sample.trading.net_exposure / _positive_equity(sample)))


def max_leverage(sample: Sample) -> float:
    """Return the largest gross exposure over equity at a close."""
    return float(np.max(sample.trading.gross_exposure / _positive_equity(sample)))


def total_costs(sample: Sample) -> float:
    """Return the sum of all costs."""
    return float(sample.trading.costs.sum())


def cost_drag(sample: Sample) -> float:
    """Return all costs over mean equity, per year."""
    return total_costs(sample) / _mean_equity(sample) / sample.years


def break_even_cost_bps(sample: Sample) -> float:
    """Return the cost per traded notional at which the profit would have been zero."""
    traded = float(sample.trading.traded_notional.sum())
    before_costs = float(sample.equity[-1] - sample.equity[0]) + total_costs(sample)
    return ratio(before_costs, traded, _NO_TRADE) * 10_000.0


def average_cost_bps(sample: Sample) -> float:
    """Return all costs per traded notional."""
    traded = float(sample.trading.traded_notional.sum())
    return ratio(total_costs(sample), traded, _NO_TRADE) * 10_000.0


def _positive_equity(sample: Sample) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    require(bool(np.all(sample.equity > 0.0)), "equity was zero or negative")
    return sample.equity


def _mean_equity(sample: Sample) -> float:
    return float(_positive_equity(sample).mean())
