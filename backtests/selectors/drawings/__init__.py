"""The drawings of studies, on the canvas that all drawings share."""

from backtests.selectors.drawings.distribution import draw_distribution
from backtests.selectors.drawings.folds import draw_choices, draw_degradation, draw_timeline
from backtests.selectors.drawings.paths import draw_paths
from backtests.selectors.drawings.surface import draw_surface

__all__ = [
    "draw_choices",
    "draw_degradation",
    "draw_distribution",
    "draw_paths",
    "draw_surface",
    "draw_timeline",
]
