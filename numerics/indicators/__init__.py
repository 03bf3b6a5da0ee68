"""Indicators of price series: compiled, causal, silent about what they cannot know."""

from numerics.indicators.moving import last_observed, simple_moving_average

__all__ = ["last_observed", "simple_moving_average"]
