"""Indicators of price series: compiled, causal, silent about what they cannot know."""

from numerics.indicators.channels import (
    donchian_channel,
    keltner_channel,
    rolling_maximum,
    rolling_minimum,
)
from numerics.indicators.crossings import Crossings, crossings, moving_average_cross
from numerics.indicators.momentum import (
    Macd,
    Stochastic,
    macd,
    rate_of_change,
    relative_strength_index,
    stochastic,
)
from numerics.indicators.moving import (
    exponential_moving_average,
    simple_moving_average,
    simple_moving_averages,
    weighted_moving_average,
)
from numerics.indicators.relative import rolling_beta, rolling_correlation, rolling_zscore
from numerics.indicators.volatility import (
    Channel,
    average_true_range,
    bollinger_bands,
    corwin_schultz_half_spread,
    rolling_standard_deviation,
    true_range,
)
from numerics.indicators.volume_weighted import rolling_vwap, session_vwap

__all__ = [
    "Channel",
    "Crossings",
    "Macd",
    "Stochastic",
    "average_true_range",
    "bollinger_bands",
    "corwin_schultz_half_spread",
    "crossings",
    "donchian_channel",
    "exponential_moving_average",
    "keltner_channel",
    "macd",
    "moving_average_cross",
    "rate_of_change",
    "relative_strength_index",
    "rolling_beta",
    "rolling_correlation",
    "rolling_maximum",
    "rolling_minimum",
    "rolling_standard_deviation",
    "rolling_vwap",
    "rolling_zscore",
    "session_vwap",
    "simple_moving_average",
    "simple_moving_averages",
    "stochastic",
    "true_range",
    "weighted_moving_average",
]
