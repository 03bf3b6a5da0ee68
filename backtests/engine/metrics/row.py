"""The row of figures that the kernels fill: one column per metric, a value or a reason."""

import math
from enum import IntEnum, auto
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtests.engine.dtypes import FloatArray
from backtests.engine.metrics.reasons import Reason
from numerics.compilation import njit


class Column(IntEnum):
    """Place of each metric in a row; `DEFINITIONS` has the same order in lower case."""

    @staticmethod
    def _generate_next_value_(_name: str, _start: int, count: int, _last: list[int]) -> int:
        return count  # from 0, as columns do

    TOTAL_RETURN = auto()
    CAGR = auto()
    ANNUAL_RETURN = auto()
    ANNUAL_VOLATILITY = auto()
    DOWNSIDE_VOLATILITY = auto()
    SHARPE = auto()
    SHARPE_STANDARD_ERROR = auto()
    PROBABILISTIC_SHARPE = auto()
    MINIMUM_TRACK_RECORD = auto()
    DEFLATED_SHARPE = auto()
    SORTINO = auto()
    CALMAR = auto()
    CALMAR_36_MONTHS = auto()
    MAR = auto()
    OMEGA = auto()
    PROFIT_FACTOR = auto()
    GAIN_TO_PAIN = auto()
    STABILITY = auto()
    MAX_DRAWDOWN = auto()
    AVERAGE_DRAWDOWN = auto()
    LONGEST_DRAWDOWN_DAYS = auto()
    AVERAGE_DRAWDOWN_DAYS = auto()
    TIME_UNDER_WATER = auto()
    ULCER_INDEX = auto()
    ULCER_PERFORMANCE = auto()
    RECOVERY_FACTOR = auto()
    VALUE_AT_RISK_95 = auto()
    CONDITIONAL_VALUE_AT_RISK_95 = auto()
    GAUSSIAN_VALUE_AT_RISK_95 = auto()
    GAUSSIAN_CONDITIONAL_VALUE_AT_RISK_95 = auto()
    CORNISH_FISHER_VALUE_AT_RISK_95 = auto()
    CORNISH_FISHER_CONDITIONAL_VALUE_AT_RISK_95 = auto()
    TAIL_RATIO = auto()
    SKEWNESS = auto()
    EXCESS_KURTOSIS = auto()
    AUTOCORRELATION = auto()
    BEST_DAY = auto()
    WORST_DAY = auto()
    BEST_MONTH = auto()
    WORST_MONTH = auto()
    POSITIVE_MONTHS = auto()
    HIT_RATE = auto()
    PAYOFF = auto()
    TURNOVER = auto()
    EXPOSURE_TIME = auto()
    AVERAGE_GROSS_EXPOSURE = auto()
    AVERAGE_NET_EXPOSURE = auto()
    MAX_LEVERAGE = auto()
    TOTAL_COSTS = auto()
    COST_DRAG = auto()
    AVERAGE_COST_BPS = auto()
    BREAK_EVEN_COST_BPS = auto()
    CAPACITY = auto()
    ALPHA = auto()
    BETA = auto()
    CORRELATION = auto()
    R_SQUARED = auto()
    TREYNOR = auto()
    TRACKING_ERROR = auto()
    INFORMATION_RATIO = auto()
    UP_CAPTURE = auto()
    DOWN_CAPTURE = auto()
    N_TRADES = auto()
    TRADE_HIT_RATE = auto()
    TRADE_PAYOFF = auto()
    TRADE_PROFIT_FACTOR = auto()
    TRADE_EXPECTANCY = auto()
    SYSTEM_QUALITY_NUMBER = auto()
    KELLY_FRACTION = auto()
    AVERAGE_HOLDING_DAYS = auto()
    MEDIAN_HOLDING_DAYS = auto()
    AVERAGE_TRADE_RETURN = auto()
    BEST_TRADE_RETURN = auto()
    WORST_TRADE_RETURN = auto()
    LONGEST_LOSING_STREAK = auto()


N_COLUMNS = len(Column)


class Row(NamedTuple):
    """Where a kernel writes, shape (n_metrics,) each.

    Attributes
    ----------
    values : float64 array
        Finite, or NaN where `reasons` is not 0.
    reasons : int8 array
        Codes of `Reason`.
    """

    values: FloatArray
    reasons: NDArray[np.int8]


@njit(cache=True, error_model="numpy")
def put(row: Row, column: int, value: float) -> None:
    """Write a figure, or that it is not a finite number."""
    if math.isfinite(value):
        row.values[column] = value
        row.reasons[column] = 0
    else:
        row.values[column] = np.nan
        row.reasons[column] = Reason.NOT_FINITE


@njit(cache=True, error_model="numpy")
def miss(row: Row, column: int, reason: int) -> None:
    """Write why there is no figure."""
    row.values[column] = np.nan
    row.reasons[column] = reason


@njit(cache=True, error_model="numpy")
def put_ratio(row: Row, column: int, above: float, below: float, reason: int) -> None:
    """Write a quotient, or the reason where its denominator is zero."""
    if below == 0.0:
        miss(row, column, reason)
    else:
        put(row, column, above / below)


@njit(cache=True, error_model="numpy")
def miss_between(row: Row, first: int, last: int, reason: int) -> None:
    """Write one reason into all columns from the first to the last, both included."""
    for column in range(first, last + 1):
        miss(row, column, reason)
