"""Drawings of studies as inline SVG, which open in a report without a network or a script."""

from backtests.selectors.drawings.canvas import Drawing, nice_ticks, write_number
from backtests.selectors.drawings.distribution import draw_distribution
from backtests.selectors.drawings.folds import draw_choices, draw_degradation, draw_timeline
from backtests.selectors.drawings.intervals import draw_intervals
from backtests.selectors.drawings.paths import draw_paths
from backtests.selectors.drawings.surface import draw_surface

__all__ = [
    "Drawing",
    "draw_choices",
    "draw_degradation",
    "draw_distribution",
    "draw_intervals",
    "draw_paths",
    "draw_surface",
    "draw_timeline",
    "nice_ticks",
    "write_number",
]
