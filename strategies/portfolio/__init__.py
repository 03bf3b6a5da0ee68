"""Weights from scores, and when to put them into effect."""

from strategies.portfolio.rebalancing import (
    at_first_eligible,
    at_own_bars,
    every_n_bars,
    on_change,
    on_new_period,
    once,
)
from strategies.portfolio.weights import equal_weights, given_weights

__all__ = [
    "at_first_eligible",
    "at_own_bars",
    "equal_weights",
    "every_n_bars",
    "given_weights",
    "on_change",
    "on_new_period",
    "once",
]
