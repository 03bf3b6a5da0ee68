"""Performance metrics: each says its unit, its convention, and why when it is missing."""

from backtests.engine.metrics.calendar import MonthlyReturns, build_calendar, monthly_returns
from backtests.engine.metrics.compute import MetricsTable, compute_metrics, compute_metrics_table
from backtests.engine.metrics.conventions import Conventions, Trials, build_settings
from backtests.engine.metrics.curve import measure_curve
from backtests.engine.metrics.definitions import DEFINITIONS
from backtests.engine.metrics.frequency import infer_periods_per_year
from backtests.engine.metrics.metric import Metric, Metrics, NotComputedError
from backtests.engine.metrics.reasons import sentence_of
from backtests.engine.metrics.row import Column
from backtests.engine.metrics.sample import (
    NO_ACTIVITY,
    NO_TRADES,
    Activity,
    RoundTrips,
    Trades,
    TradingActivity,
    build_market,
    build_workspace,
)

__all__ = [
    "DEFINITIONS",
    "NO_ACTIVITY",
    "NO_TRADES",
    "Activity",
    "Column",
    "Conventions",
    "Metric",
    "Metrics",
    "MetricsTable",
    "MonthlyReturns",
    "NotComputedError",
    "RoundTrips",
    "Trades",
    "TradingActivity",
    "Trials",
    "build_calendar",
    "build_market",
    "build_settings",
    "build_workspace",
    "compute_metrics",
    "compute_metrics_table",
    "infer_periods_per_year",
    "measure_curve",
    "monthly_returns",
    "sentence_of",
]
