"""Scores from prices."""

from strategies.signals.carrying import carried, last_live_row
from strategies.signals.combination import centered_ranks, combine
from strategies.signals.holding import buy_and_hold
from strategies.signals.momentum import momentum
from strategies.signals.scores import Scores
from strategies.signals.trend import moving_average_cross

__all__ = [
    "Scores",
    "buy_and_hold",
    "carried",
    "centered_ranks",
    "combine",
    "last_live_row",
    "momentum",
    "moving_average_cross",
]
