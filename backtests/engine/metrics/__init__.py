"""Performance metrics: each says its unit, its convention, and why when it is missing."""

from backtests.engine.metrics.calendar import MonthlyReturns, monthly_returns
from backtests.engine.metrics.compute import DEFINITIONS, compute_metrics
from backtests.engine.metrics.frequency import infer_periods_per_year
from backtests.engine.metrics.metric import Metric, Metrics, NotComputedError
from backtests.engine.metrics.sample import TradingActivity

__all__ = [
    "DEFINITIONS",
    "Metric",
    "Metrics",
    "MonthlyReturns",
    "NotComputedError",
    "TradingActivity",
    "compute_metrics",
    "infer_periods_per_year",
    "monthly_returns",
]
