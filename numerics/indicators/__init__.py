"""Indicators of price series: compiled, causal, silent about what they cannot know."""

from numerics.indicators.moving import simple_moving_average

__all__ = ["simple_moving_average"]
